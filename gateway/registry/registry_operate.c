/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator wants of a VM. The deny list is changed first, then all VMs are looked at: who
 * comes meanwhile has seen the new list, because registry_enter() looks at it under the table's
 * lock, and who came before is in the table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "certs/spiffe.h"
#include "gateway/registry/registry_internal.h"
#include "gateway/registry/vm_id.h"

/* ---- who is meant ---- */

static void add_keys(struct registry_meant *m, const struct vm *vm)
{
    for (uint8_t i = 0; i < VM_KEYS; i++) {
        if (vm_has_bit(vm->has_keys, i) && m->n_keys < DENYLIST_KEYS_MAX) {
            memcpy(m->keys[m->n_keys++], vm->keys[i].key, DENYLIST_KEY_BYTES);
        }
    }
}

static void add_candidate(struct registry_meant *m, const char *name, uint64_t id)
{
    char text[VM_ID_BYTES];

    if (m->n_why < REGISTRY_WHY_BYTES) {
        m->n_why += (size_t)snprintf(m->why + m->n_why, REGISTRY_WHY_BYTES - m->n_why,
                                     " %.80s (id %s)", name, vm_id_text(id, text));
    }
}

/* One VM. Table's lock. */
static void consider(struct registry_meant *m, const struct vm *vm)
{
    const char *identity = vm_claim_text(vm->claim, VM_IDENTITY);
    char name[VM_NAME_BYTES];

    (void)vm_claim_name(vm->claim, name);
    if (!vm_name_means(m->asked, name, vm->id) || (m->known_only && !vm->known)) {
        return;
    }
    m->any_known |= vm->known;
    if (m->identity != NULL && strcmp(name, m->name) == 0 && strcmp(identity, m->identity) == 0) {
        m->connected |= vm->streams != NULL; /* the same with another address */
        add_keys(m, vm);
        return;
    }
    m->n++;
    add_candidate(m, name, vm->id);
    if (m->identity == NULL) {
        m->id = vm->id;
        m->connected = vm->streams != NULL;
        m->identity = strdup(identity);
        m->no_memory = m->identity == NULL;
        memcpy(m->name, name, sizeof(name));
        add_keys(m, vm);
    }
}

static void gather(struct registry *r, const char *asked, bool known_only, char *why,
                   struct registry_meant *m)
{
    *m = (struct registry_meant){.asked = asked, .known_only = known_only, .why = why};
    m->n_why = (size_t)snprintf(why, REGISTRY_WHY_BYTES, "several VMs have this name:");
    for (size_t i = 0; i < VM_INDEX_BUCKETS; i++) {
        pthread_mutex_lock(&r->lock);
        for (const struct vm_link *l = r->by_id.buckets[i]; l != NULL; l = l->next) {
            consider(m, l->owner);
        }
        pthread_mutex_unlock(&r->lock);
    }
}

enum rc registry_find_meant(struct registry *r, const char *asked, char *why,
                            struct registry_meant *m)
{
    gather(r, asked, false, why, m);
    if (m->n > 1 && m->any_known) {
        free(m->identity);
        gather(r, asked, true, why, m);
    }
    if (m->n == 1 && !m->no_memory) {
        return RC_OK;
    }
    free(m->identity);
    if (m->n == 0) {
        (void)snprintf(why, REGISTRY_WHY_BYTES, "there is no VM of this name");
        return RC_NOT_FOUND;
    }
    return m->no_memory ? RC_NO_MEMORY : RC_BUSY;
}

/* ---- all VMs ---- */

/* What is done with each VM, under both locks. */
typedef void visit_fn(void *arg, struct vm *vm, struct endings *end);

static void visit_all(struct registry *r, visit_fn *visit, void *arg)
{
    struct vm *vms[REGISTRY_SLICE];
    size_t bucket = 0;

    while (bucket < VM_INDEX_BUCKETS) {
        size_t n = registry_slice(r, &bucket, vms);
        for (size_t i = 0; i < n; i++) {
            struct endings end = {.n = 0};
            pthread_mutex_lock(&r->lock);
            pthread_mutex_lock(&vms[i]->lock);
            visit(arg, vms[i], &end);
            pthread_mutex_unlock(&vms[i]->lock);
            pthread_mutex_unlock(&r->lock);
            registry_tell(r, &end);
            vm_unref(&vms[i]);
        }
    }
}

