/* SPDX-License-Identifier: Apache-2.0 */
/* Streams: opening, answering, the queue of a body and its way into frames. */
#include "core/h2/h2_internal.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "core/h2/limits.h"

static void reap(struct worker_reap *r)
{
    struct h2_stream *st = LIST_ENTRY(r, struct h2_stream, reap);

    bufq_clear(&st->out);
    h2_headers_fini(&st->in_headers);
    h2_headers_fini(&st->trailers);
    st->magic = 0;
    free(st);
}

struct h2_stream *h2_stream_new(struct h2_session *s, int32_t id)
{
    struct h2_stream *st = calloc(1, sizeof(*st));

    if (st == NULL) {
        return NULL;
    }
    st->magic = H2_STREAM_MAGIC;
    st->id = id;
    st->session = s;
    bufq_init(&st->out, &s->worker->pool, 2 * H2_STREAM_WINDOW_BYTES);
    list_init(&st->reap.node);
    st->reap.fn = reap;
    list_add_tail(&s->streams, &st->node);
    s->n_streams++;
    return st;
}

void h2_stream_close(struct h2_stream *st, uint32_t error)
{
    struct h2_session *s = st->session;

    CHECK_MAGIC(st, H2_STREAM_MAGIC);
    CHECK(!st->closed);
    st->closed = true;
    list_del(&st->node);
    CHECK(s->n_streams > 0);
    s->n_streams--;
    if (st->id > 0) {
        (void)nghttp2_session_set_stream_user_data(s->ng, st->id, NULL);
    }
    if (st->ops != NULL) {
        const struct h2_stream_ops *ops = st->ops;
        st->ops = NULL;
        ops->on_closed(st, error);
    }
    worker_reap_later(s->worker, &st->reap);
}

/* What nghttp2 takes, which copies names and values while submitting. Owned; NULL: no memory. */
static nghttp2_nv *make_nv(const struct h2_headers *h)
{
    nghttp2_nv *nv = calloc(h->n + 1, sizeof(*nv));

    for (size_t i = 0; nv != NULL && i < h->n; i++) {
        nv[i] = (nghttp2_nv){
            .name = (uint8_t *)(void *)(h->arena + h->items[i].name_at),
            .value = (uint8_t *)(void *)(h->arena + h->items[i].value_at),
            .namelen = h->items[i].name_len,
            .valuelen = h->items[i].value_len,
            .flags = h->items[i].never_index ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE,
        };
    }
    return nv;
}

static nghttp2_data_provider provider(struct h2_stream *st)
{
    return (nghttp2_data_provider){.source.ptr = st, .read_callback = h2_stream_read};
}

enum rc h2_session_request(struct h2_session *s, const struct h2_headers *h,
                           const struct h2_stream_ops *ops, void *user, struct h2_stream **out)
{
    CHECK_MAGIC(s, H2_SESSION_MAGIC);
    CHECK(s->role == H2_DIALLED);
    if (!h2_session_has_room(s)) {
        return RC_BUSY;
    }
    struct h2_stream *st = h2_stream_new(s, -1);
    if (st == NULL) {
        return RC_NO_MEMORY;
    }
    nghttp2_data_provider p = provider(st);
    nghttp2_nv *nv = make_nv(h);
    int32_t id =
        nv == NULL ? NGHTTP2_ERR_NOMEM : nghttp2_submit_request(s->ng, NULL, nv, h->n, &p, st);
    free(nv);
    if (id < 0) {
        h2_stream_close(st, H2_INTERNAL_ERROR);
        return id == NGHTTP2_ERR_NOMEM ? RC_NO_MEMORY : RC_BUSY;
    }
    st->id = id;
    st->ops = ops;
    st->user = user;
    h2_session_mark(s);
    *out = st;
    return RC_OK;
}

enum rc h2_stream_respond(struct h2_stream *st, const struct h2_headers *h, bool end)
{
    struct h2_session *s = st->session;

    CHECK_MAGIC(st, H2_STREAM_MAGIC);
    if (st->closed || conn_is_dead(s->conn)) {
        return RC_OK;
    }
    nghttp2_data_provider p = provider(st);
    nghttp2_nv *nv = make_nv(h);
    int rc = nv == NULL ? NGHTTP2_ERR_NOMEM
                        : nghttp2_submit_response(s->ng, st->id, nv, h->n, end ? NULL : &p);
    free(nv);
    if (rc != 0) {
        return RC_NO_MEMORY;
    }
    h2_session_mark(s);
    return RC_OK;
}

