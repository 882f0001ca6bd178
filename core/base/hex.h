/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as hexadecimal digits: prints of certificates, serial numbers. Pure. */
#pragma once

#include <stddef.h>

/** Room for n bytes, and a zero. */
#define HEX_BYTES(n) (2 * (n) + 1)

/** How many bytes fit into room for so many characters, 1 or more, with the zero. */
#define HEX_FITS(room) (((room)-1) / 2)

/** n bytes as small digits, two each, zero-terminated into out of HEX_BYTES(n). Returns out. */
char *hex_write(char *out, const void *bytes, size_t n);
