/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/times.h"

#include <math.h>
#include <string.h>

void times_clear(struct times *t)
{
    memset(t, 0, sizeof(*t));
}

/* The first slots are one nanosecond wide; from there on each doubling has as many. */
static unsigned slot_of(uint64_t ns)
{
    unsigned shift;

    if (ns < TIMES_SLOTS) {
        return (unsigned)ns;
    }
    shift = 63u - (unsigned)__builtin_clzll(ns) - TIMES_SLOTS_LOG2;
    return (shift + 1) * TIMES_SLOTS + (unsigned)((ns >> shift) - TIMES_SLOTS);
}

/* The middle of a slot. */
static double slot_seconds(unsigned slot)
{
    unsigned doubling = slot / TIMES_SLOTS;
    double low = slot;
    double width = 1;

    if (doubling > 0) {
        width = (double)((uint64_t)1 << (doubling - 1));
        low = (double)(TIMES_SLOTS + slot % TIMES_SLOTS) * width;
    }
    return (low + width / 2) / 1e9;
}

void times_add(struct times *t, double seconds)
{
    t->counts[slot_of(seconds > 0 ? (uint64_t)(seconds * 1e9) : 0)]++;
    t->n++;
    if (seconds > t->max_s) {
        t->max_s = seconds;
    }
}

double times_percentile(const struct times *t, double share)
{
    uint64_t wanted = (uint64_t)ceil((double)t->n * share);
    uint64_t seen = 0;

    for (unsigned slot = 0; slot < sizeof(t->counts) / sizeof(t->counts[0]); slot++) {
        seen += t->counts[slot];
        if (seen > 0 && seen >= wanted) {
            double s = slot_seconds(slot);
            return s < t->max_s ? s : t->max_s;
        }
    }
    return 0;
}
