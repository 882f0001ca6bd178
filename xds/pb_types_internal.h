/* SPDX-License-Identifier: Apache-2.0 */
/* The index itself, and what is known while it is made. */
#pragma once

#include "xds/pb_read.h"
#include "xds/pb_types.h"

#define PB_TYPES_MAGIC 0x70627479U

/** In the table: the entry is an enum. */
#define PB_ENTRY_ENUM UINT32_C(0x80000000)

struct pb_enum_value {
    const char *name;
    uint32_t n_name;
    int32_t number;
};

struct pb_enum {
    const char *name;                   /**< in full */
    const struct pb_enum_value *values; /**< by number, ascending, each once */
    uint32_t n_name;
    uint32_t n_values;
    bool is_null; /**< google.protobuf.NullValue */
};

/** Everything is in one piece of memory, but for the names that are views into the set. */
struct pb_types {
    uint32_t magic;
    uint32_t n_messages;
    uint32_t n_enums;
    uint32_t table_mask;
    struct pb_message *messages;
    struct pb_enum *enums;
    uint32_t *table; /**< of names: 0, or 1 + the index of a message, or PB_ENTRY_ENUM and 1 + one
                        of an enum; open addressing, never full */
};

/** The entry of a name of n bytes; 0: there is none. */
uint32_t pb_types_entry(const struct pb_types *types, const char *name, size_t n);

/** Where the entry of a name is, or belongs. Never fails: the table has room. */
uint32_t *pb_types_place(const struct pb_types *types, const char *name, size_t n);

/** A view. */
struct pb_text {
    const char *p;
    size_t n;
};

struct pb_build {
    struct pb_types *types; /**< NULL: only count */
    struct pb_member *members;
    struct pb_enum_value *values;
    struct pb_text *type_names; /**< of the members, before all types are known */
    bool *is_map_entry;         /**< as many as messages */
    char *names;
    size_t n_messages;
    size_t n_members;
    size_t n_enums;
    size_t n_values;
    size_t n_names; /**< bytes */
};

/** Count what a set has, or, when b->types is there, fill it in. Begins with the numbers of b at
 * zero. Returns RC_OK, RC_PEER_MALFORMED. */
enum rc pb_types_walk(struct pb_build *b, struct pb_read set) MUST_USE;
