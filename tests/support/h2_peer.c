/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/h2_peer.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"

#define NV_MAX 256

static struct peer_stream *find(struct h2_peer *p, int32_t id)
{
    for (size_t i = p->n_streams; i > 0; i--) {
        if (p->streams[i - 1].id == id) {
            return &p->streams[i - 1];
        }
    }
    return NULL;
}

static struct peer_stream *add(struct h2_peer *p, int32_t id)
{
    CHECK(p->n_streams < PEER_STREAMS_MAX);
    struct peer_stream *st = &p->streams[p->n_streams++];
    *st = (struct peer_stream){.peer = p, .id = id};
    return st;
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    struct h2_peer *p = user;

    (void)ng;
    if (p->server && find(p, frame->hd.stream_id) == NULL) {
        (void)add(p, frame->hd.stream_id);
    }
    return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    struct peer_stream *st = find(user, frame->hd.stream_id);

    (void)ng;
    CHECK(st != NULL);
    struct h2_headers *h = st->got_headers ? &st->trailers : &st->headers;
    CHECK(h2_headers_add(h, (const char *)name, name_len, (const char *)value, value_len,
                         (flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0) == RC_OK);
    return 0;
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    struct h2_peer *p = user;
    struct peer_stream *st = find(p, frame->hd.stream_id);

    (void)ng;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        p->goaway = true;
        p->goaway_error = frame->goaway.error_code;
    }
    if (frame->hd.type == NGHTTP2_PING) {
        bool ack = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
        p->pings += !ack;
        p->ping_acks += ack;
        if (!ack && !p->no_ping_ack) {
            CHECK(nghttp2_submit_ping(ng, NGHTTP2_FLAG_ACK, frame->ping.opaque_data) == 0);
        }
    }
    if (frame->hd.type == NGHTTP2_HEADERS && st != NULL) {
        st->got_headers = true;
    }
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) && st != NULL &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        st->ended = true;
    }
    return 0;
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t n,
                   void *user)
{
    struct h2_peer *p = user;
    struct peer_stream *st = find(p, id);

    (void)flags;
    CHECK(st != NULL);
    if (st->len + n > st->cap) {
        st->cap = 2 * (st->len + n);
        st->data = realloc(st->data, st->cap);
        CHECK(st->data != NULL);
    }
    memcpy(st->data + st->len, data, n);
    st->len += n;
    CHECK(nghttp2_session_consume_connection(ng, n) == 0);
    if (p->manual_credit) {
        st->uncredited += n;
    } else {
        CHECK(nghttp2_session_consume_stream(ng, id, n) == 0);
    }
    return 0;
}

static int on_close(nghttp2_session *ng, int32_t id, uint32_t error, void *user)
{
    struct peer_stream *st = find(user, id);

    (void)ng;
    if (st != NULL) {
        st->closed = true;
        st->error = error;
    }
    return 0;
}

struct h2_peer *peer_new(struct wire *wire, bool server, const nghttp2_settings_entry *settings,
                         size_t n_settings)
{
    struct h2_peer *p = calloc(1, sizeof(*p));
    nghttp2_session_callbacks *cb;
    nghttp2_option *opt;

    CHECK(p != NULL && nghttp2_session_callbacks_new(&cb) == 0 && nghttp2_option_new(&opt) == 0);
    p->wire = wire;
    p->server = server;
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
    nghttp2_option_set_no_auto_window_update(opt, 1);
    nghttp2_option_set_no_auto_ping_ack(opt, 1);
    nghttp2_option_set_no_http_messaging(opt, 1); /* a test may send what no client would */
    int rc = server ? nghttp2_session_server_new3(&p->ng, cb, p, opt, NULL)
                    : nghttp2_session_client_new3(&p->ng, cb, p, opt, NULL);
    CHECK(rc == 0 && nghttp2_submit_settings(p->ng, 0, settings, n_settings) == 0);
    nghttp2_option_del(opt);
    nghttp2_session_callbacks_del(cb);
    return p;
}

