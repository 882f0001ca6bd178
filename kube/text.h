/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts for people: errors, and what an API server says. One line, bounded, without control
 * characters and without anything that looks like a token. Pure.
 */
#pragma once

#include <stddef.h>

#include "core/base/rc.h"

/** Room for an error text and its zero. */
#define KUBE_TEXT_BYTES 640

/** What is wrong and what to do about it: names a file, a key or a server, never a secret. */
struct kube_error {
    char text[KUBE_TEXT_BYTES];
};

/** Write err->text, as printf() would. */
void kube_error_write(struct kube_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** The same, with a value: `return kube_fail(err, RC_INVALID, "%s: ...", path)`. */
#define kube_fail(err, value, ...) (kube_error_write(err, __VA_ARGS__), (enum rc)(value))

/**
 * Append text of somebody else to a text for people: at most max bytes of it, control characters
 * and bytes beyond ASCII as "?", JSON web tokens and the word secret (may be NULL) as "[token]".
 *
 * out    holds a zero-terminated text; size is that of the array.
 * text   borrowed.
 */
void kube_text_append(char *out, size_t size, const char *text, size_t max, const char *secret);
