/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block is found by a keyed hash of what it is, in a table whose size follows from the budget.
 * Who wants one hashes it first, looks it up for a moment under the lock, and compares outside with
 * a reference in hand. The last reference is given back under the lock, so what is found in the
 * table always lives. A list is the same list when it has the same references: what they point to
 * is there once.
 */
#include "gateway/vmconfig/config_store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/base/check.h"
#include "core/base/siphash.h"
#include "core/base/wipe.h"

#define CONFIG_STORE_MAGIC 0x61d2f7c9u

/* Of the budget for each bucket of the table, which is so a few thousandths of it. */
#define BYTES_PER_BUCKET 2048U
#define BUCKETS_MIN 64U
#define BUCKETS_MAX (UINT32_C(1) << 20)

/* What malloc() adds to a block. */
#define MALLOC_BYTES 16

enum blob_kind { BLOB_RESOURCE, BLOB_TEXT, BLOB_PAIRS };

struct config_blob {
    struct config_blob *next;   /* in its bucket; the lock */
    struct config_store *store; /* borrowed */
    uint64_t hash;
    uint32_t refs;   /* atomic; from 1 to 0 under the lock only */
    uint32_t n;      /* bytes */
    uint32_t n_name; /* of a resource, with its zero */
    uint8_t kind;    /* enum blob_kind */
    uint8_t type;    /* of a resource: enum xds_type */
    bool has_value;
    _Alignas(struct config_pair) uint8_t bytes[];
};

struct config_store {
    uint32_t magic;
    struct siphash_key key;
    uint64_t budget;                /* atomic */
    uint64_t bytes;                 /* atomic */
    uint64_t vms;                   /* atomic */
    uint64_t losses[CONFIG_LOSSES]; /* atomic */

    pthread_mutex_t lock;
    struct config_blob **buckets; /* owned; NULL: nothing was ever kept, or no longer */
    uint32_t n_buckets;           /* a power of two */
    uint64_t n_blobs;
};

const char *config_loss_name(enum config_loss why)
{
    static const char *const names[CONFIG_LOSSES] = {[CONFIG_LOSS_FULL] = "full",
                                                     [CONFIG_LOSS_UNREADABLE] = "unreadable",
                                                     [CONFIG_LOSS_INCOMPLETE] = "incomplete"};

    return names[why];
}

/* ---- the budget ---- */

bool config_store_is_on(const struct config_store *s)
{
    return __atomic_load_n(&s->budget, __ATOMIC_RELAXED) > 0;
}

uint64_t config_store_bytes(const struct config_store *s)
{
    return __atomic_load_n(&s->bytes, __ATOMIC_RELAXED);
}

