/* SPDX-License-Identifier: Apache-2.0 */
/* nghttp2's callbacks: what the peer sends becomes calls of the users' ops. */
#include "core/h2/h2_internal.h"

#include "core/base/check.h"
#include "core/h2/limits.h"

/* In a callback: go on, or stop feeding because the connection died under us. */
static int verdict(const struct h2_session *s)
{
    return conn_is_dead(s->conn) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* The same where nghttp2 parses a buffer: nothing more of it is parsed after the session was
 * terminated (CVE-2026-27135). */
static int recv_verdict(const struct h2_session *s)
{
    return s->ending ? NGHTTP2_ERR_CALLBACK_FAILURE : verdict(s);
}

static struct h2_stream *find(nghttp2_session *ng, int32_t id)
{
    return nghttp2_session_get_stream_user_data(ng, id);
}

/*
 * RFC 9113 5.1.1: a new stream identifier must be greater than all before. nghttp2 takes a smaller
 * one for a stream that was closed; one that was never opened is a connection error, and the last
 * 64 are remembered for it.
 */
static bool is_skipped_id(const struct h2_session *s, int32_t id)
{
    int32_t back = (s->last_peer_id - id) / 2;
    return id > 0 && id < s->last_peer_id && (id & 1) == 1 && back < 64 &&
           ((s->skipped_ids >> back) & 1) == 1;
}

static void note_new_id(struct h2_session *s, int32_t id)
{
    int32_t step = (id - s->last_peer_id) / 2;

    if (s->last_peer_id == 0) {
        step = (id - 1) / 2 + 1;
    }
    if (step <= 0) {
        return;
    }
    s->skipped_ids = step < 64 ? s->skipped_ids << step : 0;
    uint64_t gap = step < 64 ? ((UINT64_C(1) << step) - 1) : UINT64_MAX;
    s->skipped_ids |= gap & ~UINT64_C(1);
    s->last_peer_id = id;
}

static bool is_control_frame(const struct h2_session *s, const nghttp2_frame_hd *hd)
{
    switch (hd->type) {
    case NGHTTP2_DATA:
        return hd->length == 0 && (hd->flags & NGHTTP2_FLAG_END_STREAM) == 0;
    case NGHTTP2_HEADERS:
        return false;
    case NGHTTP2_WINDOW_UPDATE:
        /* Streams that carry a push earn WINDOW_UPDATEs; only those of an idle connection are
         * suspect. */
        return s->n_streams == 0;
    default:
        return true;
    }
}

static int on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *user)
{
    struct h2_session *s = user;

    (void)ng;
    s->framed_bytes += H2_FRAME_HEAD_BYTES + hd->length;
    if (!s->got_frame) {
        s->got_frame = true;
        h2_arm_ping(s, H2_PING_INTERVAL_S);
    }
    if (s->role == H2_ACCEPTED && hd->type == NGHTTP2_HEADERS && is_skipped_id(s, hd->stream_id)) {
        h2_session_end(s, H2_PROTOCOL_ERROR, END_PROTOCOL);
        return recv_verdict(s);
    }
    if (s->role == H2_ACCEPTED && hd->type == NGHTTP2_HEADERS && hd->stream_id > s->last_peer_id &&
        s->n_streams >= s->limits.max_streams) {
        s->ops->on_limit(s, COUNTER_LIMIT_STREAMS); /* nghttp2 answers REFUSED_STREAM */
    }
    if (s->role == H2_ACCEPTED && hd->type == NGHTTP2_HEADERS && (hd->stream_id & 1) == 1) {
        note_new_id(s, hd->stream_id);
    }
    if (s->role == H2_ACCEPTED) {
        conn_charge(s->conn,
                    hd->type == NGHTTP2_HEADERS ? H2_DEAR_FRAME_COST_BYTES : H2_FRAME_COST_BYTES);
    }
    if (is_control_frame(s, hd)) {
        h2_count_flood(s, 1);
    }
    return recv_verdict(s);
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    struct h2_session *s = user;

    if (frame->hd.type != NGHTTP2_HEADERS) {
        return 0;
    }
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        struct h2_stream *st = h2_stream_new(s, frame->hd.stream_id);
        if (st == NULL) {
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
        (void)nghttp2_session_set_stream_user_data(ng, st->id, st);
    }
    return 0;
}

