/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two locks: `lock` for the list, held for a look at it; `file_lock`, taken before it, for whoever
 * reads or writes the file.
 */
#include "gateway/registry/denylist.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/file_put.h"
#include "core/base/file_read.h"
#include "core/base/file_stamp.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/doc/doc.h"
#include "gateway/registry/denylist_internal.h"
#include "gateway/registry/vm_id.h"

#define DENYLIST_MAGIC 0xde41115au
#define FILE_MODE 0640

struct denylist {
    uint32_t magic;
    pthread_mutex_t lock; /* for set and dirty */
    struct denylist_set set;
    bool dirty;                /* what is in force is not in the file */
    pthread_mutex_t file_lock; /* for what follows; and only its holder adds to set or takes off */
    char *path;                /* owned; NULL: none */
    uint64_t stamp;            /* of the file as it was read or written last */
    uint64_t told;             /* of the file of which was said that it cannot be read */
    bool unwritable;           /* the last try to write failed */
};

/* ---- sets ---- */

void denylist_set_fini(struct denylist_set *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->of[i]);
    }
    free(s->of);
    memset(s, 0, sizeof(*s));
}

static size_t bucket_of(const char *identity, const char *name)
{
    uint32_t h = hash_bytes(HASH_START, identity, strlen(identity) + 1);

    return hash_bytes(h, name, strlen(name)) % DENYLIST_BUCKETS;
}

struct denylist_entry *denylist_set_find(const struct denylist_set *s, const char *identity,
                                         const char *name)
{
    struct denylist_entry *e = s->buckets[bucket_of(identity, name)];

    while (e != NULL && (strcmp(e->v.name, name) != 0 || strcmp(e->v.identity, identity) != 0)) {
        e = e->next;
    }
    return e;
}

