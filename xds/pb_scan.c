/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Five states: before or in a tag, in a varint, in a fixed number, in a length, in the bytes of a
 * field. Numbers are read byte by byte; bytes of a field are passed over, or given on, as many as
 * there are. Each byte is taken off `left` of its message when it is read, a field's bytes all at
 * once when its length is known: so nothing inside can be longer than what is around it.
 */
#include "xds/pb_scan.h"

#define FIELD_NUMBER_MAX ((UINT32_C(1) << 29) - 1)
#define VARINT_BYTES_MAX 10

enum state { AT_TAG, IN_VARINT, IN_FIXED32, IN_FIXED64, IN_LENGTH, IN_BYTES };

void pb_scan_begin(struct pb_scan *s, uint32_t n)
{
    *s = (struct pb_scan){.left = {n}};
}

static void set_state(struct pb_scan *s, enum state state)
{
    s->state = (uint8_t)state;
    s->number = 0;
    s->n_number = 0;
}

/* Messages that end here, from the innermost to the outermost. */
static void end_messages(struct pb_scan *s, const struct pb_ops *ops, void *arg)
{
    while (s->state == AT_TAG && s->depth > 0 && s->left[s->depth] == 0) {
        s->depth--;
        ops->on_end(arg, s->depth);
    }
}

static void end_bytes(struct pb_scan *s, const struct pb_ops *ops, void *arg)
{
    set_state(s, AT_TAG);
    if (s->taking) {
        ops->on_end(arg, s->depth);
    }
    end_messages(s, ops, arg);
}

static void take_tag(struct pb_scan *s)
{
    uint64_t field = s->number >> 3;
    unsigned wire = (unsigned)(s->number & 7);

    if (field == 0 || field > FIELD_NUMBER_MAX) {
        s->failed = true;
        return;
    }
    s->field = (uint32_t)field;
    switch (wire) {
    case PB_VARINT:
        set_state(s, IN_VARINT);
        break;
    case PB_FIXED64:
        set_state(s, IN_FIXED64);
        break;
    case PB_BYTES:
        set_state(s, IN_LENGTH);
        break;
    case PB_FIXED32:
        set_state(s, IN_FIXED32);
        break;
    default: /* groups, or nothing that there is */
        s->failed = true;
    }
}

/* A number is complete. */
static void take_number(struct pb_scan *s, const struct pb_ops *ops, void *arg, enum pb_wire wire)
{
    struct pb_field f = {s->number, s->field, wire, s->depth};

    set_state(s, AT_TAG);
    (void)ops->on_field(arg, &f);
    end_messages(s, ops, arg);
}

static void take_length(struct pb_scan *s, const struct pb_ops *ops, void *arg)
{
    struct pb_field f = {s->number, s->field, PB_BYTES, s->depth};

    if (f.value > s->left[s->depth]) {
        s->failed = true;
        return;
    }
    s->left[s->depth] -= (uint32_t)f.value;
    enum pb_do what = ops->on_field(arg, &f);
    if (what == PB_ENTER) {
        if (s->depth + 1 == PB_SCAN_DEPTH) {
            s->failed = true;
            return;
        }
        s->left[++s->depth] = (uint32_t)f.value;
        set_state(s, AT_TAG);
        end_messages(s, ops, arg);
        return;
    }
    s->taking = what == PB_TAKE;
    s->skip = (uint32_t)f.value;
    set_state(s, IN_BYTES);
    if (s->skip == 0) {
        end_bytes(s, ops, arg);
    }
}

/* One more byte of a varint. True: it is complete. */
static bool take_varint_byte(struct pb_scan *s, uint8_t byte)
{
    if (s->n_number == VARINT_BYTES_MAX - 1 && byte > 1) {
        s->failed = true; /* more than 64 bits, or more than ten bytes */
        return false;
    }
    s->number |= (uint64_t)(byte & 0x7f) << (7 * s->n_number++);
    return byte < 0x80;
}

/* One more byte of a fixed number. True: it is complete. */
static bool take_fixed_byte(struct pb_scan *s, uint8_t byte)
{
    s->number |= (uint64_t)byte << (8 * s->n_number++);
    return s->n_number == (s->state == IN_FIXED32 ? 4 : 8);
}

static void take_byte(struct pb_scan *s, const struct pb_ops *ops, void *arg, uint8_t byte)
{
    bool is_fixed = s->state == IN_FIXED32 || s->state == IN_FIXED64;

    if (s->left[s->depth] == 0) {
        s->failed = true; /* more than the message has */
        return;
    }
    s->left[s->depth]--;
    bool is_complete = is_fixed ? take_fixed_byte(s, byte) : take_varint_byte(s, byte);
    if (!is_complete) {
        s->failed |= s->left[s->depth] == 0;
    } else if (s->state == AT_TAG) {
        take_tag(s);
        s->failed |= s->left[s->depth] == 0; /* a field without its value */
    } else if (s->state == IN_LENGTH) {
        take_length(s, ops, arg);
    } else {
        take_number(s, ops, arg,
                    s->state == IN_VARINT    ? PB_VARINT
                    : s->state == IN_FIXED32 ? PB_FIXED32
                                             : PB_FIXED64);
    }
}

/* Bytes of a field that is skipped or taken; n is 1 or more. Returns how many were its. */
static size_t pass_bytes(struct pb_scan *s, const struct pb_ops *ops, void *arg,
                         const uint8_t *data, size_t n)
{
    size_t take = n < s->skip ? n : s->skip;

    if (s->taking) {
        ops->on_bytes(arg, data, take);
    }
    s->skip -= (uint32_t)take;
    if (s->skip == 0) {
        end_bytes(s, ops, arg);
    }
    return take;
}

/*
 * Tag and length of a field with bytes, when both are there and short, as nearly all are: the same
 * as byte by byte, for less. Returns how many bytes they had; 0: it is not so.
 */
static size_t take_head(struct pb_scan *s, const struct pb_ops *ops, void *arg, const uint8_t *data,
                        size_t n)
{
    size_t most = n < s->left[s->depth] ? n : s->left[s->depth];

    if (most < 3 || data[0] >= 0x80 || (data[0] & 7) != PB_BYTES || data[0] >> 3 == 0) {
        return 0;
    }
    size_t n_head = data[1] < 0x80 ? 2 : 3;
    if (n_head == 3 && data[2] >= 0x80) {
        return 0;
    }
    s->left[s->depth] -= (uint32_t)n_head;
    s->field = data[0] >> 3;
    s->number = data[1] & 0x7f;
    if (n_head == 3) {
        s->number |= (uint64_t)data[2] << 7;
    }
    take_length(s, ops, arg);
    return n_head;
}

enum rc pb_scan_feed(struct pb_scan *s, const struct pb_ops *ops, void *arg, const uint8_t *data,
                     size_t n)
{
    size_t i = 0;

    while (i < n && !s->failed) {
        if (s->state == IN_BYTES) {
            i += pass_bytes(s, ops, arg, data + i, n - i);
            continue;
        }
        bool at_field = s->state == AT_TAG && s->n_number == 0;
        size_t n_head = at_field ? take_head(s, ops, arg, data + i, n - i) : 0;
        if (n_head > 0) {
            i += n_head;
        } else {
            take_byte(s, ops, arg, data[i++]);
        }
    }
    return s->failed ? RC_PEER_MALFORMED : RC_OK;
}

bool pb_scan_is_over(const struct pb_scan *s)
{
    return !s->failed && s->depth == 0 && s->state == AT_TAG && s->left[0] == 0;
}
