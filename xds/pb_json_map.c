/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key may be on the wire twice, and then the last one counts, but readers of JSON refuse it
 * twice: so the entries are sorted. As protojson of Go does, by the way.
 *
 * A Struct may stand for a message, in a TypedStruct. Then its keys are the names of members, and
 * tell which of the texts below are secret.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "xds/pb_json_internal.h"

struct entry {
    struct pb_seen key;
    uint32_t value; /**< the first piece of it; 0: its default */
    uint32_t order; /**< on the wire */
};

struct entries {
    struct entry *all; /**< owned */
    size_t n;
    const struct pb_member *key;
    const struct pb_member *value;
};

static bool is_unsigned_64(const struct pb_member *m)
{
    return m->kind == PB_KIND_UINT64 || m->kind == PB_KIND_FIXED64;
}

static int64_t key_number(const struct pb_member *m, uint64_t v)
{
    switch (m->kind) {
    case PB_KIND_BOOL:
        return v != 0;
    case PB_KIND_INT32:
    case PB_KIND_SFIXED32:
        return (int32_t)(uint32_t)v;
    case PB_KIND_UINT32:
    case PB_KIND_FIXED32:
        return (uint32_t)v;
    case PB_KIND_SINT32:
        return (int32_t)((uint32_t)v >> 1 ^ (0 - ((uint32_t)v & 1)));
    case PB_KIND_SINT64:
        return (int64_t)(v >> 1 ^ (0 - (v & 1)));
    default:
        return (int64_t)v;
    }
}

static int compare_keys(const struct entry *a, const struct entry *b, const struct pb_member *m)
{
    if (m->kind == PB_KIND_STRING) {
        return pb_json_compare(a->key.data, a->key.value, b->key.data, b->key.value);
    }
    if (is_unsigned_64(m)) {
        return (a->key.value > b->key.value) - (a->key.value < b->key.value);
    }
    int64_t x = key_number(m, a->key.value);
    int64_t y = key_number(m, b->key.value);
    return (x > y) - (x < y);
}

