/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts of strangers, before anybody sees them: what is no UTF-8 (RFC 3629), and what would move a
 * terminal's cursor, end a line or turn the writing direction. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The well-formed character at the start of n bytes, 1 or more. Returns how many of them it has,
 * with *code filled, or 0: there is none. */
size_t show_decode(const unsigned char *s, size_t n, uint32_t *code);

/** Must this character not reach a terminal, a log or a page as it is? */
bool show_is_unsafe(uint32_t code);

/** Room for n bytes after show_clean(), with the zero. */
#define SHOW_CLEAN_BYTES(n) (3 * (n) + 1)

/** n bytes with U+FFFD for each byte that is no UTF-8 and for each unsafe character,
 * zero-terminated into out of SHOW_CLEAN_BYTES(n). Returns its length. */
size_t show_clean(const char *s, size_t n, char *out);
