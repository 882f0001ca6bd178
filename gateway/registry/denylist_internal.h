/* SPDX-License-Identifier: Apache-2.0 */
/* Between denylist.c and denylist_file.c. */
#pragma once

#include "gateway/registry/denylist.h"

/** The version of the file that is written, and the only one that is read. */
#define DENYLIST_VERSION 1

/** Lists of a set, by identity and name. */
#define DENYLIST_BUCKETS 256

/** A revoked VM in one block; v points into it. */
struct denylist_entry {
    struct denylist_entry *next; /**< in its bucket */
    struct denial v;
    uint8_t keys[DENYLIST_KEYS_MAX][DENYLIST_KEY_BYTES]; /**< the newest last */
    char texts[];
};

/** All of them. Begins as {0}. */
struct denylist_set {
    struct denylist_entry **of; /**< owned; in the order in which they were revoked */
    size_t n;
    struct denylist_entry *buckets[DENYLIST_BUCKETS];
};

/** Free what it holds; it is empty then. */
void denylist_set_fini(struct denylist_set *s);

/** The one of this identity and name; NULL: there is none. */
struct denylist_entry *denylist_set_find(const struct denylist_set *s, const char *identity,
                                         const char *name);

/** Add a key as the newest one. False: it was there. */
bool denylist_entry_add_key(struct denylist_entry *e, const uint8_t key[DENYLIST_KEY_BYTES]);

/** Add a VM, or its keys to the one that is there. RC_OK; RC_FULL; RC_NO_MEMORY. */
enum rc denylist_set_put(struct denylist_set *s, const struct denial *v) MUST_USE;

/** Copy all of a set. out: empty; with RC_OK only it holds something. RC_OK; RC_NO_MEMORY. */
enum rc denylist_set_copy(const struct denylist_set *s, struct denylist_set *out) MUST_USE;

/** What a file says. out: empty; with RC_OK only it holds something. why: without the path, with
 * RC_INVALID. RC_OK; RC_INVALID; RC_NO_MEMORY. */
enum rc denylist_set_read(const char *text, size_t n, struct denylist_set *out, char *why) MUST_USE;

/** The content of the file, owned by the caller. RC_OK; RC_FULL: it would be too long to be read;
 * RC_INVALID: a text is not UTF-8; RC_NO_MEMORY. */
enum rc denylist_set_write(const struct denylist_set *s, char **out, size_t *n) MUST_USE;
