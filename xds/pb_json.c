/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "xds/pb_json_internal.h"

static const uint8_t redacted[] = PB_JSON_REDACTED;
#define REDACTED_BYTES (sizeof(redacted) - 1)

static bool is_32_bits(const struct pb_member *m)
{
    switch (m->kind) {
    case PB_KIND_INT32:
    case PB_KIND_UINT32:
    case PB_KIND_SINT32:
    case PB_KIND_FIXED32:
    case PB_KIND_SFIXED32:
    case PB_KIND_FLOAT:
    case PB_KIND_ENUM:
        return true;
    default:
        return false;
    }
}

/* Is it a number, a truth value or an enum, of which a list may be packed? */
static bool is_scalar(const struct pb_member *m)
{
    return m->kind != PB_KIND_STRING && m->kind != PB_KIND_BYTES && m->kind != PB_KIND_MESSAGE;
}

/* What is longer than the type is cut off. */
static bool is_zero(const struct pb_member *m, uint64_t value)
{
    return is_32_bits(m) ? (uint32_t)value == 0 : value == 0;
}

static int32_t zigzag_32(uint32_t v)
{
    return (int32_t)(v >> 1 ^ (0 - (v & 1)));
}

static int64_t zigzag_64(uint64_t v)
{
    return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

static void put_signed(struct pb_json *j, int64_t v, const char *quote)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%s%" PRId64 "%s", quote, v, quote);
    pb_json_puts(j, text);
}

static void put_unsigned(struct pb_json *j, uint64_t v, const char *quote)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%s%" PRIu64 "%s", quote, v, quote);
    pb_json_puts(j, text);
}

static void put_enum(struct pb_json *j, uint32_t type, int32_t value)
{
    size_t n;
    const char *name = pb_types_enum_name(j->types, type, value, &n);

    if (pb_types_enum_is_null(j->types, type)) {
        pb_json_puts(j, "null");
    } else if (name != NULL) {
        pb_json_string(j, (const uint8_t *)name, n);
    } else {
        put_signed(j, value, "");
    }
}

static void put_floating(struct pb_json *j, const struct pb_member *m, uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    double d;
    float f;

    if (m->kind == PB_KIND_DOUBLE) {
        memcpy(&d, &bits, sizeof(d));
        pb_json_double(j, d);
    } else {
        memcpy(&f, &low, sizeof(f));
        pb_json_float(j, f);
    }
}

static void put_scalar(struct pb_json *j, const struct pb_member *m, uint64_t v)
{
    switch (m->kind) {
    case PB_KIND_DOUBLE:
    case PB_KIND_FLOAT:
        put_floating(j, m, v);
        break;
    case PB_KIND_BOOL:
        pb_json_puts(j, v != 0 ? "true" : "false");
        break;
    case PB_KIND_ENUM:
        put_enum(j, m->type, (int32_t)(uint32_t)v);
        break;
    case PB_KIND_INT32:
    case PB_KIND_SFIXED32:
        put_signed(j, (int32_t)(uint32_t)v, "");
        break;
    case PB_KIND_UINT32:
    case PB_KIND_FIXED32:
        put_unsigned(j, (uint32_t)v, "");
        break;
    case PB_KIND_SINT32:
        put_signed(j, zigzag_32((uint32_t)v), "");
        break;
    case PB_KIND_UINT64:
    case PB_KIND_FIXED64:
        put_unsigned(j, v, "\"");
        break;
    default: /* the other three of 64 bits */
        put_signed(j, m->kind == PB_KIND_SINT64 ? zigzag_64(v) : (int64_t)v, "\"");
    }
}

enum rc pb_json_element(struct pb_json *j, const struct pb_member *m, struct pb_pieces pieces,
                        struct pb_how how)
{
    struct pb_seen seen = pieces.first != 0 ? j->seen[pieces.first] : (struct pb_seen){.value = 0};

    if (m->kind == PB_KIND_MESSAGE) {
        return pb_json_message(j, pb_types_at(j->types, m->type), pieces, how);
    }
    if (how.is_secret) {
        seen = (struct pb_seen){.data = redacted, .value = is_scalar(m) ? 0 : REDACTED_BYTES};
    }
    if (m->kind == PB_KIND_STRING) {
        pb_json_string(j, seen.data, seen.value);
    } else if (m->kind == PB_KIND_BYTES) {
        pb_json_base64(j, seen.data, seen.value);
    } else {
        put_scalar(j, m, seen.value);
    }
    return RC_OK;
}

