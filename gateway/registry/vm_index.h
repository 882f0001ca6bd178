/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash table of links that lie in what is found: several things may be under one key, and the
 * caller compares. With SipHash and a random key, so that no stranger fills one bucket. As many
 * buckets as it will ever have, so that a walk over them misses nobody. No lock of its own.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/base/siphash.h"

/** For as many VMs as `registry.max_vms` may be (gateway/config/params.def): some 25 in each, for
 * which a walk has room (REGISTRY_SLICE). */
#define VM_INDEX_BUCKETS 8192U

struct vm_link {
    struct vm_link *next; /**< in its bucket */
    void *owner;          /**< what it lies in */
};

struct vm_index {
    struct siphash_key key;
    struct vm_link *buckets[VM_INDEX_BUCKETS];
};

/** The links under n bytes of key, among others: walk by next. */
struct vm_link *vm_index_first(const struct vm_index *x, const void *data, size_t n);

/** Put a link there, with its owner. */
void vm_index_add(struct vm_index *x, const void *data, size_t n, struct vm_link *link,
                  void *owner);

/** Take a link off that lies there. */
void vm_index_remove(struct vm_index *x, const void *data, size_t n, struct vm_link *link);
