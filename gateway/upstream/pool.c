/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/upstream/pool.h"

#include <stdio.h>
#include <stdlib.h>

#include "certs/cert_set.h"
#include "core/base/check.h"
#include "core/base/log.h"
#include "core/net/conn.h"

#define POOL_MAGIC 0x60013a11u
#define UP_MAGIC 0x0b5e5510u

#define DIAL_TIMEOUT_S 5.0
#define DIALS_MAX 4

/* The queue is looked at again at least this often while somebody waits (deadlines, backoff, new
 * addresses). */
#define LOOK_AGAIN_S 0.25

#define COOL_EXHAUSTED_S 0.3
#define COOL_NOT_READY_S 0.5
#define COOL_SILENT_S 10.0

/* What an upstream sends: responses with a few headers. A metadata bomb is not for the VMs. */
static const struct h2_limits up_limits = {
    .header_bytes = 65536, .headers = 128, .settings_timeout = DIAL_TIMEOUT_S};

struct pool {
    uint32_t magic;
    struct worker *worker;
    struct balancer balancer;
    struct fair_queue queue;
    struct list sessions; /**< up_session, owned by their connections */
    struct list blocked;  /**< nodes of streams that block istiod, the oldest first; borrowed */
    uint32_t n_dialling;
    bool freed;
    ev_timer timer;
    void (*retire)(struct h2_stream *st);
    struct worker_flush dispatch;
    struct worker_reap reap;
    char problem[160];
};

struct up_session {
    uint32_t magic;
    struct pool *pool;         /**< borrowed; outlives us */
    struct list node;          /**< on pool->sessions */
    struct h2_session *h2;     /**< borrowed until on_dead */
    struct endpoint *endpoint; /**< shared (ref) */
    uint32_t streams;          /**< opened and not closed */
    bool dialling;
    bool retiring;       /**< takes no more streams; they are handed out one by one */
    double retire_pause; /**< seconds between two */
    ev_timer retire_timer;
};

static void dispatch(struct worker_flush *f);

static void look_soon(struct pool *p)
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
    look_soon(t->data);
}

static void reap(struct worker_reap *r)
{
    struct pool *p = LIST_ENTRY(r, struct pool, reap);

    ev_timer_stop(p->worker->loop, &p->timer);
    list_del(&p->dispatch.node);
    balancer_fini(&p->balancer);
    p->magic = 0;
    free(p);
}

static void reap_when_unused(struct pool *p)
{
    if (p->freed && list_empty(&p->sessions) && p->queue.n == 0 && list_empty(&p->reap.node)) {
        worker_reap_later(p->worker, &p->reap);
    }
}

static void end_when_idle(struct up_session *up)
{
    if (up->streams == 0 && !up->dialling &&
        (up->retiring || up->pool->freed || !up->endpoint->listed)) {
        h2_session_end(up->h2, H2_NO_ERROR, END_UP_GOAWAY);
    }
}

static void end_idle(struct pool *p)
{
    struct list *n;
    struct list *spare;

    LIST_FOREACH_SAFE(n, spare, &p->sessions)
    {
        end_when_idle(LIST_ENTRY(n, struct up_session, node));
    }
}

/* ---- one connection ---- */

static void on_open(struct h2_session *s)
{
    struct up_session *up = s->user;

    CHECK_MAGIC(up, UP_MAGIC);
    up->dialling = false;
    up->endpoint->dialling--;
    up->pool->n_dialling--;
    counter_add(&up->pool->worker->counters->v[COUNTER_UP_DIALS], 1);
    counter_add(&up->pool->worker->counters->v[COUNTER_UP_CONNS_OPEN], 1);
    balancer_ok(&up->pool->balancer, up->endpoint);
    end_when_idle(up);
    look_soon(up->pool);
}

static void retire_next(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct up_session *up = t->data;

    (void)revents;
    if (!list_empty(&up->h2->streams)) {
        struct h2_stream *st = LIST_ENTRY(up->h2->streams.next, struct h2_stream, node);
        /* to the end of the list, so that one that takes its time does not hold up the others */
        list_del(&st->node);
        list_add_tail(&up->h2->streams, &st->node);
        if (st->ops != NULL) {
            up->pool->retire(st);
        }
        ev_timer_stop(loop, t);
        ev_timer_set(t, up->retire_pause, 0.);
        ev_timer_start(loop, t);
    }
    end_when_idle(up);
}

