/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams come and go. Who may come is decided under the table's lock, with what all VMs are at
 * that moment; streams that have to end because of it are told when the locks are free.
 *
 * A stream is trusted when it has shown a certificate, or when istiod has answered it. Only trusted
 * ones are in by_address, so only they stand in somebody's way: a stranger with a made-up token
 * blocks nobody while istiod looks at it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "certs/spiffe.h"
#include "core/base/log.h"
#include "gateway/registry/registry_internal.h"
#include "gateway/registry/vm_id.h"

/* VMs without a certificate that istiod has not answered yet, at a time: agents that are asked for
 * one wait for seconds only. */
#define STRANGERS_MAX 1024

/* VMs that are gone, with one key or keys that were given to its holder. */
#define GONE_PER_KEY_MAX 8

/* ---- who stands in the way ---- */

/* Under which streams are found that istiod would register as one: identity, network, address. */
struct place {
    char bytes[SPIFFE_URI_BYTES + XDS_NODE_TEXT_BYTES + 1 + sizeof(struct addr)];
    size_t n;
};

static void find_place(const struct vm_claim *c, struct place *p)
{
    int n = snprintf(p->bytes, sizeof(p->bytes), "%s %s ", vm_claim_text(c, VM_IDENTITY),
                     vm_claim_text(c, VM_NETWORK));

    p->n = (size_t)n < sizeof(p->bytes) - 17 ? (size_t)n : sizeof(p->bytes) - 17;
    p->bytes[p->n++] = (char)c->address.family;
    memcpy(p->bytes + p->n, c->address.ip, sizeof(c->address.ip));
    p->n += sizeof(c->address.ip);
}

static bool same_place(const struct vm_claim *a, const struct vm_claim *b)
{
    return addr_same_ip(&a->address, &b->address) &&
           strcmp(vm_claim_text(a, VM_IDENTITY), vm_claim_text(b, VM_IDENTITY)) == 0 &&
           strcmp(vm_claim_text(a, VM_NETWORK), vm_claim_text(b, VM_NETWORK)) == 0;
}

/* Who wants to come; key: NULL when it has shown none. */
struct comer {
    const struct vm_claim *claim;
    const uint8_t *key;
    const struct vm_stream *self; /* NULL: it is not there yet */
};

static bool is_in_place(const struct vm_stream *s, const struct comer *c)
{
    return s != c->self && same_place(s->claim, c->claim);
}

/* Is it the same VM, with the key that it has shown or with one that it was given since? */
static bool has_same_key(const struct vm_stream *old, const uint8_t *key)
{
    const struct vm *vm = old->vm;
    uint8_t slot = key != NULL ? vm_find_key(vm, key) : VM_NO_KEY;

    return slot != VM_NO_KEY && old->key != VM_NO_KEY &&
           (slot == old->key || (old->key == vm->shown && vm_has_bit(vm->heirs, slot)));
}

/* May it take the place of an older stream, which is trusted? */
static bool may_replace(const struct vm_stream *old, const struct comer *c)
{
    if (!c->claim->verified) {
        return false;
    }
    if (!old->claim->verified) { /* a VM that has got its first certificate, we suppose */
        return addr_same_ip(&old->claim->peer, &c->claim->peer);
    }
    return has_same_key(old, c->key);
}

/* A stream that is in the way, or NULL. replaced: those that have to end when there is none. */
static const struct vm_stream *find_obstacle(const struct registry *r, const struct comer *c,
                                             struct endings *replaced)
{
    struct place p;

    if (c->claim->address.family == ADDR_NONE) {
        return NULL;
    }
    find_place(c->claim, &p);
    for (struct vm_link *l = vm_index_first(&r->by_address, p.bytes, p.n); l != NULL; l = l->next) {
        const struct vm_stream *s = l->owner;
        if (!is_in_place(s, c)) {
            continue;
        }
        if (!may_replace(s, c)) {
            return s;
        }
        if (replaced->n < ENDINGS_MAX) {
            replaced->of[replaced->n].stream = s->stream;
            replaced->of[replaced->n].worker = s->worker;
            replaced->of[replaced->n].why = END_REPLACED;
            replaced->n++;
        }
    }
    return NULL;
}

/* Both locks. */
static void trust(struct registry *r, struct vm_stream *s)
{
    struct place p;

    s->trusted = true;
    find_place(s->claim, &p);
    vm_index_add(&r->by_address, p.bytes, p.n, &s->by_address, s);
    registry_set_known(r, s->vm);
}

static void distrust(struct registry *r, struct vm_stream *s)
{
    struct place p;

    s->trusted = false;
    find_place(s->claim, &p);
    vm_index_remove(&r->by_address, p.bytes, p.n, &s->by_address);
}

/* ---- refusals ---- */