static bool has_key(const struct denylist_entry *e, const uint8_t *key)
{
    for (size_t i = 0; i < e->v.n_keys; i++) {
        if (memcmp(e->keys[i], key, DENYLIST_KEY_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

static struct denylist_entry *find_by_key(const struct denylist_set *s, const uint8_t *key)
{
    for (size_t i = 0; key != NULL && i < s->n; i++) {
        if (has_key(s->of[i], key)) {
            return s->of[i];
        }
    }
    return NULL;
}

bool denylist_entry_add_key(struct denylist_entry *e, const uint8_t key[DENYLIST_KEY_BYTES])
{
    if (has_key(e, key)) {
        return false;
    }
    if (e->v.n_keys == DENYLIST_KEYS_MAX) {
        memmove(e->keys[0], e->keys[1], sizeof(e->keys) - DENYLIST_KEY_BYTES);
        e->v.n_keys--;
    }
    memcpy(e->keys[e->v.n_keys++], key, DENYLIST_KEY_BYTES);
    return true;
}

static char *put_text(char **at, const char *text)
{
    size_t n = strlen(text) + 1;
    char *place = *at;

    memcpy(place, text, n);
    *at += n;
    return place;
}

/* A copy without keys. NULL: out of memory. */
static struct denylist_entry *new_entry(const struct denial *v)
{
    size_t n = strlen(v->name) + strlen(v->identity) + strlen(v->by) + strlen(v->at) + 4;
    struct denylist_entry *e = calloc(1, sizeof(*e) + n);

    if (e == NULL) {
        return NULL;
    }
    char *at = e->texts;
    e->v = (struct denial){.id = v->id, .keys = e->keys[0]};
    e->v.name = put_text(&at, v->name);
    e->v.identity = put_text(&at, v->identity);
    e->v.by = put_text(&at, v->by);
    e->v.at = put_text(&at, v->at);
    return e;
}

/* The new one, without keys. */
static enum rc append(struct denylist_set *s, const struct denial *v, struct denylist_entry **out)
{
    if (s->n >= DENYLIST_MAX) {
        return RC_FULL;
    }
    struct denylist_entry **of = realloc(s->of, (s->n + 1) * sizeof(struct denylist_entry *));
    if (of == NULL) {
        return RC_NO_MEMORY;
    }
    s->of = of;
    struct denylist_entry *e = new_entry(v);
    if (e == NULL) {
        return RC_NO_MEMORY;
    }
    struct denylist_entry **bucket = &s->buckets[bucket_of(v->identity, v->name)];
    e->next = *bucket;
    *bucket = e;
    s->of[s->n++] = e;
    *out = e;
    return RC_OK;
}

enum rc denylist_set_put(struct denylist_set *s, const struct denial *v)
{
    struct denylist_entry *e = denylist_set_find(s, v->identity, v->name);

    if (e == NULL) {
        TRY(append(s, v, &e));
    }
    for (size_t i = 0; i < v->n_keys; i++) {
        (void)denylist_entry_add_key(e, v->keys + i * DENYLIST_KEY_BYTES);
    }
    return RC_OK;
}

enum rc denylist_set_copy(const struct denylist_set *s, struct denylist_set *out)
{
    for (size_t i = 0; i < s->n; i++) {
        enum rc rc = denylist_set_put(out, &s->of[i]->v);
        if (rc != RC_OK) {
            denylist_set_fini(out);
            return rc;
        }
    }
    return RC_OK;
}

/* Take number i off; it is the caller's. */
static struct denylist_entry *take_out(struct denylist_set *s, size_t i)
{
    struct denylist_entry *e = s->of[i];
    struct denylist_entry **at = &s->buckets[bucket_of(e->v.identity, e->v.name)];

    while (*at != e) {
        at = &(*at)->next;
    }
    *at = e->next;
    s->n--;
    memmove(&s->of[i], &s->of[i + 1], (s->n - i) * sizeof(struct denylist_entry *));
    return e;
}

/* ---- the file; under file_lock, but for what takes a path ---- */

/* Before the text of what is wrong goes the file that it is about. */
static enum rc blame(const char *path, enum rc rc, const char *reason, char *why)
{
    (void)snprintf(why, DENYLIST_WHY_BYTES, "%.200s: %.300s", path, reason);
    return rc;
}

/* What this process alone knows goes into the set that was read: all VMs, or only keys that were
 * learned of those that are there. *more: there is something. */
static enum rc merge(const struct denylist_set *ours, struct denylist_set *read, bool all,
                     bool *more)
{
    for (size_t i = 0; i < ours->n; i++) {
        const struct denial *v = &ours->of[i]->v;
        struct denylist_entry *e = denylist_set_find(read, v->identity, v->name);
        if (e == NULL && all) {
            TRY(denylist_set_put(read, v));
            *more = true;
        }
        for (size_t k = 0; e != NULL && k < v->n_keys; k++) {
            if (e->v.n_keys < DENYLIST_KEYS_MAX) {
                *more |= denylist_entry_add_key(e, v->keys + k * DENYLIST_KEY_BYTES);
            }
        }
    }
    return RC_OK;
}

/* Put what was read in force. */
static enum rc adopt(struct denylist *d, struct denylist_set *read, bool all)
{
    bool more = false;

    pthread_mutex_lock(&d->lock);
    enum rc rc = merge(&d->set, read, all, &more);
    if (rc == RC_OK) {
        struct denylist_set before = d->set;
        d->set = *read;
        *read = before;
        d->dirty = more;
    }
    pthread_mutex_unlock(&d->lock);
    return rc;
}

/* RC_NOT_FOUND: there is no such file; RC_INVALID with why, static or of strerror(). */
static enum rc read_text_of(const char *path, char **text, size_t *n, const char **why)
{
    switch (file_read(path, DOC_MAX_BYTES, NULL, text, n)) {
    case RC_OK:
        return RC_OK;
    case RC_NO_MEMORY:
        return RC_NO_MEMORY;
    case RC_INVALID:
        *why = "it is not a regular file";
        return RC_INVALID;
    case RC_FULL:
        *why = "it is too large";
        return RC_INVALID;
    default:
        *why = strerror(errno);
        return errno == ENOENT ? RC_NOT_FOUND : RC_INVALID;
    }
}

/* What a file has. out: empty; with RC_OK only it holds something. RC_NOT_FOUND: there is none. */
static enum rc read_set(const char *path, struct denylist_set *out, char *why)
{
    char reason[DENYLIST_WHY_BYTES] = "";
    const char *problem = reason;
    char *text = NULL;
    size_t n = 0;
    enum rc rc = read_text_of(path, &text, &n, &problem);

    if (rc == RC_OK) {
        rc = denylist_set_read(text, n, out, reason);
        free(text);
    }
    return rc == RC_INVALID ? blame(path, RC_INVALID, problem, why) : rc;
}

/* Read the file. all: also VMs that it has not stay in force. */
static enum rc read_file(struct denylist *d, bool all, char *why)
{
    struct denylist_set read = {.n = 0};

    TRY(read_set(d->path, &read, why));
    enum rc rc = adopt(d, &read, all);
    denylist_set_fini(&read);
    if (rc == RC_FULL) {
        return blame(d->path, RC_INVALID,
                     "too many VMs together with those that are revoked already", why);
    }
    return rc;
}

enum rc denylist_try(const char *path, char *why)
{
    struct denylist_set read = {.n = 0};
    char reason[DENYLIST_WHY_BYTES];
    enum rc rc = read_set(path, &read, why);

    denylist_set_fini(&read);
    if (rc == RC_OK || rc == RC_NOT_FOUND) {
        rc = file_put_may(path);
    }
    if (rc == RC_SYSTEM) {
        (void)snprintf(reason, sizeof(reason),
                       "its folder must be there and writable: %.100s; the unit of xdsgate lets it "
                       "write in /var/lib/xdsgate",
                       strerror(errno));
        return blame(path, RC_INVALID, reason, why);
    }
    return rc;
}

/* There is no file: it is written when there is something to write. */
static void mark_unwritten(struct denylist *d)
{
    pthread_mutex_lock(&d->lock);
    d->dirty = d->set.n > 0;
    pthread_mutex_unlock(&d->lock);
}

/* Hear what others have changed. *changed: they have. */
static enum rc refresh(struct denylist *d, bool *changed, char *why)
{
    uint64_t stamp = d->path != NULL ? file_stamp_add(FILE_STAMP_NONE, d->path) : d->stamp;

    if (stamp == d->stamp) {
        return RC_OK;
    }
    /* VMs that could not be written must not be forgotten now. */
    enum rc rc = read_file(d, d->unwritable, why);
    if (rc == RC_NOT_FOUND) { /* somebody has removed it: that must not let anybody in */
        mark_unwritten(d);
        rc = RC_OK;
    } else if (rc == RC_OK) {
        *changed = true;
        d->stamp = stamp;
    }
    return rc;
}

static enum rc put_file(const struct denylist *d, const char *text, size_t n, char *why)
{
    const struct file_put file = {d->path, text, n, FILE_MODE, false};
    size_t failed = 0;
    enum rc rc = file_put_all(&file, 1, &failed);

    return rc == RC_SYSTEM ? blame(d->path, RC_SYSTEM, strerror(errno), why) : rc;
}

/* What is in force as text, which takes longer than others may wait for the lock. */
static enum rc write_text(struct denylist *d, char **text, size_t *n)
{
    struct denylist_set copy = {.n = 0};

    pthread_mutex_lock(&d->lock);
    enum rc rc = denylist_set_copy(&d->set, &copy);
    d->dirty = false;
    pthread_mutex_unlock(&d->lock);
    if (rc == RC_OK) {
        rc = denylist_set_write(&copy, text, n);
    }
    denylist_set_fini(&copy);
    return rc;
}

/* Write what is in force. */
static enum rc save(struct denylist *d, char *why)
{
    char *text = NULL;
    size_t n = 0;

    if (d->path == NULL) {
        return RC_OK;
    }
    enum rc rc = write_text(d, &text, &n);
    if (rc == RC_OK) {
        rc = put_file(d, text, n, why);
        free(text);
    } else if (rc != RC_NO_MEMORY) {
        rc = blame(d->path, RC_SYSTEM, rc == RC_FULL ? "too large" : "a name is not UTF-8", why);
    }
    d->unwritable = rc != RC_OK;
    if (rc == RC_OK) {
        d->stamp = file_stamp_add(FILE_STAMP_NONE, d->path);
        return RC_OK;
    }
    pthread_mutex_lock(&d->lock);
    d->dirty = true;
    pthread_mutex_unlock(&d->lock);
    return rc;
}

enum rc denylist_use(struct denylist *d, const char *path, char *why)
{
    char *copy = path != NULL ? strdup(path) : NULL;
    enum rc rc = RC_OK;

    CHECK_MAGIC(d, DENYLIST_MAGIC);
    if (path != NULL && copy == NULL) {
        return RC_NO_MEMORY;
    }
    pthread_mutex_lock(&d->file_lock);
    char *before = d->path;
    d->path = copy;
    uint64_t stamp = path != NULL ? file_stamp_add(FILE_STAMP_NONE, path) : 0;
    if (path != NULL) {
        rc = read_file(d, true, why);
    }
    if (rc == RC_NOT_FOUND) {
        mark_unwritten(d);
        rc = RC_OK;
    }
    if (rc == RC_OK) {
        d->stamp = stamp;
        d->unwritable = false;
        free(before);
    } else {
        d->path = before;
        free(copy);
    }
    pthread_mutex_unlock(&d->file_lock);
    return rc;
}

/* Under file_lock. What is wrong is said once. */
static bool look(struct denylist *d)
{
    char why[DENYLIST_WHY_BYTES] = "";
    bool was_unwritable = d->unwritable;
    bool changed = false;
    uint64_t stamp = d->path != NULL ? file_stamp_add(FILE_STAMP_NONE, d->path) : d->told;

    enum rc rc = refresh(d, &changed, why);
    if (rc == RC_INVALID && stamp != d->told) {
        log_event(LOG_ERROR, "deny list cannot be read", LOG_S("detail", why));
        d->told = stamp;
    }
    pthread_mutex_lock(&d->lock);
    bool dirty = d->dirty;
    pthread_mutex_unlock(&d->lock);
    if (rc == RC_OK && dirty && save(d, why) == RC_SYSTEM && !was_unwritable) {
        log_event(LOG_ERROR, "deny list cannot be written", LOG_S("detail", why));
    }
    return changed;
}

bool denylist_look(struct denylist *d)
{
    CHECK_MAGIC(d, DENYLIST_MAGIC);
    pthread_mutex_lock(&d->file_lock);
    bool changed = look(d);
    pthread_mutex_unlock(&d->file_lock);
    return changed;
}

/* ---- looking things up ---- */

bool denylist_has(struct denylist *d, const char *identity, const char *name, const uint8_t *key)
{
    CHECK_MAGIC(d, DENYLIST_MAGIC);
    pthread_mutex_lock(&d->lock);
    bool has =
        denylist_set_find(&d->set, identity, name) != NULL || find_by_key(&d->set, key) != NULL;
    pthread_mutex_unlock(&d->lock);
    return has;
}

bool denylist_has_key(struct denylist *d, const uint8_t key[DENYLIST_KEY_BYTES])
{
    CHECK_MAGIC(d, DENYLIST_MAGIC);
    pthread_mutex_lock(&d->lock);
    bool has = find_by_key(&d->set, key) != NULL;
    pthread_mutex_unlock(&d->lock);
    return has;
}

static bool tell_id(const struct denylist_entry *e, uint64_t *id)
{
    if (e != NULL) {
        *id = e->v.id;
    }
    return e != NULL;
}

bool denylist_find(struct denylist *d, const char *identity, const char *name, uint64_t *id)
{
    CHECK_MAGIC(d, DENYLIST_MAGIC);
    pthread_mutex_lock(&d->lock);
    bool found = tell_id(denylist_set_find(&d->set, identity, name), id);
    pthread_mutex_unlock(&d->lock);
    return found;
}

bool denylist_find_key(struct denylist *d, const uint8_t key[DENYLIST_KEY_BYTES], uint64_t *id)
{
    CHECK_MAGIC(d, DENYLIST_MAGIC);
    pthread_mutex_lock(&d->lock);
    bool found = tell_id(find_by_key(&d->set, key), id);
    pthread_mutex_unlock(&d->lock);
    return found;
}

void denylist_learn(struct denylist *d, const uint8_t *has, const char *identity, const char *name,
                    const uint8_t key[DENYLIST_KEY_BYTES])
{
    CHECK_MAGIC(d, DENYLIST_MAGIC);
    pthread_mutex_lock(&d->lock);
    struct denylist_entry *e =
        has != NULL ? find_by_key(&d->set, has) : denylist_set_find(&d->set, identity, name);
    if (e != NULL && denylist_entry_add_key(e, key)) {
        d->dirty = true;
    }
    pthread_mutex_unlock(&d->lock);
}

uint32_t denylist_count(struct denylist *d)
{
    CHECK_MAGIC(d, DENYLIST_MAGIC);
    pthread_mutex_lock(&d->lock);
    uint32_t n = (uint32_t)d->set.n;
    pthread_mutex_unlock(&d->lock);
    return n;
}

/* ---- changes ---- */

/* Under file_lock. */
static enum rc add(struct denylist *d, const struct denial *v, char *why)
{
    bool changed = false;

    TRY(refresh(d, &changed, why));
    pthread_mutex_lock(&d->lock);
    enum rc rc = denylist_set_put(&d->set, v);
    pthread_mutex_unlock(&d->lock);
    if (rc == RC_FULL) {
        (void)snprintf(why, DENYLIST_WHY_BYTES, "%d VMs are revoked already", DENYLIST_MAX);
    }
    return rc == RC_OK ? save(d, why) : rc;
}

enum rc denylist_add(struct denylist *d, const struct denial *v, char *why)
{
    CHECK_MAGIC(d, DENYLIST_MAGIC);
    pthread_mutex_lock(&d->file_lock);
    enum rc rc = add(d, v, why);
    pthread_mutex_unlock(&d->file_lock);
    return rc;
}

/* The only one that is meant. Under file_lock, so nobody else replaces the set. */
static enum rc find_meant(const struct denylist *d, const char *asked, size_t *index, char *why)
{
    size_t n_meant = 0;
    size_t n = (size_t)snprintf(why, DENYLIST_WHY_BYTES, "several are revoked:");

    for (size_t i = 0; i < d->set.n; i++) {
        const struct denial *v = &d->set.of[i]->v;
        char id[VM_ID_BYTES];
        if (!vm_name_means(asked, v->name, v->id)) {
            continue;
        }
        *index = i;
        n_meant++;
        if (n < DENYLIST_WHY_BYTES) {
            n += (size_t)snprintf(why + n, DENYLIST_WHY_BYTES - n, " %.80s (id %s)", v->name,
                                  vm_id_text(v->id, id));
        }
    }
    if (n_meant != 1) {
        return n_meant == 0 ? RC_NOT_FOUND : RC_BUSY;
    }
    return RC_OK;
}

static enum rc take_off(struct denylist *d, const char *asked,
                        void (*removed)(void *arg, const struct denial *v), void *arg, char *why)
{
    bool changed = false;
    size_t index = 0;

    TRY(refresh(d, &changed, why));
    TRY(find_meant(d, asked, &index, why));
    pthread_mutex_lock(&d->lock);
    struct denylist_entry *e = take_out(&d->set, index);
    pthread_mutex_unlock(&d->lock);
    removed(arg, &e->v);
    free(e);
    return save(d, why);
}

enum rc denylist_remove(struct denylist *d, const char *asked,
                        void (*removed)(void *arg, const struct denial *v), void *arg, char *why)
{
    CHECK_MAGIC(d, DENYLIST_MAGIC);
    pthread_mutex_lock(&d->file_lock);
    enum rc rc = take_off(d, asked, removed, arg, why);
    pthread_mutex_unlock(&d->file_lock);
    return rc;
}

/* ---- life ---- */

enum rc denylist_new(struct denylist **out)
{
    struct denylist *d = calloc(1, sizeof(*d));

    if (d == NULL) {
        return RC_NO_MEMORY;
    }
    d->magic = DENYLIST_MAGIC;
    pthread_mutex_init(&d->lock, NULL);
    pthread_mutex_init(&d->file_lock, NULL);
    *out = d;
    return RC_OK;
}

void denylist_free(struct denylist **pd)
{
    struct denylist *d = *pd;

    *pd = NULL;
    if (d == NULL) {
        return;
    }
    CHECK_MAGIC(d, DENYLIST_MAGIC);
    denylist_set_fini(&d->set);
    free(d->path);
    pthread_mutex_destroy(&d->lock);
    pthread_mutex_destroy(&d->file_lock);
    d->magic = 0;
    free(d);
}
