/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/vms/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"

/* What istio-agent asks for (pilot/pkg/grpc/grpc.go). */
#define WINDOW_BYTES (1024 * 1024)

#define METHOD "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

static void on_link_over(struct link *l, const char *why);
static nghttp2_session *on_link_secure(struct link *l);

static const struct link_ops link_ops = {on_link_secure, on_link_over};

struct vm *vm_new(struct vm_home *home, uint32_t number)
{
    struct vm *v = calloc(1, sizeof(*v));

    if (v == NULL ||
        (home->issuer != NULL && !identity_issue(&v->identity, home->issuer, number))) {
        free(v);
        return NULL;
    }
    v->magic = VM_MAGIC;
    v->number = number;
    v->home = home;
    link_init(&v->link, &home->link, &link_ops, v);
    return v;
}

void vm_free(struct vm **v)
{
    CHECK_MAGIC(*v, VM_MAGIC);
    CHECK((*v)->state == VM_DOWN);
    identity_free(&(*v)->identity);
    free(*v);
    *v = NULL;
}

enum rc vm_open(struct vm *v)
{
    struct addr source;

    CHECK_MAGIC(v, VM_MAGIC);
    CHECK(v->state == VM_DOWN);
    node_address(v->number, &source);
    TRY(link_connect(&v->link, v->home->tls, &v->home->peer, &source, v->home->sni));
    if (!identity_use(&v->identity, v->link.ssl)) {
        link_abandon(&v->link);
        return RC_NO_MEMORY;
    }
    v->state = VM_OPENING;
    v->is_leaving = false;
    v->is_stalled = false;
    v->stream = -1;
    v->grpc_status = -1;
    v->grpc_message[0] = '\0';
    v->asked_at = 0;
    v->armed_bytes = 0;
    v->is_pinging = false;
    memset(v->nonces, 0, sizeof(v->nonces));
    inbox_init(&v->in, &v->home->messages, false);
    outbox_init(&v->out, &v->home->messages, v->number, NULL);
    return RC_OK;
}

void vm_close(struct vm *v, enum link_farewell farewell, const char *why)
{
    CHECK_MAGIC(v, VM_MAGIC);
    v->is_leaving = true;
    link_end(&v->link, farewell, why);
}

static void on_link_over(struct link *l, const char *why)
{
    struct vm *v = l->owner;

    CHECK_MAGIC(v, VM_MAGIC);
    v->home->ops->on_over(v, why);
}

/* ---- sending ---- */

static ssize_t read_data(nghttp2_session *h2, int32_t stream, uint8_t *buf, size_t max,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct vm *v = arg;
    size_t n = outbox_read(&v->out, buf, max);

    (void)h2;
    (void)stream;
    (void)flags;
    (void)source;
    return n == 0 ? NGHTTP2_ERR_DEFERRED : (ssize_t)n;
}

static bool send_message(struct vm *v, const struct message *m)
{
    if (v->link.h2 == NULL || !outbox_add(&v->out, m)) {
        return false;
    }
    /* An error only says that it is sending already. */
    (void)nghttp2_session_resume_data(v->link.h2, v->stream);
    link_flush(&v->link);
    return true;
}

bool vm_ask(struct vm *v, uint32_t bytes)
{
    CHECK_MAGIC(v, VM_MAGIC);
    return send_message(v, &(struct message){.kind = MESSAGE_ECHO,
                                             .type = MESSAGE_EDS,
                                             .nonce = v->nonces[MESSAGE_EDS],
                                             .bytes = bytes});
}

void vm_stall(struct vm *v, bool stalled)
{
    CHECK_MAGIC(v, VM_MAGIC);
    v->is_stalled = stalled;
    link_pause(&v->link, stalled);
}

/* ---- what nghttp2 reports ---- */

/* As Envoy does with its first clusters; the agent asks for the names (NDS). */
static bool ask_for_the_rest(struct vm *v)
{
    bool sent = true;

    for (enum message_type t = MESSAGE_CDS + 1; t < MESSAGE_TYPES; t++) {
        sent = sent && send_message(v, &(struct message){.kind = MESSAGE_SUBSCRIBE, .type = t});
    }
    return sent;
}

