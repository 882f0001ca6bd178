/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/upstream/retire.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/log.h"
#include "gateway/upstream/pool_internal.h"

/* Of a connection's life, how much retiring all of them may take at most, and of the pacer's rate,
 * how much their VMs may take when they come back. */
#define LIFE_SHARE 0.3
#define PACE_SHARE 0.7

/* Near its end a connection gets no new streams while there is another: they would not stay long.
 */
#define NEAR_SHARE 0.15

/* Earlier by up to this share of an age, so that gateways do not retire theirs together. */
#define JITTER 0.05

/* How often ages are looked at: a hundredth of an age, within these bounds. */
#define LOOK_MIN_S 0.1
#define LOOK_MAX_S 5.0

/* ---- what workers share ---- */

double retire_age(const struct upstream *u, double now)
{
    uint32_t learned = __atomic_load_n(&u->retirement.age_ms, __ATOMIC_RELAXED);
    double since = now - __atomic_load_n(&u->retirement.learned_at, __ATOMIC_RELAXED);

    return learned == 0 || since > RETIRE_FORGET_S ? RETIRE_AGE_S : learned / 1000.0;
}

void retire_learn(struct upstream *u, double age, double now)
{
    double limit = age * RETIRE_SHARE;

    if (limit >= RETIRE_AGE_MIN_S && limit < retire_age(u, now)) {
        __atomic_store_n(&u->retirement.age_ms, (uint32_t)(limit * 1000), __ATOMIC_RELAXED);
        __atomic_store_n(&u->retirement.learned_at, (uint32_t)now, __ATOMIC_RELAXED);
    }
}