static void refuse_duplicate(const struct vm_claim *c, struct registry_refusal *out)
{
    char address[ADDR_TEXT_BYTES];
    char peer[ADDR_TEXT_BYTES];

    out->rule = RULE_DUPLICATE;
    (void)snprintf(out->detail, sizeof(out->detail),
                   "another VM is connected with this identity and the address %s, and this one, "
                   "from %s, does not show the same key; if it is the same VM, its old connection "
                   "is over within a minute",
                   addr_format_ip(&c->address, address), addr_format(&c->peer, peer));
}

static void refuse_revoked(struct registry_refusal *out)
{
    out->rule = RULE_REVOKED;
    (void)snprintf(out->detail, sizeof(out->detail),
                   "an operator has revoked this VM; `xdsgate vm unrevoke` lets it come again");
}

static void refuse_held(const struct vm *vm, int64_t now_ms, struct registry_refusal *out)
{
    out->rule = RULE_HELD;
    (void)snprintf(out->detail, sizeof(out->detail),
                   "an operator wants this VM to be registered anew; it may come again in %" PRId64
                   " s",
                   (vm->held_until_ms - now_ms + 999) / 1000);
}

/* ---- coming ---- */

/* All that is known before the lock is taken. */
struct entry {
    const struct registry_claim *claim;
    struct vm_claim *copy;    /* owned reference */
    struct vm_stream *stream; /* owned until it is the VM's */
    uint64_t id;
    int64_t now_ms;
    char name[VM_NAME_BYTES];
};

static const uint8_t *key_of(const struct registry_claim *c)
{
    return c->verified && c->certificate.known ? c->certificate.key : NULL;
}

static void fini_entry(struct entry *e)
{
    vm_claim_unref(&e->copy);
    if (e->stream != NULL) {
        vm_claim_unref(&e->stream->claim);
        free(e->stream);
    }
}

static enum rc init_entry(struct entry *e, const struct registry_claim *claim, int64_t now_ms)
{
    *e = (struct entry){.claim = claim, .now_ms = now_ms};
    TRY(vm_id_of(claim->identity, vm_claim_node(claim)->text[XDS_NODE_ID], &e->id));
    TRY(vm_claim_new(claim, &e->copy));
    (void)vm_claim_name(e->copy, e->name);
    return RC_OK;
}

static enum rc make_stream(struct entry *e)
{
    struct vm_stream *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        return RC_NO_MEMORY;
    }
    s->claim = vm_claim_ref(e->copy);
    s->stream = e->claim->stream;
    s->worker = e->claim->worker;
    s->passes = e->claim->duplicate_passes;
    s->since_ms = e->now_ms;
    s->key = VM_NO_KEY;
    e->stream = s;
    return RC_OK;
}

/* A revoked VM is known by its name also when it comes with a key that nobody has seen. */
static bool is_revoked(struct registry *r, const struct entry *e)
{
    const uint8_t *key = key_of(e->claim);
    bool revoked = denylist_has(r->denylist, e->claim->identity, e->name, key);

    if (revoked && key != NULL) {
        denylist_learn(r->denylist, NULL, e->claim->identity, e->name, key);
    }
    return revoked;
}

/* The rules that need memory, under the table's lock. */
static enum rc judge(struct registry *r, const struct entry *e, const struct vm *vm,
                     struct registry_refusal *refusal, struct endings *replaced)
{
    const struct comer c = {e->copy, key_of(e->claim), NULL};

    refusal->rule = RULES;
    refusal->detail[0] = '\0';
    if (is_revoked(r, e)) {
        refuse_revoked(refusal);
        return RC_PEER_DENIED;
    }
    if (vm != NULL && vm->held_until_ms > e->now_ms) {
        refuse_held(vm, e->now_ms, refusal);
        return RC_PEER_DENIED;
    }
    if (!e->claim->one_for_each_address) {
        return RC_OK;
    }
    if (find_obstacle(r, &c, replaced) != NULL) {
        refuse_duplicate(e->copy, refusal);
        replaced->n = 0;
    }
    if (e->claim->duplicate_passes) { /* nobody has to go */
        replaced->n = 0;
        return RC_OK;
    }
    return refusal->rule == RULES ? RC_OK : RC_PEER_DENIED;
}

/* The VMs that are gone and have this key must not become many. */
static void thin_out(struct registry *r, const uint8_t *key)
{
    struct vm *oldest = NULL;
    size_t n = 0;

    for (struct vm_link *l = vm_index_first(&r->by_key, key, REGISTRY_KEY_BYTES); l != NULL;
         l = l->next) {
        struct vm *vm = l->owner;
        if (vm->rest == VM_GONE && vm_find_key(vm, key) != VM_NO_KEY) {
            n++;
            oldest = oldest == NULL || vm->rest_ms < oldest->rest_ms ? vm : oldest;
        }
    }
    if (n >= GONE_PER_KEY_MAX) {
        registry_forget(r, oldest);
    }
}

