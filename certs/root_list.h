/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roots that somebody publishes, as an immutable list, shared by reference count (any thread): to
 * be believed beside those of files (cert_set_opts.more_roots, root_set_load_with()), and to be
 * held against what is believed already.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "certs/cert_set.h"
#include "core/base/rc.h"

struct root_list;

/** A list with more certificates is refused. A mesh in a rotation publishes two. */
#define ROOT_LIST_MAX 64

/** SHA-256 of a certificate in hexadecimal digits. */
#define ROOT_PRINT_BYTES 65

/** A list without roots. out: owned reference. RC_NO_MEMORY. */
enum rc root_list_new(struct root_list **out) MUST_USE;

/**
 * The roots of a PEM text, 1 to ROOT_LIST_MAX.
 *
 * pem      borrowed; n bytes.
 * out      owned reference.
 * Returns  RC_OK; RC_INVALID with err->text filled; RC_NO_MEMORY.
 */
enum rc root_list_parse(const char *pem, size_t n, struct root_list **out,
                        struct cert_error *err) MUST_USE;

/** One more reference to l, which is returned; NULL is allowed. */
struct root_list *root_list_ref(struct root_list *l);

/** Drop a reference and null the pointer; NULL is allowed. */
void root_list_unref(struct root_list **l);

/** How many roots there are. */
size_t root_list_count(const struct root_list *l);

/** Have both the same roots, in any order? NULL is the same as NULL only. */
bool root_list_same(const struct root_list *a, const struct root_list *b);

/** Roots that are on a list, but not believed. */
struct root_gap {
    size_t n;
    uint64_t print;                /**< another number for other roots */
    char subject[256];             /**< of the first one: RFC 2253, cut */
    char sha256[ROOT_PRINT_BYTES]; /**< of the first one */
};

/** What of l is no anchor of s. One that has expired is not missing. */
void cert_set_missing(const struct cert_set *s, const struct root_list *l, struct root_gap *out);

/** What of l is no anchor of s. One that has expired is not missing. */
void root_set_missing(const struct root_set *s, const struct root_list *l, struct root_gap *out);