static bool take_turn(struct up_session *up)
{
    const void *nobody = NULL;

    return __atomic_compare_exchange_n(&up->pool->balancer.upstream->retirement.turn, &nobody, up,
                                       false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static bool turn_is_free(const struct pool *p)
{
    return __atomic_load_n(&p->balancer.upstream->retirement.turn, __ATOMIC_RELAXED) == NULL;
}

static void give_turn(struct up_session *up)
{
    const void *me = up;

    (void)__atomic_compare_exchange_n(&up->pool->balancer.upstream->retirement.turn, &me, NULL,
                                      false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static double open_connections(const struct pool *p)
{
    return __atomic_load_n(&p->balancer.upstream->retirement.n_conns, __ATOMIC_RELAXED);
}

/* ---- one connection ---- */

static double end_of(const struct up_session *up, double age)
{
    return up->opened_at + age * (1 - up->jitter);
}

/* Seconds for the streams of one: as many as there are shall fit into a life. */
static double time_for_one(const struct pool *p, double age)
{
    double most = age * LIFE_SHARE / open_connections(p);

    return most < RETIRE_SPREAD_S ? most : RETIRE_SPREAD_S;
}

static double time_for(const struct up_session *up, double age)
{
    double rate = pacer_rate(&up->pool->balancer.upstream->pacer) * PACE_SHARE;
    double least = up->streams / rate;
    double wanted = time_for_one(up->pool, age);

    return least > wanted ? least : wanted;
}

bool up_session_is_near_end(const struct up_session *up, double now)
{
    double age = retire_age(up->pool->balancer.upstream, now);
    double all = open_connections(up->pool) * time_for_one(up->pool, age);
    double before = age * NEAR_SHARE;

    return now >= end_of(up, age) - (all > before ? all : before);
}

static struct h2_stream *next_stream(struct up_session *up)
{
    struct list *n;
    struct list *spare;

    LIST_FOREACH_SAFE(n, spare, &up->h2->streams)
    {
        struct h2_stream *st = LIST_ENTRY(n, struct h2_stream, node);
        if (st->ops != NULL && !up_stream_is_left(st)) {
            /* to the end of the list, so that one that takes its time does not hold up the others
             */
            list_del(&st->node);
            list_add_tail(&up->h2->streams, &st->node);
            return st;
        }
    }
    return NULL;
}

static void arm(struct up_session *up, double after)
{
    struct ev_loop *loop = up->pool->worker->loop;

    ev_timer_stop(loop, &up->retire_timer);
    ev_timer_set(&up->retire_timer, after, 0.);
    ev_timer_start(loop, &up->retire_timer);
}

static void retire_next(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct up_session *up = t->data;
    struct h2_stream *st = next_stream(up);

    (void)loop;
    (void)revents;
    if (st != NULL) {
        up->pool->retire(st, (enum end_reason)up->retire_why);
        arm(up, up->retire_pause);
    } else {
        give_turn(up);
    }
    up_session_end_when_idle(up);
}

void up_session_retire(struct up_session *up, double seconds, enum end_reason why)
{
    double pause = seconds / (up->streams - up->n_left + 1);

    if (up->retiring && up->retire_pause <= pause) {
        return;
    }
    if (!up->retiring) {
        ev_init(&up->retire_timer, retire_next);
        up->retire_timer.data = up;
    }
    up->retiring = true;
    up->retire_pause = pause;
    up->retire_why = (uint8_t)why;
    arm(up, 0.05);
    up_session_end_when_idle(up);
    pool_look_soon(up->pool);
}

void up_session_note_dead(struct up_session *up)
{
    ev_timer_stop(up->pool->worker->loop, &up->retire_timer);
    if (!up->dialling) {
        give_turn(up);
        __atomic_sub_fetch(&up->pool->balancer.upstream->retirement.n_conns, 1, __ATOMIC_RELAXED);
    }
}

/* ---- the connections of a pool ---- */

/* Room for its streams on connections that will stay for a while. */
static bool has_fresh_room(const struct pool *p, const struct up_session *leaving, double now)
{
    uint32_t per = p->balancer.upstream->opts.streams_per_connection;
    uint64_t room = 0;

    for (struct list *n = p->sessions.next; n != &p->sessions; n = n->next) {
        const struct up_session *up = LIST_ENTRY(n, struct up_session, node);
        if (up != leaving && up_session_has_room(up) && up->endpoint->listed &&
            !up_session_is_near_end(up, now)) {
            room += per - up->streams;
        }
    }
    return room >= leaving->streams;
}

static void begin(struct up_session *up, double now, double age)
{
    struct pool *p = up->pool;
    char text[ADDR_TEXT_BYTES];

    if (!turn_is_free(p)) {
        return;
    }
    if (!p->freed && !has_fresh_room(p, up, now)) { /* or everybody would wait for a handshake */
        struct endpoint *e = p->n_dialling == 0 ? balancer_pick(&p->balancer) : NULL;
        if (e != NULL) {
            up_session_dial(p, e);
        }
        return;
    }
    if (!take_turn(up)) {
        return;
    }
    double seconds = time_for(up, age);
    counter_add(&p->worker->counters->v[COUNTER_UP_RETIRED], 1);
    log_event(LOG_INFO, "retiring a connection", LOG_S("upstream", p->balancer.upstream->opts.name),
              LOG_S("endpoint", addr_format(&up->endpoint->addr, text)),
              LOG_I("streams", up->streams), LOG_I("age", now - up->opened_at),
              LOG_I("seconds", seconds));
    up_session_retire(up, seconds, END_UP_RETIRED);
}

static bool may_retire(const struct up_session *up)
{
    return !up->dialling && !up->retiring && up->streams > 0;
}

static void end_old_idle(struct pool *p, double now, double age)
{
    struct list *n;
    struct list *spare;

    LIST_FOREACH_SAFE(n, spare, &p->sessions)
    {
        struct up_session *up = LIST_ENTRY(n, struct up_session, node);
        if (!up->dialling && !up->retiring && up->streams == 0 && now >= end_of(up, age)) {
            up->retiring = true;
            up_session_end_when_idle(up);
        }
    }
}

/*
 * The one that ends first is retired as soon as waiting any longer would make it, or one of those
 * after it, too late. Connections of other workers take their turns in between.
 */
static void look_at_ages(struct pool *p, double now, double age)
{
    struct up_session *first = NULL;
    double start_by = 0;
    double work = 0;
    uint32_t own = 0;

    end_old_idle(p, now, age);
    for (struct list *n = p->sessions.next; n != &p->sessions; n = n->next) {
        own += !LIST_ENTRY(n, struct up_session, node)->dialling;
    }
    for (struct list *n = p->sessions.next; n != &p->sessions; n = n->next) { /* oldest first */
        struct up_session *up = LIST_ENTRY(n, struct up_session, node);
        if (!may_retire(up)) {
            continue;
        }
        double end = end_of(up, age);
        work += time_for(up, age) * (open_connections(p) / own);
        start_by = first == NULL || end - work < start_by ? end - work : start_by;
        first = first == NULL || end < end_of(first, age) ? up : first;
    }
    if (first != NULL && now >= start_by) {
        begin(first, now, age);
    }
}

static void look_after(struct pool *p, double seconds)
{
    ev_timer_stop(p->worker->loop, &p->ages);
    ev_timer_set(&p->ages, seconds, 0.);
    ev_timer_start(p->worker->loop, &p->ages);
}

static void on_look(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct pool *p = t->data;
    double now = worker_now(p->worker);
    double age = retire_age(p->balancer.upstream, now);
    double pause = age / 100;

    (void)loop;
    (void)revents;
    look_at_ages(p, now, age);
    if (!list_empty(&p->sessions)) {
        look_after(p, pause < LOOK_MIN_S ? LOOK_MIN_S : pause > LOOK_MAX_S ? LOOK_MAX_S : pause);
    }
}

void up_session_note_open(struct up_session *up)
{
    struct pool *p = up->pool;

    up->opened_at = worker_now(p->worker);
    up->jitter = JITTER * (double)(random() % 1000) / 1000.0;
    __atomic_add_fetch(&p->balancer.upstream->retirement.n_conns, 1, __ATOMIC_RELAXED);
    look_after(p, 0);
}

void pool_ages_init(struct pool *p)
{
    ev_init(&p->ages, on_look);
    p->ages.data = p;
}

void up_session_note_goaway(struct up_session *up, uint32_t error, const char *text, size_t n)
{
    static const char max_age[] = "max_age"; /* grpc-go, http2_server.go: keepalive() */
    double now = worker_now(up->pool->worker);

    if (error == H2_NO_ERROR && n == strlen(max_age) && memcmp(text, max_age, n) == 0) {
        retire_learn(up->pool->balancer.upstream, now - up->opened_at, now);
    }
}
