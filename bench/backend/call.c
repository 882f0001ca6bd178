/* SPDX-License-Identifier: Apache-2.0 */
/* The streams of a connection: what nghttp2 reports about them, and what is answered. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/backend/server.h"
#include "core/base/check.h"

#define HELLO_BYTES 200
#define STREAM_WINDOW_BYTES (1024 * 1024)
#define CONNECTION_WINDOW_BYTES (1 << 30)

static nghttp2_nv field(const char *name, const char *value)
{
    const uint8_t flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    nghttp2_nv nv = {.namelen = strlen(name), .valuelen = strlen(value), .flags = flags};

    /* nghttp2 does not write there, it only has no const in its types. */
    memcpy(&nv.name, &name, sizeof(name));
    memcpy(&nv.value, &value, sizeof(value));
    return nv;
}

/* ---- sending ---- */

static int submit_trailers(nghttp2_session *h2, int32_t stream, const char *status)
{
    const nghttp2_nv trailers[] = {field("grpc-status", status)};
    return nghttp2_submit_trailer(h2, stream, trailers, 1);
}

static ssize_t read_data(nghttp2_session *h2, int32_t stream, uint8_t *buf, size_t max,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct call *c = source->ptr;
    size_t n;

    (void)arg;
    CHECK_MAGIC(c, CALL_MAGIC);
    n = outbox_read(&c->out, buf, max);
    if (n > 0) {
        return (ssize_t)n;
    }
    if (!c->is_ended) {
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return submit_trailers(h2, stream, "0") == 0 ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

bool call_send(struct call *c, enum message_kind kind, enum message_type type, uint32_t bytes)
{
    const struct message m = {.kind = kind, .type = type, .bytes = bytes};

    CHECK_MAGIC(c, CALL_MAGIC);
    if (c->is_ended || !outbox_add(&c->out, &m)) {
        return false;
    }
    /* An error only says that it is sending already. */
    (void)nghttp2_session_resume_data(c->caller->link.h2, c->stream);
    return true;
}

static int answer_only_trailers(struct call *c, const char *http_status, const char *grpc_status)
{
    const nghttp2_nv headers[] = {
        field(":status", http_status),
        field("content-type", "application/grpc"),
        field("grpc-status", grpc_status),
    };

    c->is_answered = true;
    c->is_refused = true;
    return nghttp2_submit_response(c->caller->link.h2, c->stream, headers, 3, NULL);
}

static int answer(struct call *c)
{
    const nghttp2_nv headers[] = {
        field(":status", "200"),
        field("content-type", "application/grpc"),
    };
    const nghttp2_data_provider body = {.source.ptr = c, .read_callback = read_data};

    c->is_answered = true;
    if (!call_send(c, MESSAGE_HELLO, MESSAGE_CDS, HELLO_BYTES)) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return nghttp2_submit_response(c->caller->link.h2, c->stream, headers, 2, &body);
}

/* ---- receiving ---- */

/* The nonce of a response that was sent since the last ack of this type; who asks for more may say
 * the same one again. */
static bool take_nonce(struct call *c, const struct message *m)
{
    struct server *s = c->caller->server;
    uint32_t before = c->acked[m->type];

    c->acked[m->type] = m->nonce;
    if (m->nonce < before || (m->nonce == before && m->kind == MESSAGE_ACK) ||
        (m->nonce & ~MESSAGE_NONCE_PUSH) > s->nonces) {
        return false;
    }
    s->acks += m->nonce > before && (m->nonce & MESSAGE_NONCE_PUSH) != 0 ? 1 : 0;
    return true;
}

/* false: the stream cannot go on. */
static bool take_message(struct call *c)
{
    const struct message *m = &c->in.message;

    if ((m->kind == MESSAGE_FIRST) == c->is_answered || (m->nonce != 0 && !take_nonce(c, m))) {
        return false;
    }
    switch (m->kind) {
    case MESSAGE_FIRST:
        return answer(c) == 0;
    case MESSAGE_SUBSCRIBE:
        return call_send(c, MESSAGE_HELLO, m->type, HELLO_BYTES);
    case MESSAGE_ECHO:
        c->caller->server->echoes++;
        return call_send(c, MESSAGE_ECHO, m->type, m->bytes);
    default: /* an ack */
        return true;
    }
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t stream, const uint8_t *data,
                   size_t n, void *arg)
{
    struct caller *caller = arg;
    struct call *c = nghttp2_session_get_stream_user_data(h2, stream);
    enum inbox_result result = INBOX_COMPLETE;

    (void)flags;
    if (c == NULL || c->is_refused) {
        return 0;
    }
    while (result == INBOX_COMPLETE) {
        result = inbox_feed(&c->in, &data, &n);
        if (result == INBOX_COMPLETE && !take_message(c)) {
            result = INBOX_WRONG;
        }
    }
    if (result == INBOX_WRONG) {
        caller->server->wrong++;
        c->is_refused = true;
        (void)nghttp2_submit_rst_stream(h2, NGHTTP2_FLAG_NONE, stream, NGHTTP2_INTERNAL_ERROR);
    }
    return 0;
}

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
    struct caller *caller = arg;
    struct server *s = caller->server;
    struct call *c;

    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;
    }
    c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    c->magic = CALL_MAGIC;
    c->caller = caller;
    c->stream = frame->hd.stream_id;
    inbox_init(&c->in, &s->messages, true);
    outbox_init(&c->out, &s->messages, 0, &s->nonces);
    list_add_tail(&s->calls, &c->node);
    list_add_tail(&caller->calls, &c->of_caller);
    s->opened++;
    if (++caller->n_calls > s->max_streams_seen) {
        s->max_streams_seen = caller->n_calls;
    }
    return nghttp2_session_set_stream_user_data(h2, c->stream, c);
}