/* A header of a block that is over the limits already. */
static int on_excess(struct h2_session *s, struct h2_stream *st, size_t bytes)
{
    uint32_t before = st->excess_bytes;

    st->excess_bytes += (uint32_t)bytes;
    h2_count_flood(s, st->excess_bytes / H2_IGNORED_BYTES - before / H2_IGNORED_BYTES);
    if (s->role == H2_ACCEPTED && st->excess_bytes > H2_HEADER_EXCESS_BYTES) {
        h2_session_end(s, H2_ENHANCE_YOUR_CALM, END_LIMIT);
    }
    return recv_verdict(s);
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    struct h2_session *s = user;
    struct h2_stream *st = find(ng, frame->hd.stream_id);

    if (st == NULL || frame->hd.type != NGHTTP2_HEADERS) {
        return 0;
    }
    if (s->role == H2_ACCEPTED) {
        conn_charge(s->conn, H2_HEADER_COST_BYTES);
    }
    if (st->over_limit) {
        return on_excess(s, st, name_len + value_len + 32);
    }
    size_t bytes = h2_headers_bytes(&st->in_headers) + name_len + value_len + 32;
    if (bytes > s->limits.header_bytes || st->in_headers.n >= s->limits.headers) {
        st->over_limit = true;
        s->ops->on_limit(s, bytes > s->limits.header_bytes ? COUNTER_LIMIT_HEADER_BYTES
                                                           : COUNTER_LIMIT_HEADERS);
        return recv_verdict(s);
    }
    bool never_index = (flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0;
    if (h2_headers_add(&st->in_headers, (const char *)name, name_len, (const char *)value,
                       value_len, never_index) != RC_OK) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return 0;
}

static void on_headers_complete(struct h2_session *s, struct h2_stream *st,
                                const nghttp2_frame *frame)
{
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    size_t n;
    const char *status = h2_headers_find(&st->in_headers, ":status", &n);

    if (s->role == H2_DIALLED && status != NULL && n == 3 && status[0] == '1' && !end) {
        h2_headers_fini(&st->in_headers); /* an interim response means nothing to gRPC */
        return;
    }
    st->got_end = end;
    if (s->role == H2_DIALLED && st->over_limit) {
        h2_stream_reset(st, H2_INTERNAL_ERROR); /* half a header block would be a lie */
        return;
    }
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        st->got_headers = true;
        s->ops->on_request(s, st, &st->in_headers, end);
    } else if (st->ops != NULL) {
        st->ops->on_headers(st, &st->in_headers, end);
        st->got_headers = true;
    }
    h2_headers_fini(&st->in_headers);
}

static void on_ping_ack(struct h2_session *s)
{
    if (s->ping_waits) {
        s->ping_waits = false;
        h2_arm_ping(s, H2_PING_INTERVAL_S);
    }
}

static int on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    struct h2_session *s = user;
    struct h2_stream *st;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        st = find(ng, frame->hd.stream_id);
        if (st != NULL && !st->closed) {
            on_headers_complete(s, st, frame);
        }
        break;
    case NGHTTP2_DATA:
        st = find(ng, frame->hd.stream_id);
        if (st != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 && !st->got_end) {
            st->got_end = true;
            if (st->ops != NULL) {
                st->ops->on_end(st);
            }
        }
        break;
    case NGHTTP2_SETTINGS:
        if (s->role == H2_DIALLED && !s->settled && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
            s->settled = true;
            s->ops->on_open(s);
        }
        break;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
            on_ping_ack(s);
        }
        break;
    case NGHTTP2_GOAWAY:
        if (!s->goaway) {
            s->goaway = true;
            s->ops->on_goaway(s, frame->goaway.error_code, (const char *)frame->goaway.opaque_data,
                              frame->goaway.opaque_data_len);
        }
        break;
    default:
        break;
    }
    return recv_verdict(s);
}

static int on_data_chunk(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t n, void *user)
{
    struct h2_session *s = user;
    struct h2_stream *st = find(ng, id);

    (void)flags;
    (void)nghttp2_session_consume_connection(ng, n);
    if (st == NULL || st->ops == NULL || st->closed) {
        (void)nghttp2_session_consume_stream(ng, id, n);
        return recv_verdict(s);
    }
    st->unconsumed += (uint32_t)n;
    st->ops->on_data(st, data, n);
    return recv_verdict(s);
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t error, void *user)
{
    struct h2_session *s = user;
    struct h2_stream *st = find(ng, id);

    if (st != NULL && !st->closed) {
        h2_stream_close(st, error);
    }
    return verdict(s);
}

/* RFC 9113 8.1: a server that has answered in full tells the client to stop sending. */
static int on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    struct h2_session *s = user;
    bool ends = (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
                (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

    if (s->role == H2_ACCEPTED && ends) {
        struct h2_stream *st = find(ng, frame->hd.stream_id);
        if (st != NULL && !st->got_end &&
            nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                      NGHTTP2_NO_ERROR) != 0) {
            conn_kill(s->conn, END_MEMORY);
        }
    }
    return verdict(s);
}

static int on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *user)
{
    struct h2_session *s = user;

    (void)ng;
    (void)frame;
    (void)error;
    h2_count_flood(s, 1); /* MadeYouReset: the peer provokes resets of ours */
    return recv_verdict(s);
}

static int make_callbacks(nghttp2_session_callbacks **out)
{
    if (nghttp2_session_callbacks_new(out) != 0) {
        return -1;
    }
    nghttp2_session_callbacks_set_on_begin_frame_callback(*out, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(*out, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(*out, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(*out, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(*out, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(*out, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(*out, on_frame_send);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(*out, on_invalid_frame);
    nghttp2_session_callbacks_set_send_data_callback(*out, h2_stream_send_data);
    return 0;
}

nghttp2_session *h2_ng_new(struct h2_session *s)
{
    nghttp2_session_callbacks *cb = NULL;
    nghttp2_option *opt = NULL;
    nghttp2_session *ng = NULL;

    if (make_callbacks(&cb) != 0 || nghttp2_option_new(&opt) != 0) {
        goto out;
    }
    nghttp2_option_set_no_auto_window_update(opt, 1);
    nghttp2_option_set_max_outbound_ack(opt, H2_MAX_OUTBOUND_ACKS);
    nghttp2_mem mem = h2_mem(s);
    s->making = true; /* see h2_mem.c */
    int rc = s->role == H2_ACCEPTED ? nghttp2_session_server_new3(&ng, cb, s, opt, &mem)
                                    : nghttp2_session_client_new3(&ng, cb, s, opt, &mem);
    s->making = false;
    if (rc != 0) {
        ng = NULL;
    }
out:
    nghttp2_option_del(opt);
    nghttp2_session_callbacks_del(cb);
    return ng;
}
