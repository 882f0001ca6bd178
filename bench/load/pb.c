/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/pb.h"

#include <string.h>

#include "core/base/check.h"

/** Wire types (protobuf.dev, "Message Structure"). */
enum { VARINT = 0, FIXED64 = 1, LENGTH = 2 };

size_t pb_varint_bytes(uint64_t value)
{
    size_t n = 1;

    while (value >= 0x80) {
        value >>= 7;
        n++;
    }
    return n;
}

static void put(struct pb *p, const void *data, size_t n)
{
    CHECK(n <= p->room - p->n);
    memcpy(p->to + p->n, data, n);
    p->n += n;
}

void pb_varint(struct pb *p, uint64_t value)
{
    uint8_t bytes[10];
    size_t n = 0;

    for (; value >= 0x80; value >>= 7) {
        bytes[n++] = (uint8_t)(value | 0x80);
    }
    bytes[n++] = (uint8_t)value;
    put(p, bytes, n);
}

void pb_tag(struct pb *p, uint32_t field)
{
    pb_varint(p, (uint64_t)field << 3 | LENGTH);
}

void pb_bytes(struct pb *p, uint32_t field, const void *data, size_t n)
{
    pb_tag(p, field);
    pb_varint(p, n);
    put(p, data, n);
}

void pb_text(struct pb *p, uint32_t field, const char *text)
{
    pb_bytes(p, field, text, strlen(text));
}

void pb_number(struct pb *p, uint32_t field, uint64_t value)
{
    pb_varint(p, (uint64_t)field << 3 | VARINT);
    pb_varint(p, value);
}

void pb_double(struct pb *p, uint32_t field, double value)
{
    uint64_t bits;
    uint8_t bytes[sizeof(bits)];

    memcpy(&bits, &value, sizeof(bits));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(bits >> (8 * i));
    }
    pb_varint(p, (uint64_t)field << 3 | FIXED64);
    put(p, bytes, sizeof(bytes));
}

size_t pb_open(struct pb *p, uint32_t field)
{
    pb_tag(p, field);
    return p->n;
}

void pb_close(struct pb *p, size_t begun)
{
    size_t n = p->n - begun;
    size_t more = pb_varint_bytes(n);
    struct pb length = {p->to, p->room, begun};

    CHECK(more <= p->room - p->n);
    memmove(p->to + begun + more, p->to + begun, n);
    pb_varint(&length, n);
    p->n += more;
}
