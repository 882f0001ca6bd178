/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC's length-prefixed messages (PROTOCOL-HTTP2.md, "Length-Prefixed-Message"): one compressed
 * flag, four bytes of big-endian length, then the message. DATA frame boundaries mean nothing.
 * Pure, no allocation: the scanner says where messages end in a stream of bytes; the caller holds
 * the bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"

#define GRPC_FRAME_HEADER_BYTES 5

struct grpc_frame_scan {
    uint8_t header[GRPC_FRAME_HEADER_BYTES];
    uint8_t n_header;  /**< bytes of the header seen, 0 .. 5 */
    uint32_t left;     /**< payload bytes of the open message still to come */
    uint32_t max;      /**< longest message allowed */
    uint64_t messages; /**< complete messages seen */
};

/** Start at a message boundary; messages longer than max bytes are refused. */
void grpc_frame_init(struct grpc_frame_scan *s, uint32_t max);

/**
 * Feed n bytes, but no further than to the end of one message.
 *
 * n_used    how many of them were taken; the rest is the caller's to feed next.
 * complete  do they end a message, together with all bytes since the last one ended?
 * Returns RC_OK; RC_PEER_LIMIT when a message is announced that is longer than max;
 * RC_PEER_MALFORMED when the compressed flag is neither 0 nor 1. After an error the scanner must
 * not be fed again.
 */
enum rc grpc_frame_step(struct grpc_frame_scan *s, const uint8_t *data, size_t n, size_t *n_used,
                        bool *complete) MUST_USE;

/** Is the open message, or the one that has just ended, compressed? */
bool grpc_frame_is_compressed(const struct grpc_frame_scan *s);

/** Is there no open message? Half-closing inside one is an error of the peer. */
bool grpc_frame_at_boundary(const struct grpc_frame_scan *s);
