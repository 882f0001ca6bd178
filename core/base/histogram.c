/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/histogram.h"

#include <stddef.h>

#include "core/base/counter.h"

void histogram_add(struct histogram *h, const struct histogram_scale *scale, int64_t value)
{
    size_t i = 0;

    value = value < 0 ? 0 : value;
    while (i < HISTOGRAM_BUCKETS && value > scale->bounds[i]) {
        i++;
    }
    counter_add(&h->buckets[i], 1);
    counter_add(&h->sum, value);
}
