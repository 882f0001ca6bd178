/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to istiod end before istiod ends them. At its maximum age (30 minutes, a tenth more
 * or less) it says GOAWAY and ten seconds later cuts all streams in the same instant. So a
 * connection is retired earlier: when a fresh one has room for its streams, they end one after
 * another over RETIRE_SPREAD_S, and their VMs come back there. One connection of an upstream at a
 * time, over all workers.
 *
 * Here is what workers share about it. Relaxed atomics: nothing else depends on them.
 */
#pragma once

#include <stdint.h>

struct upstream;

/** A connection is gone at this age, where istiod has said nothing else: two minutes before the
 * earliest end of one that may live 30 minutes (grpc-go: a tenth less). */
#define RETIRE_AGE_S (25 * 60.0)

/** Of the youngest age at which istiod ended a connection: 0.9 / 1.1 of it may be the next. */
#define RETIRE_SHARE 0.8

/** Ages below are not learned: there is no time to do better than in the ten seconds of GOAWAY. */
#define RETIRE_AGE_MIN_S 10.0

/** What was learned holds for so long; then istiod may have another age. */
#define RETIRE_FORGET_S (24 * 3600.0)

/** Over how many seconds the streams of a connection are spread, when there is time. */
#define RETIRE_SPREAD_S 60.0

struct retirement {
    const void *turn;    /**< the connection that is being retired; NULL: none */
    uint32_t n_conns;    /**< open connections */
    uint32_t age_ms;     /**< learned; 0: nothing */
    uint32_t learned_at; /**< monotonic, whole seconds */
};

/** The age by which a connection has to be gone, seconds. */
double retire_age(const struct upstream *u, double now);

/** istiod ended a connection of that age, seconds, because of its age. */
void retire_learn(struct upstream *u, double age, double now);