bool config_store_take(struct config_store *s, size_t n)
{
    uint64_t budget = __atomic_load_n(&s->budget, __ATOMIC_RELAXED);
    uint64_t before = __atomic_load_n(&s->bytes, __ATOMIC_RELAXED);

    do {
        if (n > budget || before > budget - n) {
            return false;
        }
    } while (!__atomic_compare_exchange_n(&s->bytes, &before, before + n, true, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return true;
}

void config_store_take_anyway(struct config_store *s, size_t n)
{
    __atomic_fetch_add(&s->bytes, n, __ATOMIC_RELAXED);
}

void config_store_give(struct config_store *s, size_t n)
{
    CHECK(__atomic_fetch_sub(&s->bytes, n, __ATOMIC_RELAXED) >= n);
}

void config_store_count_vm(struct config_store *s, int n)
{
    __atomic_fetch_add(&s->vms, (uint64_t)n, __ATOMIC_RELAXED);
}

void config_store_count_loss(struct config_store *s, enum config_loss why)
{
    __atomic_fetch_add(&s->losses[why], 1, __ATOMIC_RELAXED);
}

/* ---- the table; its lock ---- */

static struct config_blob **bucket_of(const struct config_store *s, uint64_t hash)
{
    return &s->buckets[hash & (s->n_buckets - 1)];
}

static void drop_table(struct config_store *s)
{
    config_store_give(s, s->n_buckets * sizeof(struct config_blob *));
    free(s->buckets);
    s->buckets = NULL;
    s->n_buckets = 0;
}

static void move_blobs(struct config_store *s, struct config_blob **old, uint32_t n_old)
{
    for (uint32_t i = 0; i < n_old; i++) {
        while (old[i] != NULL) {
            struct config_blob *b = old[i];
            old[i] = b->next;
            b->next = *bucket_of(s, b->hash);
            *bucket_of(s, b->hash) = b;
        }
    }
}

static uint32_t buckets_for(uint64_t budget)
{
    uint32_t n = BUCKETS_MIN;

    while (n < BUCKETS_MAX && (uint64_t)n * BYTES_PER_BUCKET < budget) {
        n *= 2;
    }
    return n;
}

static void add(struct config_store *s, struct config_blob *b)
{
    b->next = *bucket_of(s, b->hash);
    *bucket_of(s, b->hash) = b;
    s->n_blobs++;
}

static void take_out(struct config_store *s, struct config_blob *b)
{
    struct config_blob **at = bucket_of(s, b->hash);

    while (*at != b) {
        at = &(*at)->next;
    }
    *at = b->next;
    s->n_blobs--;
    if (s->n_blobs == 0 && !config_store_is_on(s)) {
        drop_table(s);
    }
}

/* One of the same hash and size, with a reference more. NULL: there is none. */
static struct config_blob *look_up(const struct config_store *s, uint64_t hash, uint8_t kind,
                                   size_t n)
{
    struct config_blob *b = s->n_buckets > 0 ? *bucket_of(s, hash) : NULL;

    while (b != NULL && !(b->hash == hash && b->kind == kind && b->n == n)) {
        b = b->next;
    }
    return config_blob_ref(b);
}

/* ---- life ---- */

enum rc config_store_new(struct config_store **out)
{
    struct config_store *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        return RC_NO_MEMORY;
    }
    if (getrandom(&s->key, sizeof(s->key), 0) != (ssize_t)sizeof(s->key)) {
        free(s);
        return RC_SYSTEM;
    }
    s->magic = CONFIG_STORE_MAGIC;
    pthread_mutex_init(&s->lock, NULL);
    *out = s;
    return RC_OK;
}

void config_store_free(struct config_store **ps)
{
    struct config_store *s = *ps;

    *ps = NULL;
    if (s == NULL) {
        return;
    }
    CHECK_MAGIC(s, CONFIG_STORE_MAGIC);
    CHECK(s->n_blobs == 0 && s->vms == 0);
    if (s->buckets != NULL) {
        drop_table(s);
    }
    CHECK(s->bytes == 0);
    pthread_mutex_destroy(&s->lock);
    s->magic = 0;
    free(s);
}

enum rc config_store_set_budget(struct config_store *s, uint64_t bytes)
{
    CHECK_MAGIC(s, CONFIG_STORE_MAGIC);
    uint32_t n = buckets_for(bytes);
    struct config_blob **buckets = bytes > 0 ? calloc(n, sizeof(struct config_blob *)) : NULL;
    if (bytes > 0 && buckets == NULL) {
        return RC_NO_MEMORY;
    }
    pthread_mutex_lock(&s->lock);
    __atomic_store_n(&s->budget, bytes, __ATOMIC_RELAXED);
    if (bytes > 0 && n != s->n_buckets) {
        struct config_blob **old = s->buckets;
        uint32_t n_old = s->n_buckets;
        s->buckets = buckets;
        s->n_buckets = n;
        move_blobs(s, old, n_old);
        config_store_take_anyway(s, n * sizeof(struct config_blob *));
        config_store_give(s, n_old * sizeof(struct config_blob *));
        buckets = old;
    } else if (bytes == 0 && s->buckets != NULL && s->n_blobs == 0) {
        drop_table(s);
    }
    pthread_mutex_unlock(&s->lock);
    free(buckets);
    return RC_OK;
}

void config_store_stats(struct config_store *s, struct config_store_stats *out)
{
    CHECK_MAGIC(s, CONFIG_STORE_MAGIC);
    *out = (struct config_store_stats){.budget = __atomic_load_n(&s->budget, __ATOMIC_RELAXED),
                                       .bytes = __atomic_load_n(&s->bytes, __ATOMIC_RELAXED),
                                       .vms = __atomic_load_n(&s->vms, __ATOMIC_RELAXED)};
    for (size_t i = 0; i < CONFIG_LOSSES; i++) {
        out->losses[i] = __atomic_load_n(&s->losses[i], __ATOMIC_RELAXED);
    }
    pthread_mutex_lock(&s->lock);
    out->blobs = s->n_blobs;
    pthread_mutex_unlock(&s->lock);
}

uint64_t config_store_hash(const struct config_store *s, const char *text)
{
    return siphash(&s->key, text, strlen(text));
}

/* ---- blocks ---- */

/* What a block is to be: up to two pieces, one after the other. */
struct wanted {
    enum blob_kind kind;
    uint8_t type;
    bool has_value;
    const void *first;
    size_t n_first;
    const void *second;
    size_t n_second;
};

static uint64_t hash_of(const struct config_store *s, const struct wanted *w)
{
    const uint64_t parts[] = {
        w->kind,
        w->type,
        w->has_value,
        w->n_first,
        siphash(&s->key, w->first, w->n_first),
        w->n_second > 0 ? siphash(&s->key, w->second, w->n_second) : 0,
    };

    return siphash(&s->key, parts, sizeof(parts));
}

static bool is_wanted(const struct config_blob *b, const struct wanted *w)
{
    return b->type == w->type && b->has_value == w->has_value && b->n_name == w->n_first &&
           memcmp(b->bytes, w->first, w->n_first) == 0 &&
           (w->n_second == 0 || memcmp(b->bytes + w->n_first, w->second, w->n_second) == 0);
}

static size_t cost_of(size_t n)
{
    return sizeof(struct config_blob) + n + MALLOC_BYTES;
}

static enum rc make(struct config_store *s, const struct wanted *w, uint64_t hash,
                    struct config_blob **out)
{
    size_t n = w->n_first + w->n_second;

    if (w->n_first > UINT32_MAX / 2 || w->n_second > UINT32_MAX / 2 ||
        !config_store_take(s, cost_of(n))) {
        return RC_FULL;
    }
    struct config_blob *b = malloc(sizeof(*b) + n);
    if (b == NULL) {
        config_store_give(s, cost_of(n));
        return RC_NO_MEMORY;
    }
    *b = (struct config_blob){.store = s,
                              .hash = hash,
                              .refs = 1,
                              .n = (uint32_t)n,
                              .n_name = (uint32_t)w->n_first,
                              .kind = (uint8_t)w->kind,
                              .type = w->type,
                              .has_value = w->has_value};
    memcpy(b->bytes, w->first, w->n_first);
    if (w->n_second > 0) {
        memcpy(b->bytes + w->n_first, w->second, w->n_second);
    }
    *out = b;
    return RC_OK;
}

/* It is in no table. References that it holds are the caller's. */
static void destroy(struct config_blob *b)
{
    size_t n = b->n;

    config_store_give(b->store, cost_of(n));
    wipe_free(b, sizeof(*b) + n);
}

/* The block that is there with a reference more, or NULL. */
static struct config_blob *find(struct config_store *s, const struct wanted *w, uint64_t hash)
{
    pthread_mutex_lock(&s->lock);
    struct config_blob *b = look_up(s, hash, (uint8_t)w->kind, w->n_first + w->n_second);
    pthread_mutex_unlock(&s->lock);
    if (b != NULL && !is_wanted(b, w)) {
        config_blob_unref(&b);
    }
    return b;
}

/* Put a new block into the table. Another thread may have made the same one since: then that one is
 * in *b, because what is there once is compared by its address. False: it was switched off. */
static bool publish(struct config_store *s, const struct wanted *w, struct config_blob **b,
                    bool *is_new)
{
    struct config_blob *mine = *b;

    pthread_mutex_lock(&s->lock);
    struct config_blob *other = look_up(s, mine->hash, mine->kind, mine->n);
    *is_new = s->n_buckets > 0 && (other == NULL || !is_wanted(other, w));
    if (*is_new) {
        add(s, mine);
    }
    pthread_mutex_unlock(&s->lock);
    if (*is_new) {
        config_blob_unref(&other);
        *b = mine;
        return true;
    }
    destroy(mine);
    *b = other;
    return other != NULL;
}

/* The block of w; *is_new: it was made, and so has what w refers to. */
static enum rc intern(struct config_store *s, const struct wanted *w, struct config_blob **out,
                      bool *is_new)
{
    CHECK_MAGIC(s, CONFIG_STORE_MAGIC);
    uint64_t hash = hash_of(s, w);
    struct config_blob *b = find(s, w, hash);
    *is_new = false;
    if (b == NULL) {
        TRY(make(s, w, hash, &b));
        if (!publish(s, w, &b, is_new)) {
            return RC_FULL;
        }
    }
    *out = b;
    return RC_OK;
}

enum rc config_store_resource(struct config_store *s, const struct config_resource *r,
                              struct config_blob **out)
{
    const struct wanted w = {.kind = BLOB_RESOURCE,
                             .type = (uint8_t)(r->value != NULL ? r->type : XDS_OTHER),
                             .has_value = r->value != NULL,
                             .first = r->name,
                             .n_first = strlen(r->name) + 1,
                             .second = r->value,
                             .n_second = r->value != NULL ? r->n_value : 0};
    bool is_new;

    return intern(s, &w, out, &is_new);
}

enum rc config_store_text(struct config_store *s, const char *text, struct config_blob **out)
{
    const struct wanted w = {.kind = BLOB_TEXT, .first = text, .n_first = strlen(text) + 1};
    bool is_new;

    if (text[0] == '\0') {
        *out = NULL;
        return RC_OK;
    }
    return intern(s, &w, out, &is_new);
}

static void unref_pairs(const struct config_pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct config_pair p = pairs[i];
        config_blob_unref(&p.a);
        config_blob_unref(&p.b);
    }
}

