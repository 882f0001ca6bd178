/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocol buffers, written into room of the caller's that is large enough: it is known beforehand
 * what the bench writes. Lengths have no more bytes than they need, as every library writes them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** Begins as {to, room, 0}. */
struct pb {
    uint8_t *to; /**< borrowed */
    size_t room;
    size_t n; /**< written */
};

/** Bytes of a varint. */
size_t pb_varint_bytes(uint64_t value);

/** A varint without a tag. */
void pb_varint(struct pb *p, uint64_t value);

/** The tag of a field whose length and bytes come next. */
void pb_tag(struct pb *p, uint32_t field);

/** A field with n bytes, or with a text. */
void pb_bytes(struct pb *p, uint32_t field, const void *data, size_t n);
void pb_text(struct pb *p, uint32_t field, const char *text);

/** A field with a number, as a varint or as a double. */
void pb_number(struct pb *p, uint32_t field, uint64_t value);
void pb_double(struct pb *p, uint32_t field, double value);

/** Begin a message inside, and end it: what pb_open() returned says which. */
size_t pb_open(struct pb *p, uint32_t field);
void pb_close(struct pb *p, size_t begun);