static int by_key(const void *a, const void *b, void *arg)
{
    const struct entry *x = a;
    const struct entry *y = b;
    int order = compare_keys(x, y, arg);

    return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

/* What was gathered of an entry stays, only its chains are forgotten. */
static enum rc gather_entry(struct pb_json *j, const struct pb_message *type, uint32_t seen,
                            struct entry *e)
{
    struct pb_level level;

    enum rc rc = pb_json_open(j, type, (struct pb_pieces){seen, false}, &level);
    if (rc == RC_OK) {
        e->key = pb_json_last(j, &level, 1);
        e->value = pb_json_chain(j, &level, 1).first;
        level.n_seen = j->n_seen;
    }
    pb_json_close(j, &level);
    return rc;
}

static enum rc gather(struct pb_json *j, const struct pb_message *type, struct pb_chain chain,
                      struct entries *es)
{
    size_t n = 0;

    for (uint32_t at = chain.first; at != 0; at = j->seen[at].next) {
        n++;
    }
    es->all = calloc(n > 0 ? n : 1, sizeof(*es->all));
    if (es->all == NULL) {
        return RC_NO_MEMORY;
    }
    for (uint32_t at = chain.first; at != 0; at = j->seen[at].next) {
        es->all[es->n].order = (uint32_t)es->n;
        TRY(gather_entry(j, type, at, &es->all[es->n]));
        es->n++;
    }
    struct pb_member key = *es->key;
    qsort_r(es->all, es->n, sizeof(*es->all), by_key, &key);
    return RC_OK;
}

static bool key_is(const struct entry *e, const char *name)
{
    return e->key.value == strlen(name) && memcmp(e->key.data, name, e->key.value) == 0;
}

/* The type that a Struct names under a key, if there is a string; NULL: none, or one that is not
 * known. */
static enum rc find_type(struct pb_json *j, const struct entries *es, const char *name,
                         const struct pb_message **type)
{
    struct pb_level level;
    const struct entry *last = NULL;

    *type = NULL;
    for (size_t i = 0; i < es->n; i++) {
        if (key_is(&es->all[i], name)) {
            last = &es->all[i];
        }
    }
    if (last == NULL) {
        return RC_OK;
    }
    const struct pb_message *value = pb_types_at(j->types, es->value->type);
    enum rc rc = pb_json_open(j, value, (struct pb_pieces){last->value, true}, &level);
    if (rc == RC_OK) {
        struct pb_seen text = pb_json_last(j, &level, 3);
        *type = pb_json_type(j, text.data, text.value);
    }
    pb_json_close(j, &level);
    return rc;
}

/* What a key tells of its value, when the Struct stands for a message. */
static enum rc look_up_key(struct pb_json *j, const struct entries *es, const struct entry *e,
                           struct pb_how *how)
{
    const struct pb_message *shadow = how->shadow;
    const struct pb_member *m;

    if (shadow == NULL) {
        return RC_OK;
    }
    m = how->is_map ? pb_message_member(shadow, 2)
                    : pb_message_member_named(shadow, (const char *)e->key.data, e->key.value);
    if (m == NULL) {
        *how = (struct pb_how){.is_secret = how->is_secret};
        return RC_OK;
    }
    bool is_typed_struct = shadow->form == PB_TYPED_STRUCT && m->number == 2;
    *how = pb_json_how(j, m, *how);
    return is_typed_struct ? find_type(j, es, "type_url", &how->shadow) : RC_OK;
}

static void put_key(struct pb_json *j, const struct pb_member *m, const struct entry *e)
{
    char text[32];

    if (m->kind == PB_KIND_STRING) {
        pb_json_string(j, e->key.data, e->key.value);
        return;
    }
    int64_t v = key_number(m, e->key.value);
    if (m->kind == PB_KIND_BOOL) {
        (void)snprintf(text, sizeof(text), "\"%s\"", v != 0 ? "true" : "false");
    } else if (is_unsigned_64(m)) {
        (void)snprintf(text, sizeof(text), "\"%" PRIu64 "\"", (uint64_t)v);
    } else {
        (void)snprintf(text, sizeof(text), "\"%" PRId64 "\"", v);
    }
    pb_json_puts(j, text);
}

static enum rc put_entry(struct pb_json *j, const struct entries *es, const struct entry *e,
                         struct pb_how how, bool is_struct)
{
    put_key(j, es->key, e);
    pb_json_puts(j, ":");
    if (is_struct) {
        TRY(look_up_key(j, es, e, &how));
    }
    return pb_json_element(j, es->value, (struct pb_pieces){e->value, true}, how);
}

static enum rc put(struct pb_json *j, const struct entries *es, struct pb_how how, bool is_struct)
{
    bool some = false;

    if (how.shadow != NULL && !how.is_map && how.shadow->form == PB_ANY) {
        TRY(find_type(j, es, "@type", &how.shadow)); /* an Any names its type inside */
    }
    pb_json_puts(j, "{");
    for (size_t i = 0; i < es->n; i++) {
        const struct entry *e = &es->all[i];
        if (i + 1 < es->n && compare_keys(e, e + 1, es->key) == 0) {
            continue; /* a later one counts */
        }
        if (j->full) {
            return RC_FULL;
        }
        pb_json_puts(j, some ? "," : "");
        some = true;
        TRY(put_entry(j, es, e, how, is_struct));
    }
    pb_json_puts(j, "}");
    return RC_OK;
}

enum rc pb_json_map(struct pb_json *j, const struct pb_member *m, struct pb_chain chain,
                    struct pb_how how)
{
    const struct pb_message *type = pb_types_at(j->types, m->type);
    struct entries es = {.key = &type->members[0], .value = &type->members[1]};
    bool is_struct = es.value->kind == PB_KIND_MESSAGE &&
                     pb_types_at(j->types, es.value->type)->form == PB_VALUE;

    enum rc rc = gather(j, type, chain, &es);
    if (rc == RC_OK) {
        rc = put(j, &es, how, is_struct);
    }
    free(es.all);
    return rc;
}
