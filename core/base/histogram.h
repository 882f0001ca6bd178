/* SPDX-License-Identifier: Apache-2.0 */
/* How often something took how long: counters (counter.h), so one writer and any reader. */
#pragma once

#include <stdint.h>

/** Bounded buckets; one more has what is above all bounds. */
#define HISTOGRAM_BUCKETS 10

/** Begins as {0}. Nothing but counters, so that it may be a part of a struct of them. */
struct histogram {
    uint64_t sum;
    uint64_t buckets[HISTOGRAM_BUCKETS + 1]; /**< each for itself, not added up */
};

/** Upper bounds, each larger than the one before, and how many of their unit are a second. */
struct histogram_scale {
    uint32_t bounds[HISTOGRAM_BUCKETS];
    uint32_t per_second;
};

/** Count a value, in the unit of the scale; below 0 is 0. */
void histogram_add(struct histogram *h, const struct histogram_scale *scale, int64_t value);
