/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/registry/vm_view.h"

#include <string.h>

#include "core/base/check.h"
#include "gateway/registry/registry_internal.h"

static enum vm_state find_state(const struct vm *vm)
{
    if (vm->revoked) {
        return VM_IS_REVOKED;
    }
    if (vm->current != NULL) {
        return vm->current->admitted ? VM_IS_CONNECTED : VM_IS_CONNECTING;
    }
    bool refused =
        vm->refused_rule != RULES && !vm->refused_passed && vm->refused_ms >= vm->last_seen_ms;
    return refused ? VM_IS_REFUSED : VM_IS_DISCONNECTED;
}

static void copy_sync(const struct vm *vm, struct vm_view *v)
{
    v->n_sync = vm->rows.n;
    for (uint8_t i = 0; i < v->n_sync; i++) {
        vm_rows_get(&vm->rows, i, &v->sync[i]);
    }
    for (size_t t = 0; vm->nacks != NULL && t < XDS_TYPES; t++) {
        v->nacks[t].text = shared_text_ref(vm->nacks->of[t].text);
        v->nacks[t].at_ms = vm->nacks->of[t].at_ms;
    }
    v->n_nacks = vm->n_nacks;
    v->last_nack = (enum xds_type)vm->last_nack;
}

static void copy_certificate(const struct vm *vm, struct vm_view *v)
{
    v->certificate.known = vm->certificate_key != VM_NO_KEY;
    if (v->certificate.known) {
        memcpy(v->certificate.key, vm->keys[vm->certificate_key].key, REGISTRY_KEY_BYTES);
        memcpy(v->certificate.serial, vm->serial, sizeof(vm->serial));
        v->certificate.expiry_s = vm->certificate_expiry_s;
    }
}

static void copy_refusal(const struct vm *vm, struct vm_view *v)
{
    v->refused_rule = (enum rule)vm->refused_rule;
    v->refused_detail = shared_text_ref(vm->refused_detail);
    v->refused_ms = vm->refused_ms;
    v->refused_times = vm->refused_times;
    v->refused_passed = vm->refused_passed;
}

static void copy_counts(const struct vm *vm, struct vm_view *v)
{
    v->reconnects = vm->n_connects > 0 ? vm->n_connects - 1 : 0;
    v->last_end = (enum end_reason)vm->last_end;
    memcpy(v->ends, vm->ends, sizeof(v->ends));
    v->bytes_up = vm->bytes_up;
    v->bytes_down = vm->bytes_down;
    v->messages_up = vm->messages_up;
    v->messages_down = vm->messages_down;
    v->unread = vm->unread;
}

/* Under the VM's lock: no more than copies and references. */
static void copy(const struct vm *vm, struct vm_view *v)
{
    v->id = vm->id;
    v->state = find_state(vm);
    v->health = (enum vm_health)vm->health;
    v->health_since_ms = vm->health_since_ms;
    v->health_message = shared_text_ref(vm->health_message);
    v->claim = vm_claim_ref(vm->claim);
    v->endpoint = vm->endpoint;
    v->pod = shared_text_ref(vm->pod);
    v->connected_since_ms = vm->current != NULL ? vm->current->since_ms : 0;
    v->last_seen_ms = vm->last_seen_ms;
    v->events = vm->events;
    copy_sync(vm, v);
    copy_certificate(vm, v);
    copy_refusal(vm, v);
    copy_counts(vm, v);
}

bool vm_view_take(struct vm *vm, uint64_t since, struct vm_view *out)
{
    CHECK_MAGIC(vm, VM_MAGIC);
    memset(out, 0, sizeof(*out));
    pthread_mutex_lock(&vm->lock);
    bool changed = vm->changed >= since;
    if (changed) {
        copy(vm, out);
    }
    pthread_mutex_unlock(&vm->lock);
    if (changed) {
        (void)vm_claim_name(out->claim, out->name);
    }
    return changed;
}

void vm_view_fini(struct vm_view *v)
{
    shared_text_unref(&v->health_message);
    shared_text_unref(&v->pod);
    shared_text_unref(&v->refused_detail);
    for (size_t t = 0; t < XDS_TYPES; t++) {
        shared_text_unref(&v->nacks[t].text);
    }
    vm_claim_unref(&v->claim);
}

const char *vm_state_name(enum vm_state state)
{
    static const char *const names[VM_STATES] = {
        [VM_IS_CONNECTING] = "connecting",     [VM_IS_CONNECTED] = "connected",
        [VM_IS_DISCONNECTED] = "disconnected", [VM_IS_REFUSED] = "refused",
        [VM_IS_REVOKED] = "revoked",
    };

    return names[state];
}

const char *vm_health_name(enum vm_health health)
{
    static const char *const names[VM_HEALTHS] = {
        [VM_HEALTH_UNKNOWN] = "unknown", [VM_HEALTHY] = "healthy", [VM_UNHEALTHY] = "unhealthy"};

    return names[health];
}
