/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of fields are those of google/protobuf/descriptor.proto. */
#include <string.h>

#include "xds/pb_types_internal.h"

/** Messages that are declared inside of each other. */
#define DECLARED_DEPTH 16

#define SENSITIVE_OPTION 76569463U

/** Where something is declared. */
struct scope {
    struct pb_text name; /**< p means nothing while we count */
    unsigned depth;
    bool proto3;
};

static struct pb_text text_of(const struct pb_item *item)
{
    return (struct pb_text){(const char *)item->data, item->value};
}

static bool text_is(struct pb_text t, const char *s)
{
    return t.p != NULL && t.n == strlen(s) && memcmp(t.p, s, t.n) == 0;
}

static struct pb_read read_of(const struct pb_item *item)
{
    return (struct pb_read){item->data, item->data + item->value};
}

static enum rc at_end(enum rc rc)
{
    return rc == RC_EOF ? RC_OK : rc;
}

/* The last field of that number and wire type, if there is one. */
static enum rc find_last(struct pb_read in, uint32_t number, enum pb_wire wire,
                         struct pb_item *found)
{
    struct pb_item item;
    enum rc rc;

    while ((rc = pb_read_next(&in, &item)) == RC_OK) {
        if (item.number == number && item.wire == wire) {
            *found = item;
        }
    }
    return at_end(rc);
}

static enum rc find_text(struct pb_read in, uint32_t number, struct pb_text *text)
{
    struct pb_item item = {0};

    TRY(find_last(in, number, PB_BYTES, &item));
    *text = text_of(&item);
    return RC_OK;
}

/* The name in full of what is declared there. */
static struct pb_text full_name(struct pb_build *b, const struct scope *scope, struct pb_text name)
{
    bool has_dot = scope->name.n > 0;
    struct pb_text full = {NULL, scope->name.n + has_dot + name.n};

    if (b->types != NULL) {
        char *p = b->names + b->n_names;
        full.p = p;
        if (has_dot) {
            memcpy(p, scope->name.p, scope->name.n);
            p[scope->name.n] = '.';
        }
        if (name.n > 0) {
            memcpy(p + scope->name.n + has_dot, name.p, name.n);
        }
    }
    b->n_names += full.n;
    return full;
}

static enum rc walk_value(struct pb_build *b, struct pb_read in)
{
    struct pb_text name;
    struct pb_item number = {0};

    TRY(find_text(in, 1, &name));
    TRY(find_last(in, 2, PB_VARINT, &number));
    if (b->types != NULL) {
        b->values[b->n_values] =
            (struct pb_enum_value){name.p, (uint32_t)name.n, (int32_t)(uint32_t)number.value};
    }
    b->n_values++;
    return RC_OK;
}

static enum rc walk_enum(struct pb_build *b, const struct scope *scope, struct pb_read in)
{
    struct pb_text name;
    struct pb_item item;
    enum rc rc;
    size_t first = b->n_values;

    TRY(find_text(in, 1, &name));
    name = full_name(b, scope, name);
    while ((rc = pb_read_next(&in, &item)) == RC_OK) {
        if (item.number == 2 && item.wire == PB_BYTES) {
            TRY(walk_value(b, read_of(&item)));
        }
    }
    if (b->types != NULL) {
        b->types->enums[b->n_enums] = (struct pb_enum){
            .name = name.p,
            .values = b->values + first,
            .n_name = (uint32_t)name.n,
            .n_values = (uint32_t)(b->n_values - first),
            .is_null = text_is(name, "google.protobuf.NullValue"),
        };
    }
    b->n_enums++;
    return at_end(rc);
}

static enum rc read_options(struct pb_read in, struct pb_member *m)
{
    struct pb_item option = {0};

    TRY(find_last(in, SENSITIVE_OPTION, PB_VARINT, &option));
    m->is_sensitive = option.value != 0;
    return RC_OK;
}

/* One field of a FieldDescriptorProto; what is no number or text of it is passed over. */
static enum rc read_member_item(const struct pb_item *item, struct pb_member *m,
                                struct pb_text *type_name, bool *is_optional)
{
    bool is_bytes = item->wire == PB_BYTES;
    bool is_number = item->wire == PB_VARINT;

    if (item->number == 1 && is_bytes && item->value < UINT16_MAX) {
        m->name = (const char *)item->data;
        m->n_name = (uint16_t)item->value;
    } else if (item->number == 3 && is_number) {
        m->number = (uint32_t)item->value;
    } else if (item->number == 4 && is_number) {
        m->is_repeated = item->value == 3;
    } else if (item->number == 5 && is_number && item->value <= PB_KIND_SINT64) {
        m->kind = (uint8_t)item->value;
    } else if (item->number == 6 && is_bytes) {
        *type_name = text_of(item);
    } else if (item->number == 8 && is_bytes) {
        return read_options(read_of(item), m);
    } else if (item->number == 9 && is_number && item->value < PB_NO_ONEOF) {
        m->oneof = (uint16_t)item->value;
    } else if (item->number == 17 && is_number) {
        *is_optional = item->value != 0;
    }
    return RC_OK;
}