/* Is there room for one stream more? Those that nobody has believed count for themselves: they must
 * not keep the VM out. */
static bool has_room(const struct vm *vm, bool verified)
{
    size_t n = 0;

    for (const struct vm_stream *s = vm->streams; s != NULL; s = s->next) {
        n += s->trusted == verified;
    }
    return n < (verified ? VM_STREAMS_MAX : VM_STRANGE_STREAMS_MAX);
}

/* Make the VM, or room for it among those that are believed. */
static enum rc need_vm(struct registry *r, const struct entry *e, struct vm **vm)
{
    const uint8_t *key = key_of(e->claim);

    if (*vm != NULL && (*vm)->known) {
        return has_room(*vm, e->claim->verified) ? RC_OK : RC_FULL;
    }
    if (key != NULL) {
        thin_out(r, key);
    }
    if (e->claim->verified ? !registry_make_room(r) : r->n_strangers >= STRANGERS_MAX) {
        return RC_FULL;
    }
    if (*vm != NULL) {
        return has_room(*vm, e->claim->verified) ? RC_OK : RC_FULL;
    }
    struct vm *made = vm_new(r, e->id, e->copy);
    if (made == NULL) {
        return RC_NO_MEMORY;
    }
    registry_add_vm(r, made, VM_STRANGER, e->now_ms);
    *vm = made;
    return RC_OK;
}

/* The stream is the VM's from now on. */
static void begin(struct registry *r, struct entry *e, struct vm *vm)
{
    struct vm_stream *s = e->stream;

    e->stream = NULL;
    pthread_mutex_lock(&vm->lock);
    s->vm = vm_ref(vm);
    s->after = (uint8_t)(vm->streams != NULL ? END_REPLACED : vm->last_end);
    s->next = vm->streams;
    vm->streams = s;
    vm->n_connects++;
    vm->last_seen_ms = e->now_ms;
    if (e->claim->verified) {
        if (e->claim->certificate.known) {
            s->key = vm_show_key(vm, &e->claim->certificate);
        }
        trust(r, s);
    }
    vm_choose(vm);
    vm_note(vm, VM_WHAT_CONNECTED, 0, e->now_ms);
    pthread_mutex_unlock(&vm->lock);
    registry_set_rest(r, vm, VM_LIVING, e->now_ms);
}

static enum rc enter(struct registry *r, struct entry *e, struct vm **vm,
                     struct registry_refusal *refusal, struct endings *replaced)
{
    struct vm *found =
        registry_find_vm(r, e->id, e->claim->identity, vm_claim_node(e->claim)->text[XDS_NODE_ID]);
    TRY(judge(r, e, found, refusal, replaced));
    enum rc rc = need_vm(r, e, &found);
    if (rc != RC_OK) {
        replaced->n = 0;
        return rc;
    }
    begin(r, e, found);
    *vm = found;
    return RC_OK;
}

enum rc registry_enter(struct registry *r, const struct registry_claim *claim, int64_t now_ms,
                       struct vm **vm, struct registry_refusal *refusal)
{
    struct endings replaced = {.n = 0};
    struct entry e;

    CHECK_MAGIC(r, REGISTRY_MAGIC);
    CHECK(claim->stream != 0);
    enum rc rc = init_entry(&e, claim, now_ms);
    if (rc == RC_OK) {
        rc = make_stream(&e);
    }
    if (rc == RC_OK) {
        pthread_mutex_lock(&r->lock);
        rc = enter(r, &e, vm, refusal, &replaced);
        pthread_mutex_unlock(&r->lock);
        registry_tell(r, &replaced);
    }
    fini_entry(&e);
    if (rc == RC_FULL) {
        log_event(LOG_WARNING, "no room for one more VM", LOG_S("spiffe_id", claim->identity),
                  LOG_S("node", vm_claim_node(claim)->text[XDS_NODE_ID]));
    }
    if ((rc == RC_OK || rc == RC_PEER_DENIED) && refusal->rule != RULES) {
        const struct breach b = {refusal->rule, refusal->detail, rc == RC_OK, now_ms};
        registry_note_breach(r, claim, &b);
    }
    return rc;
}

/* ---- istiod's answer ---- */

/* Both locks. False: another one that is believed already is in the way. */
static bool believe(struct registry *r, struct vm_stream *s)
{
    struct endings replaced = {.n = 0}; /* without a certificate it replaces nobody */
    const struct comer c = {s->claim, NULL, s};

    if (s->claim->one_for_each_address && !s->passes && find_obstacle(r, &c, &replaced) != NULL) {
        return false;
    }
    trust(r, s);
    vm_choose(s->vm);
    return true;
}

