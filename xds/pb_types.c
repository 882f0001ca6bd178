/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "xds/pb_types_internal.h"

static bool entry_is(const struct pb_types *types, uint32_t entry, const char *name, size_t n)
{
    uint32_t i = (entry & ~PB_ENTRY_ENUM) - 1;
    bool is_enum = (entry & PB_ENTRY_ENUM) != 0;
    const char *its = is_enum ? types->enums[i].name : types->messages[i].name;
    size_t n_its = is_enum ? types->enums[i].n_name : types->messages[i].n_name;

    return n == n_its && memcmp(name, its, n) == 0;
}

uint32_t *pb_types_place(const struct pb_types *types, const char *name, size_t n)
{
    uint32_t at = hash_bytes(HASH_START, name, n) & types->table_mask;

    while (types->table[at] != 0 && !entry_is(types, types->table[at], name, n)) {
        at = (at + 1) & types->table_mask;
    }
    return &types->table[at];
}

uint32_t pb_types_entry(const struct pb_types *types, const char *name, size_t n)
{
    return *pb_types_place(types, name, n);
}

void pb_types_free(struct pb_types **types)
{
    if (*types != NULL) {
        CHECK_MAGIC(*types, PB_TYPES_MAGIC);
        (*types)->magic = 0;
        free(*types);
        *types = NULL;
    }
}

const struct pb_message *pb_types_find(const struct pb_types *types, const char *name, size_t n)
{
    CHECK_MAGIC(types, PB_TYPES_MAGIC);
    uint32_t entry = pb_types_entry(types, name, n);
    return entry == 0 || (entry & PB_ENTRY_ENUM) != 0 ? NULL : &types->messages[entry - 1];
}

const struct pb_message *pb_types_at(const struct pb_types *types, uint32_t type)
{
    CHECK(type < types->n_messages);
    return &types->messages[type];
}

const struct pb_member *pb_message_member(const struct pb_message *message, uint32_t number)
{
    uint32_t low = 0;
    uint32_t high = message->n_members;

    if (number - 1 < high && message->members[number - 1].number == number) {
        return &message->members[number - 1]; /* most messages have no gaps */
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct pb_member *m = &message->members[middle];
        if (m->number == number) {
            return m;
        }
        if (m->number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

/* The lowerCamelCase of protoc: an underscore goes, what follows it becomes upper case. */
static bool is_camel_case(const struct pb_member *m, const char *name, size_t n)
{
    size_t at = 0;
    bool raise = false;

    for (size_t i = 0; i < m->n_name; i++) {
        char c = m->name[i];
        if (c == '_') {
            raise = true;
            continue;
        }
        if (raise && c >= 'a' && c <= 'z') {
            c = (char)(c - 'a' + 'A');
        }
        raise = false;
        if (at == n || name[at++] != c) {
            return false;
        }
    }
    return at == n;
}

const struct pb_member *pb_message_member_named(const struct pb_message *message, const char *name,
                                                size_t n)
{
    for (uint32_t i = 0; i < message->n_members; i++) {
        const struct pb_member *m = &message->members[i];
        if ((n == m->n_name && memcmp(name, m->name, n) == 0) || is_camel_case(m, name, n)) {
            return m;
        }
    }
    return NULL;
}

const char *pb_types_enum_name(const struct pb_types *types, uint32_t type, int32_t value,
                               size_t *n_name)
{
    CHECK(type < types->n_enums);
    const struct pb_enum *e = &types->enums[type];
    uint32_t low = 0;
    uint32_t high = e->n_values;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (e->values[middle].number == value) {
            *n_name = e->values[middle].n_name;
            return e->values[middle].name;
        }
        if (e->values[middle].number < value) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

bool pb_types_enum_is_null(const struct pb_types *types, uint32_t type)
{
    CHECK(type < types->n_enums);
    return types->enums[type].is_null;
}
