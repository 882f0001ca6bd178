/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of resources, and what becomes of one: pairs of a resource and its version, by name, in a
 * block of the store; NULL is the empty one. A resource of which only the name is known stands for
 * one that the VM has and we have not seen. Each function makes a new block; what it was made of
 * stays the caller's.
 */
#pragma once

#include "gateway/vmconfig/config_ask.h"
#include "gateway/vmconfig/config_push.h"

/** A set. Begins as {0}: empty. */
struct config_set {
    struct config_blob *pairs; /**< owned reference */
    uint32_t n_unknown;        /**< resources of which only the name is known */
};

/** Give back what it holds; it is empty then. */
void config_set_fini(struct config_set *s);

/** What a response as a whole is. Takes its pairs. RC_OK; RC_FULL; RC_NO_MEMORY. */
enum rc config_set_of(struct config_push *push, struct config_set *out) MUST_USE;

/** A set and what a response adds, replaces and removes. As above, but the push stays as it is. */
enum rc config_set_merge(const struct config_set *set, const struct config_push *push,
                         struct config_set *out) MUST_USE;

/** Those of a set that are among the names (or that are not). RC_OK; RC_FULL; RC_NO_MEMORY. */
enum rc config_set_restrict(struct config_store *s, const struct config_set *set,
                            const struct config_name *names, size_t n, bool among,
                            struct config_set *out) MUST_USE;

/** What a VM has that names these with their versions: those of the set that it has, and names of
 * what was not seen. As above; RC_FULL also when it names very many that were not seen. */
enum rc config_set_claim(struct config_store *s, const struct config_set *set,
                         const struct config_name *names, size_t n,
                         struct config_set *out) MUST_USE;

/**
 * What is different: pairs of before and after, by name. That only versions changed is nothing.
 *
 * n  how many there are.
 * Returns RC_OK; RC_FULL, RC_NO_MEMORY: *n is right all the same.
 */
enum rc config_set_diff(struct config_store *s, const struct config_set *before,
                        const struct config_set *after, struct config_blob **out,
                        size_t *n) MUST_USE;
