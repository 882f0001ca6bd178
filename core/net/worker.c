/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/worker.h"

#include <signal.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/net/tls13.h"

#define WORKER_MAGIC 0x5b1e7a01u

/* Rounds of flush and reap in one prepare phase; pairs of sessions need two or three. */
#define SETTLE_ROUNDS 16

/* 16 KiB chunks kept for reuse: one push to a few dozen VMs without malloc. */
#define POOL_FREE_CHUNKS 64

struct mail {
    struct list node;
    void (*fn)(struct worker *w, void *arg);
    void *arg;
};

static _Thread_local const struct worker *current;

static void on_wake(struct ev_loop *loop, ev_async *a, int revents)
{
    struct worker *w = a->data;
    struct list batch;

    (void)loop;
    (void)revents;
    list_init(&batch);
    pthread_mutex_lock(&w->mail_lock);
    for (struct list *n; (n = list_pop(&w->mail)) != NULL;) {
        list_add_tail(&batch, n);
    }
    pthread_mutex_unlock(&w->mail_lock);
    for (struct list *n; (n = list_pop(&batch)) != NULL;) {
        struct mail *m = LIST_ENTRY(n, struct mail, node);
        m->fn(w, m->arg);
        free(m);
    }
}

static void on_idle(struct ev_loop *loop, ev_idle *i, int revents)
{
    (void)loop;
    (void)i;
    (void)revents;
}

const struct histogram_scale worker_turn_scale = {
    {100, 500, 1000, 2500, 5000, 10000, 25000, 100000, 500000, 2500000}, 1000000};

/* Before anything that the wait has brought. */
static void on_check(struct ev_loop *loop, ev_check *c, int revents)
{
    struct worker *w = c->data;

    (void)loop;
    (void)revents;
    w->turn_began = clock_mono();
}

static void on_prepare(struct ev_loop *loop, ev_prepare *p, int revents)
{
    struct worker *w = p->data;

    (void)loop;
    (void)revents;
    worker_settle(w);
    if (w->turn_began > 0) {
        int64_t us = (int64_t)((clock_mono() - w->turn_began) * 1e6);
        histogram_add(&w->counters->turns, &worker_turn_scale, us);
    }
}

static void flush_round(struct worker *w)
{
    struct list batch;

    list_init(&batch);
    for (struct list *n; (n = list_pop(&w->dirty)) != NULL;) {
        list_add_tail(&batch, n);
    }
    for (struct list *n; (n = list_pop(&batch)) != NULL;) {
        struct worker_flush *f = LIST_ENTRY(n, struct worker_flush, node);
        f->fn(f);
    }
}

void worker_settle(struct worker *w)
{
    for (int i = 0; i < SETTLE_ROUNDS; i++) {
        if (list_empty(&w->dirty) && list_empty(&w->dead)) {
            ev_idle_stop(w->loop, &w->idle);
            return;
        }
        flush_round(w);
        struct list batch;
        list_init(&batch);
        for (struct list *n; (n = list_pop(&w->dead)) != NULL;) {
            list_add_tail(&batch, n);
        }
        for (struct list *n; (n = list_pop(&batch)) != NULL;) {
            struct worker_reap *r = LIST_ENTRY(n, struct worker_reap, node);
            r->fn(r);
        }
    }
    ev_idle_start(w->loop, &w->idle);
}

static enum rc alloc_parts(struct worker *w)
{
    w->in = malloc(WORKER_SCRATCH_BYTES);
    w->out = malloc(WORKER_SCRATCH_BYTES);
    w->wire_in = malloc(WORKER_SCRATCH_BYTES);
    w->wire_out = malloc(WORKER_WIRE_BYTES);
    w->frame = malloc(WORKER_FRAME_BYTES);
    w->ciphers = tls13_ciphers_new();
    w->counters = calloc(1, sizeof(*w->counters));
    w->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
    if (w->in == NULL || w->out == NULL || w->wire_in == NULL || w->wire_out == NULL ||
        w->frame == NULL || w->ciphers == NULL || w->counters == NULL || w->loop == NULL) {
        return RC_NO_MEMORY;
    }
    return RC_OK;
}

static void free_parts(struct worker *w)
{
    if (w->loop != NULL) {
        ev_loop_destroy(w->loop);
    }
    free(w->in);
    free(w->out);
    free(w->wire_in);
    free(w->wire_out);
    free(w->frame);
    tls13_ciphers_free(&w->ciphers);
    free(w->counters);
    free(w);
}

