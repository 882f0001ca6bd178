/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields of a message that is in memory, one after the other; pb_scan.h is for messages that
 * come in pieces. The same bytes are malformed for both. Pure, no allocation.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "xds/pb_scan.h"

/** What is left to read; borrowed. Begins as {message, message + n}. */
struct pb_read {
    const uint8_t *at;
    const uint8_t *end;
};

struct pb_item {
    const uint8_t *data; /**< of PB_BYTES: `value` bytes */
    uint64_t value;      /**< of a number, as it is on the wire; of PB_BYTES its length */
    uint32_t number;     /**< 1 or more */
    enum pb_wire wire;
};

/** The next field. Returns RC_OK; RC_EOF: there is none; RC_PEER_MALFORMED. */
enum rc pb_read_next(struct pb_read *r, struct pb_item *item) MUST_USE;

/** The next number of a packed field. wire: not PB_BYTES. Returns as pb_read_next(). */
enum rc pb_read_number(struct pb_read *r, enum pb_wire wire, uint64_t *value) MUST_USE;
