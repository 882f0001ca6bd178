/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** How long a new ADS stream may wait for its turn before it is refused. */
#define LIMITER_MAX_WAIT_MS 1000

/** Token bucket with a burst of one. {0} limits nothing. */
struct limiter {
    int64_t per_second; /* 0: no limit */
    int64_t next_us;    /* when the next token is there; caller's clock */
};

/**
 * Ask for a turn.
 *
 * now_ms   any clock that only goes forward, the same each time.
 * wait_ms  gets how long to wait, 0 .. LIMITER_MAX_WAIT_MS.
 * Returns  false when it would be longer: the caller is refused and uses up nothing.
 */
bool limiter_reserve(struct limiter *l, int64_t now_ms, int64_t *wait_ms);
