/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration that VMs have, between streams, readers and the budget. What is kept belongs to
 * the VM and is reached under its lock; whoever makes text of it has references of his own.
 */
#include "gateway/registry/registry_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/log.h"
#include "gateway/registry/registry_internal.h"

/* Between two lines in the log about the same thing. */
#define WARN_AGAIN_MS 60000

struct config_store *registry_configs(struct registry *r)
{
    CHECK_MAGIC(r, REGISTRY_MAGIC);
    return r->configs;
}

/* ---- what passes ---- */

/* Its configuration, made if need be. NULL: none is kept, or there is no room. */
static struct vm_config *need_config(struct vm *vm, bool fresh)
{
    struct config_store *s = vm->registry->configs;

    if (vm->config == NULL && config_store_is_on(s)) {
        vm->config = vm_config_new(s, fresh);
    }
    return vm->config;
}

void vm_config_follow(struct vm *vm, bool is_other)
{
    const struct vm_stream *s = vm->current;
    bool fresh = s != NULL && !s->has_begun;

    if (is_other && vm->config != NULL) {
        vm_config_stream(&vm->config, fresh, s != NULL && !s->trusted && vm->known);
    } else if (is_other && s != NULL) {
        (void)need_config(vm, fresh);
    } else if (s != NULL && s->trusted) {
        vm_config_believe(vm->config);
    }
}

void vm_keep_response(struct vm *vm, uint64_t stream, enum xds_type type, enum config_taken taken,
                      struct config_push **push, enum config_loss why)
{
    CHECK_MAGIC(vm, VM_MAGIC);
    if (taken == CONFIG_NOT_OURS) {
        return;
    }
    pthread_mutex_lock(&vm->lock);
    struct vm_config *c = vm_speaks(vm, stream) ? need_config(vm, false) : NULL;
    if (c != NULL && taken == CONFIG_TAKEN) {
        vm_config_push(c, push);
    } else if (c != NULL) {
        vm_config_lose(c, type, why);
    }
    pthread_mutex_unlock(&vm->lock);
    if (taken == CONFIG_TAKEN) {
        config_push_free(push);
    }
}

void vm_keep_request(struct vm *vm, uint64_t stream, const struct xds_request *q,
                     const uint8_t *message, size_t n, int64_t now_ms)
{
    struct vm_config_request request = {.request = q, .message = message, .n = n};

    CHECK_MAGIC(vm, VM_MAGIC);
    if (config_type_index(q->type) == CONFIG_TYPES || !config_store_is_on(vm->registry->configs)) {
        return;
    }
    pthread_mutex_lock(&vm->lock);
    struct vm_config *c = vm_speaks(vm, stream) ? need_config(vm, false) : NULL;
    if (c != NULL) {
        request.variant = (enum xds_variant)vm->current->claim->variant;
        vm_config_request(c, &request, now_ms);
    }
    pthread_mutex_unlock(&vm->lock);
}

/* ---- the budget ---- */

static void drop_config(struct vm *vm, bool only_if_gone)
{
    struct vm_config *c = NULL;

    pthread_mutex_lock(&vm->lock);
    if (!only_if_gone || vm->current == NULL) {
        c = vm->config;
        vm->config = NULL;
    }
    pthread_mutex_unlock(&vm->lock);
    vm_config_free(&c);
}

/* Of VMs, or only of those that are gone, until no more than that many bytes are in use. */
static void drop_configs(struct registry *r, uint64_t bytes, bool only_gone)
{
    struct vm *vms[REGISTRY_SLICE];
    size_t bucket = 0;

    while (bucket < VM_INDEX_BUCKETS && config_store_bytes(r->configs) > bytes) {
        size_t n = registry_slice(r, &bucket, vms);
        for (size_t i = 0; i < n; i++) {
            if (config_store_bytes(r->configs) > bytes) {
                drop_config(vms[i], only_gone);
            }
            vm_unref(&vms[i]);
        }
    }
}

