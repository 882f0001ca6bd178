/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How istiod and Envoy agree about a type (delta.go and ads.go of pilot/pkg/xds): with the first
 * request of a new stream the VM says whether it has anything; delta names it all. istiod answers
 * with everything, and delta says what of those names is gone. So a new stream makes whole what was
 * not: what the VM names and we have not seen stays a name until the answer brings it.
 */
#include "gateway/vmconfig/vm_config.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "gateway/vmconfig/config_set.h"

#define VM_CONFIG_MAGIC 0x2c97e4a3u

/* Responses that are not answered yet. istiod waits for the answer, so there is hardly more than
 * one of each type. */
#define PENDING_MAX 8

struct type {
    struct config_set set;       /* what it has, if it is not lost */
    struct config_set before;    /* what it had as a whole before its stream began */
    struct config_blob *version; /* owned references */
    struct config_blob *changes;
    struct config_blob *changed_version;
    int64_t acked_ms;
    int64_t changed_ms;
    int64_t rejected_ms;
    uint64_t answered; /* config_store_hash() of the last nonce that was */
    uint8_t lost;      /* enum config_loss; CONFIG_LOSSES: it is not */
    bool begun;        /* this stream has asked for it */
    bool waiting;      /* the VM has nothing, or what it has is not known, until the next ACK */
    bool has_before;
    bool change_lost;
    bool partly; /* a response was rejected */
};

struct vm_config {
    uint32_t magic;
    struct config_store *store; /* borrowed */
    struct vm_config *older;    /* owned; what the VM has, while a stranger speaks for it */
    bool fresh;                 /* nothing of this stream was missed */
    bool counted;               /* as a VM of which something is kept */
    uint8_t n_pending;
    struct config_push *pending[PENDING_MAX]; /* owned; the oldest first */
    struct type types[CONFIG_TYPES];
};

/* ---- life ---- */

/* Its room is taken already, and given back without memory. */
static struct vm_config *make(struct config_store *s, bool fresh)
{
    struct vm_config *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        config_store_give(s, sizeof(*c));
        return NULL;
    }
    c->magic = VM_CONFIG_MAGIC;
    c->store = s;
    c->fresh = fresh;
    for (unsigned i = 0; i < CONFIG_TYPES; i++) {
        c->types[i].lost = CONFIG_LOSSES;
        c->types[i].waiting = true;
    }
    return c;
}

struct vm_config *vm_config_new(struct config_store *s, bool fresh)
{
    if (!config_store_take(s, sizeof(struct vm_config))) {
        config_store_count_loss(s, CONFIG_LOSS_FULL);
        return NULL;
    }
    return make(s, fresh);
}

static void drop_change(struct type *t)
{
    config_blob_unref(&t->changes);
    config_blob_unref(&t->changed_version);
    t->changed_ms = 0;
    t->change_lost = false;
}

static void drop_before(struct type *t)
{
    config_set_fini(&t->before);
    t->has_before = false;
}

static void drop_type(struct type *t)
{
    config_set_fini(&t->set);
    drop_before(t);
    drop_change(t);
    config_blob_unref(&t->version);
    t->acked_ms = 0;
}

static void drop_pending(struct vm_config *c, uint8_t i)
{
    config_push_free(&c->pending[i]);
    c->n_pending--;
    for (; i < c->n_pending; i++) {
        c->pending[i] = c->pending[i + 1];
    }
}

static void free_one(struct vm_config *c)
{
    CHECK_MAGIC(c, VM_CONFIG_MAGIC);
    while (c->n_pending > 0) {
        drop_pending(c, 0);
    }
    for (unsigned i = 0; i < CONFIG_TYPES; i++) {
        drop_type(&c->types[i]);
    }
    config_store_count_vm(c->store, c->counted ? -1 : 0);
    config_store_give(c->store, sizeof(*c));
    c->magic = 0;
    free(c);
}

void vm_config_free(struct vm_config **pc)
{
    struct vm_config *c = *pc;

    *pc = NULL;
    if (c == NULL) {
        return;
    }
    if (c->older != NULL) {
        free_one(c->older); /* it has none itself */
    }
    free_one(c);
}

/* ---- what is known ---- */

/* All that the VM has is known. */
static bool is_whole(const struct type *t)
{
    return t->lost == CONFIG_LOSSES && !t->waiting && t->set.n_unknown == 0;
}

static bool brings_all(const struct vm_config_request *q)
{
    return q->variant == XDS_SOTW && (xds_type_flags(q->request->type) & XDS_BY_NAME) == 0;
}

