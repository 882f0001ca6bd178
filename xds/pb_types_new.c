/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set is walked twice: once to count, so that one allocation is enough, once to fill it. Then
 * the names of types are looked up, and members and enum values are sorted by number.
 */
#include <stdlib.h>
#include <string.h>

#include "xds/pb_types_internal.h"

/** Far more than there will be, and fewer than the numbers of the index can say. */
#define SET_MAX_BYTES (16 * 1024 * 1024)

/* Forms of their own, and the kinds of the members 1, 2, ... on which the writers rely. */
static const struct form_row {
    const char *name;
    enum pb_form form;
    uint8_t kinds[6];
} form_rows[] = {
    {"google.protobuf.Any", PB_ANY, {PB_KIND_STRING, PB_KIND_BYTES}},
    {"google.protobuf.Duration", PB_DURATION, {PB_KIND_INT64, PB_KIND_INT32}},
    {"google.protobuf.Timestamp", PB_TIMESTAMP, {PB_KIND_INT64, PB_KIND_INT32}},
    {"google.protobuf.FieldMask", PB_FIELD_MASK, {PB_KIND_STRING}},
    {"google.protobuf.Struct", PB_STRUCT, {PB_KIND_MESSAGE}},
    {"google.protobuf.Value",
     PB_VALUE,
     {PB_KIND_ENUM, PB_KIND_DOUBLE, PB_KIND_STRING, PB_KIND_BOOL, PB_KIND_MESSAGE,
      PB_KIND_MESSAGE}},
    {"google.protobuf.ListValue", PB_LIST_VALUE, {PB_KIND_MESSAGE}},
    {"google.protobuf.DoubleValue", PB_WRAPPER, {PB_KIND_DOUBLE}},
    {"google.protobuf.FloatValue", PB_WRAPPER, {PB_KIND_FLOAT}},
    {"google.protobuf.Int64Value", PB_WRAPPER, {PB_KIND_INT64}},
    {"google.protobuf.UInt64Value", PB_WRAPPER, {PB_KIND_UINT64}},
    {"google.protobuf.Int32Value", PB_WRAPPER, {PB_KIND_INT32}},
    {"google.protobuf.UInt32Value", PB_WRAPPER, {PB_KIND_UINT32}},
    {"google.protobuf.BoolValue", PB_WRAPPER, {PB_KIND_BOOL}},
    {"google.protobuf.StringValue", PB_WRAPPER, {PB_KIND_STRING}},
    {"google.protobuf.BytesValue", PB_WRAPPER, {PB_KIND_BYTES}},
    {"udpa.type.v1.TypedStruct", PB_TYPED_STRUCT, {PB_KIND_STRING, PB_KIND_MESSAGE}},
    {"xds.type.v3.TypedStruct", PB_TYPED_STRUCT, {PB_KIND_STRING, PB_KIND_MESSAGE}},
};

static bool has_kinds(const struct pb_message *m, const struct form_row *row)
{
    bool may_repeat = row->form == PB_LIST_VALUE || row->form == PB_FIELD_MASK;

    for (uint32_t i = 0; i < sizeof(row->kinds) && row->kinds[i] != 0; i++) {
        const struct pb_member *member = pb_message_member(m, i + 1);
        if (member == NULL || member->kind != row->kinds[i] ||
            member->is_map != (row->form == PB_STRUCT) ||
            (member->is_repeated && !member->is_map) != may_repeat) {
            return false;
        }
    }
    return true;
}

static enum rc set_forms(struct pb_types *types)
{
    for (size_t i = 0; i < sizeof(form_rows) / sizeof(form_rows[0]); i++) {
        const struct form_row *row = &form_rows[i];
        uint32_t entry = pb_types_entry(types, row->name, strlen(row->name));
        if (entry == 0) {
            continue;
        }
        struct pb_message *m = &types->messages[entry - 1];
        if ((entry & PB_ENTRY_ENUM) != 0 || !has_kinds(m, row)) {
            return RC_PEER_MALFORMED;
        }
        m->form = (uint8_t)row->form;
    }
    return RC_OK;
}

static enum rc enter(struct pb_types *types, const char *name, size_t n, uint32_t entry)
{
    uint32_t *place = pb_types_place(types, name, n);

    if (*place != 0) {
        return RC_PEER_MALFORMED; /* two of one name */
    }
    *place = entry;
    return RC_OK;
}

static enum rc enter_all(struct pb_types *types)
{
    for (uint32_t i = 0; i < types->n_messages; i++) {
        TRY(enter(types, types->messages[i].name, types->messages[i].n_name, i + 1));
    }
    for (uint32_t i = 0; i < types->n_enums; i++) {
        uint32_t entry = PB_ENTRY_ENUM | (i + 1);
        TRY(enter(types, types->enums[i].name, types->enums[i].n_name, entry));
    }
    return RC_OK;
}

static bool is_map_entry(const struct pb_build *b, uint32_t type)
{
    const struct pb_message *m = &b->types->messages[type];

    return b->is_map_entry[type] && m->n_members == 2 && m->members[0].number == 1 &&
           m->members[1].number == 2 && !m->members[0].is_repeated && !m->members[1].is_repeated;
}

static enum rc link_member(const struct pb_build *b, struct pb_member *m, struct pb_text name)
{
    bool is_enum = m->kind == PB_KIND_ENUM;