static void start_retiring(struct up_session *up)
{
    if (up->retiring) {
        return;
    }
    up->retiring = true;
    up->retire_pause = POOL_RETIRE_S / (double)(up->streams + 1);
    ev_timer_set(&up->retire_timer, 0.05, 0.);
    ev_timer_start(up->pool->worker->loop, &up->retire_timer);
    end_when_idle(up);
    look_soon(up->pool);
}

static void on_goaway(struct h2_session *s)
{
    struct up_session *up = s->user;
    char text[ADDR_TEXT_BYTES];

    counter_add(&up->pool->worker->counters->v[COUNTER_UP_GOAWAYS], 1);
    log_event(LOG_INFO, "upstream retires a connection",
              LOG_S("upstream", up->pool->balancer.upstream->opts.name),
              LOG_S("endpoint", addr_format(&up->endpoint->addr, text)),
              LOG_I("streams", up->streams));
    start_retiring(up);
}

static void on_limit(struct h2_session *s, enum counter which)
{
    struct up_session *up = s->user;
    counter_add(&up->pool->worker->counters->v[which], 1);
}

static void note_failure(struct up_session *up, enum end_reason why)
{
    struct pool *p = up->pool;
    const char *detail = conn_detail(up->h2->conn);
    char text[ADDR_TEXT_BYTES];

    addr_format(&up->endpoint->addr, text);
    snprintf(p->problem, sizeof(p->problem), "%s: %s%s%s", text, end_text(why),
             detail[0] != '\0' ? ": " : "", detail);
    log_event(LOG_WARNING, "upstream endpoint failed",
              LOG_S("upstream", p->balancer.upstream->opts.name), LOG_S("endpoint", text),
              LOG_S("reason", end_label(why)), LOG_S("detail", detail),
              LOG_I("failures", up->endpoint->failures + 1));
    balancer_failed(&p->balancer, up->endpoint);
}

static void on_dead(struct h2_session *s, enum end_reason why)
{
    struct up_session *up = s->user;
    struct pool *p = up->pool;

    CHECK_MAGIC(up, UP_MAGIC);
    CHECK(up->streams == 0);
    why =
        why == END_DOWN_CLOSED ? END_UP_CLOSED : why; /* a conn does not know which side it is on */
    ev_timer_stop(p->worker->loop, &up->retire_timer);
    if (up->dialling) {
        up->endpoint->dialling--;
        p->n_dialling--;
        counter_add(&p->worker->counters->v[COUNTER_UP_DIAL_FAILURES], 1);
        note_failure(up, why);
    } else {
        counter_add(&p->worker->counters->v[COUNTER_UP_CONNS_OPEN], -1);
        if (!up->retiring && !p->freed) {
            char text[ADDR_TEXT_BYTES];
            log_event(LOG_INFO, "upstream connection ended",
                      LOG_S("upstream", p->balancer.upstream->opts.name),
                      LOG_S("endpoint", addr_format(&up->endpoint->addr, text)),
                      LOG_S("reason", end_label(why)));
        }
    }
    list_del(&up->node);
    endpoint_unref(&up->endpoint);
    up->magic = 0;
    free(up);
    look_soon(p);
    reap_when_unused(p);
}

static const struct h2_session_ops up_ops = {
    .on_open = on_open,
    .on_goaway = on_goaway,
    .on_limit = on_limit,
    .on_dead = on_dead,
};

static enum rc connect_session(struct pool *p, struct up_session *up)
{
    struct upstream *u = p->balancer.upstream;
    struct addr source = upstream_source(u, &up->endpoint->addr);
    struct conn *c;

    TRY(h2_session_new(p->worker, H2_DIALLED, &up_limits, &up_ops, up, &up->h2));
    SSL *ssl = root_set_new_ssl(u->roots, u->opts.server_name);
    enum rc rc = ssl == NULL ? RC_NO_MEMORY
                             : conn_dial(p->worker, &up->endpoint->addr, &source, ssl,
                                         DIAL_TIMEOUT_S, &h2_conn_ops, up->h2, &c);
    if (rc != RC_OK) {
        h2_session_free(&up->h2);
        return rc;
    }
    h2_session_bind(up->h2, c);
    return RC_OK;
}

