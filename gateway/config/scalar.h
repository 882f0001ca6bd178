/* SPDX-License-Identifier: Apache-2.0 */
/* Words of the configuration file to values: numbers, durations, sizes, names. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What a plain (unquoted) word is to YAML 1.2. */
enum scalar_type { SCALAR_EMPTY, SCALAR_BOOL, SCALAR_INT, SCALAR_FLOAT, SCALAR_TEXT };

/** Room for scalar_format_duration() and scalar_format_size(). */
#define SCALAR_FORMAT_BYTES 32

/** The type of a plain word. "" , "~" and "null" are SCALAR_EMPTY. */
enum scalar_type scalar_type_of(const char *text);

/** The type's name with its article, for people: "a number". */
const char *scalar_type_name(enum scalar_type t);

/** Decimal digits only, no sign, no leading zero; false also above 2^53. */
bool scalar_uint(const char *text, uint64_t *out);

/** "250ms", "30s", "5m", "1h" (whole numbers) to seconds. */
bool scalar_duration(const char *text, double *out);

/** "65536B", "64KiB", "4MiB", "1GiB" (whole numbers) to bytes; a bare number is not accepted here.
 */
bool scalar_size(const char *text, uint64_t *out);

/** "0660" to 0660: three octal digits, or a zero and three. */
bool scalar_octal_mode(const char *text, uint32_t *out);

/** The shortest way to write seconds (whole milliseconds); returns buf of SCALAR_FORMAT_BYTES. */
const char *scalar_format_duration(double seconds, char *buf);

/** The shortest way to write bytes; returns buf of SCALAR_FORMAT_BYTES. */
const char *scalar_format_size(uint64_t bytes, char *buf);

/**
 * A DNS host name: labels of letters, digits, "-" and "_", 63 each, 253 in all, no empty one. A
 * last label that is a number (also 0x...) is refused: the resolver would read the name as an IPv4
 * address in a form of its own (RFC 6943 3.1.1).
 */
bool scalar_is_host_name(const char *text);

/** Does the name always mean this host: "localhost" or below it (RFC 6761 6.3), with or without a
 * final dot? */
bool scalar_is_localhost(const char *host);

/** A name in the file: letters, digits, ".", "_", "-"; 1 to 63. */
bool scalar_is_name(const char *text);

/** An HTTP token in lower case (RFC 9110 5.6.2), 1 to 128 characters. */
bool scalar_is_header_name(const char *text);

/** "/pkg.Service/Method". */
bool scalar_is_grpc_path(const char *text);

/** Lower case in place, ASCII only. */
void scalar_lower(char *text);

/** How many letters to change, insert, remove or swap to get from a to b; a large number for long
 * words. */
size_t scalar_distance(const char *a, const char *b);

/** The word of the NULL-terminated list that was probably meant, or NULL. */
const char *scalar_suggest(const char *word, const char *const *known);
