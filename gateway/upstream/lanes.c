/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is granted a stream first. VMs that have shown a certificate wait in two queues, for ADS
 * streams (and other methods) and for CSRs: istiod's limit is about ADS streams, and a VM has ten
 * seconds to be back with its own, but a day for a CSR. With a fixed rate, which the operator means
 * for everything, there is one queue and one pacer for both.
 *
 * Strangers, without a certificate, may be rubbish from many addresses. They get a small share of
 * the rate in any case, and more only while nobody else waits, on any worker.
 */
#include "gateway/upstream/pool_internal.h"

#include "core/base/check.h"

/* How serving a lane came to an end. */
enum served { SERVED_ALL, SERVED_PACED, SERVED_NO_ROOM };

void pool_lanes_init(struct pool *p)
{
    fair_queue_init(&p->lanes[LANE_ADS], POOL_QUEUE_MAX);
    fair_queue_init(&p->lanes[LANE_CSR], POOL_QUEUE_MAX);
    fair_queue_init(&p->lanes[LANE_STRANGER], POOL_QUEUE_STRANGERS_MAX);
}

uint32_t pool_waiting(const struct pool *p)
{
    return p->lanes[LANE_ADS].n + p->lanes[LANE_CSR].n + p->lanes[LANE_STRANGER].n;
}

static bool has_csr_pacer(const struct upstream *u)
{
    return u->opts.max_new_streams_per_second == 0;
}

static void count_known(struct pool *p, const struct pool_ticket *t, int by)
{
    if (t->lane != LANE_STRANGER) {
        __atomic_add_fetch(&p->balancer.upstream->n_known_waiting, (uint32_t)by, __ATOMIC_RELAXED);
    }
}

enum rc pool_lanes_put(struct pool *p, struct pool_ticket *t)
{
    bool apart = t->is_csr && has_csr_pacer(p->balancer.upstream);

    t->lane = t->is_stranger ? LANE_STRANGER : apart ? LANE_CSR : LANE_ADS;
    TRY(fair_queue_put(&p->lanes[t->lane], t->key, &t->node));
    count_known(p, t, 1);
    return RC_OK;
}

void pool_lanes_remove(struct pool *p, struct pool_ticket *t)
{
    fair_queue_remove(&p->lanes[t->lane], &t->node);
    count_known(p, t, -1);
}

void pool_lanes_each(struct pool *p, double now,
                     void (*fn)(struct pool *p, struct pool_ticket *t, double now))
{
    struct list *n;
    struct list *spare;

    for (int lane = 0; lane < LANES; lane++) {
        struct fair_queue *q = &p->lanes[lane];
        for (uint32_t i = 0; i < FAIR_QUEUE_BUCKETS && q->n > 0; i++) {
            LIST_FOREACH_SAFE(n, spare, &q->buckets[i])
            {
                fn(p, LIST_ENTRY(n, struct pool_ticket, node), now);
            }
        }
    }
}

/* ---- tokens ---- */

static struct pacer *pacer_of(struct upstream *u, const struct pool_ticket *t)
{
    return t->is_csr && has_csr_pacer(u) ? &u->csr_pacer : &u->pacer;
}

/* One of the strangers' share, and one of all. */
static double take_share(struct upstream *u, const struct pool_ticket *t, double now)
{
    double share = pacer_rate(&u->pacer) * PACER_STRANGERS_SHARE;

    pacer_set_rate(&u->stranger_pacer, share < PACER_STRANGERS_MIN ? PACER_STRANGERS_MIN : share);
    double wait = pacer_take(&u->stranger_pacer, now);
    if (wait > 0) {
        return wait;
    }
    wait = pacer_take(pacer_of(u, t), now);
    if (wait > 0) {
        pacer_give_back(&u->stranger_pacer);
    }
    return wait;
}

static bool somebody_else_waits(const struct upstream *u)
{
    return __atomic_load_n(&u->n_known_waiting, __ATOMIC_RELAXED) > 0;
}

static double take_token(struct upstream *u, const struct pool_ticket *t, double now)
{
    return t->is_stranger && somebody_else_waits(u) ? take_share(u, t, now)
                                                    : pacer_take(pacer_of(u, t), now);
}

/* ---- granting ---- */

static enum served serve(struct pool *p, enum lane lane, double now,
                         struct up_session *(*find)(struct pool *p, double now), double *look)
{
    struct fair_queue *q = &p->lanes[lane];

    for (uint32_t rounds = q->n; q->n > 0 && rounds > 0; rounds--) {
        struct up_session *up = find(p, now);
        if (up == NULL) {
            return SERVED_NO_ROOM;
        }
        struct pool_ticket *t = LIST_ENTRY(fair_queue_take(q), struct pool_ticket, node);
        bool rests = now < t->not_before;
        double wait = rests ? t->not_before - now : take_token(p->balancer.upstream, t, now);
        if (wait > 0) {
            CHECK(fair_queue_put(q, t->key, &t->node) == RC_OK);
            *look = wait < *look && !rests ? wait : *look;
            if (!rests) {
                return SERVED_PACED;
            }
            continue;
        }
        count_known(p, t, -1);
        t->pool = NULL;
        t->on_ready(t, up);
    }
    return SERVED_ALL;
}

double pool_lanes_grant(struct pool *p, double now,
                        struct up_session *(*find)(struct pool *p, double now))
{
    /* strangers before ADS streams: else what is over for them would be taken by others */
    static const enum lane order[] = {LANE_CSR, LANE_STRANGER, LANE_ADS};
    double look = LOOK_AGAIN_S;

    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if (serve(p, order[i], now, find, &look) == SERVED_NO_ROOM) {
            return LOOK_AGAIN_S;
        }
    }
    return look;
}
