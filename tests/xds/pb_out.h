/* SPDX-License-Identifier: Apache-2.0 */
/* Protocol buffers, written by hand for the tests: also such as no library would write. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "xds/pb_scan.h"

/** Begins as {0}. Grows; aborts without memory. */
struct pb_out {
    uint8_t *data; /**< owned */
    size_t n;
    size_t room;
};

void pb_put(struct pb_out *o, const void *data, size_t n);

void pb_varint(struct pb_out *o, uint64_t v);

void pb_tag(struct pb_out *o, uint32_t number, unsigned wire);

/** A field of PB_VARINT. */
void pb_number(struct pb_out *o, uint32_t number, uint64_t v);

/** Fields of PB_BYTES. */
void pb_bytes(struct pb_out *o, uint32_t number, const void *data, size_t n);
void pb_text(struct pb_out *o, uint32_t number, const char *text);

/** The same, of what inner has; frees inner. */
void pb_message(struct pb_out *o, uint32_t number, struct pb_out *inner);

/** An entry of map<string, Value> with number 1, as a Struct has: a string, or what value has (of
 * a Value; freed). */
void pb_string_entry(struct pb_out *o, const char *key, const char *value);
void pb_value_entry(struct pb_out *o, const char *key, struct pb_out *value);

/** A frame of gRPC: flag, length, n bytes. */
void pb_frame(struct pb_out *o, uint8_t flag, const void *data, size_t n);

void pb_free(struct pb_out *o);
