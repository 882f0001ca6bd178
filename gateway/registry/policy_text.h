/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sentences about what a VM said, into a buffer of fixed size. What does not fit is left out. Only
 * for gateway/registry.
 */
#pragma once

#include <stddef.h>

/** What is shown of a foreign text, in bytes when escaped: the longest namespace fits. */
#define POLICY_QUOTE_BYTES 72

/** How many elements of a list are shown. */
#define POLICY_LIST_MAX 4

struct policy_text {
    char *buf; /**< borrowed; always zero-terminated */
    size_t cap;
    size_t n;
};

/** Begin an empty text in buf of cap bytes, 1 or more. */
void policy_text_init(struct policy_text *t, char *buf, size_t cap);

/** Add text of our own. */
void policy_text_add(struct policy_text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/** Add n bytes of a stranger's, in quotes: cut, and escaped but for printable ASCII without quotes
 * and backslashes. */
void policy_text_quote(struct policy_text *t, const char *s, size_t n);

/** Add the first elements of a NULL-terminated list, in quotes, and how many more there are. */
void policy_text_list(struct policy_text *t, char *const *list);
