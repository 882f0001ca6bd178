/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC core without callbacks: one thread sits in grpc_completion_queue_next(). Timers are
 * looked at between events, at least each TICK_MS, which is exact enough for a sandbox.
 * Invariant: callbacks and control commands never run at the same time (the lock).
 */
#include "integration/sandbox/common/loop.h"

#include <grpc/support/time.h>

#include "integration/sandbox/common/os.h"

#define TICK_MS 10

void loop_init(struct loop *l)
{
    *l = (struct loop){0};
    l->cq = grpc_completion_queue_create_for_next(NULL);
    l->timers.next = &l->timers;
    l->timers.prev = &l->timers;
    (void)pthread_mutex_init(&l->lock, NULL);
}

/* Take out and call every timer that is due; a timer armed by a callback waits for its turn. */
static void run_timers(struct loop *l)
{
    int64_t now_ms = os_now_ms();
    struct timer *t = l->timers.next;

    while (t != &l->timers) {
        if (t->due_ms <= now_ms) {
            timer_stop(t);
            t->fn(t);
            t = l->timers.next; /* the callback may have changed the list */
            continue;
        }
        t = t->next;
    }
}

static bool turn(struct loop *l, int64_t wait_ms)
{
    gpr_timespec until =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(wait_ms, GPR_TIMESPAN));
    grpc_event ev = grpc_completion_queue_next(l->cq, until, NULL);

    (void)pthread_mutex_lock(&l->lock);
    if (ev.type == GRPC_OP_COMPLETE) {
        struct tag *tag = ev.tag;

        tag->fn(tag, ev.success != 0);
    }
    if (!l->draining) {
        run_timers(l);
    }
    (void)pthread_mutex_unlock(&l->lock);
    return ev.type != GRPC_QUEUE_SHUTDOWN;
}

static bool is_stopping(struct loop *l)
{
    bool stopping;

    (void)pthread_mutex_lock(&l->lock);
    stopping = l->stopping;
    (void)pthread_mutex_unlock(&l->lock);
    return stopping;
}

void loop_run(struct loop *l)
{
    while (!is_stopping(l)) {
        (void)turn(l, TICK_MS);
    }
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
}

void loop_drain(struct loop *l, const bool *done)
{
    while (!*done) {
        (void)turn(l, TICK_MS);
    }
}

void loop_fini(struct loop *l)
{
    (void)pthread_mutex_lock(&l->lock);
    l->draining = true;
    (void)pthread_mutex_unlock(&l->lock);
    grpc_completion_queue_shutdown(l->cq);
    while (turn(l, 1000)) {
    }
    grpc_completion_queue_destroy(l->cq);
    (void)pthread_mutex_destroy(&l->lock);
}

void timer_arm(struct loop *l, struct timer *t, int64_t delay_ms, void (*fn)(struct timer *),
               void *user)
{
    timer_stop(t);
    t->fn = fn;
    t->user = user;
    t->due_ms = os_now_ms() + (delay_ms < 1 ? 1 : delay_ms);
    t->next = &l->timers;
    t->prev = l->timers.prev;
    t->prev->next = t;
    l->timers.prev = t;
    t->armed = true;
}

void timer_stop(struct timer *t)
{
    if (!t->armed) {
        return;
    }
    t->prev->next = t->next;
    t->next->prev = t->prev;
    t->armed = false;
}