static void put_comma(struct pb_json *j, bool *some)
{
    if (*some) {
        pb_json_puts(j, ",");
    }
    *some = true;
}

static enum rc put_packed(struct pb_json *j, const struct pb_member *m, const struct pb_seen *seen,
                          bool *some)
{
    static const enum pb_wire wires[] = {PB_VARINT, PB_FIXED32, PB_FIXED64};
    struct pb_read in = {seen->data, seen->data + seen->value};
    bool is_fixed_64 =
        m->kind == PB_KIND_DOUBLE || m->kind == PB_KIND_FIXED64 || m->kind == PB_KIND_SFIXED64;
    bool is_fixed_32 =
        m->kind == PB_KIND_FLOAT || m->kind == PB_KIND_FIXED32 || m->kind == PB_KIND_SFIXED32;
    enum pb_wire wire = wires[is_fixed_64 ? 2 : is_fixed_32 ? 1 : 0];
    uint64_t value;
    enum rc rc = RC_OK;

    while (!j->full && (rc = pb_read_number(&in, wire, &value)) == RC_OK) {
        put_comma(j, some);
        put_scalar(j, m, value);
    }
    return j->full ? RC_FULL : rc == RC_EOF ? RC_OK : rc;
}

enum rc pb_json_elements(struct pb_json *j, const struct pb_member *m, struct pb_chain chain,
                         struct pb_how how)
{
    bool some = false;

    for (uint32_t at = chain.first; at != 0; at = j->seen[at].next) {
        struct pb_seen seen = j->seen[at];
        if (j->full) {
            return RC_FULL;
        }
        if (is_scalar(m) && seen.wire == PB_BYTES) {
            TRY(put_packed(j, m, &seen, &some));
        } else {
            put_comma(j, &some);
            TRY(pb_json_element(j, m, (struct pb_pieces){at, false}, how));
        }
    }
    return RC_OK;
}

/* Is there nothing in it but packed lists of nothing? */
static bool is_empty_list(const struct pb_json *j, const struct pb_member *m, struct pb_chain chain)
{
    for (uint32_t at = chain.first; at != 0; at = j->seen[at].next) {
        if (!is_scalar(m) || j->seen[at].wire != PB_BYTES || j->seen[at].value > 0) {
            return false;
        }
    }
    return true;
}

/* Does JSON leave the member out? As Envoy does, a number that is secret is left out, and a map
 * keeps its keys. */
static bool is_left_out(const struct pb_json *j, const struct pb_member *m, struct pb_chain chain,
                        struct pb_how how)
{
    if (chain.first == 0) {
        return true;
    }
    if (m->is_map) {
        return false;
    }
    if (how.is_secret && is_scalar(m)) {
        return true;
    }
    if (m->is_repeated) {
        return is_empty_list(j, m, chain);
    }
    return !m->has_presence && is_zero(m, j->seen[chain.first].value);
}

static enum rc put_member_value(struct pb_json *j, const struct pb_member *m, struct pb_chain chain,
                                struct pb_how how)
{
    if (m->is_map) {
        return pb_json_map(j, m, chain, how);
    }
    if (!m->is_repeated) {
        return pb_json_element(j, m, (struct pb_pieces){chain.first, true}, how);
    }
    pb_json_puts(j, "[");
    TRY(pb_json_elements(j, m, chain, how));
    pb_json_puts(j, "]");
    return RC_OK;
}

struct pb_how pb_json_how(const struct pb_json *j, const struct pb_member *m, struct pb_how how)
{
    struct pb_how its = {.is_secret = how.is_secret || m->is_sensitive, .is_map = m->is_map};

    if (m->kind == PB_KIND_MESSAGE) {
        its.shadow = pb_types_at(j->types, m->type);
    }
    return its;
}

