/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded queue that is fair among VMs: entries of one key wait in order, keys take turns. Keys
 * are hashed into buckets, so two VMs may share a turn, but one VM can never take many. Pure;
 * worker-local.
 */
#pragma once

#include <stdint.h>

#include "core/base/list.h"
#include "core/base/rc.h"

#define FAIR_QUEUE_BUCKETS 256

struct fair_queue {
    struct list buckets[FAIR_QUEUE_BUCKETS];
    uint32_t next; /**< whose turn it is */
    uint32_t n;    /**< entries in all buckets */
    uint32_t max;
};

/** Make it empty, for at most max entries. */
void fair_queue_init(struct fair_queue *q, uint32_t max);

/** Append; node is borrowed until taken or removed. RC_FULL. */
enum rc fair_queue_put(struct fair_queue *q, uint32_t key, struct list *node) MUST_USE;

/** The entry whose turn it is, taken off; NULL when empty. */
struct list *fair_queue_take(struct fair_queue *q);

/** Take off an entry that is queued. */
void fair_queue_remove(struct fair_queue *q, struct list *node);
