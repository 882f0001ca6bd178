/* SPDX-License-Identifier: Apache-2.0 */
/* The one line that says why a bundle cannot be made. */
#pragma once

#include <stddef.h>

#include "core/base/rc.h"

/** Where the line goes. Embedded; passed by pointer within one call. */
struct why {
    char *text;   /**< borrowed */
    size_t bytes; /**< room in text, 1 or more */
};

/** Write the line, cut to its room, control characters as '?'. Returns RC_INVALID. */
enum rc why_set(const struct why *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