/* The shadow is for the Struct in a TypedStruct, and for lists and maps of a Struct. */
static struct pb_how how_of_member(const struct pb_json *j, const struct pb_level *level,
                                   const struct pb_member *m, struct pb_how how)
{
    struct pb_how its = {.is_secret = how.is_secret || m->is_sensitive};

    if (level->type->form == PB_TYPED_STRUCT && m->number == 2) {
        struct pb_seen url = pb_json_last(j, level, 1);
        its.shadow = pb_json_type(j, url.data, url.value);
    }
    return its;
}

enum rc pb_json_members(struct pb_json *j, const struct pb_level *level, struct pb_how how,
                        bool some)
{
    for (size_t i = 0; i < level->type->n_members; i++) {
        const struct pb_member *m = &level->type->members[i];
        struct pb_chain chain = pb_json_chain(j, level, i);
        struct pb_how its = how_of_member(j, level, m, how);
        if (is_left_out(j, m, chain, its)) {
            continue;
        }
        if (j->full) {
            return RC_FULL;
        }
        put_comma(j, &some);
        pb_json_string(j, (const uint8_t *)m->name, m->n_name);
        pb_json_puts(j, ":");
        TRY(put_member_value(j, m, chain, its));
    }
    return RC_OK;
}

static enum rc put_gathered(struct pb_json *j, const struct pb_level *level, struct pb_how how)
{
    if (level->type->form != PB_PLAIN && level->type->form != PB_TYPED_STRUCT) {
        return pb_json_known(j, level, how);
    }
    pb_json_puts(j, "{");
    TRY(pb_json_members(j, level, how, false));
    pb_json_puts(j, "}");
    return RC_OK;
}

enum rc pb_json_message(struct pb_json *j, const struct pb_message *type, struct pb_pieces pieces,
                        struct pb_how how)
{
    struct pb_level level;

    if (j->depth == PB_JSON_DEPTH) {
        return RC_PEER_MALFORMED;
    }
    j->depth++;
    enum rc rc = pb_json_open(j, type, pieces, &level);
    if (rc == RC_OK) {
        rc = put_gathered(j, &level, how);
    }
    pb_json_close(j, &level);
    j->depth--;
    return rc;
}

static enum rc finish(struct pb_json *j, enum rc rc)
{
    free(j->seen);
    free(j->chains);
    return rc == RC_OK && j->full ? RC_FULL : rc;
}

/* The bytes that all is about, as if they had been seen in a message. */
static enum rc note_whole(struct pb_json *j, const uint8_t *message, size_t n, uint32_t *seen)
{
    struct pb_item whole = {.data = (const uint8_t *)"", .value = n, .wire = PB_BYTES};

    if (n > 0) {
        whole.data = message;
    }
    return pb_json_note(j, &whole, seen);
}

enum rc pb_json_write(const struct pb_types *types, const char *type_name, const uint8_t *message,
                      size_t n, size_t max_bytes, FILE *out)
{
    struct pb_json j = {.types = types, .out = out, .left = max_bytes};
    const struct pb_message *type = pb_types_find(types, type_name, strlen(type_name));
    uint32_t seen;

    if (type == NULL) {
        return RC_NOT_FOUND;
    }
    if (n > PB_JSON_MESSAGE_MAX_BYTES) {
        return RC_PEER_MALFORMED;
    }
    enum rc rc = note_whole(&j, message, n, &seen);
    if (rc == RC_OK) {
        rc = pb_json_message(&j, type, (struct pb_pieces){seen, false}, (struct pb_how){0});
    }
    return finish(&j, rc);
}

enum rc pb_json_write_any(const struct pb_types *types, const char *type_url, const uint8_t *value,
                          size_t n, size_t max_bytes, FILE *out)
{
    struct pb_json j = {.types = types, .out = out, .left = max_bytes};
    struct pb_seen url = {.data = (const uint8_t *)type_url, .value = strlen(type_url)};
    uint32_t seen;

    if (n > PB_JSON_MESSAGE_MAX_BYTES || url.value > PB_JSON_MESSAGE_MAX_BYTES) {
        return RC_FULL;
    }
    enum rc rc = note_whole(&j, value, n, &seen);
    if (rc == RC_OK) {
        rc = pb_json_any(&j, url, seen, (struct pb_how){0});
    }
    return finish(&j, rc);
}