void call_free(struct call **c)
{
    CHECK_MAGIC(*c, CALL_MAGIC);
    list_del(&(*c)->node);
    list_del(&(*c)->of_caller);
    (*c)->caller->n_calls--;
    (*c)->caller->server->closed++;
    (*c)->magic = 0;
    free(*c);
    *c = NULL;
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    static const char grpc[] = "application/grpc";
    struct call *c = nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);

    (void)flags;
    (void)arg;
    if (c == NULL) {
        return 0;
    }
    if (name_len == 7 && memcmp(name, ":method", 7) == 0) {
        c->is_post = value_len == 4 && memcmp(value, "POST", 4) == 0;
    } else if (name_len == 12 && memcmp(name, "content-type", 12) == 0) {
        c->is_grpc = value_len >= strlen(grpc) && memcmp(value, grpc, strlen(grpc)) == 0;
    }
    return 0;
}

static int take_request(struct call *c)
{
    struct server *s = c->caller->server;

    if (!c->is_post || !c->is_grpc) {
        return answer_only_trailers(c, "415", "3");
    }
    if (s->refuse > 0) {
        s->refuse--;
        s->refused++;
        return answer_only_trailers(c, "200", "8");
    }
    return 0;
}

/* istiod stops to push when the client has closed its side. */
static int take_end(struct call *c)
{
    c->is_ended = true;
    outbox_drop(&c->out);
    if (!c->is_answered) {
        return answer_only_trailers(c, "200", "0");
    }
    if (!c->is_refused) {
        (void)nghttp2_session_resume_data(c->caller->link.h2, c->stream);
    }
    return 0;
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
    struct caller *caller = arg;
    struct call *c = nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);
    bool has_flags = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    int failed = 0;

    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        caller->server->resets_received++;
    }
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 &&
        caller->is_leaving) { /* everything that was sent before the notice has come */
        return nghttp2_submit_goaway(h2, NGHTTP2_FLAG_NONE,
                                     nghttp2_session_get_last_proc_stream_id(h2), NGHTTP2_NO_ERROR,
                                     NULL, 0);
    }
    if (c == NULL || !has_flags) {
        return 0;
    }
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        failed = take_request(c);
    }
    if (failed == 0 && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        failed = take_end(c);
    }
    return failed == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* As grpc-go does: what the client might still say on a stream that is over is not wanted. */
static int on_sent(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
    int32_t stream = frame->hd.stream_id;

    (void)arg;
    if (frame->hd.type == NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 &&
        nghttp2_session_get_stream_remote_close(h2, stream) == 0) {
        return nghttp2_submit_rst_stream(h2, NGHTTP2_FLAG_NONE, stream, NGHTTP2_NO_ERROR);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *h2, int32_t stream, uint32_t error, void *arg)
{
    struct call *c = nghttp2_session_get_stream_user_data(h2, stream);

    (void)error;
    (void)arg;
    if (c != NULL) {
        call_free(&c);
    }
    return 0;
}

static nghttp2_session *session_new(struct caller *c)
{
    nghttp2_session_callbacks *calls = NULL;
    nghttp2_session *h2 = NULL;

    if (nghttp2_session_callbacks_new(&calls) != 0) {
        return NULL;
    }
    nghttp2_session_callbacks_set_on_begin_headers_callback(calls, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(calls, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(calls, on_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_stream_close);
    if (nghttp2_session_server_new2(&h2, calls, c, c->server->options) != 0) {
        h2 = NULL;
    }
    nghttp2_session_callbacks_del(calls);
    return h2;
}

nghttp2_session *caller_session_new(struct caller *c)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, c->server->max_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES},
    };
    nghttp2_session *h2 = session_new(c);

    if (h2 != NULL && (nghttp2_submit_settings(h2, NGHTTP2_FLAG_NONE, settings, 2) != 0 ||
                       nghttp2_session_set_local_window_size(h2, NGHTTP2_FLAG_NONE, 0,
                                                             CONNECTION_WINDOW_BYTES) != 0)) {
        nghttp2_session_del(h2);
        return NULL;
    }
    return h2;
}
