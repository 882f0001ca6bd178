/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields come in the order of their numbers and have no other bytes than those that are written in
 * message.c. Which byte of the pattern comes depends on the position in the message, so a length
 * that has changed is noticed, too.
 */
#include "bench/load/inbox.h"

#include <string.h>

enum state { AT_TAG, IN_LENGTH, IN_FIELD };

enum role { ROLE_NONE, ROLE_NODE, ROLE_VERSION, ROLE_URL, ROLE_UNIT, ROLE_NONCE };

#define FIELDS 7
static const uint8_t request_roles[FIELDS] = {
    [1] = ROLE_NODE, [2] = ROLE_URL, [3] = ROLE_UNIT, [6] = ROLE_NONCE};
static const uint8_t response_roles[FIELDS] = {
    [1] = ROLE_VERSION, [2] = ROLE_UNIT, [4] = ROLE_URL, [5] = ROLE_NONCE};

#define WIRE_LENGTH 2
#define LENGTH_SHIFT_MAX 28 /* of the fifth byte */

void inbox_init(struct inbox *in, struct message_home *home, bool of_vm)
{
    *in = (struct inbox){.home = home, .of_vm = of_vm};
}

static bool has_seen(const struct inbox *in, enum role role)
{
    return (in->seen >> role & 1U) != 0;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- the fields ---- */

static bool begin_field(struct inbox *in)
{
    bool is_text = in->role == ROLE_URL || in->role == ROLE_NONCE || in->role == ROLE_VERSION;
    bool is_first = !has_seen(in, in->role);

    if (in->value == 0 || in->value > in->message.bytes - in->at ||
        (is_text && in->value >= sizeof(in->text)) ||
        (in->role == ROLE_NODE && (in->value < NODE_HEAD_BYTES || in->value > NODE_BYTES_MAX))) {
        return false;
    }
    in->seen = (uint16_t)(in->seen | 1U << in->role);
    in->field_bytes = in->value;
    in->left = in->value;
    in->n_text = is_first ? 0 : 1; /* of names and resources, the kind is before the first */
    in->state = IN_FIELD;
    return true;
}

/* The text is complete. */
static bool end_text(struct inbox *in)
{
    in->text[in->n_text] = '\0';
    switch (in->role) {
    case ROLE_VERSION:
        return strcmp(in->text, MESSAGE_VERSION) == 0;
    case ROLE_NONCE:
        return message_nonce_parse(in->text, &in->message.nonce);
    default:
        for (enum message_type t = 0; t < MESSAGE_TYPES; t++) {
            if (strcmp(in->text, message_url(t)) == 0) {
                in->message.type = t;
                return true;
            }
        }
        return false;
    }
}

static bool take_text(struct inbox *in, const uint8_t *data, size_t n)
{
    memcpy(in->text + in->n_text, data, n);
    in->n_text += (uint32_t)n;
    in->left -= (uint32_t)n;
    return in->left > 0 || end_text(in);
}

/* n bytes of a Node. Its beginning says whose it is, so that is gathered first. */
static bool take_node(struct inbox *in, const uint8_t *data, size_t n)
{
    uint32_t at = in->field_bytes - in->left;
    size_t head = at < NODE_HEAD_BYTES ? least(n, NODE_HEAD_BYTES - at) : 0;
    size_t n_node;

    if (head > 0) {
        memcpy(in->text + at, data, head);
    }
    in->left -= (uint32_t)n;
    if (at + n < NODE_HEAD_BYTES) {
        return true;
    }
    if (head > 0 && !node_whose((const uint8_t *)in->text, &in->vm)) {
        return false;
    }
    const uint8_t *node = message_node(in->home, in->vm, in->field_bytes, &n_node);
    return n_node == in->field_bytes &&
           (head == 0 || memcmp(node, in->text, NODE_HEAD_BYTES) == 0) &&
           memcmp(node + at + head, data + head, n - head) == 0;
}

/* n bytes of a name or a resource. The first byte of the first one is the kind. */
static bool take_unit(struct inbox *in, const uint8_t *data, size_t n)
{
    uint32_t at = in->at - (uint32_t)n;
    size_t i = 0;

    if (in->n_text == 0) {
        in->message.kind = (enum message_kind)data[0];
        in->n_text = 1;
        i = 1;
    }
    in->left -= (uint32_t)n;
    while (i < n) {
        size_t there;
        const uint8_t *expected = message_pattern_at(in->home, at + (uint32_t)i, &there);
        size_t took = least(n - i, there);
        if (memcmp(data + i, expected, took) != 0) {
            return false;
        }
        i += took;
    }
    return true;
}

/* ---- the message ---- */

static bool begin_message(struct inbox *in)
{
    const uint8_t *f = in->framing;

    in->message = (struct message){.bytes = (uint32_t)f[1] << 24 | (uint32_t)f[2] << 16 |
                                            (uint32_t)f[3] << 8 | f[4]};
    in->at = 0;
    in->seen = 0;
    in->field = 0;
    in->state = AT_TAG;
    return f[0] == 0 && in->message.bytes > 0 && in->message.bytes <= MESSAGE_MAX_BYTES;
}

/* Is it one of those that are sent in this direction? */
static bool end_message(struct inbox *in)
{
    bool named = has_seen(in, ROLE_UNIT);
    enum message_kind kind = in->message.kind;

    in->n_framing = 0;
    if (in->state != AT_TAG || !has_seen(in, ROLE_URL)) {
        return false;
    }
    if (!in->of_vm) {
        return has_seen(in, ROLE_VERSION) && has_seen(in, ROLE_NONCE) &&
               (kind == MESSAGE_HELLO || kind == MESSAGE_ECHO || kind == MESSAGE_PUSH);
    }
    if (has_seen(in, ROLE_NODE)) {
        in->message.kind = MESSAGE_FIRST;
        return !named && !has_seen(in, ROLE_NONCE);
    }
    if (named) {
        return kind == MESSAGE_ECHO || (kind == MESSAGE_SUBSCRIBE && !has_seen(in, ROLE_NONCE));
    }
    in->message.kind = has_seen(in, ROLE_NONCE) ? MESSAGE_ACK : MESSAGE_SUBSCRIBE;
    return true;
}

static bool take_tag(struct inbox *in, uint8_t tag)
{
    unsigned field = (unsigned)tag >> 3;

    if ((tag & 7U) != WIRE_LENGTH || field >= FIELDS) {
        return false;
    }
    in->role = in->of_vm ? request_roles[field] : response_roles[field];
    in->state = IN_LENGTH;
    in->value = 0;
    in->shift = 0;
    bool in_order = field > in->field || (field == in->field && in->role == ROLE_UNIT);
    in->field = (uint8_t)field;
    return in_order && in->role != ROLE_NONE;
}

static bool take_length(struct inbox *in, uint8_t byte)
{
    in->value |= (uint32_t)(byte & 0x7f) << in->shift;
    in->shift = (uint8_t)(in->shift + 7);
    return byte < 0x80 ? begin_field(in) : in->shift <= LENGTH_SHIFT_MAX;
}

static bool take_field(struct inbox *in, const uint8_t *data, size_t n)
{
    bool good = in->role == ROLE_NODE   ? take_node(in, data, n)
                : in->role == ROLE_UNIT ? take_unit(in, data, n)
                                        : take_text(in, data, n);

    if (in->left == 0) {
        in->state = AT_TAG;
    }
    return good;
}

/* Bytes of the message, 1 or more of n; *took: how many. False: they are wrong. */
static bool take_some(struct inbox *in, const uint8_t *data, size_t n, size_t *took)
{
    *took = in->state == IN_FIELD ? least(n, in->left) : 1;
    in->at += (uint32_t)*took;
    switch (in->state) {
    case AT_TAG:
        return take_tag(in, data[0]);
    case IN_LENGTH:
        return take_length(in, data[0]);
    default:
        return take_field(in, data, *took);
    }
}

static enum inbox_result feed_message(struct inbox *in, const uint8_t **data, size_t *n)
{
    while (*n > 0 && in->at < in->message.bytes) {
        size_t took;
        if (!take_some(in, *data, least(*n, in->message.bytes - in->at), &took)) {
            return INBOX_WRONG;
        }
        *data += took;
        *n -= took;
    }
    if (in->at < in->message.bytes) {
        return INBOX_MORE;
    }
    return end_message(in) ? INBOX_COMPLETE : INBOX_WRONG;
}

enum inbox_result inbox_feed(struct inbox *in, const uint8_t **data, size_t *n)
{
    while (in->n_framing < MESSAGE_FRAMING_BYTES) {
        if (*n == 0) {
            return INBOX_MORE;
        }
        in->framing[in->n_framing++] = **data;
        ++*data;
        --*n;
        if (in->n_framing == MESSAGE_FRAMING_BYTES && !begin_message(in)) {
            return INBOX_WRONG;
        }
    }
    return feed_message(in, data, n);
}
