/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request on an ADS stream, VM to istiod: DiscoveryRequest or DeltaDiscoveryRequest. It is read
 * when it is complete, from the pieces in which it lies; every text is bounded.
 *
 * Because policy is decided by what is read here, the message must mean the same to istiod, which
 * reads it with Go's proto.Unmarshal(): what has two readings is told (odd). In a text a NUL is
 * written as a space.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"
#include "xds/xds_node.h"
#include "xds/xds_type.h"

/** istiod's nonces have 62 bytes and a number: TIME/COUNTER and a UUID. */
#define XDS_NONCE_BYTES 96
#define XDS_URL_BYTES 96
#define XDS_ERROR_BYTES 1024

/** State of the world, or delta: which messages a stream carries. */
enum xds_variant { XDS_SOTW, XDS_DELTA };

struct xds_request {
    char url[XDS_URL_BYTES]; /**< type_url; cut when longer */
    enum xds_type type;
    char nonce[XDS_NONCE_BYTES]; /**< response_nonce; "" at a first request; cut when longer */
    bool has_error;              /**< error_detail is there: a NACK, or bad health */
    int32_t error_code;
    uint32_t n_subscribe;   /**< resource_names, or resource_names_subscribe */
    uint32_t n_unsubscribe; /**< delta: resource_names_unsubscribe */
    uint32_t n_initial;     /**< delta: initial_resource_versions */
    struct xds_node *node;  /**< owned by the caller: free(); NULL: there is none */
    bool odd; /**< a text, the node or error_detail is there twice, or the URL or nonce was cut or
                   holds a NUL */
    char error_text[XDS_ERROR_BYTES]; /**< its message, cut when longer, at a whole character. The
                                           last member: of most requests it is not even cleared
                                           beyond its first byte */
};

/** A piece of a message. Borrowed. */
struct xds_piece {
    const uint8_t *data;
    size_t n;
};

/**
 * Read a whole message, without its five bytes of gRPC framing, in n pieces.
 *
 * out  filled with RC_OK; its node is owned by the caller.
 * Returns RC_OK; RC_PEER_MALFORMED: no such message, as far as it was looked at (unknown fields and
 * those that nobody wants are passed over), or a text above that is not UTF-8; RC_NO_MEMORY. With
 * an error there is nothing to free.
 */
enum rc xds_request_read(enum xds_variant variant, const struct xds_piece *pieces, size_t n,
                         struct xds_request *out) MUST_USE;