static void count_vm(struct vm_config *c)
{
    bool any = false;

    for (unsigned i = 0; i < CONFIG_TYPES; i++) {
        any |= c->types[i].set.pairs != NULL;
    }
    if (any != c->counted) {
        c->counted = any;
        config_store_count_vm(c->store, any ? 1 : -1);
    }
}

static void lose(struct vm_config *c, struct type *t, enum config_loss why)
{
    if (t->lost == CONFIG_LOSSES) {
        config_store_count_loss(c->store, why);
        t->lost = (uint8_t)why;
    }
    drop_type(t);
    count_vm(c);
}

static void lose_for(struct vm_config *c, struct type *t, enum rc rc)
{
    lose(c, t, rc == RC_PEER_MALFORMED ? CONFIG_LOSS_UNREADABLE : CONFIG_LOSS_FULL);
}

void vm_config_lose(struct vm_config *c, enum xds_type type, enum config_loss why)
{
    unsigned i = config_type_index(type);

    CHECK_MAGIC(c, VM_CONFIG_MAGIC);
    if (i < CONFIG_TYPES) {
        lose(c, &c->types[i], why);
    }
}

/* ---- changes ---- */

/* The set becomes another one, which is known to come from `before`. */
static void note_change(struct vm_config *c, struct type *t, const struct config_set *before,
                        const struct config_set *after, int64_t now_ms)
{
    struct config_blob *changes = NULL;
    size_t n = 0;

    enum rc rc = config_set_diff(c->store, before, after, &changes, &n);
    if (n == 0) {
        return;
    }
    drop_change(t);
    t->changes = changes;
    t->change_lost = rc != RC_OK;
    t->changed_ms = now_ms;
    t->changed_version = config_blob_ref(t->version);
}

/* The VM has this now. Takes the set. */
static void become(struct vm_config *c, struct type *t, struct config_set *set, int64_t now_ms)
{
    bool is_known = t->has_before || (is_whole(t) && t->acked_ms > 0);

    if (is_known && set->n_unknown == 0) {
        note_change(c, t, t->has_before ? &t->before : &t->set, set, now_ms);
        drop_before(t);
    }
    config_set_fini(&t->set);
    t->set = *set;
    *set = (struct config_set){.n_unknown = 0};
    count_vm(c);
}

/* ---- a stream begins ---- */

/* The stranger was not believed. */
static void restore(struct vm_config **pc)
{
    struct vm_config *stranger = *pc;

    if (stranger->older != NULL) {
        *pc = stranger->older;
        free_one(stranger);
    }
}

/* Without memory for it what the VM has is given up: a stranger must not change it. */
static void set_aside(struct vm_config **pc, bool fresh)
{
    struct vm_config *older = *pc;

    config_store_take_anyway(older->store, sizeof(*older));
    *pc = make(older->store, fresh);
    if (*pc != NULL) {
        (*pc)->older = older;
    } else {
        free_one(older);
    }
}

void vm_config_stream(struct vm_config **pc, bool fresh, bool stranger)
{
    CHECK_MAGIC(*pc, VM_CONFIG_MAGIC);
    restore(pc);
    struct vm_config *c = *pc;
    while (c->n_pending > 0) {
        drop_pending(c, 0);
    }
    c->fresh = fresh;
    for (unsigned i = 0; i < CONFIG_TYPES; i++) {
        c->types[i].begun = false;
    }
    if (stranger) {
        set_aside(pc, fresh);
    }
}

/* What it had is what the next change is told from. */
static void inherit(struct type *t, struct type *from)
{
    t->rejected_ms = from->rejected_ms;
    if (is_whole(from) && from->acked_ms > 0 && t->acked_ms == 0 && t->lost == CONFIG_LOSSES) {
        t->before = from->set;
        t->has_before = true;
        from->set = (struct config_set){.n_unknown = 0};
        t->version = config_blob_ref(from->version);
        t->acked_ms = from->acked_ms;
        t->changes = config_blob_ref(from->changes);
        t->changed_version = config_blob_ref(from->changed_version);
        t->changed_ms = from->changed_ms;
        t->change_lost = from->change_lost;
    }
}

void vm_config_believe(struct vm_config *c)
{
    if (c == NULL || c->older == NULL) {
        return;
    }
    CHECK_MAGIC(c, VM_CONFIG_MAGIC);
    for (unsigned i = 0; i < CONFIG_TYPES; i++) {
        inherit(&c->types[i], &c->older->types[i]);
    }
    free_one(c->older);
    c->older = NULL;
}

