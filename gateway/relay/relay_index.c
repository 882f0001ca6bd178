/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/relay/relay_index.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "gateway/relay/relay_internal.h"

/* A number: worker in 8 bits, how often its slot was used in 24, the slot in 32. */
#define USES_MAX 0xffffffU

struct relay_slot {
    struct relay *relay; /* NULL: free */
    uint32_t uses;       /* 1 or more while it is taken */
    uint32_t next_free;
};

static uint64_t number_of(const struct relay_index *x, uint32_t slot)
{
    return (uint64_t)x->worker << 56 | (uint64_t)x->slots[slot].uses << 32 | slot;
}

void relay_index_init(struct relay_index *x, unsigned worker)
{
    CHECK(worker < 256);
    *x = (struct relay_index){.worker = worker};
}

void relay_index_fini(struct relay_index *x)
{
    for (uint32_t i = 0; i < x->n; i++) {
        CHECK(x->slots[i].relay == NULL);
    }
    free(x->slots);
    *x = (struct relay_index){0};
}

static enum rc grow(struct relay_index *x)
{
    uint32_t n = x->n == 0 ? 64 : 2 * x->n;
    struct relay_slot *slots = realloc(x->slots, n * sizeof(*slots));

    if (slots == NULL) {
        return RC_NO_MEMORY;
    }
    for (uint32_t i = x->n; i < n; i++) {
        slots[i] = (struct relay_slot){.next_free = i + 1};
    }
    x->slots = slots;
    x->free = x->n;
    x->n = n;
    return RC_OK;
}

enum rc relay_index_add(struct relay_index *x, struct relay *r, uint64_t *id)
{
    if (x->free == x->n) {
        TRY(grow(x));
    }
    uint32_t slot = x->free;
    struct relay_slot *s = &x->slots[slot];
    x->free = s->next_free;
    s->relay = r;
    s->uses = s->uses == USES_MAX ? 1 : s->uses + 1;
    *id = number_of(x, slot);
    return RC_OK;
}

struct relay *relay_index_find(const struct relay_index *x, uint64_t id)
{
    uint32_t slot = (uint32_t)id;

    if (slot >= x->n || x->slots[slot].relay == NULL || number_of(x, slot) != id) {
        return NULL;
    }
    return x->slots[slot].relay;
}

void relay_index_remove(struct relay_index *x, uint64_t id)
{
    uint32_t slot = (uint32_t)id;

    CHECK(relay_index_find(x, id) != NULL);
    x->slots[slot].relay = NULL;
    x->slots[slot].next_free = x->free;
    x->free = slot;
}

void relay_index_end(struct relay_index *x, uint64_t id, enum end_reason why)
{
    struct relay *r = relay_index_find(x, id);

    if (r == NULL) {
        return;
    }
    switch (why) {
    case END_REVOKED:
        relay_finish(r, GRPC_PERMISSION_DENIED, "xdsgate: an operator has revoked this VM", why);
        break;
    case END_REFUSED:
        relay_finish(r, GRPC_PERMISSION_DENIED,
                     "xdsgate: registration refused (duplicate): another VM is connected with this "
                     "identity and address",
                     why);
        break;
    case END_REPLACED:
        relay_finish(r, GRPC_UNAVAILABLE,
                     "transport is closing: the same VM has opened another stream", why);
        break;
    default:
        relay_finish(r, GRPC_UNAVAILABLE,
                     "transport is closing: an operator has this VM registered anew", why);
        break;
    }
}
