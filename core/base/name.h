/* SPDX-License-Identifier: Apache-2.0 */
/* Names as Kubernetes has them, and words: what may stand in a path, a line or a file that a shell
 * reads. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/** RFC 1123 label, as Kubernetes reads it: 1 to 63 of a-z, 0-9 and '-', no '-' at either end.
 * Namespaces and services. */
bool name_is_label(const char *name);

/** RFC 1123 subdomain, likewise: 1 to 253 of those, and dots with a letter or a digit on both
 * sides. Most other names. */
bool name_is_subdomain(const char *name);

/** A name that a shell gives to a variable. */
bool name_is_variable(const char *name);

/** One word of visible ASCII, as a token is; n bytes, at least one. */
bool name_is_word(const char *text, size_t n);