/* Start a connection to e; a failure at once counts as a failed endpoint, so that nothing spins. */
static void dial(struct pool *p, struct endpoint *e)
{
    struct up_session *up = calloc(1, sizeof(*up));
    char text[ADDR_TEXT_BYTES];

    if (up == NULL) {
        balancer_cool(&p->balancer, e, BACKOFF_FIRST_S);
        return;
    }
    up->magic = UP_MAGIC;
    up->pool = p;
    up->endpoint = endpoint_ref(e);
    ev_init(&up->retire_timer, retire_next);
    up->retire_timer.data = up;
    enum rc rc = connect_session(p, up);
    if (rc != RC_OK) {
        counter_add(&p->worker->counters->v[COUNTER_UP_DIAL_FAILURES], 1);
        snprintf(p->problem, sizeof(p->problem), "%s: %s", addr_format(&e->addr, text),
                 rc_text(rc));
        log_event(LOG_WARNING, "cannot connect to upstream endpoint",
                  LOG_S("upstream", p->balancer.upstream->opts.name), LOG_S("endpoint", text),
                  LOG_S("reason", rc_text(rc)));
        balancer_failed(&p->balancer, e);
        endpoint_unref(&up->endpoint);
        free(up);
        return;
    }
    up->dialling = true;
    e->dialling++;
    p->n_dialling++;
    list_add_tail(&p->sessions, &up->node);
}

/* ---- the queue ---- */

static bool has_room(const struct up_session *up)
{
    const struct upstream_opts *o = &up->pool->balancer.upstream->opts;
    return !up->dialling && !up->retiring && up->streams < o->streams_per_connection &&
           h2_session_has_room(up->h2);
}

/* Least streams among the endpoints, then the fullest connection of it: few connections, few
 * handshakes. */
static struct up_session *find_session(struct pool *p, double now)
{
    struct up_session *best = NULL;

    for (struct list *n = p->sessions.next; n != &p->sessions; n = n->next) {
        struct up_session *up = LIST_ENTRY(n, struct up_session, node);
        if (!has_room(up) || now < up->endpoint->cool_until || !up->endpoint->listed) {
            continue;
        }
        if (best == NULL || up->endpoint->active < best->endpoint->active ||
            (up->endpoint == best->endpoint && up->streams > best->streams)) {
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
        dial(p, probe);
    }
    if (p->n_dialling >= DIALS_MAX || (uint64_t)p->n_dialling * per >= p->queue.n) {
        return;
    }
    struct endpoint *e = balancer_pick(&p->balancer);
    if (e != NULL &&
        (found == NULL || (e != found->endpoint && e->active < found->endpoint->active))) {
        dial(p, e);
    }
}

static void fail_expired(struct pool *p, double now)
{
    struct list *n;
    struct list *spare;

    for (uint32_t i = 0; i < FAIR_QUEUE_BUCKETS && p->queue.n > 0; i++) {
        LIST_FOREACH_SAFE(n, spare, &p->queue.buckets[i])
        {
            struct pool_ticket *t = LIST_ENTRY(n, struct pool_ticket, node);
            if (now >= t->deadline) {
                pool_cancel(t);
                t->on_failed(t, p->problem[0] != '\0' ? p->problem
                                                      : "it takes no more streams at the moment");
            }
        }
    }
}

/* Grant as many as there is room and pace for; 0, or seconds until the pacer gives another. */
static double grant(struct pool *p, double now)
{
    uint32_t rounds = p->queue.n;

    while (p->queue.n > 0 && rounds-- > 0) {
        struct up_session *up = find_session(p, now);
        dial_more(p, up);
        if (up == NULL) {
            return LOOK_AGAIN_S;
        }
        struct pool_ticket *t = LIST_ENTRY(fair_queue_take(&p->queue), struct pool_ticket, node);
        double wait = now < t->not_before ? t->not_before - now
                                          : pacer_take(&p->balancer.upstream->pacer, now);
        if (wait > 0) {
            CHECK(fair_queue_put(&p->queue, t->key, &t->node) == RC_OK);
            if (now >= t->not_before) {
                return wait;
            }
            continue;
        }
        t->pool = NULL;
        t->on_ready(t, up);
    }
    return LOOK_AGAIN_S;
}

static void dispatch(struct worker_flush *f)
{
    struct pool *p = LIST_ENTRY(f, struct pool, dispatch);
    double now = worker_now(p->worker);

    CHECK_MAGIC(p, POOL_MAGIC);
    if (balancer_refresh(&p->balancer)) {
        end_idle(p);
    }
    fail_expired(p, now);
    double wait = grant(p, now);
    if (p->queue.n > 0) {
        arm(p, wait);
    }
    reap_when_unused(p);
}

/* ---- what others call ---- */

enum rc pool_new(struct worker *w, struct upstream *u, void (*retire)(struct h2_stream *st),
                 struct pool **out)
{
    struct pool *p = calloc(1, sizeof(*p));

