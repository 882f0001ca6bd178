/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/pb_read.h"

#define FIELD_NUMBER_MAX ((UINT32_C(1) << 29) - 1)
#define VARINT_BYTES_MAX 10

static enum rc read_varint(struct pb_read *r, uint64_t *value)
{
    uint64_t v = 0;

    for (unsigned n = 0; n < VARINT_BYTES_MAX && r->at < r->end; n++) {
        uint8_t byte = *r->at++;
        if (n == VARINT_BYTES_MAX - 1 && byte > 1) {
            break; /* more than 64 bits, or more than ten bytes */
        }
        v |= (uint64_t)(byte & 0x7f) << (7 * n);
        if (byte < 0x80) {
            *value = v;
            return RC_OK;
        }
    }
    return RC_PEER_MALFORMED;
}

static enum rc read_fixed(struct pb_read *r, size_t n, uint64_t *value)
{
    uint64_t v = 0;

    if ((size_t)(r->end - r->at) < n) {
        return RC_PEER_MALFORMED;
    }
    for (size_t i = 0; i < n; i++) {
        v |= (uint64_t)r->at[i] << (8 * i);
    }
    r->at += n;
    *value = v;
    return RC_OK;
}

static enum rc read_bytes(struct pb_read *r, struct pb_item *item)
{
    TRY(read_varint(r, &item->value));
    if (item->value > (uint64_t)(r->end - r->at)) {
        return RC_PEER_MALFORMED;
    }
    item->data = r->at;
    r->at += item->value;
    return RC_OK;
}

enum rc pb_read_number(struct pb_read *r, enum pb_wire wire, uint64_t *value)
{
    if (r->at == r->end) {
        return RC_EOF;
    }
    switch (wire) {
    case PB_VARINT:
        return read_varint(r, value);
    case PB_FIXED64:
        return read_fixed(r, 8, value);
    case PB_FIXED32:
        return read_fixed(r, 4, value);
    default:
        return RC_PEER_MALFORMED;
    }
}

enum rc pb_read_next(struct pb_read *r, struct pb_item *item)
{
    uint64_t tag;

    if (r->at == r->end) {
        return RC_EOF;
    }
    TRY(read_varint(r, &tag));
    uint64_t number = tag >> 3;
    if (number == 0 || number > FIELD_NUMBER_MAX) {
        return RC_PEER_MALFORMED;
    }
    *item = (struct pb_item){.number = (uint32_t)number, .wire = (enum pb_wire)(tag & 7)};
    if (item->wire == PB_BYTES) {
        return read_bytes(r, item);
    }
    enum rc rc = pb_read_number(r, item->wire, &item->value);
    return rc == RC_EOF ? RC_PEER_MALFORMED : rc; /* a field without its value */
}
