/* SPDX-License-Identifier: Apache-2.0 */
/* A session's life, its flush, and its PINGs. What the peer sends is in session_cb.c. */
#include "core/h2/h2_internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/h2/limits.h"

static void on_ping_timer(struct ev_loop *loop, ev_timer *t, int revents);

void h2_session_mark(struct h2_session *s)
{
    if (s->conn != NULL && !conn_is_dead(s->conn)) {
        worker_flush_later(s->worker, &s->flush);
    }
}

bool h2_out_has_room(const struct h2_session *s)
{
    return !conn_out_full(s->conn);
}

void h2_out_put(struct h2_session *s, const uint8_t *data, size_t n)
{
    uint8_t *out = s->worker->out;

    while (n > 0) {
        size_t room = WORKER_SCRATCH_BYTES - s->out_len;
        size_t take = n < room ? n : room;
        memcpy(out + s->out_len, data, take);
        s->out_len += take;
        data += take;
        n -= take;
        if (s->out_len == WORKER_SCRATCH_BYTES) {
            conn_send(s->conn, out, s->out_len);
            s->out_len = 0;
        }
    }
}

/* GOAWAY is out and nothing is left to say or hear. */
static void finish_when_done(struct h2_session *s)
{
    if (!nghttp2_session_want_read(s->ng) && !nghttp2_session_want_write(s->ng)) {
        enum end_reason why = s->why != END_NONE ? (enum end_reason)s->why
                              : s->goaway        ? END_DOWN_CLOSED
                                                 : END_PROTOCOL;
        conn_finish(s->conn, why, H2_LINGER_S);
    }
}

static void flush(struct worker_flush *f)
{
    struct h2_session *s = LIST_ENTRY(f, struct h2_session, flush);

    if (!s->open || conn_is_dead(s->conn)) {
        return;
    }
    while (h2_out_has_room(s) && !conn_is_dead(s->conn)) {
        const uint8_t *data;
        ssize_t n = nghttp2_session_mem_send(s->ng, &data);
        if (n < 0) {
            conn_kill(s->conn, n == NGHTTP2_ERR_NOMEM ? END_MEMORY : END_PROTOCOL);
            return;
        }
        if (n == 0) {
            break;
        }
        h2_out_put(s, data, (size_t)n);
    }
    if (s->out_len > 0) {
        conn_send(s->conn, s->worker->out, s->out_len);
        s->out_len = 0;
    }
    if (!conn_is_dead(s->conn)) {
        finish_when_done(s);
    }
}

enum rc h2_session_new(struct worker *w, enum h2_role role, const struct h2_limits *limits,
                       const struct h2_session_ops *ops, void *user, struct h2_session **out)
{
    struct h2_session *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        return RC_NO_MEMORY;
    }
    s->magic = H2_SESSION_MAGIC;
    s->role = role;
    s->worker = w;
    s->limits = *limits;
    s->ops = ops;
    s->user = user;
    s->ping_idle = role == H2_ACCEPTED;
    list_init(&s->streams);
    list_init(&s->flush.node);
    s->flush.fn = flush;
    ev_init(&s->ping, on_ping_timer);
    s->ping.data = s;
    s->ng = h2_ng_new(s);
    if (s->ng == NULL) {
        free(s);
        return RC_NO_MEMORY;
    }
    *out = s;
    return RC_OK;
}

void h2_session_bind(struct h2_session *s, struct conn *c)
{
    CHECK_MAGIC(s, H2_SESSION_MAGIC);
    s->conn = c;
}

void h2_session_free(struct h2_session **ps)
{
    struct h2_session *s = *ps;

    *ps = NULL;
    CHECK_MAGIC(s, H2_SESSION_MAGIC);
    CHECK(list_empty(&s->streams));
    ev_timer_stop(s->worker->loop, &s->ping);
    list_del(&s->flush.node);
    nghttp2_session_del(s->ng);
    s->magic = 0;
    free(s);
}

void h2_arm_ping(struct h2_session *s, double after)
{
    ev_timer_stop(s->worker->loop, &s->ping);
    ev_timer_set(&s->ping, after, 0.);
    ev_timer_start(s->worker->loop, &s->ping);
}

