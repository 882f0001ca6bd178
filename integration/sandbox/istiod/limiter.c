/* SPDX-License-Identifier: Apache-2.0 */
/* istiod's limit of new ADS streams: a rate with burst one and a wait of at most a second. */
#include "integration/sandbox/istiod/limiter.h"

bool limiter_reserve(struct limiter *l, int64_t now_ms, int64_t *wait_ms)
{
    int64_t now_us = now_ms * 1000;

    if (l->per_second <= 0) {
        *wait_ms = 0;
        return true;
    }
    if (l->next_us < now_us) {
        l->next_us = now_us;
    }
    if (l->next_us - now_us > LIMITER_MAX_WAIT_MS * 1000) {
        return false;
    }
    *wait_ms = (l->next_us - now_us) / 1000;
    l->next_us += 1000000 / l->per_second;
    return true;
}
