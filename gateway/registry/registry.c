/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table: which VMs there are, and who makes room for whom.
 *
 * A VM that istiod has believed stays until it is due. How many others there are does not depend on
 * how many come: those with a certificate that were always refused are a few, those without one
 * fewer, and among VMs of one key, or of keys that were given to its holder, only a few that are
 * gone stay. So nobody fills the table, or pushes others out of it, with names that he makes up.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "gateway/registry/registry_internal.h"

/* How many may rest on each list; 0: no bound of its own. */
static const uint32_t rest_max[VM_RESTS] = {[VM_REFUSED] = 192, [VM_STRANGER] = 64};

/* At a time, when what is due is forgotten. */
#define SWEEP_SLICE 64

/* ---- life ---- */

static bool make_keys(struct registry *r)
{
    struct siphash_key keys[3];

    if (getrandom(keys, sizeof(keys), 0) != (ssize_t)sizeof(keys)) {
        return false;
    }
    r->by_id.key = keys[0];
    r->by_key.key = keys[1];
    r->by_address.key = keys[2];
    return true;
}

enum rc registry_new(const struct registry_opts *opts, registry_end_fn *end, void *arg,
                     struct registry **out)
{
    struct registry *r = calloc(1, sizeof(*r));

    if (r == NULL) {
        return RC_NO_MEMORY;
    }
    enum rc rc = make_keys(r) ? config_store_new(&r->configs) : RC_SYSTEM;
    if (rc == RC_OK) {
        rc = denylist_new(&r->denylist);
    }
    if (rc != RC_OK) {
        config_store_free(&r->configs);
        free(r);
        return rc;
    }
    r->magic = REGISTRY_MAGIC;
    r->end = end;
    r->arg = arg;
    /* Larger than what a process before this one has told its readers. */
    r->start_epoch = (uint64_t)clock_wall_ms();
    r->epoch = r->start_epoch;
    pthread_mutex_init(&r->lock, NULL);
    for (size_t i = 0; i < VM_RESTS; i++) {
        list_init(&r->lists[i]);
    }
    list_init(&r->forgotten);
    registry_set_opts(r, opts);
    *out = r;
    return RC_OK;
}

/* What was kept of a VM may be much, and everybody needs the table's lock. */
static void free_forgotten(struct registry *r)
{
    for (;;) {
        pthread_mutex_lock(&r->lock);
        struct list *node = list_pop(&r->forgotten);
        pthread_mutex_unlock(&r->lock);
        if (node == NULL) {
            return;
        }
        struct vm *vm = LIST_ENTRY(node, struct vm, node);
        vm_unref(&vm);
    }
}

void registry_free(struct registry **pr)
{
    struct registry *r = *pr;

    *pr = NULL;
    if (r == NULL) {
        return;
    }
    CHECK_MAGIC(r, REGISTRY_MAGIC);
    CHECK(r->n[VM_LIVING] == 0);
    for (size_t i = 0; i < VM_RESTS; i++) {
        while (!list_empty(&r->lists[i])) {
            registry_forget(r, LIST_ENTRY(r->lists[i].next, struct vm, node));
        }
    }
    CHECK(r->n_known == 0 && r->n_strangers == 0);
    free_forgotten(r);
    denylist_free(&r->denylist);
    config_store_free(&r->configs);
    pthread_mutex_destroy(&r->lock);
    r->magic = 0;
    free(r);
}

void registry_set_opts(struct registry *r, const struct registry_opts *opts)
{
    CHECK_MAGIC(r, REGISTRY_MAGIC);
    pthread_mutex_lock(&r->lock);
    r->opts = *opts;
    while (r->n_known > r->opts.max_vms && !list_empty(&r->lists[VM_GONE])) {
        registry_forget(r, LIST_ENTRY(r->lists[VM_GONE].next, struct vm, node));
    }
    pthread_mutex_unlock(&r->lock);
    registry_config_use(r, opts->keep_config_bytes);
}

/* ---- VMs ---- */

static bool is_vm(const struct vm *vm, uint64_t id, const char *identity, const char *node_id)
{
    return vm->id == id && strcmp(vm_claim_text(vm->claim, VM_NODE_ID), node_id) == 0 &&
           strcmp(vm_claim_text(vm->claim, VM_IDENTITY), identity) == 0;
}

struct vm *registry_find_vm(const struct registry *r, uint64_t id, const char *identity,
                            const char *node_id)
{
    struct vm_link *l = vm_index_first(&r->by_id, &id, sizeof(id));

    while (l != NULL && !is_vm(l->owner, id, identity, node_id)) {
        l = l->next;
    }
    return l != NULL ? l->owner : NULL;
}

void registry_add_vm(struct registry *r, struct vm *vm, enum vm_rest rest, int64_t now_ms)
{
    vm_index_add(&r->by_id, &vm->id, sizeof(vm->id), &vm->by_id, vm);
    vm->in_table = true;
    vm->rest = (uint8_t)rest;
    vm->rest_ms = now_ms;
    list_add_tail(&r->lists[rest], &vm->node);
    r->n[rest]++;
}

