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

/** A stream was admitted, or refused with RESOURCE_EXHAUSTED. */
void pacer_admitted(struct pacer *p, double now);
void pacer_exhausted(struct pacer *p, double now);

/** The rate now, streams a second. */
double pacer_rate(struct pacer *p);