enum rc config_store_pairs(struct config_store *s, const struct config_pair *pairs, size_t n,
                           struct config_blob **out)
{
    const struct wanted w = {.kind = BLOB_PAIRS, .first = pairs, .n_first = n * sizeof(*pairs)};
    bool is_new = false;

    if (n == 0) {
        *out = NULL;
        return RC_OK;
    }
    enum rc rc = intern(s, &w, out, &is_new);
    if (rc != RC_OK || !is_new) {
        unref_pairs(pairs, n);
    }
    return rc;
}

/* ---- references ---- */

struct config_blob *config_blob_ref(struct config_blob *b)
{
    if (b != NULL) {
        __atomic_fetch_add(&b->refs, 1, __ATOMIC_RELAXED);
    }
    return b;
}

/* Give one back that is not the last. False: it may be. */
static bool drop_other(struct config_blob *b)
{
    uint32_t refs = __atomic_load_n(&b->refs, __ATOMIC_RELAXED);

    while (refs > 1) {
        if (__atomic_compare_exchange_n(&b->refs, &refs, refs - 1, true, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED)) {
            return true;
        }
    }
    return false;
}

void config_blob_unref(struct config_blob **pb)
{
    struct config_blob *b = *pb;

    *pb = NULL;
    if (b == NULL || drop_other(b)) {
        return;
    }
    struct config_store *s = b->store;
    pthread_mutex_lock(&s->lock);
    bool last = __atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL) == 0;
    if (last) {
        take_out(s, b);
    }
    pthread_mutex_unlock(&s->lock);
    if (!last) {
        return;
    }
    if (b->kind == BLOB_PAIRS) { /* of blocks that hold nothing, so this is no recursion */
        size_t n;
        const struct config_pair *pairs = config_blob_pairs(b, &n);
        unref_pairs(pairs, n);
    }
    destroy(b);
}

const char *config_blob_text(const struct config_blob *b)
{
    return b != NULL ? (const char *)b->bytes : "";
}

const uint8_t *config_blob_value(const struct config_blob *b, size_t *n)
{
    *n = b->has_value ? b->n - b->n_name : 0;
    return b->has_value ? b->bytes + b->n_name : NULL;
}

const struct config_pair *config_blob_pairs(const struct config_blob *b, size_t *n)
{
    static const struct config_pair none;

    CHECK(b == NULL || b->kind == BLOB_PAIRS);
    *n = b != NULL ? b->n / sizeof(struct config_pair) : 0;
    return b != NULL ? (const struct config_pair *)(const void *)b->bytes : &none;
}