/* It is one that is no longer, or is from now on, among the living strangers. */
static void count_stranger(struct registry *r, const struct vm *vm, int n)
{
    if (vm->rest == VM_LIVING && !vm->known) {
        r->n_strangers += (uint32_t)n;
    }
}

void registry_set_rest(struct registry *r, struct vm *vm, enum vm_rest rest, int64_t now_ms)
{
    CHECK(vm->in_table && (rest == VM_LIVING) == (vm->streams != NULL));
    count_stranger(r, vm, -1);
    list_del(&vm->node);
    r->n[vm->rest]--;
    vm->rest = (uint8_t)rest;
    vm->rest_ms = now_ms;
    list_add_tail(&r->lists[rest], &vm->node);
    r->n[rest]++;
    count_stranger(r, vm, 1);
    if (rest_max[rest] > 0 && r->n[rest] > rest_max[rest]) {
        registry_forget(r, LIST_ENTRY(r->lists[rest].next, struct vm, node));
    }
}

void registry_set_known(struct registry *r, struct vm *vm)
{
    if (!vm->known) {
        count_stranger(r, vm, -1);
        vm->known = true;
        r->n_known++;
    }
}

bool registry_make_room(struct registry *r)
{
    if (r->n_known < r->opts.max_vms) {
        return true;
    }
    if (list_empty(&r->lists[VM_GONE])) {
        return false;
    }
    registry_forget(r, LIST_ENTRY(r->lists[VM_GONE].next, struct vm, node));
    return true;
}

/* Readers of changes have to hear of it. */
static void note_gone(struct registry *r, uint64_t id)
{
    size_t i = r->n_gone_ids++ % REGISTRY_GONE_IDS;

    r->gone_ids[i].id = id;
    r->gone_ids[i].epoch = __atomic_load_n(&r->epoch, __ATOMIC_RELAXED);
}

void registry_forget(struct registry *r, struct vm *vm)
{
    struct vm *table = vm; /* the table's reference */

    CHECK(vm->in_table && vm->streams == NULL);
    vm_index_remove(&r->by_id, &vm->id, sizeof(vm->id), &vm->by_id);
    list_del(&vm->node);
    r->n[vm->rest]--;
    r->n_known -= vm->known;
    pthread_mutex_lock(&vm->lock);
    vm_drop_keys(vm);
    bool takes_long = vm->config != NULL;
    pthread_mutex_unlock(&vm->lock);
    vm->in_table = false;
    note_gone(r, vm->id);
    if (takes_long) {
        list_add_tail(&r->forgotten, &vm->node);
    } else {
        vm_unref(&table);
    }
}

/* ---- what is due ---- */

/* Of one list; false: nothing is left that is due. */
static bool forget_some(struct registry *r, enum vm_rest rest, int64_t now_ms)
{
    size_t n = 0;

    pthread_mutex_lock(&r->lock);
    double forget_after_ms = r->opts.forget_after_s * 1000;
    while (n < SWEEP_SLICE && !list_empty(&r->lists[rest])) {
        struct vm *vm = LIST_ENTRY(r->lists[rest].next, struct vm, node);
        if ((double)(now_ms - vm->rest_ms) < forget_after_ms) {
            break;
        }
        registry_forget(r, vm);
        n++;
    }
    pthread_mutex_unlock(&r->lock);
    return n == SWEEP_SLICE;
}

void registry_sweep(struct registry *r, int64_t now_ms)
{
    CHECK_MAGIC(r, REGISTRY_MAGIC);
    for (size_t rest = 0; rest < VM_RESTS; rest++) {
        while (rest != VM_LIVING && forget_some(r, (enum vm_rest)rest, now_ms)) {
        }
    }
    free_forgotten(r);
    registry_look_at_denials(r);
    registry_config_look(r, now_ms);
}

/* ---- streams that have to end ---- */

void endings_add(struct endings *e, const struct vm *vm, enum end_reason why)
{
    for (const struct vm_stream *s = vm->streams; s != NULL && e->n < ENDINGS_MAX; s = s->next) {
        e->of[e->n].stream = s->stream;
        e->of[e->n].worker = s->worker;
        e->of[e->n].why = why;
        e->n++;
    }
}

void registry_tell(struct registry *r, const struct endings *e)
{
    for (size_t i = 0; i < e->n; i++) {
        r->end(r->arg, e->of[i].worker, e->of[i].stream, e->of[i].why);
    }
}

void registry_count(struct registry *r, struct registry_count *out)
{
    CHECK_MAGIC(r, REGISTRY_MAGIC);
    pthread_mutex_lock(&r->lock);
    *out = (struct registry_count){.connected = r->n[VM_LIVING],
                                   .disconnected = r->n[VM_GONE],
                                   .refused = r->n[VM_REFUSED] + r->n[VM_STRANGER]};
    pthread_mutex_unlock(&r->lock);
    out->revoked = denylist_count(r->denylist);
}
