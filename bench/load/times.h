/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long things took: a histogram in which every value is known to within one percent, so that
 * millions of them need no memory and no sorting.
 */
#pragma once

#include <stdint.h>

/** Slots for each doubling of the value. */
#define TIMES_SLOTS_LOG2 7
#define TIMES_SLOTS (1u << TIMES_SLOTS_LOG2)
#define TIMES_DOUBLINGS (64 - TIMES_SLOTS_LOG2)

struct times {
    uint64_t counts[(TIMES_DOUBLINGS + 1) * TIMES_SLOTS];
    uint64_t n;
    double max_s;
};

/** Forget everything. */
void times_clear(struct times *t);

/** Note one duration in seconds; less than nothing counts as nothing. */
void times_add(struct times *t, double seconds);

/** The duration in seconds that this share (0 .. 1) did not exceed; 0 when there is none. */
double times_percentile(const struct times *t, double share);
