/* SPDX-License-Identifier: Apache-2.0 */
/* Time. Monotonic seconds for durations, wall-clock seconds for certificates and tokens only. */
#pragma once

#include <stdint.h>

/** Seconds since an arbitrary start; never goes back. */
double clock_mono(void);

/** Seconds since 1970-01-01 UTC. */
int64_t clock_wall(void);

/** Milliseconds since 1970-01-01 UTC; for time stamps that people read. */
int64_t clock_wall_ms(void);
