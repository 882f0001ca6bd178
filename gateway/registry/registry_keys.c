/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which keys a VM has: to know it again when it comes with the next one, and to refuse it under
 * another name when it is revoked. The index leads from a key to the VMs that have it.
 */
#include <string.h>

#include "core/base/check.h"
#include "gateway/registry/registry_internal.h"

static bool has_slot(const struct vm *vm, uint8_t slot)
{
    return slot < VM_KEYS && vm_has_bit(vm->has_keys, slot);
}

uint8_t vm_find_key(const struct vm *vm, const uint8_t *key)
{
    for (uint8_t i = 0; i < VM_KEYS; i++) {
        if (has_slot(vm, i) && memcmp(vm->keys[i].key, key, REGISTRY_KEY_BYTES) == 0) {
            return i;
        }
    }
    return VM_NO_KEY;
}

static void drop_slot(struct vm *vm, uint8_t slot)
{
    struct vm_key *k = &vm->keys[slot];

    vm_index_remove(&vm->registry->by_key, k->key, sizeof(k->key), &k->by_key);
    vm->has_keys = (uint8_t)(vm->has_keys & ~(1U << slot));
    vm->heirs = (uint8_t)(vm->heirs & ~(1U << slot));
    for (struct vm_stream *s = vm->streams; s != NULL; s = s->next) {
        s->key = s->key == slot ? VM_NO_KEY : s->key;
    }
}

void vm_drop_keys(struct vm *vm)
{
    for (uint8_t i = 0; i < VM_KEYS; i++) {
        if (has_slot(vm, i)) {
            drop_slot(vm, i);
        }
    }
    vm->shown = VM_NO_KEY;
}

/* A free slot, or one whose key is neither shown nor that of the certificate. */
static uint8_t find_room(const struct vm *vm)
{
    uint8_t spare = VM_NO_KEY;

    for (uint8_t i = 0; i < VM_KEYS; i++) {
        if (!has_slot(vm, i)) {
            return i;
        }
        if (i != vm->shown && i != vm->certificate_key) {
            spare = i;
        }
    }
    CHECK(spare != VM_NO_KEY);
    return spare;
}

static uint8_t add_key(struct vm *vm, const uint8_t *key)
{
    uint8_t slot = vm_find_key(vm, key);

    if (slot != VM_NO_KEY) {
        return slot;
    }
    slot = find_room(vm);
    if (has_slot(vm, slot)) {
        drop_slot(vm, slot);
    }
    memcpy(vm->keys[slot].key, key, REGISTRY_KEY_BYTES);
    vm->has_keys = (uint8_t)(vm->has_keys | (1U << slot));
    vm_index_add(&vm->registry->by_key, key, REGISTRY_KEY_BYTES, &vm->keys[slot].by_key, vm);
    return slot;
}

static void set_certificate(struct vm *vm, const struct registry_certificate *c, uint8_t slot)
{
    vm->certificate_key = slot;
    vm->certificate_expiry_s = c->expiry_s;
    memcpy(vm->serial, c->serial, sizeof(vm->serial));
    vm->serial[sizeof(vm->serial) - 1] = '\0';
}

uint8_t vm_show_key(struct vm *vm, const struct registry_certificate *c)
{
    uint8_t slot = add_key(vm, c->key);

    if (slot != vm->shown) {
        /* What was given to the holder of another key says nothing about this one's. */
        vm->heirs = 0;
    }
    vm->shown = slot;
    set_certificate(vm, c, slot);
    return slot;
}

/* Under both locks. */
static void give(struct vm *vm, uint8_t holder, const struct registry_certificate *issued,
                 int64_t now_ms)
{
    bool inherits = holder == vm->shown || vm_has_bit(vm->heirs, holder);
    uint8_t slot = add_key(vm, issued->key);

    if (inherits && slot != vm->shown) {
        vm->heirs = (uint8_t)(vm->heirs | (1U << slot));
    }
    set_certificate(vm, issued, slot);
    vm_note(vm, VM_WHAT_ISSUED, 0, now_ms);
}

/* So many VMs may have one key, as copies of one disk have. */
#define HOLDERS_MAX 16

struct holders {
    struct vm *of[HOLDERS_MAX]; /* owned references */
    size_t n;
};

/* Who has the key. Gathered first: what is given to them changes the index. Table's lock. */
static void find_holders(const struct registry *r, const uint8_t *key, struct holders *h)
{
    for (struct vm_link *l = vm_index_first(&r->by_key, key, REGISTRY_KEY_BYTES);
         l != NULL && h->n < HOLDERS_MAX; l = l->next) {
        struct vm *vm = l->owner;
        uint8_t slot = vm_find_key(vm, key);
        if (slot != VM_NO_KEY && l == &vm->keys[slot].by_key) {
            h->of[h->n++] = vm_ref(vm);
        }
    }
}

void registry_issued(struct registry *r, const uint8_t key[REGISTRY_KEY_BYTES],
                     const struct registry_certificate *issued, int64_t now_ms)
{
    struct holders h = {.n = 0};
    struct vm_claim *claims[HOLDERS_MAX];

    CHECK_MAGIC(r, REGISTRY_MAGIC);
    denylist_learn(r->denylist, key, "", "", issued->key);
    pthread_mutex_lock(&r->lock);
    find_holders(r, key, &h);
    for (size_t i = 0; i < h.n; i++) {
        pthread_mutex_lock(&h.of[i]->lock);
        give(h.of[i], vm_find_key(h.of[i], key), issued, now_ms);
        claims[i] = vm_claim_ref(h.of[i]->claim);
        pthread_mutex_unlock(&h.of[i]->lock);
    }
    pthread_mutex_unlock(&r->lock);
    for (size_t i = 0; i < h.n; i++) {
        vm_log_issued(claims[i], issued);
        vm_claim_unref(&claims[i]);
        vm_unref(&h.of[i]);
    }
}

/* Has it nothing better than this certificate, and was that not said? Under both locks. */
static bool is_news(struct vm *vm, const uint8_t *key, int64_t expiry_s)
{
    if (vm->certificate_key != vm_find_key(vm, key) || vm->certificate_expiry_s != expiry_s ||
        vm->expiry_said_s == expiry_s) {
        return false;
    }
    vm->expiry_said_s = expiry_s;
    return true;
}

bool registry_expires_soon(struct registry *r, const uint8_t key[REGISTRY_KEY_BYTES],
                           int64_t expiry_s)
{
    struct holders h = {.n = 0};
    struct vm_claim *claims[HOLDERS_MAX] = {NULL};
    bool connected = false;

    CHECK_MAGIC(r, REGISTRY_MAGIC);
    pthread_mutex_lock(&r->lock);
    find_holders(r, key, &h);
    for (size_t i = 0; i < h.n; i++) {
        pthread_mutex_lock(&h.of[i]->lock);
        if (h.of[i]->streams != NULL) {
            connected = true;
            claims[i] = is_news(h.of[i], key, expiry_s) ? vm_claim_ref(h.of[i]->claim) : NULL;
        }
        pthread_mutex_unlock(&h.of[i]->lock);
    }
    pthread_mutex_unlock(&r->lock);
    for (size_t i = 0; i < h.n; i++) {
        if (claims[i] != NULL) {
            vm_log_expires_soon(claims[i], expiry_s);
            vm_claim_unref(&claims[i]);
        }
        vm_unref(&h.of[i]);
    }
    return connected;
}
