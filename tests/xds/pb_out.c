/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/xds/pb_out.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"

void pb_put(struct pb_out *o, const void *data, size_t n)
{
    if (o->n + n > o->room) {
        o->room = 2 * (o->n + n);
        o->data = realloc(o->data, o->room);
        CHECK(o->data != NULL);
    }
    if (n > 0) {
        memcpy(o->data + o->n, data, n);
    }
    o->n += n;
}

void pb_varint(struct pb_out *o, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;

    for (; v >= 0x80; v >>= 7) {
        bytes[n++] = (uint8_t)(v | 0x80);
    }
    bytes[n++] = (uint8_t)v;
    pb_put(o, bytes, n);
}

void pb_tag(struct pb_out *o, uint32_t number, unsigned wire)
{
    pb_varint(o, (uint64_t)number << 3 | wire);
}

void pb_number(struct pb_out *o, uint32_t number, uint64_t v)
{
    pb_tag(o, number, PB_VARINT);
    pb_varint(o, v);
}

void pb_bytes(struct pb_out *o, uint32_t number, const void *data, size_t n)
{
    pb_tag(o, number, PB_BYTES);
    pb_varint(o, n);
    pb_put(o, data, n);
}

void pb_text(struct pb_out *o, uint32_t number, const char *text)
{
    pb_bytes(o, number, text, strlen(text));
}

void pb_message(struct pb_out *o, uint32_t number, struct pb_out *inner)
{
    pb_bytes(o, number, inner->data, inner->n);
    pb_free(inner);
}

void pb_string_entry(struct pb_out *o, const char *key, const char *value)
{
    struct pb_out v = {0};

    pb_text(&v, 3, value);
    pb_value_entry(o, key, &v);
}

void pb_value_entry(struct pb_out *o, const char *key, struct pb_out *value)
{
    struct pb_out entry = {0};

    pb_text(&entry, 1, key);
    pb_message(&entry, 2, value);
    pb_message(o, 1, &entry);
}

void pb_frame(struct pb_out *o, uint8_t flag, const void *data, size_t n)
{
    uint8_t header[] = {flag, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                        (uint8_t)n};

    pb_put(o, header, sizeof(header));
    pb_put(o, data, n);
}

void pb_free(struct pb_out *o)
{
    free(o->data);
    *o = (struct pb_out){0};
}