/* The keys that count are the one that it has shown last, and those that were given to its holder:
 * the others may be of somebody who has pretended to be this VM. */
static bool has_denied_key(struct denylist *d, const struct vm *vm)
{
    for (uint8_t i = 0; i < VM_KEYS; i++) {
        if ((i == vm->shown || vm_has_bit(vm->heirs, i)) && denylist_has_key(d, vm->keys[i].key)) {
            return true;
        }
    }
    return false;
}

static bool is_denied(struct denylist *d, const struct vm *vm)
{
    const char *identity = vm_claim_text(vm->claim, VM_IDENTITY);
    char name[VM_NAME_BYTES];

    return denylist_has(d, identity, vm_claim_name(vm->claim, name), NULL) || has_denied_key(d, vm);
}

/* The list has grown: who is on it goes. */
static void apply_denials(void *arg, struct vm *vm, struct endings *end)
{
    if (!is_denied(arg, vm)) {
        return;
    }
    if (!vm->revoked) {
        vm->revoked = true;
        vm_touch(vm);
    }
    endings_add(end, vm, END_REVOKED);
}

/* It has become another one: who is no longer on it may come. */
static void apply_all_denials(void *arg, struct vm *vm, struct endings *end)
{
    if (vm->revoked && !is_denied(arg, vm)) {
        vm->revoked = false;
        vm_touch(vm);
    }
    apply_denials(arg, vm, end);
}

void registry_look_at_denials(struct registry *r)
{
    if (denylist_look(r->denylist)) {
        log_audit(LOG_WARNING, "deny list was changed by others", "deny-list");
        visit_all(r, apply_all_denials, r->denylist);
    }
}

enum rc registry_use_deny_list(struct registry *r, const char *path, char *why)
{
    CHECK_MAGIC(r, REGISTRY_MAGIC);
    TRY(denylist_use(r->denylist, path, why));
    visit_all(r, apply_denials, r->denylist);
    return RC_OK;
}

bool registry_key_is_revoked(struct registry *r, const uint8_t key[REGISTRY_KEY_BYTES])
{
    CHECK_MAGIC(r, REGISTRY_MAGIC);
    return denylist_has_key(r->denylist, key);
}

/* ---- revoke ---- */

/* v: all but the time. */
static enum rc deny(struct registry *r, const struct denial *v, int64_t now_ms, char *why)
{
    char at[CLOCK_TEXT_BYTES];
    struct denial dated = *v;

    (void)clock_text_ms(now_ms, at);
    dated.at = at;
    enum rc rc = denylist_add(r->denylist, &dated, why);
    if (rc == RC_OK || rc == RC_SYSTEM) {
        vm_log_operator(VM_ORDER_REVOKE, v->name, v->identity, v->by);
        visit_all(r, apply_denials, r->denylist);
    }
    return rc;
}

enum rc registry_revoke(struct registry *r, const char *name, const char *by, int64_t now_ms,
                        char *why)
{
    struct registry_meant m;

    CHECK_MAGIC(r, REGISTRY_MAGIC);
    TRY(registry_find_meant(r, name, why, &m));
    const struct denial v = {.id = m.id,
                             .name = m.name,
                             .identity = m.identity,
                             .by = by,
                             .keys = m.keys[0],
                             .n_keys = m.n_keys};
    enum rc rc = deny(r, &v, now_ms, why);
    free(m.identity);
    return rc;
}

/* As the texts of a VM that comes: printable ASCII, and no longer than these may be. */
static bool is_text(const char *text, size_t room)
{
    size_t n = 0;

    while (text[n] > ' ' && text[n] <= '~') {
        n++;
    }
    return text[n] == '\0' && n < room;
}

enum rc registry_revoke_absent(struct registry *r, const struct registry_absent *vm, const char *by,
                               int64_t now_ms, char *why)
{
    const struct denial v = {.id = vm->id, .name = vm->name, .identity = vm->identity, .by = by};

    CHECK_MAGIC(r, REGISTRY_MAGIC);
    if (vm->name[0] == '\0' || !is_text(vm->name, VM_NAME_BYTES) ||
        !is_text(vm->identity, SPIFFE_URI_BYTES)) {
        (void)snprintf(why, REGISTRY_WHY_BYTES, "no VM can have this name or identity");
        return RC_INVALID;
    }
    return deny(r, &v, now_ms, why);
}

