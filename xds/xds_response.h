/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The responses on an ADS stream, istiod to VM, read while they pass: DiscoveryResponse or
 * DeltaDiscoveryResponse. Nothing is buffered but type and nonce, which come after the resources
 * (wire facts 6), in whatever order they come; who wants the bytes is given them. Whatever is wrong
 * with a message, the stream goes on: it is counted, and what follows is read again from its frame.
 * Pure, no allocation.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xds/grpc_frame.h"
#include "xds/pb_scan.h"
#include "xds/xds_request.h"
#include "xds/xds_text.h"

/** One response that has passed. */
struct xds_response {
    enum xds_type type;
    const char *url;   /**< cut at XDS_URL_BYTES - 1; borrowed during the call */
    const char *nonce; /**< "" when there is none, or it was longer than XDS_NONCE_BYTES - 1 */
    uint64_t bytes;    /**< of the message, without its frame */
    uint64_t resource_bytes;
    uint32_t n_resources;
    uint32_t n_removed; /**< delta: removed_resources */
};

/** Who is told about what passes. */
struct xds_response_ops {
    /** A response is complete. */
    void (*on_response)(void *arg, const struct xds_response *r);
    /** A message that cannot be read: compressed, or malformed. bytes: of the message; 0 also when
     * the stream has no frames, after which nothing is read any more. */
    void (*on_unread)(void *arg, bool compressed, uint64_t bytes);
    /** A message of so many bytes begins, which is not compressed. NULL: nobody wants to know. */
    void (*on_begin)(void *arg, uint32_t bytes);
    /** n bytes of it, 1 or more, before any of the others is called for it. NULL with on_begin. */
    void (*on_payload)(void *arg, const uint8_t *data, size_t n);
};

/** Of one stream; its size counts, because many may be read at the same time. */
struct xds_response_scan {
    struct pb_scan pb;
    struct grpc_frame_scan frame;
    uint64_t resource_bytes;
    uint32_t bytes; /**< of the open message */
    uint32_t n_resources;
    uint32_t n_removed;
    uint8_t variant; /**< enum xds_variant */
    uint8_t taking;  /**< number of the field whose text is being taken */
    bool malformed;  /**< the open message is */
    bool dead;       /**< the frames themselves made no sense: nothing is read any more */
    struct xds_text text;
    char url[XDS_URL_BYTES];
    char nonce[XDS_NONCE_BYTES];
};

/** Start at the beginning of a stream. */
void xds_response_init(struct xds_response_scan *s, enum xds_variant variant);

/** Is it between two messages, so that a new one made by xds_response_init() would read on as well?
 */
bool xds_response_is_idle(const struct xds_response_scan *s);

/** n bytes pass. ops and arg are borrowed during the call. Bytes of resources are counted, not
 * looked at. */
void xds_response_feed(struct xds_response_scan *s, const struct xds_response_ops *ops, void *arg,
                       const uint8_t *data, size_t n);
