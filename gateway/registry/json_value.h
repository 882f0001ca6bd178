/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the API's JSON that several bodies have. NULL: out of memory. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/doc/doc.h"

/** n bytes that a stranger said, made harmless (core/base/show.h); null when there are none. */
json_t *json_value_text(const char *text, size_t n);

/** The same, but what is empty is "". */
json_t *json_value_kept(const char *text, size_t n);

/** Milliseconds since 1970 as RFC 3339; null: never, or in no year that one can write. */
json_t *json_value_time(int64_t ms);
