/* SPDX-License-Identifier: Apache-2.0 */
/* Durations as Go writes and reads them: "1h30m", "45s", "1.5s", "-2ms". Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Room for every text of go_duration_format(). */
#define GO_DURATION_BYTES 32

/**
 * Read a duration.
 *
 * ns  nanoseconds, may be negative; set when true is returned.
 * Returns false when it is none, or beyond 292 years.
 * Source  Go's time.ParseDuration().
 */
bool go_duration_parse(const char *text, int64_t *ns);

/** Seconds with 0, 3, 6 or 9 digits behind the point, as protobuf's JSON has it: "90s", "0.100s".
 * Returns buf. */
const char *go_duration_format(int64_t ns, char buf[GO_DURATION_BYTES]);