static enum rc walk_member(struct pb_build *b, bool proto3, struct pb_read in)
{
    struct pb_member m = {.oneof = PB_NO_ONEOF};
    struct pb_text type_name = {NULL, 0};
    struct pb_item item;
    bool is_optional = false;
    enum rc rc;

    while ((rc = pb_read_next(&in, &item)) == RC_OK) {
        TRY(read_member_item(&item, &m, &type_name, &is_optional));
    }
    if (m.name == NULL || m.number == 0 || m.kind == 0) {
        return RC_PEER_MALFORMED;
    }
    bool is_message = m.kind == PB_KIND_MESSAGE || m.kind == PB_KIND_GROUP;
    m.has_presence = !m.is_repeated && (is_message || !proto3 || m.oneof != PB_NO_ONEOF);
    if (is_optional) {
        m.oneof = PB_NO_ONEOF; /* the oneof is protoc's own */
    }
    if (b->types != NULL) {
        b->members[b->n_members] = m;
        b->type_names[b->n_members] = type_name;
    }
    b->n_members++;
    return at_end(rc);
}

/* The members and oneofs of the message that is next, and whether it is the entry of a map. */
static enum rc walk_members(struct pb_build *b, const struct scope *scope, struct pb_read in,
                            uint32_t *n_oneofs, bool *is_map_entry)
{
    struct pb_item option = {0};
    struct pb_item item;
    enum rc rc;

    while ((rc = pb_read_next(&in, &item)) == RC_OK) {
        if (item.wire != PB_BYTES) {
            continue;
        }
        if (item.number == 2) {
            TRY(walk_member(b, scope->proto3, read_of(&item)));
        } else if (item.number == 7) {
            TRY(find_last(read_of(&item), 7, PB_VARINT, &option));
        } else if (item.number == 8) {
            (*n_oneofs)++;
        }
    }
    *is_map_entry = option.value != 0;
    return at_end(rc);
}

static enum rc walk_message(struct pb_build *b, const struct scope *scope, struct pb_read in);

/* What is declared in a file (message_type, enum_type) or a message (nested_type, enum_type). */
static enum rc walk_declared(struct pb_build *b, const struct scope *scope, struct pb_read in,
                             uint32_t message_type, uint32_t enum_type)
{
    struct pb_item item;
    enum rc rc;

    while ((rc = pb_read_next(&in, &item)) == RC_OK) {
        if (item.wire == PB_BYTES && item.number == message_type) {
            TRY(walk_message(b, scope, read_of(&item)));
        } else if (item.wire == PB_BYTES && item.number == enum_type) {
            TRY(walk_enum(b, scope, read_of(&item)));
        }
    }
    return at_end(rc);
}

static enum rc walk_message(struct pb_build *b, const struct scope *scope, struct pb_read in)
{
    struct pb_text name;
    uint32_t n_oneofs = 0;
    size_t first = b->n_members;
    bool is_map_entry = false;

    if (scope->depth == DECLARED_DEPTH) {
        return RC_PEER_MALFORMED;
    }
    TRY(find_text(in, 1, &name));
    name = full_name(b, scope, name);
    TRY(walk_members(b, scope, in, &n_oneofs, &is_map_entry));
    if (b->n_members - first >= UINT16_MAX || n_oneofs >= UINT16_MAX) {
        return RC_PEER_MALFORMED;
    }
    if (b->types != NULL) {
        b->is_map_entry[b->n_messages] = is_map_entry;
        b->types->messages[b->n_messages] = (struct pb_message){
            .name = name.p,
            .members = b->members + first,
            .n_name = (uint32_t)name.n,
            .n_members = (uint16_t)(b->n_members - first),
            .n_oneofs = (uint16_t)n_oneofs,
        };
    }
    b->n_messages++;
    struct scope inner = {name, scope->depth + 1, scope->proto3};
    return walk_declared(b, &inner, in, 3, 4);
}

enum rc pb_types_walk(struct pb_build *b, struct pb_read set)
{
    struct pb_item file;
    enum rc rc;

    while ((rc = pb_read_next(&set, &file)) == RC_OK) {
        struct scope scope = {.depth = 0};
        struct pb_text syntax;
        if (file.number != 1 || file.wire != PB_BYTES) {
            continue;
        }
        TRY(find_text(read_of(&file), 2, &scope.name));
        TRY(find_text(read_of(&file), 12, &syntax));
        scope.proto3 = text_is(syntax, "proto3");
        TRY(walk_declared(b, &scope, read_of(&file), 4, 5));
    }
    return at_end(rc);
}