/* ---- unrevoke ---- */

/* The id under which a VM of the table is on the list, which may be that of another address. */
static enum rc find_denial(struct registry *r, const char *asked, uint64_t *id, char *why)
{
    struct registry_meant m;
    char text[VM_ID_BYTES];

    enum rc rc = registry_find_meant(r, asked, why, &m);
    if (rc == RC_NO_MEMORY) {
        return rc;
    }
    (void)snprintf(why, REGISTRY_WHY_BYTES, "no revoked VM has this name");
    if (rc != RC_OK) {
        return RC_NOT_FOUND;
    }
    bool found = denylist_find(r->denylist, m.identity, m.name, id);
    free(m.identity);
    if (found) {
        return RC_OK;
    }
    for (size_t i = 0; i < m.n_keys; i++) {
        if (denylist_find_key(r->denylist, m.keys[i], id)) {
            (void)snprintf(why, REGISTRY_WHY_BYTES,
                           "%.80s has a key of another VM that is revoked: unrevoke that one, by "
                           "its id %s",
                           m.name, vm_id_text(*id, text));
            break;
        }
    }
    return RC_NOT_FOUND;
}

struct unrevoked {
    const char *by;
};

static void log_unrevoked(void *arg, const struct denial *v)
{
    const struct unrevoked *u = arg;
    vm_log_operator(VM_ORDER_UNREVOKE, v->name, v->identity, u->by);
}

enum rc registry_unrevoke(struct registry *r, const char *name, const char *by, int64_t now_ms,
                          char *why)
{
    struct unrevoked u = {by};
    char text[VM_ID_BYTES];
    uint64_t id = 0;

    (void)now_ms;
    CHECK_MAGIC(r, REGISTRY_MAGIC);
    enum rc rc = denylist_remove(r->denylist, name, log_unrevoked, &u, why);
    if (rc == RC_NOT_FOUND) {
        rc = find_denial(r, name, &id, why);
        rc = rc == RC_OK
                 ? denylist_remove(r->denylist, vm_id_text(id, text), log_unrevoked, &u, why)
                 : rc;
    }
    if (rc == RC_OK || rc == RC_SYSTEM) {
        visit_all(r, apply_all_denials, r->denylist);
    }
    return rc;
}

/* ---- reregister ---- */

/* Nobody holds a VM for longer. */
#define HOLD_MAX_S 3600.0

struct hold {
    const struct registry_meant *meant;
    int64_t until_ms;
};

static void hold_one(void *arg, struct vm *vm, struct endings *end)
{
    const struct hold *h = arg;
    char name[VM_NAME_BYTES];

    if (strcmp(vm_claim_text(vm->claim, VM_IDENTITY), h->meant->identity) == 0 &&
        strcmp(vm_claim_name(vm->claim, name), h->meant->name) == 0) {
        vm->held_until_ms = h->until_ms;
        vm_touch(vm);
        endings_add(end, vm, END_REREGISTER);
    }
}

enum rc registry_reregister(struct registry *r, const char *name, double hold_s, const char *by,
                            int64_t now_ms, char *why)
{
    struct registry_meant m;

    CHECK_MAGIC(r, REGISTRY_MAGIC);
    TRY(registry_find_meant(r, name, why, &m));
    enum rc rc = m.connected ? RC_OK : RC_INVALID;
    if (m.connected) {
        double seconds = hold_s > HOLD_MAX_S ? HOLD_MAX_S : hold_s;
        struct hold h = {&m, now_ms + (int64_t)(seconds * 1000)};
        vm_log_operator(VM_ORDER_REREGISTER, m.name, m.identity, by);
        visit_all(r, hold_one, &h);
    } else {
        (void)snprintf(why, REGISTRY_WHY_BYTES,
                       "%.80s is not connected: it registers anew when it comes", m.name);
    }
    free(m.identity);
    return rc;
}
