/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One session on a wire with a peer on its other end, and notes of what its user is told. Included
 * by tests of this folder only, once each.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/h2/limits.h"
#include "core/h2/session.h"
#include "tests/support/h2_peer.h"
#include "tests/support/virtual_clock.h"

#define NOTES 64
#define STEP_S 0.05

/** What the user of a stream was told. */
struct note {
    struct h2_stream *st; /**< NULL when it is over */
    struct h2_headers first;
    struct h2_headers trailers;
    size_t bytes; /**< of data */
    unsigned headers;
    unsigned ends; /**< of the peer's side, however it was said */
    unsigned closed;
    uint32_t error;
    bool over_limit;
};

struct bench {
    struct worker *worker;
    struct h2_session *s; /**< NULL when it is over */
    struct h2_peer *peer;
    struct note notes[NOTES];
    size_t n_notes;
    unsigned opened;
    unsigned goaways;
    unsigned limits[COUNTER_COUNT];
    enum end_reason why;
    bool keeps_data; /**< data is not credited by itself */
};

static const struct h2_limits default_limits = {.max_streams = 10,
                                                .header_bytes = 4096,
                                                .headers = 20,
                                                .frame_flood = 50,
                                                .settings_timeout = 5};

static const char *const plain_request[] = {":method", "POST",       ":scheme", "https", ":path",
                                            "/",       ":authority", "a",       NULL};

static inline void on_headers(struct h2_stream *st, struct h2_headers *h, bool end)
{
    struct note *n = st->user;

    n->headers++;
    n->ends += end;
    h2_headers_take(n->first.n > 0 ? &n->trailers : &n->first, h);
}

static inline void on_data(struct h2_stream *st, const uint8_t *data, size_t len)
{
    struct note *n = st->user;
    struct bench *b = st->session->user;

    (void)data;
    n->bytes += len;
    if (!b->keeps_data) {
        h2_stream_credit(st, len);
    }
}

static inline void on_end(struct h2_stream *st)
{
    ((struct note *)st->user)->ends++;
}

static inline void on_closed(struct h2_stream *st, uint32_t error)
{
    struct note *n = st->user;

    n->st = NULL;
    n->closed++;
    n->error = error;
}

static const struct h2_stream_ops note_ops = {
    .on_headers = on_headers,
    .on_data = on_data,
    .on_end = on_end,
    .on_closed = on_closed,
};

static inline struct note *new_note(struct bench *b)
{
    assert_true(b->n_notes < NOTES);
    return &b->notes[b->n_notes++];
}

static inline void on_open(struct h2_session *s)
{
    ((struct bench *)s->user)->opened++;
}

static inline void on_request(struct h2_session *s, struct h2_stream *st, struct h2_headers *h,
                              bool end)
{
    struct note *n = new_note(s->user);

    n->st = st;
    n->over_limit = st->over_limit;
    n->ends = end;
    n->headers = 1;
    h2_headers_take(&n->first, h);
    st->ops = &note_ops;
    st->user = n;
}

static inline void on_goaway(struct h2_session *s, uint32_t error, const char *text, size_t n)
{
    (void)error, (void)text, (void)n;
    ((struct bench *)s->user)->goaways++;
}

static inline void on_limit(struct h2_session *s, enum counter which)
{
    ((struct bench *)s->user)->limits[which]++;
}

static inline void on_dead(struct h2_session *s, enum end_reason why)
{
    struct bench *b = s->user;

    assert_ptr_equal(b->s, s);
    b->s = NULL;
    b->why = why;
}

static const struct h2_session_ops bench_ops = {
    .on_open = on_open,
    .on_request = on_request,
    .on_goaway = on_goaway,
    .on_limit = on_limit,
    .on_dead = on_dead,
};

/** Let everything happen that needs no time. */
static inline void run(struct bench *b)
{
    bool moved = true;

    for (int round = 0; moved || round < 3; round++) {
        assert_true(round < 20000);
        ev_run(b->worker->loop, EVRUN_NOWAIT);
        moved = peer_pump(b->peer);
    }
}

static inline void advance(struct bench *b, double seconds)
{
    for (double done = 0; done < seconds; done += STEP_S) {
        virtual_clock_advance(STEP_S);
        run(b);
    }
}

/** A session and its peer; the handshake is done, nothing has moved. settings are the peer's. */
static inline struct bench *bench_new(enum h2_role role, const struct h2_limits *limits,
                                      const nghttp2_settings_entry *settings, size_t n)
{
    struct bench *b = calloc(1, sizeof(*b));
    struct addr none = {.family = ADDR_V4};
    struct conn *c;

    assert_non_null(b);
    assert_int_equal(worker_new(0, &b->worker), RC_OK);
    ev_now_update(b->worker->loop);
    assert_int_equal(h2_session_new(b->worker, role, limits, &bench_ops, b, &b->s), RC_OK);
    enum rc rc = role == H2_ACCEPTED
                     ? conn_accept(b->worker, -1, &none, NULL, NULL, 0, 10, &h2_conn_ops, b->s, &c)
                     : conn_dial(b->worker, &none, &none, NULL, 10, &h2_conn_ops, b->s, &c);
    assert_int_equal(rc, RC_OK);
    h2_session_bind(b->s, c);
    b->peer = peer_new(fake_conn_next_wire(), role == H2_DIALLED, settings, n);
    wire_open(b->peer->wire);
    return b;
}

/** An accepted session with the usual limits, its SETTINGS exchanged. */
static inline struct bench *accepted(void)
{
    struct bench *b = bench_new(H2_ACCEPTED, &default_limits, NULL, 0);
    run(b);
    return b;
}

static inline struct bench *dialled(void)
{
    struct bench *b = bench_new(H2_DIALLED, &default_limits, NULL, 0);
    run(b);
    return b;
}

/** End it; every stream's user was told once. */
static inline void bench_free(struct bench *b)
{
    wire_close(b->peer->wire, END_DOWN_CLOSED);
    b->peer->frozen = false;
    run(b);
    assert_null(b->s);
    for (size_t i = 0; i < b->n_notes; i++) {
        assert_int_equal(b->notes[i].closed, 1);
        h2_headers_fini(&b->notes[i].first);
        h2_headers_fini(&b->notes[i].trailers);
    }
    peer_free(&b->peer);
    assert_int_equal(b->worker->pool.used_bytes, 0);
    worker_free(&b->worker);
    free(b);
}

/** Open a stream from a dialled session. */
static inline struct note *request(struct bench *b, const struct h2_headers *h)
{
    struct note *n = new_note(b);

    assert_int_equal(h2_session_request(b->s, h, &note_ops, n, &n->st), RC_OK);
    return n;
}

static inline void fill(struct h2_headers *h, const char *const *nv)
{
    for (; *nv != NULL; nv += 2) {
        assert_int_equal(h2_headers_add_str(h, nv[0], nv[1]), RC_OK);
    }
}
