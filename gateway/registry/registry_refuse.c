/* SPDX-License-Identifier: Apache-2.0 */
/* Claims that break a rule, with the VM that they speak of. One that is always refused is a VM,
 * too, of which only some hundred are kept. */
#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "gateway/registry/registry_internal.h"
#include "gateway/registry/vm_id.h"

void vm_note_breach(struct vm *vm, const struct breach *b)
{
    bool same = vm->refused_rule == (uint8_t)b->rule && vm->refused_passed == b->passed;

    vm->refused_times = same ? vm->refused_times + 1 : 1;
    vm->refused_rule = (uint8_t)b->rule;
    vm->refused_passed = b->passed;
    vm->refused_ms = b->now_ms;
    if (b->rule == RULE_REVOKED) {
        vm->revoked = true;
    }
    if (strcmp(shared_text_get(vm->refused_detail), b->detail) != 0) {
        shared_text_unref(&vm->refused_detail);
        vm->refused_detail = shared_text_new(b->detail, REGISTRY_DETAIL_BYTES);
    }
    vm_note(vm, VM_WHAT_REFUSED, (unsigned)b->rule, b->now_ms);
}

/* The VM that is meant, made if need be. NULL: out of memory. Table's lock. */
static struct vm *need_vm(struct registry *r, uint64_t id, struct vm_claim *claim, int64_t now_ms)
{
    enum vm_rest rest = claim->verified ? VM_REFUSED : VM_STRANGER;
    struct vm *vm = registry_find_vm(r, id, vm_claim_text(claim, VM_IDENTITY),
                                     vm_claim_text(claim, VM_NODE_ID));

    if (vm == NULL) {
        vm = vm_new(r, id, claim);
        if (vm == NULL) {
            return NULL;
        }
        registry_add_vm(r, vm, rest, now_ms);
    }
    if (vm->rest == VM_REFUSED || vm->rest == VM_STRANGER) {
        registry_set_rest(r, vm, rest, now_ms); /* to the end, so the oldest makes room */
    }
    return vm;
}

/* Both locks. */
static void show_claim(struct vm *vm, struct vm_claim *claim)
{
    if (!vm->known && vm->streams == NULL) {
        vm_claim_unref(&vm->claim);
        vm->claim = vm_claim_ref(claim);
    }
}

/* Who has shown nothing says nothing of a VM that is connected; of one that is not, it may be the
 * VM itself. Both locks. Returns how often it was refused, 0 when that is not noted. */
static uint32_t note_with_vm(struct vm *vm, const struct vm_claim *claim, const struct breach *b)
{
    char detail[REGISTRY_DETAIL_BYTES];
    struct breach of_stranger = *b;

    if (claim->verified || !vm->known || b->rule == RULE_REVOKED) {
        vm_note_breach(vm, b);
        return vm->refused_times;
    }
    if (vm->streams != NULL) {
        return 0;
    }
    (void)snprintf(detail, sizeof(detail), "somebody without a certificate: %s", b->detail);
    of_stranger.detail = detail;
    vm_note_breach(vm, &of_stranger);
    return vm->refused_times;
}

static void note(struct registry *r, uint64_t id, struct vm_claim *claim, const struct breach *b)
{
    uint32_t times = 0;

    pthread_mutex_lock(&r->lock);
    struct vm *vm = need_vm(r, id, claim, b->now_ms);
    if (vm != NULL) {
        pthread_mutex_lock(&vm->lock);
        show_claim(vm, claim);
        times = note_with_vm(vm, claim, b);
        pthread_mutex_unlock(&vm->lock);
    }
    pthread_mutex_unlock(&r->lock);
    vm_log_refused(claim, b->rule, b->detail, b->passed, times);
}

void registry_note_breach(struct registry *r, const struct registry_claim *claim,
                          const struct breach *b)
{
    struct vm_claim *copy = NULL;
    uint64_t id = 0;

    if (vm_id_of(claim->identity, vm_claim_node(claim)->text[XDS_NODE_ID], &id) == RC_OK &&
        vm_claim_new(claim, &copy) == RC_OK) {
        note(r, id, copy, b);
    }
    vm_claim_unref(&copy);
}

void registry_refused(struct registry *r, const struct registry_claim *claim, enum rule rule,
                      const char *detail, int64_t now_ms)
{
    const struct breach b = {rule, detail, false, now_ms};

    CHECK_MAGIC(r, REGISTRY_MAGIC);
    registry_note_breach(r, claim, &b);
}

void registry_reported(struct registry *r, const struct registry_claim *claim, enum rule rule,
                       const char *detail, int64_t now_ms)
{
    const struct breach b = {rule, detail, true, now_ms};

    CHECK_MAGIC(r, REGISTRY_MAGIC);
    registry_note_breach(r, claim, &b);
}

void vm_breaks_rule(struct vm *vm, uint64_t stream, enum rule rule, const char *detail, bool passed,
                    int64_t now_ms)
{
    const struct breach b = {rule, detail, passed, now_ms};

    CHECK_MAGIC(vm, VM_MAGIC);
    pthread_mutex_lock(&vm->lock);
    const struct vm_stream *s = vm_find_stream(vm, stream);
    if (s != NULL && s->trusted) {
        vm_note_breach(vm, &b);
    }
    pthread_mutex_unlock(&vm->lock);
}
