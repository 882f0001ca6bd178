/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clock that stands still until a test moves it. Linking virtual_clock.c replaces clock_gettime()
 * and gettimeofday() for the whole program, libev's timers included.
 */
#pragma once

/** Seconds the monotonic clock shows at the start. */
#define VIRTUAL_CLOCK_START 1000.0

/** Move both clocks by seconds, 0 or more. */
void virtual_clock_advance(double seconds);