void registry_config_use(struct registry *r, uint64_t bytes)
{
    struct config_store_stats stats;

    if (config_store_set_budget(r->configs, bytes) != RC_OK) {
        log_event(LOG_ERROR, "the configuration of VMs is kept as it was: out of memory");
    }
    config_store_stats(r->configs, &stats);
    drop_configs(r, stats.budget, false);
}

void registry_config_look(struct registry *r, int64_t now_ms)
{
    struct config_store_stats stats;

    config_store_stats(r->configs, &stats);
    uint64_t losses = stats.losses[CONFIG_LOSS_FULL];
    if (losses != r->config_losses) {
        drop_configs(r, 0, true);
        r->config_losses = losses;
    }
    if (losses == r->config_warned || now_ms - r->config_warned_ms < WARN_AGAIN_MS) {
        return;
    }
    log_event(LOG_WARNING, "no room for the configuration of VMs: raise `registry.keep_config`",
              LOG_I("times", losses - r->config_warned), LOG_I("bytes", stats.bytes),
              LOG_I("keep_config", stats.budget));
    r->config_warned = losses;
    r->config_warned_ms = now_ms;
}

/* ---- readers ---- */

/* The VM of which the most is known, among those of one identity and name. */
struct search {
    const struct registry_meant *meant;
    struct vm *best; /* owned reference */
    bool living;
    int64_t seen_ms;
};

static void consider(struct search *s, struct vm *vm)
{
    char name[VM_NAME_BYTES];

    pthread_mutex_lock(&vm->lock);
    bool fits = strcmp(vm_claim_text(vm->claim, VM_IDENTITY), s->meant->identity) == 0 &&
                strcmp(vm_claim_name(vm->claim, name), s->meant->name) == 0;
    bool living = vm->current != NULL;
    int64_t seen_ms = vm->last_seen_ms;
    pthread_mutex_unlock(&vm->lock);
    if (fits &&
        (s->best == NULL || living > s->living || (living == s->living && seen_ms > s->seen_ms))) {
        vm_unref(&s->best);
        s->best = vm_ref(vm);
        s->living = living;
        s->seen_ms = seen_ms;
    }
}

static struct vm *find_best(struct registry *r, const struct registry_meant *m)
{
    struct search s = {.meant = m};
    struct vm *vms[REGISTRY_SLICE];
    size_t bucket = 0;

    while (bucket < VM_INDEX_BUCKETS) {
        size_t n = registry_slice(r, &bucket, vms);
        for (size_t i = 0; i < n; i++) {
            consider(&s, vms[i]);
            vm_unref(&vms[i]);
        }
    }
    return s.best;
}

static void take(struct vm *vm, struct registry_config *out)
{
    struct vm_view v;

    (void)vm_view_take(vm, 0, &v);
    out->id = v.id;
    out->state = v.state;
    memcpy(out->name, v.name, sizeof(out->name));
    vm_view_fini(&v);
    pthread_mutex_lock(&vm->lock);
    vm_config_take(vm->config, vm->current != NULL, &out->config);
    pthread_mutex_unlock(&vm->lock);
}

enum rc registry_config(struct registry *r, const char *name, struct registry_config *out,
                        char *why)
{
    struct registry_meant m;

    CHECK_MAGIC(r, REGISTRY_MAGIC);
    TRY(registry_find_meant(r, name, why, &m));
    struct vm *vm = find_best(r, &m);
    free(m.identity);
    if (vm == NULL) { /* forgotten meanwhile */
        (void)snprintf(why, REGISTRY_WHY_BYTES, "there is no VM of this name");
        return RC_NOT_FOUND;
    }
    memset(out, 0, sizeof(*out));
    out->is_on = config_store_is_on(r->configs);
    take(vm, out);
    vm_unref(&vm);
    return RC_OK;
}

void registry_config_fini(struct registry_config *c)
{
    vm_config_view_fini(&c->config);
}