/* What it had as a whole, to tell what changes with the stream. */
static void remember(struct type *t)
{
    if (!t->has_before && is_whole(t) && t->acked_ms > 0) {
        t->before.pairs = config_blob_ref(t->set.pairs);
        t->has_before = true;
    }
}

/* State of the world: what was whole stays until istiod has answered. */
static void begin_sotw(struct type *t, const struct config_ask *ask)
{
    if (ask->has_nothing || !is_whole(t)) {
        config_set_fini(&t->set);
        t->waiting = true;
    }
}

static enum rc begin_delta(struct vm_config *c, struct type *t, const struct config_ask *ask)
{
    struct config_set set = {.n_unknown = 0};

    if (ask->has_nothing) {
        config_set_fini(&t->set);
        t->waiting = true;
        return RC_OK;
    }
    TRY(config_set_claim(c->store, &t->set, ask->names, ask->n, &set));
    config_set_fini(&t->set);
    t->set = set;
    t->waiting = false;
    return RC_OK;
}

/* The first request of its type on this stream. */
static void begin(struct vm_config *c, struct type *t, const struct vm_config_request *q,
                  const struct config_ask *ask)
{
    t->begun = true;
    if (!c->fresh) {
        lose(c, t, CONFIG_LOSS_INCOMPLETE);
        return;
    }
    remember(t);
    t->lost = CONFIG_LOSSES;
    t->partly = false;
    if (q->variant == XDS_SOTW) {
        begin_sotw(t, ask);
    } else {
        enum rc rc = begin_delta(c, t, ask);
        if (rc != RC_OK) {
            lose_for(c, t, rc);
        }
    }
    count_vm(c);
}

/* ---- responses ---- */

void vm_config_push(struct vm_config *c, struct config_push **push)
{
    struct config_push *p = *push;

    *push = NULL;
    CHECK_MAGIC(c, VM_CONFIG_MAGIC);
    if (c->n_pending == PENDING_MAX) { /* its ACK will be about what nobody knows */
        drop_pending(c, 0);
    }
    c->pending[c->n_pending++] = p;
}

/* The place of a response that is not answered; n_pending: there is none. */
static uint8_t find_pending(const struct vm_config *c, const struct xds_request *q)
{
    uint8_t i = 0;

    while (i < c->n_pending &&
           !(c->pending[i]->type == q->type && strcmp(c->pending[i]->nonce, q->nonce) == 0)) {
        i++;
    }
    return i;
}

static enum rc apply(struct type *t, struct config_push *p, bool brings_all, struct config_set *out)
{
    return brings_all ? config_set_of(p, out) : config_set_merge(&t->set, p, out);
}

/* The VM has taken it. */
static void commit(struct vm_config *c, struct type *t, struct config_push *p, bool brings_all,
                   int64_t now_ms)
{
    struct config_set set = {.n_unknown = 0};

    if (t->lost != CONFIG_LOSSES && !brings_all) {
        return; /* it is a part of what nobody knows */
    }
    enum rc rc = apply(t, p, brings_all, &set);
    if (rc != RC_OK) {
        lose_for(c, t, rc);
        return;
    }
    config_blob_unref(&t->version);
    t->version = config_blob_ref(p->version);
    become(c, t, &set, now_ms);
    t->lost = CONFIG_LOSSES;
    t->waiting = false;
    t->partly &= !brings_all;
    t->acked_ms = now_ms;
}

static void reject(struct vm_config *c, struct type *t, const struct xds_request *q, int64_t now_ms)
{
    uint8_t i = find_pending(c, q);

    if (i < c->n_pending) {
        drop_pending(c, i);
    }
    t->answered = config_store_hash(c->store, q->nonce);
    t->rejected_ms = now_ms;
    t->partly = true;
}

/* first: of its type on this stream. Some Envoys write the last nonce of the stream before into it.
 */
static void acknowledge(struct vm_config *c, struct type *t, const struct vm_config_request *q,
                        bool first, int64_t now_ms)
{
    const char *nonce = q->request->nonce;
    uint8_t i = find_pending(c, q->request);
    uint64_t hash = config_store_hash(c->store, nonce);

    if (i < c->n_pending) {
        commit(c, t, c->pending[i], brings_all(q), now_ms);
        drop_pending(c, i);
    } else if (!first && nonce[0] != '\0' && hash != t->answered) {
        lose(c, t, CONFIG_LOSS_UNREADABLE); /* it has taken something that we have not seen */
    }
    t->answered = nonce[0] != '\0' ? hash : t->answered;
}

