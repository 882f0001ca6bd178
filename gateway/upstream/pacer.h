/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast new streams are offered to one upstream: a token bucket shared by all workers.
 *
 * With a fixed rate it is just that. With `auto` it learns: each admitted stream raises the rate a
 * little, each RESOURCE_EXHAUSTED lowers it by a third, at most once a second (istiod's own limit
 * is min(15 + 5 * cores, 100) streams a second for each pod, pilot/pkg/features/tuning.go). Pure:
 * time is given. The lock is held for a few instructions, once for each new stream.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>

/** Where auto starts, and its bounds, in streams a second. */
#define PACER_AUTO_START 25.0
#define PACER_AUTO_MIN 15.0
#define PACER_AUTO_MAX 2000.0

/** CSRs a second, with auto. istiod has no limit for them and so teaches none, but each may cost it
 * a TokenReview, and it has 80 calls a second for all that it asks of Kubernetes (wire facts 0,
 * 11.4). */
#define PACER_CSRS 25

/** Of the rate, what streams without a certificate get in any case, and at least so many a second.
 */
#define PACER_STRANGERS_SHARE 0.2
#define PACER_STRANGERS_MIN 1

struct pacer {
    pthread_mutex_t lock;
    double rate;       /**< tokens a second */
    double tokens;     /**< 0 .. burst */
    double at;         /**< when tokens was right */
    double lowered_at; /**< the last decrease */
    double
        waited_at; /**< when somebody last had to wait: only then a higher rate is worth trying */
    int is_auto;
};

/** rate 0: auto. */
void pacer_init(struct pacer *p, uint32_t rate, double now);
void pacer_fini(struct pacer *p);

/** Take a token: 0, or how many seconds to wait before asking again. */
double pacer_take(struct pacer *p, double now);

/** The token that was just taken is not used after all. */
void pacer_give_back(struct pacer *p);

/** From now on so many tokens a second. */
void pacer_set_rate(struct pacer *p, double rate);

/** A stream was admitted, or refused with RESOURCE_EXHAUSTED. */
void pacer_admitted(struct pacer *p, double now);
void pacer_exhausted(struct pacer *p, double now);

/** The rate now, streams a second. */
double pacer_rate(struct pacer *p);