static void on_message(struct vm *v)
{
    const struct message m = v->in.message;
    const struct message ack = {.kind = MESSAGE_ACK, .type = m.type, .nonce = m.nonce};
    bool is_first = v->state == VM_OPENING;

    v->nonces[m.type] = m.nonce;
    /* What answers an echo is acknowledged by the next one. */
    if ((m.kind != MESSAGE_ECHO && !send_message(v, &ack)) || (is_first && !ask_for_the_rest(v))) {
        vm_close(v, LINK_RST, "too many responses without an ack");
        return;
    }
    if (is_first) {
        v->state = VM_UP;
        v->home->ops->on_up(v);
        return;
    }
    v->home->ops->on_message(v, &m);
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t stream, const uint8_t *data,
                   size_t n, void *arg)
{
    struct vm *v = arg;
    enum inbox_result result = INBOX_MORE;

    (void)h2;
    (void)flags;
    (void)stream;
    while (!v->link.ending && (result = inbox_feed(&v->in, &data, &n)) == INBOX_COMPLETE) {
        on_message(v);
    }
    if (result == INBOX_WRONG) {
        link_end(&v->link, LINK_RST, "wrong bytes in a message");
    }
    return 0;
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    struct vm *v = arg;

    (void)h2;
    (void)frame;
    (void)flags;
    if (name_len == 11 && memcmp(name, "grpc-status", 11) == 0) {
        v->grpc_status = (int)strtol((const char *)value, NULL, 10);
    } else if (name_len == 12 && memcmp(name, "grpc-message", 12) == 0) {
        (void)snprintf(v->grpc_message, sizeof(v->grpc_message), "%.*s", (int)value_len,
                       (const char *)value);
    } else if (name_len == 7 && memcmp(name, ":status", 7) == 0 && memcmp(value, "200", 3) != 0) {
        (void)snprintf(v->grpc_message, sizeof(v->grpc_message), "HTTP status %.*s", (int)value_len,
                       (const char *)value);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *h2, int32_t stream, uint32_t error, void *arg)
{
    struct vm *v = arg;
    char why[LINK_WHY_BYTES];

    (void)h2;
    (void)stream;
    if (v->grpc_status >= 0) {
        (void)snprintf(why, sizeof(why), "grpc-status %d: %s", v->grpc_status, v->grpc_message);
    } else if (v->grpc_message[0] != '\0') {
        (void)snprintf(why, sizeof(why), "%s", v->grpc_message);
    } else {
        (void)snprintf(why, sizeof(why), "stream reset: %s", nghttp2_http2_strerror(error));
    }
    link_end(&v->link, LINK_FIN, why);
    return 0;
}

/* ---- opening the stream ---- */

static nghttp2_session *new_session(struct vm *v)
{
    nghttp2_session_callbacks *calls = NULL;
    nghttp2_session *h2 = NULL;

    if (nghttp2_session_callbacks_new(&calls) != 0) {
        return NULL;
    }
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_data);
    nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_stream_close);
    if (nghttp2_session_client_new(&h2, calls, v) != 0) {
        h2 = NULL;
    }
    nghttp2_session_callbacks_del(calls);
    return h2;
}

static nghttp2_nv field(const char *name, const char *value)
{
    const uint8_t flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    nghttp2_nv nv = {.namelen = strlen(name), .valuelen = strlen(value), .flags = flags};

    /* nghttp2 does not write there, it only has no const in its types. */
    memcpy(&nv.name, &name, sizeof(name));
    memcpy(&nv.value, &value, sizeof(value));
    return nv;
}

static bool submit(struct vm *v, nghttp2_session *h2)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES},
    };
    const nghttp2_nv headers[] = {
        field(":method", "POST"),
        field(":scheme", "https"),
        field(":path", METHOD),
        field(":authority", v->home->sni),
        field("content-type", "application/grpc"),
        field("user-agent", "grpc-go/1.72.0"),
        field("te", "trailers"),
    };
    const nghttp2_data_provider body = {.read_callback = read_data};

    if (nghttp2_submit_settings(h2, NGHTTP2_FLAG_NONE, settings, 2) != 0 ||
        nghttp2_session_set_local_window_size(h2, NGHTTP2_FLAG_NONE, 0, WINDOW_BYTES) != 0 ||
        !outbox_add(&v->out, &(struct message){.kind = MESSAGE_FIRST, .type = MESSAGE_CDS})) {
        return false;
    }
    v->stream = nghttp2_submit_request(h2, NULL, headers, sizeof(headers) / sizeof(headers[0]),
                                       &body, NULL);
    return v->stream > 0;
}

static nghttp2_session *on_link_secure(struct link *l)
{
    struct vm *v = l->owner;
    nghttp2_session *h2 = new_session(v);

    if (h2 != NULL && !submit(v, h2)) {
        nghttp2_session_del(h2);
        h2 = NULL;
    }
    return h2;
}