void peer_free(struct h2_peer **pp)
{
    struct h2_peer *p = *pp;

    *pp = NULL;
    for (size_t i = 0; i < p->n_streams; i++) {
        struct peer_stream *st = &p->streams[i];
        h2_headers_fini(&st->headers);
        h2_headers_fini(&st->trailers);
        h2_headers_fini(&st->out_block);
        free(st->data);
        free(st->out);
    }
    nghttp2_session_del(p->ng);
    wire_free(&p->wire);
    free(p);
}

static bool read_wire(struct h2_peer *p)
{
    uint8_t buf[65536];
    size_t max = p->take_chunk > 0 && p->take_chunk < sizeof(buf) ? p->take_chunk : sizeof(buf);
    size_t n = wire_take(p->wire, buf, max);

    if (n == 0) {
        return false;
    }
    CHECK(nghttp2_session_mem_recv(p->ng, buf, n) == (ssize_t)n);
    return true;
}

static void feed(struct h2_peer *p, const uint8_t *data, size_t n)
{
    while (n > 0) {
        size_t take = p->feed_chunk > 0 && p->feed_chunk < n ? p->feed_chunk : n;
        wire_feed(p->wire, data, take);
        data += take;
        n -= take;
    }
}

static bool write_wire(struct h2_peer *p)
{
    const uint8_t *data;
    ssize_t n = nghttp2_session_mem_send(p->ng, &data);

    CHECK(n >= 0);
    if (n > 0) {
        feed(p, data, (size_t)n);
    }
    return n > 0;
}

void peer_write(struct h2_peer *p)
{
    while (write_wire(p)) {
    }
}

bool peer_pump(struct h2_peer *p)
{
    if (p->frozen || !p->wire->opened) {
        return false;
    }
    bool moved = read_wire(p);
    while (write_wire(p)) {
        moved = true;
    }
    if (p->wire->fin && p->wire->out_len == 0 && p->wire->conn != NULL) {
        wire_close(p->wire, END_DOWN_CLOSED);
        moved = true;
    }
    return moved;
}

static size_t make_nv(const char *const *nv, nghttp2_nv *out)
{
    size_t n = 0;

    for (; nv != NULL && *nv != NULL; nv += 2, n++) {
        CHECK(n < NV_MAX);
        out[n] =
            (nghttp2_nv){.name = (uint8_t *)(uintptr_t)nv[0],
                         .value = (uint8_t *)(uintptr_t)nv[1],
                         .namelen = strlen(nv[0]),
                         .valuelen = strlen(nv[1]),
                         .flags = strcmp(nv[0], "authorization") == 0 ? NGHTTP2_NV_FLAG_NO_INDEX
                                                                      : NGHTTP2_NV_FLAG_NONE};
    }
    return n;
}

static ssize_t read_body(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t length,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct peer_stream *st = source->ptr;
    size_t left = st->out_len - st->out_at;
    size_t n = left < length ? left : length;

    (void)user;
    if (n == 0 && !st->out_end) {
        st->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (n > 0) {
        memcpy(buf, st->out + st->out_at, n);
    }
    st->out_at += n;
    if (st->out_end && st->out_at == st->out_len) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (st->out_trailers) {
            nghttp2_nv nv[NV_MAX];
            for (size_t i = 0; i < st->out_block.n; i++) {
                nv[i] =
                    (nghttp2_nv){.name = (uint8_t *)(uintptr_t)h2_header_name(&st->out_block, i),
                                 .value = (uint8_t *)(uintptr_t)h2_header_value(&st->out_block, i),
                                 .namelen = st->out_block.items[i].name_len,
                                 .valuelen = st->out_block.items[i].value_len};
            }
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            CHECK(nghttp2_submit_trailer(ng, id, nv, st->out_block.n) == 0);
        }
    }
    return (ssize_t)n;
}

