/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/registry/tally.h"

#include <stddef.h>

#include "core/base/counter.h"

const struct histogram_scale tally_ack_scale = {
    {5, 10, 25, 50, 100, 250, 1000, 5000, 30000, 120000}, 1000};

/* Nothing but counters, so that a sum is one loop. */
#define N_COUNTERS (sizeof(struct tally) / sizeof(uint64_t))
_Static_assert(N_COUNTERS * sizeof(uint64_t) == sizeof(struct tally), "counters only");

void tally_sum(struct tally *sum, const struct tally *worker)
{
    const uint64_t *from = (const uint64_t *)worker;
    uint64_t *to = (uint64_t *)sum;

    for (size_t i = 0; i < N_COUNTERS; i++) {
        to[i] += counter_read(&from[i]);
    }
}
