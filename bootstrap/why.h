/* SPDX-License-Identifier: Apache-2.0 */
/* The one line that says why a bundle cannot be made. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"

/** Where the line goes. Embedded; passed by pointer within one call. */
struct why {
    char *text;   /**< borrowed */
    size_t bytes; /**< room in text, 1 or more */
};

/** Write the line, cut to its room, control characters as '?'. Returns RC_INVALID. */
enum rc why_set(const struct why *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Room for a time. */
#define WHY_TIME_BYTES 32

/** Seconds for people, such as "3 h", into buf of WHY_TIME_BYTES. Returns buf. */
const char *why_time(int64_t s, char *buf);
