/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocol buffers, read as they come (protobuf.dev, "Encoding"): the fields of one message, of
 * known length, in pieces of any size. Nothing is kept but the place in the message, so a field may
 * be longer than any buffer, and nested messages are entered only where the caller wants to.
 *
 * For bytes of strangers: depth is bounded, every length is checked against the message around it,
 * and groups, which nobody has written for fifteen years, are malformed. Pure, no allocation.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"

/** Messages inside of each other, the outermost included. */
#define PB_SCAN_DEPTH 12

/** Wire types (protobuf.dev, "Message Structure"). */
enum pb_wire { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

/** What to do with a field of PB_BYTES. */
enum pb_do {
    PB_SKIP,  /**< pass over it */
    PB_TAKE,  /**< give its bytes to on_bytes(), then call on_end() */
    PB_ENTER, /**< it is a message: its fields come next, then on_end() */
};

struct pb_field {
    uint64_t value;  /**< of a number; of PB_BYTES its length */
    uint32_t number; /**< 1 or more */
    enum pb_wire wire;
    uint32_t depth; /**< 0: of the outermost message */
};

/** Who is told. The pointers are not kept beyond a call. */
struct pb_ops {
    /** A field begins, or of a number: is there. The answer matters for PB_BYTES only. */
    enum pb_do (*on_field)(void *arg, const struct pb_field *f);
    /** n bytes more of a field that is taken; 1 or more. */
    void (*on_bytes)(void *arg, const uint8_t *data, size_t n);
    /** A field that was taken or entered is over; depth as in its on_field(). */
    void (*on_end)(void *arg, uint32_t depth);
};

struct pb_scan {
    uint32_t left[PB_SCAN_DEPTH]; /**< bytes to come of each open message, without those of its open
                                       field; [0] the outermost */
    uint64_t number;              /**< what is being read of a varint or of a fixed number */
    uint32_t skip;                /**< bytes to come of a field that is skipped or taken */
    uint32_t field;               /**< its number */
    uint8_t depth;                /**< of the message being read */
    uint8_t state;
    uint8_t n_number; /**< bytes of number */
    bool taking;
    bool failed;
};

/** Start a message of n bytes. */
void pb_scan_begin(struct pb_scan *s, uint32_t n);

/**
 * Feed n bytes, at most what the message has left.
 *
 * ops, arg  borrowed during the call.
 * Returns RC_OK; RC_PEER_MALFORMED: a length beyond its message, a varint of more than ten bytes, a
 * wire type that is none, field number 0 or above 2^29-1, a message deeper than PB_SCAN_DEPTH, a
 * field that goes on after the end. After an error, and only then, the same again at each call.
 */
enum rc pb_scan_feed(struct pb_scan *s, const struct pb_ops *ops, void *arg, const uint8_t *data,
                     size_t n) MUST_USE;

/** Is the whole message read, and well? */
bool pb_scan_is_over(const struct pb_scan *s);
