/* SPDX-License-Identifier: Apache-2.0 */
/* A text that does not change, held by several: a reader of a VM takes a reference instead of a
 * copy. Any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct shared_text {
    uint32_t refs; /**< atomic */
    char text[];   /**< zero-terminated */
};

/** The first n bytes of text at most, cut at a whole character. One reference, owned by the caller.
 * NULL: out of memory. */
struct shared_text *shared_text_new(const char *text, size_t n);

/** One reference more; NULL is allowed and returned. */
struct shared_text *shared_text_ref(struct shared_text *t);

/** Give a reference back and null the pointer; NULL is allowed. */
void shared_text_unref(struct shared_text **t);

/** The text, "" for NULL. Borrowed. */
const char *shared_text_get(const struct shared_text *t);
