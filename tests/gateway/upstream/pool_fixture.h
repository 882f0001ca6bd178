/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool of its own beside the rig's, and tickets that open bare streams when they are granted.
 * Included by tests of this folder only, once each.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/rig.h"

#define ASKERS 64

/** Somebody who wants one stream. */
struct asker {
    struct pool_ticket ticket;
    struct up_session *up; /**< where the stream was granted */
    struct h2_stream *st;  /**< NULL when it is over */
    unsigned ready;        /**< calls */
    unsigned failed;
    unsigned retired;  /**< times its stream was handed to `retire` */
    double retired_at; /**< the last time */
    enum end_reason why_retired;
    bool ends_when_retired;
    struct pool *again; /**< without opening a stream it asks there again */
    bool opens;         /**< opens a stream when granted */
    char why[200];
};

struct scene {
    struct rig r;
    struct pool *pool;
    double began; /**< monotonic */
    struct asker a[ASKERS];
};

static inline void on_bare_headers(struct h2_stream *st, struct h2_headers *h, bool end)
{
    (void)st, (void)h, (void)end;
}

static inline void on_bare_data(struct h2_stream *st, const uint8_t *data, size_t n)
{
    (void)data;
    h2_stream_credit(st, n);
}

static inline void on_bare_end(struct h2_stream *st)
{
    (void)st;
}

static inline void on_bare_closed(struct h2_stream *st, uint32_t error)
{
    struct asker *a = st->user;

    (void)error;
    a->st = NULL;
    up_session_closed(a->up);
}

static const struct h2_stream_ops bare_ops = {
    .on_headers = on_bare_headers,
    .on_data = on_bare_data,
    .on_end = on_bare_end,
    .on_closed = on_bare_closed,
};

static inline void on_ready(struct pool_ticket *t, struct up_session *up)
{
    struct asker *a = LIST_ENTRY(t, struct asker, ticket);
    struct h2_headers h = {0};

    a->ready++;
    a->up = up;
    if (a->again != NULL) {
        assert_int_equal(pool_ask(a->again, t), RC_OK);
        return;
    }
    if (!a->opens) {
        return;
    }
    for (const char *const *i = rig_ads_request; *i != NULL; i += 2) {
        assert_int_equal(h2_headers_add_str(&h, i[0], i[1]), RC_OK);
    }
    assert_int_equal(h2_session_request(up_session_h2(up), &h, &bare_ops, a, &a->st), RC_OK);
    up_session_opened(up);
    h2_headers_fini(&h);
}

static inline void on_failed(struct pool_ticket *t, const char *why)
{
    struct asker *a = LIST_ENTRY(t, struct asker, ticket);

    a->failed++;
    snprintf(a->why, sizeof(a->why), "%s", why);
}

static inline void count_retired(struct h2_stream *st, enum end_reason why)
{
    struct asker *a = st->user;

    a->retired++;
    a->retired_at = worker_now(st->session->worker);
    a->why_retired = why;
    if (a->ends_when_retired) {
        h2_stream_reset(st, H2_CANCEL);
    }
}

static inline struct scene *scene_new(const struct rig_opts *opts)
{
    struct scene *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    rig_start(&s->r, opts);
    assert_int_equal(pool_new(s->r.worker, s->r.upstream, count_retired, &s->pool), RC_OK);
    for (size_t i = 0; i < ASKERS; i++) {
        list_init(&s->a[i].ticket.node);
        s->a[i].opens = true;
    }
    rig_run(&s->r); /* the loop's own time catches up */
    s->began = worker_now(s->r.worker);
    return s;
}

/** End it; rig_stop() checks that nothing is left. */
static inline void scene_free(struct scene *s)
{
    for (size_t i = 0; i < ASKERS; i++) {
        pool_cancel(&s->a[i].ticket);
    }
    if (s->pool != NULL) {
        pool_kill(s->pool);
        pool_free(&s->pool);
    }
    rig_run(&s->r);
    rig_stop(&s->r);
    free(s);
}

/** Asker i asks, of its own VM, and waits at most so many seconds. */
static inline struct asker *ask(struct scene *s, size_t i, double seconds)
{
    struct asker *a = &s->a[i];

    a->ticket.key = (uint32_t)i;
    a->ticket.deadline = worker_now(s->r.worker) + seconds;
    a->ticket.on_ready = on_ready;
    a->ticket.on_failed = on_failed;
    assert_int_equal(pool_ask(s->pool, &a->ticket), RC_OK);
    return a;
}

/** Askers from .. to - 1 ask and everything happens that needs no time. */
static inline void ask_many(struct scene *s, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        (void)ask(s, i, 30);
    }
    rig_run(&s->r);
}

static inline unsigned ready(const struct scene *s)
{
    unsigned n = 0;

    for (size_t i = 0; i < ASKERS; i++) {
        n += s->a[i].ready;
    }
    return n;
}

static inline unsigned failed(const struct scene *s)
{
    unsigned n = 0;

    for (size_t i = 0; i < ASKERS; i++) {
        n += s->a[i].failed;
    }
    return n;
}

static inline unsigned retired(const struct scene *s)
{
    unsigned n = 0;

    for (size_t i = 0; i < ASKERS; i++) {
        n += s->a[i].retired;
    }
    return n;
}

/** Its stream is over. */
static inline void finish(struct scene *s, size_t i)
{
    assert_non_null(s->a[i].st);
    h2_stream_reset(s->a[i].st, H2_CANCEL);
    rig_run(&s->r);
    assert_null(s->a[i].st);
}

/** Publish addresses "IP:PORT", NULL-terminated. */
static inline void publish(struct scene *s, const char *const *list)
{
    struct addr addrs[8];
    size_t n = 0;

    for (; list[n] != NULL; n++) {
        assert_int_equal(addr_parse(list[n], &addrs[n]), RC_OK);
    }
    assert_int_equal(upstream_set_addresses(s->r.upstream, addrs, NULL, n), RC_OK);
}
