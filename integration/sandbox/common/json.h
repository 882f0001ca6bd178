/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "integration/sandbox/common/text.h"

/* Writing: a comma is put where one is needed, so callers only say what comes next. */

/** Open an object or array: `c` is '{' or '['. key NULL inside an array or at the top. */
void json_open(struct text *t, const char *key, char c);

/** Close what was opened: `c` is '}' or ']'. */
void json_close(struct text *t, char c);

/** A string member, escaped; key NULL inside an array. NULL value becomes null. */
void json_str(struct text *t, const char *key, const char *value);

/** A whole-number member. */
void json_int(struct text *t, const char *key, int64_t value);

/** A boolean member. */
void json_bool(struct text *t, const char *key, bool value);

/* Reading: only what a JWT needs, members of one top-level object. */

/**
 * Find a string member of a top-level object.
 *
 * json  borrowed; NUL-terminated text.
 * Returns  true and *out (owned by the caller, escapes resolved; \u above 7F refused).
 */
bool json_get_str(const char *json, const char *key, char **out);

/** Find a whole-number member (a fraction is cut off). Returns whether it was there. */
bool json_get_int(const char *json, const char *key, int64_t *out);

/** Is the member the string `want`, or an array that holds it? */
bool json_has_str(const char *json, const char *key, const char *want);