/* ---- requests ---- */

/* It wants these names only, or these no longer. */
static void restrict_names(struct vm_config *c, struct type *t, const struct vm_config_request *q,
                           const struct config_ask *ask, int64_t now_ms)
{
    bool sotw = q->variant == XDS_SOTW;
    struct config_set set = {.n_unknown = 0};

    if ((xds_type_flags(q->request->type) & XDS_BY_NAME) == 0 || t->lost != CONFIG_LOSSES ||
        t->set.pairs == NULL || (!sotw && ask->n_gone == 0)) {
        return;
    }
    enum rc rc = config_set_restrict(c->store, &t->set, sotw ? ask->names : ask->gone,
                                     sotw ? ask->n : ask->n_gone, sotw, &set);
    if (rc != RC_OK) {
        lose_for(c, t, rc);
    } else if (set.pairs == t->set.pairs) {
        config_set_fini(&set);
    } else {
        become(c, t, &set, now_ms);
    }
}

static void take_request(struct vm_config *c, struct type *t, const struct vm_config_request *q,
                         const struct config_ask *ask, int64_t now_ms)
{
    bool first = !t->begun || (q->variant == XDS_SOTW && q->request->nonce[0] == '\0');

    if (first) {
        begin(c, t, q, ask);
    }
    acknowledge(c, t, q, first, now_ms);
    restrict_names(c, t, q, ask, now_ms);
}

void vm_config_request(struct vm_config *c, const struct vm_config_request *q, int64_t now_ms)
{
    unsigned i = config_type_index(q->request->type);
    struct config_ask ask;

    CHECK_MAGIC(c, VM_CONFIG_MAGIC);
    if (i == CONFIG_TYPES) {
        return;
    }
    struct type *t = &c->types[i];
    if (q->request->has_error) {
        reject(c, t, q->request, now_ms);
        return;
    }
    enum rc rc = config_ask_read(c->store, q->variant, q->request, q->message, q->n, &ask);
    if (rc != RC_OK) {
        t->begun = true;
        lose_for(c, t, rc);
        return;
    }
    take_request(c, t, q, &ask, now_ms);
    config_ask_fini(c->store, &ask);
}

/* ---- readers ---- */

static enum vm_config_state state_of(const struct type *t)
{
    static const enum vm_config_state lost[CONFIG_LOSSES] = {
        [CONFIG_LOSS_FULL] = VM_CONFIG_FULL,
        [CONFIG_LOSS_UNREADABLE] = VM_CONFIG_UNREADABLE,
        [CONFIG_LOSS_INCOMPLETE] = VM_CONFIG_INCOMPLETE,
    };

    if (t->lost != CONFIG_LOSSES) {
        return lost[t->lost];
    }
    if (t->set.n_unknown > 0) {
        return VM_CONFIG_INCOMPLETE;
    }
    return t->waiting ? VM_CONFIG_NONE : VM_CONFIG_KEPT;
}

static void take_type(const struct type *t, struct vm_config_type_view *out)
{
    out->state = state_of(t);
    out->acked_ms = t->acked_ms;
    out->changed_ms = t->changed_ms;
    out->change_lost = t->change_lost;
    out->rejected_ms = t->rejected_ms;
    out->partly_rejected = t->partly;
    out->version_text = config_blob_ref(t->version);
    out->changed_version_text = config_blob_ref(t->changed_version);
    out->changes = config_blob_ref(t->changes);
    if (out->state == VM_CONFIG_KEPT) {
        out->resources = config_blob_ref(t->set.pairs);
    }
}

void vm_config_take(const struct vm_config *c, bool living, struct vm_config_view *out)
{
    memset(out, 0, sizeof(*out));
    c = c != NULL && c->older != NULL ? c->older : c;
    for (unsigned type = 0; type < XDS_TYPES; type++) {
        struct vm_config_type_view *t = &out->types[type];
        unsigned i = config_type_index((enum xds_type)type);
        if (i == CONFIG_TYPES) {
            t->state = VM_CONFIG_NEVER;
        } else if (c != NULL) {
            take_type(&c->types[i], t);
        } else {
            t->state = living ? VM_CONFIG_INCOMPLETE : VM_CONFIG_NONE;
        }
        t->version = config_blob_text(t->version_text);
        t->changed_version = config_blob_text(t->changed_version_text);
        (void)config_blob_pairs(t->resources, &t->n_resources);
        (void)config_blob_pairs(t->changes, &t->n_changes);
    }
}
