/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A header block: names and values in one arena, in the order they came. Names are lower case
 * (HTTP/2 demands it of the peer; we write them so). An arena with credentials (never_index) is
 * wiped when it is freed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"

struct h2_header {
    uint32_t name_at; /**< offset into the arena */
    uint32_t value_at;
    uint32_t name_len;
    uint32_t value_len;
    bool never_index; /**< sent never-indexed: credentials (RFC 7541 7.1.3) */
};

/** Embedded; all zero is empty. */
struct h2_headers {
    char *arena; /**< owned */
    size_t len;
    size_t cap;
    bool secret;             /**< an item is never_index */
    struct h2_header *items; /**< owned */
    size_t n;
    size_t n_cap;
};

/** Drop everything; may be used again. */
void h2_headers_fini(struct h2_headers *h);

/** Add a header, copied. RC_NO_MEMORY. */
enum rc h2_headers_add(struct h2_headers *h, const char *name, size_t name_len, const char *value,
                       size_t value_len, bool never_index) MUST_USE;

/** Add zero-terminated strings. RC_NO_MEMORY. */
enum rc h2_headers_add_str(struct h2_headers *h, const char *name, const char *value) MUST_USE;

/** Name and value of item i (not zero-terminated), borrowed until the next add or fini. */
const char *h2_header_name(const struct h2_headers *h, size_t i);
const char *h2_header_value(const struct h2_headers *h, size_t i);

/** Is item i called so? */
bool h2_header_is(const struct h2_headers *h, size_t i, const char *name);

/** The first item called name: its value, or NULL. *len is its length. */
const char *h2_headers_find(const struct h2_headers *h, const char *name, size_t *len);

/** How many items are called name. */
size_t h2_headers_count(const struct h2_headers *h, const char *name);

/** Names and values and 32 bytes for each item, as SETTINGS_MAX_HEADER_LIST_SIZE counts (RFC
 * 9113 6.5.2). */
size_t h2_headers_bytes(const struct h2_headers *h);

/** Forget everything and take what other has; other is empty afterwards. */
void h2_headers_take(struct h2_headers *h, struct h2_headers *other);
