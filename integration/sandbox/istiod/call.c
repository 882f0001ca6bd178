/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server call on gRPC core's batches: at most one receive, one send and one status batch are
 * outstanding; RECV_CLOSE_ON_SERVER always comes back and ends the call.
 */
#include "integration/sandbox/istiod/call.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <stdlib.h>

#include "integration/sandbox/common/os.h"
#include "integration/sandbox/common/text.h"
#include "integration/sandbox/common/wire.h"
#include "integration/sandbox/istiod/cidr.h"

static void call_free_if_over(struct call *c)
{
    if (!c->ended || c->batches > 0) {
        return;
    }
    grpc_metadata_array_destroy(&c->headers);
    grpc_call_unref(c->call);
    free(c->method);
    free(c->peer);
    free(c->peer_address);
    free(c->status_text);
    free(c);
}

static bool start(struct call *c, const grpc_op *ops, size_t n, struct tag *tag,
                  void (*fn)(struct tag *, bool))
{
    grpc_call_error err;

    tag->fn = fn;
    tag->user = c;
    err = grpc_call_start_batch(c->call, ops, n, tag, NULL);
    if (err != GRPC_CALL_OK) {
        log_info("batch refused: %s", grpc_call_error_to_string(err));
        return false;
    }
    c->batches++;
    return true;
}

static void on_status_sent(struct tag *tag, bool ok)
{
    struct call *c = tag->user;

    (void)ok;
    c->batches--;
    call_free_if_over(c);
}

static void send_status(struct call *c)
{
    grpc_op ops[2] = {{0}};
    size_t n = 0;
    grpc_slice text = grpc_slice_from_copied_string(c->status_text == NULL ? "" : c->status_text);

    if (!c->headers_sent) {
        ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
        c->headers_sent = true;
    }
    ops[n].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[n].data.send_status_from_server.status = (grpc_status_code)c->status;
    ops[n].data.send_status_from_server.status_details = &text;
    n++;
    c->status_sent = true;
    (void)start(c, ops, n, &c->status_tag, on_status_sent);
    grpc_slice_unref(text);
}

static void on_closed(struct tag *tag, bool ok)
{
    struct call *c = tag->user;

    (void)ok;
    c->batches--;
    c->ended = true;
    if (c->ops != NULL) {
        c->ops->on_end(c);
    }
    call_free_if_over(c);
}

struct call *call_new(grpc_call *call, grpc_metadata_array headers, grpc_slice method)
{
    struct call *c = sbx_alloc(sizeof(*c));
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    char *peer = grpc_call_get_peer(call);

    c->call = call;
    c->headers = headers;
    c->method = wire_slice_str(method);
    c->peer = peer_text(peer);
    c->peer_address = peer_address(peer);
    gpr_free(peer);
    op.data.recv_close_on_server.cancelled = &c->cancelled;
    (void)start(c, &op, 1, &c->close_tag, on_closed);
    return c;
}

void call_begin(struct call *c, const struct call_ops *ops, void *user)
{
    c->ops = ops;
    c->user = user;
}

static void on_received(struct tag *tag, bool ok)
{
    struct call *c = tag->user;
    grpc_byte_buffer *buffer = c->incoming;

    c->incoming = NULL;
    c->batches--;
    if (c->ended || c->status_sent || c->status_due || !ok) {
        if (buffer != NULL) {
            grpc_byte_buffer_destroy(buffer);
        }
        call_free_if_over(c);
        return;
    }
    c->ops->on_message(c, buffer);
}

void call_recv(struct call *c)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

    op.data.recv_message.recv_message = &c->incoming;
    (void)start(c, &op, 1, &c->recv_tag, on_received);
}

static void on_message_sent(struct tag *tag, bool ok)
{
    struct call *c = tag->user;

    c->batches--;
    c->sending = false;
    if (c->ended) {
        call_free_if_over(c);
    } else if (c->status_due && !c->status_sent) {
        send_status(c);
    } else if (ok) {
        c->ops->on_sent(c);
    }
}

void call_send(struct call *c, const ProtobufCMessage *message)
{
    grpc_op ops[2] = {{0}};
    size_t n = 0;
    grpc_byte_buffer *buffer;

    if (c->ended || c->status_due) {
        return;
    }
    buffer = wire_pack(message);
    if (!c->headers_sent) {
        ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
        c->headers_sent = true;
    }
    ops[n].op = GRPC_OP_SEND_MESSAGE;
    ops[n].data.send_message.send_message = buffer;
    n++;
    c->sending = start(c, ops, n, &c->send_tag, on_message_sent);
    grpc_byte_buffer_destroy(buffer);
}

void call_finish(struct call *c, int status, const char *text)
{
    if (c->ended || c->status_due) {
        return;
    }
    c->status_due = true;
    c->status = status;
    c->status_text = sbx_strdup(text);
    if (!c->sending) {
        send_status(c);
    }
}