static void on_ping_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct h2_session *s = t->data;

    (void)loop;
    (void)revents;
    if (conn_is_dead(s->conn)) {
        return;
    }
    if (s->ending) {
        conn_kill(s->conn, (enum end_reason)s->why);
        return;
    }
    if (!s->got_frame) {
        if (s->role == H2_ACCEPTED) {
            s->ops->on_limit(s, COUNTER_LIMIT_HANDSHAKE_TIMEOUT);
        }
        conn_kill(s->conn, END_HANDSHAKE_TIMEOUT);
        return;
    }
    bool moves = conn_line_moves(s->conn);
    if (s->ping_waits && (s->heard || moves)) { /* a slow line: our PING waits behind other bytes */
        s->heard = false;
        h2_arm_ping(s, H2_PING_TIMEOUT_S);
        return;
    }
    if (s->ping_waits) {
        conn_kill(s->conn, END_PING_TIMEOUT);
        return;
    }
    /* istiod ends a connection that is pinged without streams (grpc-go keepalive enforcement). */
    if (!s->ping_idle && s->n_streams == 0) {
        h2_arm_ping(s, H2_PING_INTERVAL_S);
        return;
    }
    if (nghttp2_submit_ping(s->ng, NGHTTP2_FLAG_NONE, NULL) != 0) {
        conn_kill(s->conn, END_MEMORY);
        return;
    }
    s->ping_waits = true;
    s->heard = false;
    h2_session_mark(s);
    h2_arm_ping(s, H2_PING_TIMEOUT_S);
}

static enum rc submit_preface(struct h2_session *s)
{
    nghttp2_settings_entry iv[3];
    size_t n = 0;
    int32_t window = s->role == H2_ACCEPTED ? H2_DOWN_CONN_WINDOW_BYTES : H2_UP_CONN_WINDOW_BYTES;

