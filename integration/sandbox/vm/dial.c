/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client side on gRPC core: channels as an agent's grpc-go makes them, calls with a queue of
 * messages. A call is freed when it is over and every batch has come back. A dropped call (ops
 * NULL) starts no batch any more: the completion queue may be shutting down.
 */
#include "integration/sandbox/vm/dial.h"

#include <grpc/byte_buffer.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <stdlib.h>

#include "integration/sandbox/common/os.h"
#include "integration/sandbox/common/wire.h"

#define WINDOW_BYTES (1024 * 1024)
#define MAX_HEADERS 8

/** One message that waits for its turn. */
struct queued {
    struct queued *next;      /* owned */
    grpc_byte_buffer *buffer; /* owned; NULL is the half-close */
};

/** One call and its outstanding batches. Loop thread or lock held. */
struct dialled_call {
    grpc_call *call;               /* owned */
    const struct dialled_ops *ops; /* borrowed; NULL once dropped or over */
    void *user;
    grpc_metadata headers[MAX_HEADERS];
    size_t n_headers;
    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_status_code status;
    grpc_slice status_text;
    grpc_byte_buffer *incoming;
    struct queued *queue;
    struct tag open_tag;
    struct tag initial_tag;
    struct tag recv_tag;
    struct tag send_tag;
    struct tag status_tag;
    unsigned batches;
    bool opened; /* headers are sent, messages may follow */
    bool sending;
    bool receiving;
    bool paused;
    bool ended;
};

static char *key_of(const char *key)
{
    /* gRPC core takes a non-const key and does not write to it */
    union {
        const char *in;
        char *out;
    } k = {.in = key};

    return k.out;
}

static grpc_arg int_arg(const char *key, int value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = key_of(key), .value = {.integer = value}};
}

static grpc_arg str_arg(const char *key, const char *value)
{
    return (grpc_arg){
        .type = GRPC_ARG_STRING, .key = key_of(key), .value = {.string = key_of(value)}};
}

grpc_channel *dial_channel(const struct dial *d)
{
    grpc_ssl_pem_key_cert_pair pair = {.private_key = d->key, .cert_chain = d->cert};
    grpc_channel_credentials *creds =
        grpc_ssl_credentials_create_ex(d->roots, d->cert == NULL ? NULL : &pair, NULL, NULL);
    grpc_arg args[] = {
        str_arg(GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, d->server_name),
        str_arg(GRPC_ARG_DEFAULT_AUTHORITY, d->server_name),
        int_arg(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
        int_arg(GRPC_ARG_ENABLE_RETRIES, 0),
        int_arg(GRPC_ARG_ENABLE_HTTP_PROXY, 0),
        int_arg(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1),
        int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, 30000),
        int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000),
        int_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 0),
        int_arg(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        int_arg(GRPC_ARG_HTTP2_BDP_PROBE, 0),
        int_arg(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, WINDOW_BYTES),
        int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, -1),
        int_arg(GRPC_ARG_MAX_METADATA_SIZE, 64 * 1024),
    };
    grpc_channel_args all = {.num_args = sizeof(args) / sizeof(args[0]), .args = args};
    grpc_channel *channel;

    if (creds == NULL) {
        return NULL;
    }
    channel = grpc_channel_create(d->target, creds, &all);
    grpc_channel_credentials_release(creds);
    return channel;
}

static void free_if_over(struct dialled_call *c)
{
    if (!c->ended || c->batches > 0) {
        return;
    }
    while (c->queue != NULL) {
        struct queued *q = c->queue;

        c->queue = q->next;
        if (q->buffer != NULL) {
            grpc_byte_buffer_destroy(q->buffer);
        }
        free(q);
    }
    for (size_t i = 0; i < c->n_headers; i++) {
        grpc_slice_unref(c->headers[i].key);
        grpc_slice_unref(c->headers[i].value);
    }
    grpc_metadata_array_destroy(&c->initial);
    grpc_metadata_array_destroy(&c->trailing);
    grpc_slice_unref(c->status_text);
    grpc_call_unref(c->call);
    free(c);
}

static bool start(struct dialled_call *c, const grpc_op *op, struct tag *tag,
                  void (*fn)(struct tag *, bool))
{
    grpc_call_error err;

    *tag = (struct tag){.fn = fn, .user = c};
    err = grpc_call_start_batch(c->call, op, 1, tag, NULL);
    if (err != GRPC_CALL_OK) {
        log_info("batch refused: %s", grpc_call_error_to_string(err));
        return false;
    }
    c->batches++;
    return true;
}

static void send_next(struct dialled_call *c);

static void on_sent(struct tag *tag, bool ok)
{
    struct dialled_call *c = tag->user;

    c->batches--;
    c->sending = false;
    if (ok && !c->ended) {
        send_next(c);
    }
    free_if_over(c);
}

