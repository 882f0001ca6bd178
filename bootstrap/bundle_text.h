/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A text that grows and may hold a token: what it leaves behind in memory is wiped. An error (no
 * memory, more than TEXT_MAX_BYTES) stays until the end, so only text_result() has to be looked at.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"

#define TEXT_MAX_BYTES (16U * 1024 * 1024)

struct text {
    uint32_t magic;
    enum rc error; /**< RC_OK until something fails */
    char *data;    /**< owned */
    size_t n;
    size_t room;
};

/** Make t an empty text. */
void text_init(struct text *t);

/** Wipe and free it. */
void text_fini(struct text *t);

/** RC_OK; RC_NO_MEMORY; RC_FULL: it would have become longer than TEXT_MAX_BYTES. */
enum rc text_result(const struct text *t) MUST_USE;

/** Append n bytes. */
void text_add(struct text *t, const void *data, size_t n);

/** Append a string. */
void text_put(struct text *t, const char *string);

/** Append what printf() would print; at most 511 bytes of it. */
void text_printf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Append n zero bytes. */
void text_zeros(struct text *t, size_t n);

/** Append base64 in lines of 76 characters, each with its newline. */
void text_base64(struct text *t, const void *data, size_t n);

/** Append lines, each one that is not empty behind so many blanks; what does not end with a
 * newline gets one. */
void text_indented(struct text *t, const char *lines, size_t n, unsigned blanks);
