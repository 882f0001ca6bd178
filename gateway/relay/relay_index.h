/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's relays by number, for those who may not hold a pointer to one: the registry, whose
 * word comes from other threads and may come too late. A number is never given twice while anybody
 * could still know it. Worker-local.
 */
#pragma once

#include <stdint.h>

#include "core/base/end_reason.h"
#include "core/base/rc.h"

struct relay;
struct relay_slot;

struct relay_index {
    struct relay_slot *slots; /**< owned */
    uint32_t n;
    uint32_t free;   /**< the first free slot; n: none */
    unsigned worker; /**< whose; part of each number */
};

/** An empty index of worker number `worker`, 0 .. 255. */
void relay_index_init(struct relay_index *x, unsigned worker);

/** Free it; nothing may be in it. */
void relay_index_fini(struct relay_index *x);

/** Put r in; *id, not 0, names it until relay_index_remove(). RC_NO_MEMORY. */
enum rc relay_index_add(struct relay_index *x, struct relay *r, uint64_t *id) MUST_USE;

/** The relay of this number, or NULL: it is gone. */
struct relay *relay_index_find(const struct relay_index *x, uint64_t id);

/** Take it out. id: of relay_index_add(). */
void relay_index_remove(struct relay_index *x, uint64_t id);

/** End the stream of this number for the VM, with a status that says why; no effect when it is
 * gone. why: END_REVOKED, END_REPLACED, END_REREGISTER. */
void relay_index_end(struct relay_index *x, uint64_t id, enum end_reason why);
