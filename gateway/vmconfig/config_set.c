/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/vmconfig/config_set.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"

/* A VM may name as many as it likes, and each becomes a block. */
#define UNKNOWN_MAX 16384

/* Pairs that become a block, in memory of the budget. */
struct list {
    struct config_store *store;
    struct config_pair *pairs; /* owned, with their references */
    size_t n;
    size_t room;
    uint32_t n_unknown;
};

static enum rc init_list(struct list *l, struct config_store *s, size_t room)
{
    size_t bytes = room * sizeof(struct config_pair);

    *l = (struct list){.store = s};
    if (bytes == 0) {
        return RC_OK;
    }
    if (!config_store_take(s, bytes)) {
        return RC_FULL;
    }
    l->pairs = malloc(bytes);
    if (l->pairs == NULL) {
        config_store_give(s, bytes);
        return RC_NO_MEMORY;
    }
    l->room = room;
    return RC_OK;
}

static void add(struct list *l, struct config_blob *a, struct config_blob *b)
{
    CHECK(l->n < l->room);
    l->pairs[l->n].a = config_blob_ref(a);
    l->pairs[l->n++].b = config_blob_ref(b);
}

static bool is_known(const struct config_blob *resource)
{
    size_t n;

    return config_blob_value(resource, &n) != NULL;
}

static void add_resource(struct list *l, const struct config_pair *p)
{
    l->n_unknown += !is_known(p->a);
    add(l, p->a, p->b);
}

/* Its references go with it. */
static enum rc finish(struct list *l, struct config_blob **out)
{
    enum rc rc = config_store_pairs(l->store, l->pairs, l->n, out);

    config_store_give(l->store, l->room * sizeof(struct config_pair));
    free(l->pairs);
    *l = (struct list){.n = 0};
    return rc;
}

static enum rc finish_set(struct list *l, struct config_set *out)
{
    struct config_set set = {.n_unknown = l->n_unknown};

    TRY(finish(l, &set.pairs));
    *out = set;
    return RC_OK;
}

void config_set_fini(struct config_set *s)
{
    config_blob_unref(&s->pairs);
    s->n_unknown = 0;
}

/* ---- what responses do ---- */

enum rc config_set_of(struct config_push *push, struct config_set *out)
{
    struct config_set set = {.n_unknown = 0};
    size_t n = push->n;

    push->n = 0;
    TRY(config_store_pairs(push->store, push->pairs, n, &set.pairs));
    *out = set;
    return RC_OK;
}

static int compare(const struct config_pair *a, const struct config_pair *b)
{
    return a->a == b->a ? 0 : strcmp(config_blob_text(a->a), config_blob_text(b->a));
}

/* Where two sorted lists stand to each other: which has the next name. 0: both. */
static int next_of(const struct config_pair *a, size_t n_a, const struct config_pair *b, size_t n_b)
{
    if (n_a == 0 || n_b == 0) {
        return n_a == 0 ? 1 : -1;
    }
    return compare(a, b);
}

enum rc config_set_merge(const struct config_set *set, const struct config_push *push,
                         struct config_set *out)
{
    size_t n_old;
    const struct config_pair *old = config_blob_pairs(set->pairs, &n_old);
    const struct config_pair *new =
        push->n > 0 ? push->pairs : old; /* of none, anything but NULL */
    size_t i = 0;
    size_t k = 0;
    struct list l;

    TRY(init_list(&l, push->store, n_old + push->n));
    while (i < n_old || k < push->n) {
        int order = next_of(old + i, n_old - i, new + k, push->n - k);
        if (order < 0) {
            add_resource(&l, &old[i]);
        } else if (is_known(new[k].a)) {
            add_resource(&l, &new[k]);
        }
        i += order <= 0;
        k += order >= 0;
    }
    return finish_set(&l, out);
}

/* ---- what requests do ---- */

/* The place of the first name that does not come before this one. */
static size_t pass_names(const char *name, const struct config_name *names, size_t n, size_t at,
                         bool *found)
{
    int order = 1;

    while (at < n && (order = config_name_compare(name, &names[at])) > 0) {
        at++;
    }
    *found = at < n && order == 0;
    return at;
}

