/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "xds/pb_json_internal.h"

/** Places that the stacks begin with. */
#define ROOM_FIRST 64

static enum rc grow(void **stack, size_t *room, size_t need, size_t size)
{
    size_t more = *room == 0 ? ROOM_FIRST : *room;

    while (more < need) {
        more *= 2;
    }
    if (more == *room) {
        return RC_OK;
    }
    void *larger = realloc(*stack, more * size);
    if (larger == NULL) {
        return RC_NO_MEMORY;
    }
    *stack = larger;
    *room = more;
    return RC_OK;
}

enum rc pb_json_note(struct pb_json *j, const struct pb_item *item, uint32_t *seen)
{
    size_t at = j->n_seen > 0 ? j->n_seen : 1;
    void *stack = j->seen;

    enum rc rc = grow(&stack, &j->room_seen, at + 1, sizeof(*j->seen));
    j->seen = stack;
    TRY(rc);
    j->seen[at] = (struct pb_seen){.data = item->data, .value = item->value, .wire = item->wire};
    j->n_seen = at + 1;
    *seen = (uint32_t)at; /* fits: there are no more than bytes of a message */
    return RC_OK;
}

static bool is_message(const struct pb_member *m)
{
    return m->kind == PB_KIND_MESSAGE;
}

/* The wire type that a kind has when it is not packed; PB_BYTES also of a group, which never comes
 * as such. */
static enum pb_wire wire_of(const struct pb_member *m)
{
    switch (m->kind) {
    case PB_KIND_DOUBLE:
    case PB_KIND_FIXED64:
    case PB_KIND_SFIXED64:
        return PB_FIXED64;
    case PB_KIND_FLOAT:
    case PB_KIND_FIXED32:
    case PB_KIND_SFIXED32:
        return PB_FIXED32;
    case PB_KIND_STRING:
    case PB_KIND_BYTES:
    case PB_KIND_MESSAGE:
    case PB_KIND_GROUP:
        return PB_BYTES;
    default:
        return PB_VARINT;
    }
}

/* A known number with another wire type is an unknown field, as for all protocol buffers. */
static bool is_its_wire(const struct pb_member *m, enum pb_wire wire)
{
    if (m->kind == PB_KIND_GROUP) {
        return false;
    }
    return wire == wire_of(m) || (m->is_repeated && wire == PB_BYTES);
}

/* Of the members of a oneof the last one counts, and begins anew when another was in between. Which
 * that is stands behind the chains of the members. */
static void take_oneof(struct pb_json *j, const struct pb_level *level, const struct pb_member *m)
{
    struct pb_chain *chains = j->chains + level->chains;
    struct pb_chain *current = &chains[level->type->n_members + m->oneof];
    uint32_t me = (uint32_t)(m - level->type->members) + 1;

    if (current->first != 0 && current->first != me) {
        chains[current->first - 1] = (struct pb_chain){0, 0};
    }
    current->first = me;
}

static enum rc take(struct pb_json *j, const struct pb_level *level, const struct pb_member *m,
                    const struct pb_item *item)
{
    struct pb_chain *chain = &j->chains[level->chains + (size_t)(m - level->type->members)];
    uint32_t seen;

    if (m->oneof != PB_NO_ONEOF) {
        take_oneof(j, level, m);
    }
    if (chain->first != 0 && !m->is_repeated && !is_message(m)) {
        j->seen[chain->first].data = item->data; /* the last one counts */
        j->seen[chain->first].value = item->value;
        return RC_OK;
    }
    TRY(pb_json_note(j, item, &seen));
    if (chain->first == 0) {
        chain->first = seen;
    } else {
        j->seen[chain->last].next = seen;
    }
    chain->last = seen;
    return RC_OK;
}

static enum rc gather(struct pb_json *j, const struct pb_level *level, struct pb_read in)
{
    struct pb_item item;
    enum rc rc;

    while ((rc = pb_read_next(&in, &item)) == RC_OK) {
        const struct pb_member *m = pb_message_member(level->type, item.number);
        if (m != NULL && is_its_wire(m, item.wire)) {
            TRY(take(j, level, m, &item));
        }
    }
    return rc == RC_EOF ? RC_OK : rc;
}

enum rc pb_json_open(struct pb_json *j, const struct pb_message *type, struct pb_pieces pieces,
                     struct pb_level *level)
{
    size_t n = (size_t)type->n_members + type->n_oneofs;
    void *stack = j->chains;

    *level = (struct pb_level){type, j->n_chains, j->n_seen};
    enum rc rc = grow(&stack, &j->room_chains, j->n_chains + n, sizeof(*j->chains));
    j->chains = stack;
    TRY(rc);
    memset(j->chains + j->n_chains, 0, n * sizeof(*j->chains));
    j->n_chains += n;
    for (uint32_t at = pieces.first; at != 0; at = pieces.all ? j->seen[at].next : 0) {
        const struct pb_seen *piece = &j->seen[at];
        CHECK(piece->wire == PB_BYTES);
        TRY(gather(j, level, (struct pb_read){piece->data, piece->data + piece->value}));
    }
    return RC_OK;
}

void pb_json_close(struct pb_json *j, const struct pb_level *level)
{
    j->n_chains = level->chains;
    j->n_seen = level->n_seen;
}

struct pb_chain pb_json_chain(const struct pb_json *j, const struct pb_level *level, size_t i)
{
    return j->chains[level->chains + i];
}

struct pb_seen pb_json_last(const struct pb_json *j, const struct pb_level *level, uint32_t number)
{
    const struct pb_member *m = pb_message_member(level->type, number);

    CHECK(m != NULL);
    uint32_t last = pb_json_chain(j, level, (size_t)(m - level->type->members)).last;
    return last == 0 ? (struct pb_seen){.value = 0} : j->seen[last];
}
