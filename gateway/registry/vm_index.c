/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/registry/vm_index.h"

#include "core/base/check.h"

static size_t bucket_of(const struct vm_index *x, const void *data, size_t n)
{
    return siphash(&x->key, data, n) % VM_INDEX_BUCKETS;
}

struct vm_link *vm_index_first(const struct vm_index *x, const void *data, size_t n)
{
    return x->buckets[bucket_of(x, data, n)];
}

void vm_index_add(struct vm_index *x, const void *data, size_t n, struct vm_link *link, void *owner)
{
    struct vm_link **bucket = &x->buckets[bucket_of(x, data, n)];

    link->owner = owner;
    link->next = *bucket;
    *bucket = link;
}

void vm_index_remove(struct vm_index *x, const void *data, size_t n, struct vm_link *link)
{
    struct vm_link **at = &x->buckets[bucket_of(x, data, n)];

    while (*at != link) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = link->next;
    link->next = NULL;
}
