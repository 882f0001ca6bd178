/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a text UTF-8 (RFC 3629), in pieces of any size: no overlong forms, no surrogates, nothing
 * above U+10FFFF. That is what Go's utf8.Valid() says, and with it protocol buffers. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Begins as {0}. */
struct utf8_scan {
    uint8_t need; /**< bytes to come of the open character */
    uint8_t low;  /**< the next one is low .. high */
    uint8_t high;
};

/** n bytes more. False: no UTF-8; then the scan means nothing any more. */
bool utf8_feed(struct utf8_scan *s, const uint8_t *data, size_t n);

/** Is no character open? */
bool utf8_is_whole(const struct utf8_scan *s);

/** How many of the n bytes of a text, whose end may have been cut off, are whole characters. text:
 * UTF-8 but for that. */
size_t utf8_whole_bytes(const char *text, size_t n);