/* New bytes, or the end: nghttp2 asks the read callback again. */
static void wake(struct h2_stream *st)
{
    if (st->deferred) {
        st->deferred = false;
        (void)nghttp2_session_resume_data(st->session->ng, st->id);
    }
    h2_session_mark(st->session);
}

enum rc h2_stream_send(struct h2_stream *st, const uint8_t *data, size_t n)
{
    CHECK_MAGIC(st, H2_STREAM_MAGIC);
    CHECK(!st->out_end);
    if (st->closed) {
        return RC_OK;
    }
    enum rc rc = bufq_append(&st->out, data, n);
    if (rc == RC_OK) {
        wake(st);
    }
    return rc;
}

void h2_stream_end(struct h2_stream *st, struct h2_headers *trailers)
{
    CHECK_MAGIC(st, H2_STREAM_MAGIC);
    if (st->closed || st->out_end) {
        return;
    }
    st->out_end = true;
    if (trailers != NULL && trailers->n > 0) {
        st->has_trailers = true;
        h2_headers_take(&st->trailers, trailers);
    }
    wake(st);
}

static bool submit_trailers(struct h2_stream *st)
{
    nghttp2_nv *nv = make_nv(&st->trailers);
    bool ok =
        nv != NULL && nghttp2_submit_trailer(st->session->ng, st->id, nv, st->trailers.n) == 0;
    free(nv);
    return ok;
}

ssize_t h2_stream_read(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t length,
                       uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct h2_session *s = user;
    struct h2_stream *st = source->ptr;

    (void)ng;
    (void)id;
    (void)buf;
    CHECK_MAGIC(st, H2_STREAM_MAGIC);
    if (!h2_out_has_room(s)) {
        st->blocked = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t n = st->out.len < length ? st->out.len : length;
    if (n == 0 && !st->out_end) {
        st->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (n > 0) {
        *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    }
    if (st->out_end && n == st->out.len) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (st->has_trailers) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            if (!submit_trailers(st)) {
                return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
            }
        }
    }
    return (ssize_t)n;
}

int h2_stream_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *framehd,
                        size_t length, nghttp2_data_source *source, void *user)
{
    struct h2_session *s = user;
    struct h2_stream *st = source->ptr;
    size_t left = length;

    (void)ng;
    CHECK_MAGIC(st, H2_STREAM_MAGIC);
    CHECK(frame->data.padlen == 0 && st->out.len >= length);
    h2_out_put(s, framehd, 9);
    while (left > 0) {
        size_t n;
        const uint8_t *p = bufq_peek(&st->out, &n);
        n = n < left ? n : left;
        h2_out_put(s, p, n);
        bufq_drain(&st->out, n);
        left -= n;
    }
    if (st->ops != NULL && st->ops->on_sent != NULL) {
        st->ops->on_sent(st, length);
    }
    return conn_is_dead(s->conn) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

void h2_stream_credit(struct h2_stream *st, size_t n)
{
    CHECK_MAGIC(st, H2_STREAM_MAGIC);
    CHECK(n <= st->unconsumed);
    st->unconsumed -= (uint32_t)n;
    if (st->closed || n == 0) {
        return;
    }
    (void)nghttp2_session_consume_stream(st->session->ng, st->id, n);
    h2_session_mark(st->session);
}

void h2_stream_reset(struct h2_stream *st, enum h2_error error)
{
    CHECK_MAGIC(st, H2_STREAM_MAGIC);
    bool said_all = st->out_end && st->out.len == 0 && !st->has_trailers;
    bool all_over = st->session->role == H2_ACCEPTED && st->got_end && said_all;
    if (st->closed || conn_is_dead(st->session->conn) || all_over) {
        return;
    }
    if (nghttp2_submit_rst_stream(st->session->ng, NGHTTP2_FLAG_NONE, st->id, (uint32_t)error) !=
        0) {
        conn_kill(st->session->conn, END_MEMORY);
        return;
    }
    h2_session_mark(st->session);
}

void h2_stream_detach(struct h2_stream *st)
{
    CHECK_MAGIC(st, H2_STREAM_MAGIC);
    st->ops = NULL;
    h2_stream_credit(st, st->unconsumed);
}