struct peer_stream *peer_request(struct h2_peer *p, const char *const *nv, bool end)
{
    nghttp2_nv out[NV_MAX];
    struct peer_stream *st = add(p, -1);
    nghttp2_data_provider body = {.source.ptr = st, .read_callback = read_body};

    st->id = nghttp2_submit_request(p->ng, NULL, out, make_nv(nv, out), end ? NULL : &body, NULL);
    CHECK(st->id > 0);
    return st;
}

void peer_respond(struct peer_stream *st, const char *const *nv, bool end)
{
    nghttp2_nv out[NV_MAX];
    nghttp2_data_provider body = {.source.ptr = st, .read_callback = read_body};

    CHECK(nghttp2_submit_response(st->peer->ng, st->id, out, make_nv(nv, out),
                                  end ? NULL : &body) == 0);
}

static void wake(struct peer_stream *st)
{
    if (st->deferred) {
        st->deferred = false;
        (void)nghttp2_session_resume_data(st->peer->ng, st->id);
    }
}

void peer_send(struct peer_stream *st, const void *data, size_t n)
{
    st->out = realloc(st->out, st->out_len + n + 1);
    CHECK(st->out != NULL);
    memcpy(st->out + st->out_len, data, n);
    st->out_len += n;
    wake(st);
}

void peer_end(struct peer_stream *st, const char *const *nv)
{
    for (const char *const *i = nv; i != NULL && *i != NULL; i += 2) {
        CHECK(h2_headers_add_str(&st->out_block, i[0], i[1]) == RC_OK);
        st->out_trailers = true;
    }
    st->out_end = true;
    wake(st);
}

void peer_reset(struct peer_stream *st, uint32_t error)
{
    CHECK(nghttp2_submit_rst_stream(st->peer->ng, 0, st->id, error) == 0);
}

void peer_goaway(struct h2_peer *p, int32_t last, uint32_t error)
{
    peer_goaway_text(p, last, error, "");
}

void peer_goaway_text(struct h2_peer *p, int32_t last, uint32_t error, const char *text)
{
    CHECK(nghttp2_submit_goaway(p->ng, 0, last, error, (const uint8_t *)text, strlen(text)) == 0);
}

void peer_credit(struct peer_stream *st, size_t n)
{
    n = n == 0 ? st->uncredited : n;
    CHECK(n <= st->uncredited);
    st->uncredited -= n;
    if (n > 0 && !st->closed) {
        CHECK(nghttp2_session_consume_stream(st->peer->ng, st->id, n) == 0);
    }
}

void peer_raw(struct h2_peer *p, const uint8_t *data, size_t n)
{
    feed(p, data, n);
}

const char *peer_header(const struct peer_stream *st, const char *name)
{
    static char text[70000];
    size_t n;
    const char *v = st->trailers.n > 0 ? h2_headers_find(&st->trailers, name, &n) : NULL;

    if (v == NULL) {
        v = h2_headers_find(&st->headers, name, &n);
    }
    if (v == NULL) {
        return NULL;
    }
    CHECK(n < sizeof(text));
    memcpy(text, v, n);
    text[n] = '\0';
    return text;
}

int32_t peer_stream_window(const struct peer_stream *st)
{
    return nghttp2_session_get_stream_remote_window_size(st->peer->ng, st->id);
}

int32_t peer_conn_window(const struct h2_peer *p)
{
    return nghttp2_session_get_remote_window_size(p->ng);
}

uint8_t *peer_message(size_t n, unsigned seed, size_t *len)
{
    uint8_t *m = malloc(n + 5);

    CHECK(m != NULL);
    m[0] = 0;
    for (int i = 0; i < 4; i++) {
        m[1 + i] = (uint8_t)(n >> (8 * (3 - i)));
    }
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1103515245u + 12345u;
        m[5 + i] = (uint8_t)(seed >> 16);
    }
    *len = n + 5;
    return m;
}