    if (!is_enum && m->kind != PB_KIND_MESSAGE && m->kind != PB_KIND_GROUP) {
        return RC_OK;
    }
    if (name.n == 0 || name.p[0] != '.') { /* protoc names types in full */
        return RC_PEER_MALFORMED;
    }
    uint32_t entry = pb_types_entry(b->types, name.p + 1, name.n - 1);
    if (entry == 0 || ((entry & PB_ENTRY_ENUM) != 0) != is_enum) {
        return RC_PEER_MALFORMED;
    }
    m->type = (entry & ~PB_ENTRY_ENUM) - 1;
    m->is_map = m->kind == PB_KIND_MESSAGE && m->is_repeated && is_map_entry(b, m->type);
    return RC_OK;
}

static int by_member_number(const void *a, const void *b)
{
    uint32_t x = ((const struct pb_member *)a)->number;
    uint32_t y = ((const struct pb_member *)b)->number;

    return (x > y) - (x < y);
}

static int by_value_number(const void *a, const void *b)
{
    const struct pb_enum_value *x = a;
    const struct pb_enum_value *y = b;
    int order = (x->number > y->number) - (x->number < y->number);

    return order != 0 ? order : (x->name > y->name) - (x->name < y->name); /* as in the set */
}

static enum rc sort_members(struct pb_build *b)
{
    size_t first = 0;

    for (uint32_t i = 0; i < b->types->n_messages; i++) {
        const struct pb_message *m = &b->types->messages[i];
        struct pb_member *members = b->members + first;
        qsort(members, m->n_members, sizeof(*members), by_member_number);
        for (size_t k = 0; k < m->n_members; k++) {
            bool twice = k > 0 && members[k].number == members[k - 1].number;
            if (twice || (members[k].oneof != PB_NO_ONEOF && members[k].oneof >= m->n_oneofs)) {
                return RC_PEER_MALFORMED;
            }
        }
        first += m->n_members;
    }
    return RC_OK;
}

/* By number; of those with one number the first stays. */
static void sort_values(struct pb_build *b)
{
    size_t first = 0;

    for (uint32_t i = 0; i < b->types->n_enums; i++) {
        struct pb_enum *e = &b->types->enums[i];
        struct pb_enum_value *values = b->values + first;
        size_t n = 0;
        qsort(values, e->n_values, sizeof(*values), by_value_number);
        for (size_t k = 0; k < e->n_values; k++) {
            if (n == 0 || values[k].number != values[n - 1].number) {
                values[n++] = values[k];
            }
        }
        first += e->n_values;
        e->n_values = (uint32_t)n;
    }
}

/* Members are linked before they are sorted: type_names are in the order of the set. The entries of
 * maps must be told before, by members that protoc writes in order. */
static enum rc link_all(struct pb_build *b)
{
    TRY(enter_all(b->types));
    for (size_t i = 0; i < b->n_members; i++) {
        TRY(link_member(b, &b->members[i], b->type_names[i]));
    }
    TRY(sort_members(b));
    sort_values(b);
    return set_forms(b->types);
}

static uint32_t table_size(size_t n_names)
{
    uint32_t size = 16;

    while (size < 2 * n_names) {
        size *= 2;
    }
    return size;
}

/* A piece of n bytes of a block, aligned for what we have. */
static void *cut(char **at, size_t n)
{
    char *piece = *at;

    *at += (n + 7) & ~(size_t)7;
    return piece;
}

/* Room for all that was counted; the parts that only the linking needs are a second block, *spare,
 * owned by the caller. */
static enum rc make_room(struct pb_build *b, char **spare)
{
    uint32_t size = table_size(b->n_messages + b->n_enums);
    size_t n = sizeof(struct pb_types) + b->n_messages * sizeof(struct pb_message) +
               b->n_members * sizeof(struct pb_member) + b->n_enums * sizeof(struct pb_enum) +
               b->n_values * sizeof(struct pb_enum_value) + size * sizeof(uint32_t) + b->n_names;
    size_t n_spare = b->n_members * sizeof(struct pb_text) + b->n_messages;
    char *at = calloc(1, n + 7 * sizeof(uint64_t)); /* and what cut() rounds up */

    *spare = calloc(1, n_spare + 2 * sizeof(uint64_t));
    if (at == NULL || *spare == NULL) {
        free(at);
        free(*spare);
        return RC_NO_MEMORY;
    }
    struct pb_types *types = cut(&at, sizeof(*types));
    *types = (struct pb_types){.magic = PB_TYPES_MAGIC,
                               .n_messages = (uint32_t)b->n_messages,
                               .n_enums = (uint32_t)b->n_enums,
                               .table_mask = size - 1};
    types->messages = cut(&at, b->n_messages * sizeof(*types->messages));
    types->enums = cut(&at, b->n_enums * sizeof(*types->enums));
    types->table = cut(&at, size * sizeof(*types->table));
    char *at_spare = *spare;
    *b = (struct pb_build){
        .types = types,
        .members = cut(&at, b->n_members * sizeof(*b->members)),
        .values = cut(&at, b->n_values * sizeof(*b->values)),
        .names = at,
        .type_names = cut(&at_spare, b->n_members * sizeof(*b->type_names)),
        .is_map_entry = (bool *)at_spare,
    };
    return RC_OK;
}

enum rc pb_types_new(const uint8_t *set, size_t n, struct pb_types **types)
{
    struct pb_build b = {.types = NULL};
    struct pb_read in = {set, set + n};
    char *spare;

    if (n > SET_MAX_BYTES) {
        return RC_PEER_MALFORMED;
    }
    TRY(pb_types_walk(&b, in));
    TRY(make_room(&b, &spare));
    enum rc rc = pb_types_walk(&b, in);
    if (rc == RC_OK) {
        rc = link_all(&b);
    }
    free(spare);
    if (rc == RC_OK) {
        *types = b.types;
    } else {
        pb_types_free(&b.types);
    }
    return rc;
}
