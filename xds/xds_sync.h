/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far one VM is with one type of resources, by istiod's own rules (pilot/pkg/xds/statusgen.go):
 * ERROR after a NACK, NOT SENT before the first response, SYNCED when the last nonce was
 * acknowledged, else STALE; IGNORED when the VM never asked. Pure; of one stream.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "xds/xds_request.h"
#include "xds/xds_response.h"

enum xds_sync_state {
    XDS_IGNORED,
    XDS_NOT_SENT,
    XDS_STALE,
    XDS_SYNCED,
    XDS_ERROR,
    XDS_SYNC_STATES
};

/**
 * One type of one stream; {0} with its type before anything has passed. Times are wall clock,
 * milliseconds since 1970; 0: never. VMs have many of these, so it is as small as it can be.
 */
struct xds_sync {
    int64_t sent_ms;    /**< the last response passed */
    uint64_t all_bytes; /**< of all responses of this stream */
    uint32_t waited_ms; /**< if it was answered: for its ACK or NACK, 49 days at most */
    uint32_t bytes;     /**< of the last response */
    uint32_t n_responses;
    uint32_t n_nacks;
    uint32_t n_resources;        /**< of the last response */
    uint32_t n_removed;          /**< of the last response: delta */
    uint8_t type;                /**< enum xds_type */
    uint8_t state : 4;           /**< enum xds_sync_state */
    bool is_answered : 1;        /**< the last response, by an ACK or a NACK */
    bool is_acked : 1;           /**< the last response; not by a NACK */
    bool has_error : 1;          /**< a NACK with a text, and no ACK since */
    char nonce[XDS_NONCE_BYTES]; /**< of the last response; "": none since it was subscribed */
};

/** What a request meant. */
enum xds_sync_event {
    XDS_SUBSCRIBED, /**< the first of its type, or a changed subscription */
    XDS_ACKED,      /**< of the last response; the subscription may have changed, too */
    XDS_NACKED,     /**< of the last response, or of an older one: istiod does not look */
    XDS_LATE,       /**< about an older response: istiod ignores it */
    XDS_LEFT,    /**< unsubscribed from all: state of the world without names on a type that has no
                      wildcard; the row is IGNORED again */
    XDS_UNASKED, /**< a NACK of a type that was never asked for, or left: must not be relayed,
                    istiod is not made for it */
};

/** Does the request unsubscribe from all, which without delta is to name nothing of a type that has
 * no wildcard? */
bool xds_sync_leaves(enum xds_variant variant, const struct xds_request *r);

/** A request of this type passes at now_ms. */
enum xds_sync_event xds_sync_request(struct xds_sync *s, enum xds_variant variant,
                                     const struct xds_request *r, int64_t now_ms);

/** A response of this type passes at now_ms. One of a type that is IGNORED was on its way when the
 * VM left: it is only counted. */
void xds_sync_response(struct xds_sync *s, const struct xds_response *r, int64_t now_ms);

/** When the ACK or NACK of the last response passed; 0: not yet. */
int64_t xds_sync_acked_ms(const struct xds_sync *s);

/** "SYNCED", "NOT SENT": as `istioctl proxy-status` writes it. Static. */
const char *xds_sync_state_name(enum xds_sync_state state);
