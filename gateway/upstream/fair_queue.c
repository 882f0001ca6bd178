/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/upstream/fair_queue.h"

#include <stddef.h>

#include "core/base/check.h"

void fair_queue_init(struct fair_queue *q, uint32_t max)
{
    for (uint32_t i = 0; i < FAIR_QUEUE_BUCKETS; i++) {
        list_init(&q->buckets[i]);
    }
    q->next = 0;
    q->n = 0;
    q->max = max;
}

enum rc fair_queue_put(struct fair_queue *q, uint32_t key, struct list *node)
{
    if (q->n >= q->max) {
        return RC_FULL;
    }
    list_add_tail(&q->buckets[key % FAIR_QUEUE_BUCKETS], node);
    q->n++;
    return RC_OK;
}

struct list *fair_queue_take(struct fair_queue *q)
{
    if (q->n == 0) {
        return NULL;
    }
    while (list_empty(&q->buckets[q->next])) {
        q->next = (q->next + 1) % FAIR_QUEUE_BUCKETS;
    }
    struct list *node = list_pop(&q->buckets[q->next]);
    q->next = (q->next + 1) % FAIR_QUEUE_BUCKETS;
    q->n--;
    return node;
}

void fair_queue_remove(struct fair_queue *q, struct list *node)
{
    CHECK(q->n > 0 && !list_empty(node));
    list_del(node);
    q->n--;
}