    if (p == NULL) {
        return RC_NO_MEMORY;
    }
    p->magic = POOL_MAGIC;
    p->worker = w;
    p->retire = retire;
    balancer_init(&p->balancer, w, u, false);
    fair_queue_init(&p->queue, POOL_QUEUE_MAX);
    list_init(&p->sessions);
    list_init(&p->blocked);
    list_init(&p->dispatch.node);
    p->dispatch.fn = dispatch;
    list_init(&p->reap.node);
    p->reap.fn = reap;
    ev_init(&p->timer, on_timer);
    p->timer.data = p;
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
    reap_when_unused(p);
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
    TRY(fair_queue_put(&p->queue, t->key, &t->node));
    t->pool = p;
    look_soon(p);
    return RC_OK;
}

void pool_cancel(struct pool_ticket *t)
{
    if (t->pool != NULL) {
        struct pool *p = t->pool;
        fair_queue_remove(&p->queue, &t->node);
        t->pool = NULL;
        look_soon(p);
    }
}

struct h2_session *up_session_h2(struct up_session *up)
{
    CHECK_MAGIC(up, UP_MAGIC);
    return up->h2;
}

const struct addr *up_session_addr(const struct up_session *up)
{
    return &up->endpoint->addr;
}

void up_session_opened(struct up_session *up)
{
    CHECK_MAGIC(up, UP_MAGIC);
    up->streams++;
    up->endpoint->active++;
}

void up_session_closed(struct up_session *up)
{
    CHECK_MAGIC(up, UP_MAGIC);
    CHECK(up->streams > 0);
    up->streams--;
    up->endpoint->active--;
    end_when_idle(up);
    if (up->pool->queue.n > 0) {
        look_soon(up->pool);
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

bool up_session_has_other(const struct up_session *up)
{
    return balancer_has_other(&up->pool->balancer, up->endpoint);
}

void up_session_outcome(struct up_session *up, enum pool_outcome outcome)
{
    struct pool *p = up->pool;
    struct pacer *pacer = &p->balancer.upstream->pacer;
    double now = worker_now(p->worker);

    switch (outcome) {
    case POOL_RETIRED:
        return;
    case POOL_ADMITTED:
        pacer_admitted(pacer, now);
        return;
    case POOL_EXHAUSTED:
        counter_add(&p->worker->counters->v[COUNTER_UP_EXHAUSTED], 1);
        pacer_exhausted(pacer, now);
        if (balancer_has_other(&p->balancer, up->endpoint)) { /* alone, the pacer is brake enough */
            balancer_cool(&p->balancer, up->endpoint, COOL_EXHAUSTED_S);
        }
        snprintf(p->problem, sizeof(p->problem), "it answered RESOURCE_EXHAUSTED");
        return;
    case POOL_NOT_READY:
        balancer_cool(&p->balancer, up->endpoint, COOL_NOT_READY_S);
        snprintf(p->problem, sizeof(p->problem), "it answered that it is not ready");
        return;
    case POOL_SILENT:
        balancer_cool(&p->balancer, up->endpoint, COOL_SILENT_S);
        snprintf(p->problem, sizeof(p->problem), "it did not answer");
        return;
    case POOL_UNPROCESSED:
        balancer_cool(&p->balancer, up->endpoint, COOL_EXHAUSTED_S);
        return;
    }
}

const char *pool_last_problem(const struct pool *p)
{
    return p->problem;
}
