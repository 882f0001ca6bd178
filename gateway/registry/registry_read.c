/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/registry/registry_read.h"

#include <sched.h>

#include "core/base/check.h"
#include "gateway/registry/registry_internal.h"

/* A walk takes so many VMs at the least, if there are as many, before it lets others have the
 * table; and passes by so many buckets at the most. */
#define SLICE_VMS 64
#define SLICE_BUCKETS 256

/* After so many VMs, some tenths of a millisecond, a reader lets others have its CPU. By itself the
 * kernel would take it away after milliseconds, and a worker that shares it has to answer. */
#define YIELD_VMS 16

/* ---- walks ---- */

size_t registry_slice(struct registry *r, size_t *bucket, struct vm *vms[REGISTRY_SLICE])
{
    size_t end = *bucket + SLICE_BUCKETS;
    size_t n = 0;

    pthread_mutex_lock(&r->lock);
    for (; *bucket < VM_INDEX_BUCKETS && *bucket < end && n < SLICE_VMS; ++*bucket) {
        /* Buckets are short, whatever strangers do: there is room for the last one. */
        for (struct vm_link *l = r->by_id.buckets[*bucket]; l != NULL && n < REGISTRY_SLICE;
             l = l->next) {
            vms[n++] = vm_ref(l->owner);
        }
    }
    pthread_mutex_unlock(&r->lock);
    return n;
}

/* Of what comes after this, readers of the next walk hear. */
static uint64_t next_epoch(struct registry *r, int64_t now_ms)
{
    uint64_t before = __atomic_load_n(&r->epoch, __ATOMIC_RELAXED);
    uint64_t next;

    do {
        next = before + 1 > (uint64_t)now_ms ? before + 1 : (uint64_t)now_ms;
    } while (!__atomic_compare_exchange_n(&r->epoch, &before, next, false, __ATOMIC_ACQ_REL,
                                          __ATOMIC_RELAXED));
    return next;
}

/* Show one. False: that is enough. */
static bool show(struct vm *vm, uint64_t since, registry_see_fn *fn, void *arg)
{
    struct vm_view v;

    if (!vm_view_take(vm, since, &v)) {
        return true;
    }
    bool more = fn(arg, &v);
    vm_view_fini(&v);
    return more;
}

uint64_t registry_collect(struct registry *r, uint64_t since, int64_t now_ms, registry_see_fn *fn,
                          void *arg)
{
    struct vm *vms[REGISTRY_SLICE];
    size_t bucket = 0;
    bool more = true;

    CHECK_MAGIC(r, REGISTRY_MAGIC);
    uint64_t next = next_epoch(r, now_ms);
    while (more && bucket < VM_INDEX_BUCKETS) {
        size_t n = registry_slice(r, &bucket, vms);
        for (size_t i = 0; i < n; i++) {
            more = more && show(vms[i], since, fn, arg);
            vm_unref(&vms[i]);
            if (more && i % YIELD_VMS == YIELD_VMS - 1) {
                (void)sched_yield();
            }
        }
    }
    return next;
}

/* ---- those that are gone ---- */

bool registry_gone(struct registry *r, uint64_t since, uint64_t *ids, size_t *n)
{
    CHECK_MAGIC(r, REGISTRY_MAGIC);
    pthread_mutex_lock(&r->lock);
    uint64_t first = r->n_gone_ids > REGISTRY_GONE_IDS ? r->n_gone_ids - REGISTRY_GONE_IDS : 0;
    /* The one before the first that is remembered must be too old to matter. */
    bool remembered = since > r->start_epoch &&
                      since <= __atomic_load_n(&r->epoch, __ATOMIC_RELAXED) &&
                      (first == 0 || r->gone_ids[first % REGISTRY_GONE_IDS].epoch < since);
    *n = 0;
    for (uint64_t i = first; remembered && i < r->n_gone_ids; i++) {
        if (r->gone_ids[i % REGISTRY_GONE_IDS].epoch >= since) {
            ids[(*n)++] = r->gone_ids[i % REGISTRY_GONE_IDS].id;
        }
    }
    pthread_mutex_unlock(&r->lock);
    return remembered;
}
