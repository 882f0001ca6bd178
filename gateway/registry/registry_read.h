/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the registry. Any thread but a worker's: the functions copy VM by VM, and take the
 * table's lock for some dozens of VMs at a time, so nobody who writes waits for long.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/registry/vm_view.h"

/** Is shown a VM; v is borrowed during the call. No lock is held. False: that is enough. */
typedef bool registry_see_fn(void *arg, const struct vm_view *v);

/**
 * Show every VM that has changed since then: each that is there all the time once, in no order.
 *
 * since   what an earlier call returned; 0: all VMs.
 * now_ms  wall clock.
 * Returns what to give as since the next time: larger than ever before, and about now_ms.
 */
uint64_t registry_collect(struct registry *r, uint64_t since, int64_t now_ms, registry_see_fn *fn,
                          void *arg);

/** Ids of VMs that were forgotten since then, at most; one may have come again. */
#define REGISTRY_GONE_MAX 1024

/** Which VMs were forgotten since a registry_collect() returned since. False: that is too long ago,
 * or was another process; all VMs are to be collected. ids: REGISTRY_GONE_MAX of them. */
bool registry_gone(struct registry *r, uint64_t since, uint64_t *ids, size_t *n);

/** Numbers of VMs. */
struct registry_count {
    uint32_t connected;    /**< they have a stream */
    uint32_t disconnected; /**< istiod has believed them, and they have none */
    uint32_t refused;      /**< they were always refused */
    uint32_t revoked;      /**< on the deny list, whether they come or not */
};

/** How many VMs there are now. */
void registry_count(struct registry *r, struct registry_count *out);
