/* SPDX-License-Identifier: Apache-2.0 */
/* Names of Kubernetes objects, before they go into files that a root shell reads. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/** One label of RFC 1123: up to 63 of a-z, 0-9 and '-', no '-' at either end. */
bool name_is_label(const char *name);

/** Labels with dots between them, up to 253 letters. */
bool name_is_subdomain(const char *name);

/** A name that a shell gives to a variable. */
bool name_is_variable(const char *name);

/** One word of visible ASCII, as a token is; n bytes, at least one. */
bool name_is_word(const char *text, size_t n);
