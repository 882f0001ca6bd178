/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Allocate zeroed memory. The sandbox ends the process when memory is out: it is a test peer and
 * has nothing better to do.
 *
 * Returns  memory, never NULL; free() it.
 */
void *sbx_alloc(size_t n_bytes);

/**
 * Copy the first `n` bytes of `s` and end them with NUL.
 *
 * Returns  owned by the caller, never NULL.
 */
char *sbx_strndup(const char *s, size_t n);

/**
 * Copy a string; NULL becomes "".
 *
 * Returns  owned by the caller, never NULL.
 */
char *sbx_strdup(const char *s);

/** A growing string, always NUL-terminated once something was added. {0} is an empty one. */
struct text {
    char *p;    /* owned; NULL while nothing was added */
    size_t len; /* bytes before the NUL */
    size_t cap; /* bytes allocated */
};

/** Append `n` bytes of `s`. */
void text_add_n(struct text *t, const char *s, size_t n);

/** Append a string. */
void text_add(struct text *t, const char *s);

/** Append as printf does. */
void text_addf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** The string so far; "" when nothing was added. Borrowed until the next change. */
const char *text_str(const struct text *t);

/** Take the string out; the text is empty afterwards. Owned by the caller, never NULL. */
char *text_take(struct text *t);

/** Release the memory; the text is empty afterwards. */
void text_fini(struct text *t);

/** A list of strings. {0} is an empty one. */
struct names {
    char **v;   /* owned, each owned */
    size_t n;   /* strings in use */
    size_t cap; /* slots allocated */
};

/** Append a copy of `s`. */
void names_add(struct names *l, const char *s);

/** Is `s` one of them? */
bool names_has(const struct names *l, const char *s);

/** Take `s` out, if it is there. Returns whether it was. */
bool names_remove(struct names *l, const char *s);

/** Release all of it; the list is empty afterwards. */
void names_fini(struct names *l);

/**
 * Split `s` at `sep` into copies, empty parts left out.
 *
 * out  gets the parts appended.
 */
void names_split(struct names *out, const char *s, char sep);

/**
 * Read a whole decimal number.
 *
 * s    borrowed; only digits with an optional leading '-'.
 * min, max  bounds, inclusive.
 * Returns  true and *out; false when it is no number or outside, *out untouched.
 */
bool sbx_parse_number(const char *s, int64_t min, int64_t max, int64_t *out);