    iv[n++] =
        (nghttp2_settings_entry){NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW_BYTES};
    iv[n++] =
        (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, s->limits.header_bytes};
    if (s->role == H2_ACCEPTED) {
        iv[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
                                           s->limits.max_streams};
    } else {
        iv[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
    }
    if (nghttp2_submit_settings(s->ng, NGHTTP2_FLAG_NONE, iv, n) != 0 ||
        nghttp2_session_set_local_window_size(s->ng, NGHTTP2_FLAG_NONE, 0, window) != 0) {
        return RC_NO_MEMORY;
    }
    return RC_OK;
}

static void on_conn_open(struct conn *c)
{
    struct h2_session *s = conn_user(c);

    CHECK_MAGIC(s, H2_SESSION_MAGIC);
    if (!conn_alpn_is_h2(c)) {
        conn_kill(c, END_HANDSHAKE);
        return;
    }
    if (submit_preface(s) != RC_OK) {
        conn_kill(c, END_MEMORY);
        return;
    }
    s->open = true;
    h2_arm_ping(s, s->limits.settings_timeout);
    h2_session_mark(s);
    if (s->role == H2_ACCEPTED) {
        s->ops->on_open(s);
    }
}

/* What was read and was no frame that we were told of. */
static void count_ignored(struct h2_session *s, size_t n)
{
    s->read_bytes += n;
    if (s->role != H2_ACCEPTED || s->read_bytes <= s->framed_bytes) {
        return;
    }
    uint64_t ignored = s->read_bytes - s->framed_bytes;
    s->framed_bytes = s->read_bytes;
    s->ignored_bytes += (uint32_t)ignored;
    conn_charge(s->conn, (size_t)ignored * H2_IGNORED_COST_BYTES);
    if (s->ignored_bytes >= H2_IGNORED_BYTES) {
        h2_count_flood(s, s->ignored_bytes / H2_IGNORED_BYTES);
        s->ignored_bytes %= H2_IGNORED_BYTES;
    }
}

static void on_conn_bytes(struct conn *c, const uint8_t *data, size_t n)
{
    struct h2_session *s = conn_user(c);

    CHECK_MAGIC(s, H2_SESSION_MAGIC);
    s->heard = true;
    if (n < H2_FRAME_HEAD_BYTES) {
        h2_count_flood(s, 1); /* a record that is no frame, and costs as much as a large one */
    }
    if (s->ending) {
        return; /* CVE-2026-27135: nothing is fed after nghttp2_session_terminate_session() */
    }
    ssize_t rc = nghttp2_session_mem_recv(s->ng, data, n);
    if (conn_is_dead(c)) {
        return;
    }
    if (rc < 0) {
        if (rc == NGHTTP2_ERR_NOMEM) {
            conn_kill(c, END_MEMORY);
            return;
        }
        if (rc == NGHTTP2_ERR_FLOODED) {
            s->ops->on_limit(s, COUNTER_LIMIT_FRAME_FLOOD);
            h2_session_end(s, H2_ENHANCE_YOUR_CALM, END_FLOOD);
        } else {
            h2_session_end(s, H2_PROTOCOL_ERROR, END_PROTOCOL);
        }
        return;
    }
    count_ignored(s, n);
    if (s->role == H2_ACCEPTED &&
        nghttp2_session_get_outbound_queue_size(s->ng) > H2_MAX_QUEUED_FRAMES) {
        s->ops->on_limit(s, COUNTER_LIMIT_FRAME_FLOOD);
        conn_kill(c, END_FLOOD);
        return;
    }
    h2_session_mark(s);
}

void h2_resume_blocked(struct h2_session *s)
{
    struct list *n;
    struct list *spare;

    LIST_FOREACH_SAFE(n, spare, &s->streams)
    {
        struct h2_stream *st = LIST_ENTRY(n, struct h2_stream, node);
        if (st->blocked && !st->closed) {
            st->blocked = false;
            (void)nghttp2_session_resume_data(s->ng, st->id);
        }
    }
}

static void on_conn_drained(struct conn *c)
{
    struct h2_session *s = conn_user(c);

    h2_resume_blocked(s);
    h2_session_mark(s);
}

static void on_conn_dead(struct conn *c, enum end_reason why)
{
    struct h2_session *s = conn_user(c);

    CHECK_MAGIC(s, H2_SESSION_MAGIC);
    while (!list_empty(&s->streams)) {
        h2_stream_close(LIST_ENTRY(s->streams.next, struct h2_stream, node), H2_CANCEL);
    }
    s->ops->on_dead(s, s->why != END_NONE ? (enum end_reason)s->why : why);
    h2_session_free(&s);
}

const struct conn_ops h2_conn_ops = {
    .on_open = on_conn_open,
    .on_bytes = on_conn_bytes,
    .on_drained = on_conn_drained,
    .on_dead = on_conn_dead,
};

bool h2_session_has_room(const struct h2_session *s)
{
    if (!s->open || s->goaway || s->ending || conn_is_dead(s->conn)) {
        return false;
    }
    uint32_t max =
        nghttp2_session_get_remote_settings(s->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    return s->n_streams < max && nghttp2_session_check_request_allowed(s->ng);
}

void h2_session_refuse_new(struct h2_session *s, enum end_reason why)
{
    if (s->open && !s->ending && !conn_is_dead(s->conn)) {
        s->why = (uint8_t)why;
        int32_t last = nghttp2_session_get_last_proc_stream_id(s->ng);
        (void)nghttp2_submit_goaway(s->ng, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0);
        h2_session_mark(s);
    }
}

void h2_session_end(struct h2_session *s, enum h2_error error, enum end_reason why)
{
    CHECK_MAGIC(s, H2_SESSION_MAGIC);
    if (s->ending || conn_is_dead(s->conn)) {
        return;
    }
    if (!s->open) {
        conn_kill(s->conn, why);
        return;
    }
    s->ending = true;
    s->why = (uint8_t)why;
    if (nghttp2_session_terminate_session(s->ng, (uint32_t)error) != 0) {
        conn_kill(s->conn, why);
        return;
    }
    h2_arm_ping(s, H2_PING_TIMEOUT_S); /* for what is queued and GOAWAY to leave */
    h2_session_mark(s);
}

void h2_count_flood(struct h2_session *s, uint32_t n)
{
    double now = worker_now(s->worker);

    if (s->role != H2_ACCEPTED || s->limits.frame_flood == 0) {
        return;
    }
    if (now - s->flood_since > H2_FLOOD_WINDOW_S) {
        s->flood_since = now;
        s->flood_count = 0;
    }
    s->flood_count += n;
    conn_charge(s->conn, (size_t)n * H2_DEAR_FRAME_COST_BYTES);
    if (s->flood_count > s->limits.frame_flood && !s->ending) {
        s->ops->on_limit(s, COUNTER_LIMIT_FRAME_FLOOD);
        h2_session_end(s, H2_ENHANCE_YOUR_CALM, END_FLOOD);
    }
}
