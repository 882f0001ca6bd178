/* SPDX-License-Identifier: Apache-2.0 */
/* Time. Monotonic seconds for durations, wall-clock seconds for certificates and tokens only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** Seconds since an arbitrary start; never goes back. */
double clock_mono(void);

/** Seconds since 1970-01-01 UTC. */
int64_t clock_wall(void);

/** Milliseconds since 1970-01-01 UTC; for time stamps that people read. */
int64_t clock_wall_ms(void);

/** Room for clock_text_ms(). */
#define CLOCK_TEXT_BYTES 32

/** Milliseconds since 1970 as "2026-11-22T01:02:03.456Z" (RFC 3339). False: that year has not four
 * digits; buf is "" then. */
bool clock_text_ms(int64_t ms, char buf[CLOCK_TEXT_BYTES]);