/* Another one is believed already: this one has to end. */
static void refuse_stream(struct vm_stream *s, struct endings *end, int64_t now_ms)
{
    struct registry_refusal refusal;

    refuse_duplicate(s->claim, &refusal);
    vm_note_breach(s->vm, &(struct breach){refusal.rule, refusal.detail, false, now_ms});
    end->of[0].stream = s->stream;
    end->of[0].worker = s->worker;
    end->of[0].why = END_REFUSED;
    end->n = 1;
}

/* A stream without a certificate is trusted, or has to end. */
static void admit_stranger(struct vm *vm, uint64_t stream, int64_t now_ms)
{
    struct registry *r = vm->registry;
    struct endings end = {.n = 0};

    pthread_mutex_lock(&r->lock);
    bool was_known = vm->known;
    pthread_mutex_lock(&vm->lock);
    struct vm_stream *s = vm_find_stream(vm, stream);
    if (s != NULL && !s->trusted && !believe(r, s)) {
        refuse_stream(s, &end, now_ms);
    }
    pthread_mutex_unlock(&vm->lock);
    if (vm->known && !was_known && r->n_known > r->opts.max_vms) {
        (void)registry_make_room(r); /* nobody is gone: one more than there should be */
    }
    pthread_mutex_unlock(&r->lock);
    registry_tell(r, &end);
}

static bool is_stranger(struct vm *vm, uint64_t stream)
{
    pthread_mutex_lock(&vm->lock);
    const struct vm_stream *s = vm_find_stream(vm, stream);
    bool stranger = s != NULL && !s->trusted;
    pthread_mutex_unlock(&vm->lock);
    return stranger;
}

enum end_reason vm_admitted(struct vm *vm, uint64_t stream, const struct addr *endpoint,
                            const char *pod, int64_t now_ms)
{
    enum end_reason after = END_NONE;
    struct vm_claim *first = NULL;

    CHECK_MAGIC(vm, VM_MAGIC);
    if (is_stranger(vm, stream)) {
        admit_stranger(vm, stream, now_ms);
    }
    pthread_mutex_lock(&vm->lock);
    struct vm_stream *s = vm_find_stream(vm, stream);
    if (s != NULL && s->trusted) {
        s->admitted = true;
        after = (enum end_reason)s->after;
        if (s == vm->current) {
            vm->endpoint = *endpoint;
            shared_text_unref(&vm->pod);
            vm->pod = pod[0] != '\0' ? shared_text_new(pod, XDS_NODE_TEXT_BYTES) : NULL;
        }
        first = vm->logged ? NULL : vm_claim_ref(vm->claim);
        vm->logged = true;
        vm_touch(vm);
    }
    pthread_mutex_unlock(&vm->lock);
    if (first != NULL) {
        vm_log_registered(first, pod, endpoint);
        vm_claim_unref(&first);
    }
    return after;
}

/* ---- going ---- */

/* Take it off the VM's list. Both locks. */
static void unlink_stream(struct vm *vm, struct vm_stream *s)
{
    struct vm_stream **at = &vm->streams;

    while (*at != s) {
        at = &(*at)->next;
    }
    *at = s->next;
}

static void end_stream(struct registry *r, struct vm *vm, struct vm_stream *s, enum end_reason why,
                       int64_t now_ms)
{
    bool spoke = s == vm->current;

    if (s->trusted) {
        distrust(r, s);
    }
    unlink_stream(vm, s);
    if (vm->ends[why] < UINT16_MAX) {
        vm->ends[why]++;
    }
    if (spoke) {
        vm->last_end = (uint8_t)why;
        vm->last_seen_ms = now_ms;
        vm_note(vm, VM_WHAT_DISCONNECTED, (unsigned)why, now_ms);
        vm_choose(vm);
    }
    vm_touch(vm);
}

void registry_leave(struct registry *r, struct vm **pvm, uint64_t stream, enum end_reason why,
                    int64_t now_ms)
{
    struct vm *vm = *pvm;

    *pvm = NULL;
    CHECK_MAGIC(r, REGISTRY_MAGIC);
    CHECK_MAGIC(vm, VM_MAGIC);
    pthread_mutex_lock(&r->lock);
    pthread_mutex_lock(&vm->lock);
    struct vm_stream *s = vm_find_stream(vm, stream);
    CHECK(s != NULL);
    end_stream(r, vm, s, why, now_ms);
    pthread_mutex_unlock(&vm->lock);
    if (vm->streams == NULL) {
        registry_set_rest(r, vm, vm->known ? VM_GONE : VM_STRANGER, now_ms);
    }
    pthread_mutex_unlock(&r->lock);
    vm_claim_unref(&s->claim);
    free(s);
    vm_unref(&vm);
}
