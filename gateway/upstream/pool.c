/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/upstream/pool_internal.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "core/net/conn.h"

#define DIALS_MAX 4

static void dispatch(struct worker_flush *f);

void pool_look_soon(struct pool *p)
{
    worker_flush_later(p->worker, &p->dispatch);
}

static void arm(struct pool *p, double after)
{
    if (after > LOOK_AGAIN_S) {
        after = LOOK_AGAIN_S;
    }
    ev_timer_stop(p->worker->loop, &p->timer);
    ev_timer_set(&p->timer, after, 0.);
    ev_timer_start(p->worker->loop, &p->timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop;
    (void)revents;
    pool_look_soon(t->data);
}

static void reap(struct worker_reap *r)
{
    struct pool *p = LIST_ENTRY(r, struct pool, reap);

    ev_timer_stop(p->worker->loop, &p->timer);
    ev_timer_stop(p->worker->loop, &p->ages);
    list_del(&p->dispatch.node);
    balancer_fini(&p->balancer);
    p->magic = 0;
    free(p);
}

void pool_reap_when_unused(struct pool *p)
{
    if (p->freed && list_empty(&p->sessions) && pool_waiting(p) == 0 && list_empty(&p->reap.node)) {
        worker_reap_later(p->worker, &p->reap);
    }
}

static void end_idle(struct pool *p)
{
    struct list *n;
    struct list *spare;

    LIST_FOREACH_SAFE(n, spare, &p->sessions)
    {
        up_session_end_when_idle(LIST_ENTRY(n, struct up_session, node));
    }
}

/* ---- the queue ---- */

/* Connections that will stay before those that will not, least streams among the endpoints, then
 * the fullest connection of it: few connections, few handshakes. */
static bool is_better(const struct up_session *a, const struct up_session *b, double now)
{
    bool a_goes = up_session_is_near_end(a, now);
    bool b_goes = up_session_is_near_end(b, now);

    if (a_goes != b_goes) {
        return b_goes;
    }
    return a->endpoint->active < b->endpoint->active ||
           (a->endpoint == b->endpoint && a->streams > b->streams);
}

static struct up_session *find_session(struct pool *p, double now)
{
    struct up_session *best = NULL;

    for (struct list *n = p->sessions.next; n != &p->sessions; n = n->next) {
        struct up_session *up = LIST_ENTRY(n, struct up_session, node);
        if (!up_session_has_room(up) || now < up->endpoint->cool_until || !up->endpoint->listed) {
            continue;
        }
        if (best == NULL || is_better(up, best, now)) {
            best = up;
        }
    }
    return best;
}

/* Connections that the queue needs, or that would be better than what find_session() has found. */
static void dial_more(struct pool *p, const struct up_session *found)
{
    uint32_t per = p->balancer.upstream->opts.streams_per_connection;
    struct endpoint *probe = balancer_pick_probe(&p->balancer);

    if (probe != NULL && p->n_dialling < DIALS_MAX) {
        up_session_dial(p, probe);
    }
    if (p->n_dialling >= DIALS_MAX || (uint64_t)p->n_dialling * per >= pool_waiting(p)) {
        return;
    }
    struct endpoint *e = balancer_pick(&p->balancer);
    if (e != NULL &&
        (found == NULL || (e != found->endpoint && e->active < found->endpoint->active))) {
        up_session_dial(p, e);
    }
}

static void fail_expired(struct pool *p, struct pool_ticket *t, double now)
{
    if (now >= t->deadline) {
        pool_cancel(t);
        t->on_failed(t,
                     p->problem[0] != '\0' ? p->problem : "it takes no more streams at the moment");
    }
}

/* Where the next stream goes; dials what is missing. */
static struct up_session *find_or_dial(struct pool *p, double now)
{
    struct up_session *up = find_session(p, now);

    dial_more(p, up);
    return up;
}

static void dispatch(struct worker_flush *f)
{
    struct pool *p = LIST_ENTRY(f, struct pool, dispatch);
    double now = worker_now(p->worker);

    CHECK_MAGIC(p, POOL_MAGIC);
    if (balancer_refresh(&p->balancer)) {
        end_idle(p);
    }
    pool_lanes_each(p, now, fail_expired);
    double wait = pool_lanes_grant(p, now, find_or_dial);
    if (pool_waiting(p) > 0) {
        arm(p, wait);
    }
    pool_reap_when_unused(p);
}

/* ---- what others call ---- */

enum rc pool_new(struct worker *w, struct upstream *u,
                 void (*retire)(struct h2_stream *st, enum end_reason why), struct pool **out)
{
    struct pool *p = calloc(1, sizeof(*p));

    if (p == NULL) {
        return RC_NO_MEMORY;
    }
    p->magic = POOL_MAGIC;
    p->worker = w;
    p->retire = retire;
    balancer_init(&p->balancer, w, u, false);
    pool_lanes_init(p);
    list_init(&p->sessions);
    list_init(&p->blocked);
    list_init(&p->dispatch.node);
    p->dispatch.fn = dispatch;
    list_init(&p->reap.node);
    p->reap.fn = reap;
    ev_init(&p->timer, on_timer);
    p->timer.data = p;
    pool_ages_init(p);
    *out = p;
    return RC_OK;
}

void pool_free(struct pool **pp)
{
    struct pool *p = *pp;

    *pp = NULL;
    CHECK_MAGIC(p, POOL_MAGIC);
    p->freed = true;
    end_idle(p);
    pool_reap_when_unused(p);
}

void pool_kill(struct pool *p)
{
    CHECK_MAGIC(p, POOL_MAGIC);
    for (struct list *n = p->sessions.next; n != &p->sessions; n = n->next) {
        conn_kill(LIST_ENTRY(n, struct up_session, node)->h2->conn, END_DRAIN);
    }
}

struct upstream *pool_upstream(const struct pool *p)
{
    return p->balancer.upstream;
}

enum rc pool_ask(struct pool *p, struct pool_ticket *t)
{
    CHECK_MAGIC(p, POOL_MAGIC);
    CHECK(t->pool == NULL);
    TRY(pool_lanes_put(p, t));
    t->pool = p;
    pool_look_soon(p);
    return RC_OK;
}

void pool_cancel(struct pool_ticket *t)
{
    if (t->pool != NULL) {
        struct pool *p = t->pool;
        pool_lanes_remove(p, t);
        t->pool = NULL;
        pool_look_soon(p);
    }
}

struct list *pool_blocked(struct pool *p, struct list *node)
{
    uint32_t *n = &p->balancer.upstream->n_blocked;

    list_add_tail(&p->blocked, node);
    if (__atomic_add_fetch(n, 1, __ATOMIC_RELAXED) <= POOL_BLOCKED_MAX) {
        return NULL;
    }
    __atomic_sub_fetch(n, 1, __ATOMIC_RELAXED);
    return list_pop(&p->blocked);
}

void pool_unblocked(struct pool *p, struct list *node)
{
    if (!list_empty(node)) {
        list_del(node);
        __atomic_sub_fetch(&p->balancer.upstream->n_blocked, 1, __ATOMIC_RELAXED);
    }
}

const char *pool_last_problem(const struct pool *p)
{
    return p->problem;
}