static void send_next(struct dialled_call *c)
{
    struct queued *q = c->queue;
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};

    if (q == NULL || c->sending || !c->opened || c->ended || c->ops == NULL) {
        return;
    }
    c->queue = q->next;
    if (q->buffer == NULL) {
        op.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    } else {
        op.data.send_message.send_message = q->buffer;
    }
    c->sending = start(c, &op, &c->send_tag, on_sent);
    if (q->buffer != NULL) {
        grpc_byte_buffer_destroy(q->buffer);
    }
    free(q);
}

static void enqueue(struct dialled_call *c, grpc_byte_buffer *buffer)
{
    struct queued *q = sbx_alloc(sizeof(*q));
    struct queued **at = &c->queue;

    q->buffer = buffer;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = q;
    send_next(c);
}

void dialled_send(struct dialled_call *c, const ProtobufCMessage *message)
{
    enqueue(c, wire_pack(message));
}

void dialled_half_close(struct dialled_call *c)
{
    enqueue(c, NULL);
}

static void receive(struct dialled_call *c);

static void on_received(struct tag *tag, bool ok)
{
    struct dialled_call *c = tag->user;
    grpc_byte_buffer *buffer = c->incoming;

    c->incoming = NULL;
    c->receiving = false;
    c->batches--;
    if (buffer == NULL || !ok || c->ops == NULL) {
        if (buffer != NULL) {
            grpc_byte_buffer_destroy(buffer);
        }
        free_if_over(c);
        return;
    }
    c->batches++; /* the owner may drop the call in here */
    c->ops->on_message(c->user, buffer);
    c->batches--;
    receive(c);
    free_if_over(c);
}

static void receive(struct dialled_call *c)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

    if (c->ops == NULL || c->paused || c->receiving) {
        return;
    }
    op.data.recv_message.recv_message = &c->incoming;
    c->receiving = start(c, &op, &c->recv_tag, on_received);
}

static void on_opened(struct tag *tag, bool ok)
{
    struct dialled_call *c = tag->user;

    c->batches--;
    c->opened = ok;
    send_next(c);
    free_if_over(c);
}

static void on_initial(struct tag *tag, bool ok)
{
    struct dialled_call *c = tag->user;

    (void)ok;
    c->batches--;
    free_if_over(c);
}

static void on_status(struct tag *tag, bool ok)
{
    struct dialled_call *c = tag->user;
    const struct dialled_ops *ops = c->ops;
    char *text = wire_slice_str(c->status_text);

    (void)ok;
    c->batches--;
    c->ended = true;
    c->ops = NULL;
    if (ops != NULL) {
        ops->on_end(c->user, (int)c->status, text);
    }
    free(text);
    free_if_over(c);
}

static void start_all(struct dialled_call *c)
{
    grpc_op op = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};

    op.data.recv_status_on_client.trailing_metadata = &c->trailing;
    op.data.recv_status_on_client.status = &c->status;
    op.data.recv_status_on_client.status_details = &c->status_text;
    (void)start(c, &op, &c->status_tag, on_status);
    op = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
    op.data.send_initial_metadata.count = c->n_headers;
    op.data.send_initial_metadata.metadata = c->headers;
    (void)start(c, &op, &c->open_tag, on_opened);
    op = (grpc_op){.op = GRPC_OP_RECV_INITIAL_METADATA};
    op.data.recv_initial_metadata.recv_initial_metadata = &c->initial;
    (void)start(c, &op, &c->initial_tag, on_initial);
    receive(c);
}

struct dialled_call *dialled_open(struct loop *l, grpc_channel *channel, const char *method,
                                  const struct dialled_header *headers, size_t n_headers,
                                  const struct dialled_ops *ops, void *user)
{
    struct dialled_call *c = sbx_alloc(sizeof(*c));
    grpc_slice path = grpc_slice_from_copied_string(method);

    c->ops = ops;
    c->user = user;
    c->status_text = grpc_empty_slice();
    grpc_metadata_array_init(&c->initial);
    grpc_metadata_array_init(&c->trailing);
    for (size_t i = 0; i < n_headers && i < MAX_HEADERS; i++) {
        c->headers[i].key = grpc_slice_from_copied_string(headers[i].key);
        c->headers[i].value = grpc_slice_from_copied_string(headers[i].value);
        c->n_headers++;
    }
    c->call = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, l->cq, path, NULL,
                                       gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    grpc_slice_unref(path);
    start_all(c);
    return c;
}

void dialled_pause(struct dialled_call *c, bool pause)
{
    c->paused = pause;
    receive(c);
}

bool dialled_connected(const struct dialled_call *c)
{
    return c->opened;
}

void dialled_drop(struct dialled_call *c)
{
    c->ops = NULL;
    (void)grpc_call_cancel(c->call, NULL);
}
