/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A string of a message, taken as it comes into room of a fixed size. All of it is looked at, also
 * what is cut off: the message is none when it is not UTF-8 (Go's protocol buffers refuse it). A
 * NUL would end the text for us, not for istiod, so it is written as a space, and told. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/utf8.h"

/** The room is the caller's: the same at each call. Begins as {0}. */
struct xds_text {
    uint16_t n; /**< bytes in the room */
    bool cut;   /**< it was longer */
    bool nul;   /**< it has a NUL */
    bool bad;   /**< it is not UTF-8 */
    struct utf8_scan utf8;
};

/** n bytes more. room: bytes at `to`, 1 .. 65535, with the zero. */
void xds_text_add(struct xds_text *t, char *to, size_t room, const uint8_t *data, size_t n);

/** It is complete: zero-terminated, cut at a whole character. False: not UTF-8. */
bool xds_text_end(struct xds_text *t, char *to);