enum rc worker_new(unsigned index, struct worker **out)
{
    struct worker *w = calloc(1, sizeof(*w));

    if (w == NULL) {
        return RC_NO_MEMORY;
    }
    w->magic = WORKER_MAGIC;
    w->index = index;
    if (alloc_parts(w) != RC_OK) {
        free_parts(w);
        return RC_NO_MEMORY;
    }
    list_init(&w->mail);
    list_init(&w->dirty);
    list_init(&w->dead);
    bufq_pool_init(&w->pool, POOL_FREE_CHUNKS);
    pthread_mutex_init(&w->mail_lock, NULL);
    ev_prepare_init(&w->prepare, on_prepare);
    w->prepare.data = w;
    ev_prepare_start(w->loop, &w->prepare);
    ev_check_init(&w->check, on_check);
    w->check.data = w;
    ev_set_priority(&w->check, EV_MAXPRI);
    ev_check_start(w->loop, &w->check);
    ev_idle_init(&w->idle, on_idle);
    ev_async_init(&w->wake, on_wake);
    w->wake.data = w;
    ev_async_start(w->loop, &w->wake);
    *out = w;
    return RC_OK;
}

static void *run(void *arg)
{
    struct worker *w = arg;

    current = w;
    ev_run(w->loop, 0);
    worker_settle(w);
    return NULL;
}

enum rc worker_start(struct worker *w)
{
    sigset_t all;
    sigset_t before;

    CHECK_MAGIC(w, WORKER_MAGIC);
    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err == 0 ? RC_OK : RC_SYSTEM;
}

static void on_turn_over(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop;
    (void)t;
    (void)revents;
}

void worker_turn(struct worker *w, double max_s)
{
    ev_timer t;

    CHECK_MAGIC(w, WORKER_MAGIC);
    CHECK(worker_is_current(w));
    ev_now_update(w->loop); /* the caller may have done something else for long */
    ev_timer_init(&t, on_turn_over, max_s > 0 ? max_s : 0., 0.);
    ev_timer_start(w->loop, &t);
    ev_run(w->loop, EVRUN_ONCE);
    ev_timer_stop(w->loop, &t);
}

static void stop_loop(struct worker *w, void *arg)
{
    (void)arg;
    ev_break(w->loop, EVBREAK_ALL);
}

void worker_stop(struct worker *w)
{
    CHECK(worker_post(w, stop_loop, NULL) == RC_OK);
}

void worker_join(struct worker *w)
{
    pthread_join(w->thread, NULL);
}

void worker_free(struct worker **pw)
{
    struct worker *w = *pw;

    *pw = NULL;
    CHECK_MAGIC(w, WORKER_MAGIC);
    worker_settle(w);
    CHECK(list_empty(&w->dirty) && list_empty(&w->dead));
    for (struct list *n; (n = list_pop(&w->mail)) != NULL;) {
        free(LIST_ENTRY(n, struct mail, node));
    }
    bufq_pool_fini(&w->pool);
    pthread_mutex_destroy(&w->mail_lock);
    w->magic = 0;
    free_parts(w);
}

enum rc worker_post(struct worker *w, void (*fn)(struct worker *w, void *arg), void *arg)
{
    struct mail *m = malloc(sizeof(*m));

    CHECK_MAGIC(w, WORKER_MAGIC);
    if (m == NULL) {
        return RC_NO_MEMORY;
    }
    m->fn = fn;
    m->arg = arg;
    pthread_mutex_lock(&w->mail_lock);
    list_add_tail(&w->mail, &m->node);
    pthread_mutex_unlock(&w->mail_lock);
    ev_async_send(w->loop, &w->wake);
    return RC_OK;
}

bool worker_is_current(const struct worker *w)
{
    return current == w || current == NULL;
}

void worker_flush_later(struct worker *w, struct worker_flush *f)
{
    CHECK(worker_is_current(w));
    if (list_empty(&f->node)) {
        list_add_tail(&w->dirty, &f->node);
    }
}

void worker_reap_later(struct worker *w, struct worker_reap *r)
{
    CHECK(worker_is_current(w) && list_empty(&r->node));
    list_add_tail(&w->dead, &r->node);
}

double worker_now(const struct worker *w)
{
    (void)w;
    return clock_mono();
}