enum rc config_set_restrict(struct config_store *s, const struct config_set *set,
                            const struct config_name *names, size_t n, bool among,
                            struct config_set *out)
{
    size_t n_old;
    const struct config_pair *old = config_blob_pairs(set->pairs, &n_old);
    size_t at = 0;
    struct list l;

    TRY(init_list(&l, s, n_old));
    for (size_t i = 0; i < n_old; i++) {
        bool found;
        at = pass_names(config_blob_text(old[i].a), names, n, at, &found);
        if (found == among) {
            add_resource(&l, &old[i]);
        }
    }
    return finish_set(&l, out);
}

static bool has_version(const struct config_pair *p, const struct config_name *name)
{
    const char *version = config_blob_text(p->b);

    return strlen(version) == name->n_version &&
           (name->n_version == 0 || memcmp(version, name->version, name->n_version) == 0);
}

/* A resource of which only the name is known. */
static enum rc add_name(struct list *l, const struct config_name *asked)
{
    struct config_blob *b = NULL;
    char *name = strndup(asked->n > 0 ? (const char *)asked->text : "", asked->n);

    if (name == NULL) {
        return RC_NO_MEMORY;
    }
    const struct config_resource r = {.type = XDS_OTHER, .name = name};
    enum rc rc = config_store_resource(l->store, &r, &b);
    if (rc == RC_OK) {
        add(l, b, NULL);
        l->n_unknown++;
        config_blob_unref(&b);
    }
    free(name);
    return rc;
}

enum rc config_set_claim(struct config_store *s, const struct config_set *set,
                         const struct config_name *names, size_t n, struct config_set *out)
{
    size_t n_old;
    const struct config_pair *old = config_blob_pairs(set->pairs, &n_old);
    enum rc rc = RC_OK;
    size_t at = 0;
    struct list l;

    TRY(init_list(&l, s, n));
    for (size_t i = 0; i < n && rc == RC_OK; i++) {
        while (at < n_old && config_name_compare(config_blob_text(old[at].a), &names[i]) < 0) {
            at++;
        }
        bool there = at < n_old &&
                     config_name_compare(config_blob_text(old[at].a), &names[i]) == 0 &&
                     has_version(&old[at], &names[i]);
        if (there) {
            add_resource(&l, &old[at]);
        } else {
            rc = l.n_unknown < UNKNOWN_MAX ? add_name(&l, &names[i]) : RC_FULL;
        }
    }
    struct config_set made = {.n_unknown = 0};
    enum rc finished = finish_set(&l, &made); /* also what is not complete has to be given back */
    if (rc != RC_OK || finished != RC_OK) {
        config_set_fini(&made);
        return rc != RC_OK ? rc : finished;
    }
    *out = made;
    return RC_OK;
}

/* ---- what is different ---- */

/* Count the rows, or, with a list, write them. */
static size_t diff(const struct config_set *before, const struct config_set *after, struct list *l)
{
    size_t n_old;
    size_t n_new;
    const struct config_pair *old = config_blob_pairs(before->pairs, &n_old);
    const struct config_pair *new = config_blob_pairs(after->pairs, &n_new);
    size_t rows = 0;

    for (size_t i = 0, k = 0; i < n_old || k < n_new;) {
        int order = next_of(old + i, n_old - i, new + k, n_new - k);
        struct config_blob *a = order <= 0 ? old[i].a : NULL;
        struct config_blob *b = order >= 0 ? new[k].a : NULL;
        if (a != b) {
            rows++;
            if (l != NULL) {
                add(l, a, b);
            }
        }
        i += order <= 0;
        k += order >= 0;
    }
    return rows;
}

enum rc config_set_diff(struct config_store *s, const struct config_set *before,
                        const struct config_set *after, struct config_blob **out, size_t *n)
{
    struct list l;

    *n = before->pairs == after->pairs ? 0 : diff(before, after, NULL);
    TRY(init_list(&l, s, *n));
    if (*n > 0) {
        (void)diff(before, after, &l);
    }
    return finish(&l, out);
}
