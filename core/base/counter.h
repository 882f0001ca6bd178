/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters: one writer (the worker they belong to), any reader. Relaxed atomics, no lock, no fence:
 * a reader sees each value some time after it was written.
 */
#pragma once

#include <stdint.h>

#include "core/base/end_reason.h"
#include "core/base/histogram.h"

enum counter {
#define COUNTER(name, kind, metric, labels, help) COUNTER_##name,
#include "core/base/counter.def"
#undef COUNTER
    COUNTER_COUNT
};

struct counters {
    uint64_t v[COUNTER_COUNT];       /**< gauges never go below zero */
    uint64_t conn_ends[END_COUNT];   /**< ended connections of VMs by reason */
    uint64_t stream_ends[END_COUNT]; /**< ended streams of VMs by reason */
    struct histogram turns;          /**< of the loop, by worker_turn_scale */
};

/** Add n to a value only this thread writes. */
static inline void counter_add(uint64_t *v, int64_t n)
{
    __atomic_store_n(v, __atomic_load_n(v, __ATOMIC_RELAXED) + (uint64_t)n, __ATOMIC_RELAXED);
}

/** The value, from any thread. */
static inline uint64_t counter_read(const uint64_t *v)
{
    return __atomic_load_n(v, __ATOMIC_RELAXED);
}
