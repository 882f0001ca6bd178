/* SPDX-License-Identifier: Apache-2.0 */
/* The names in a request of a VM, which is read already (xds/xds_request.h): what it wants, what it
 * has, what it wants no longer. For a moment only. */
#pragma once

#include "gateway/vmconfig/config_store.h"
#include "xds/xds_request.h"

/** Names of one request; more of them are an answer, no list. */
#define CONFIG_ASK_MAX 65536

/** A name; borrowed from the message, which has no zero behind it. */
struct config_name {
    const uint8_t *text;
    uint32_t n;
    uint32_t n_version;
    const uint8_t *version; /**< delta: that the VM has of it */
};

/** What a request says. */
struct config_ask {
    bool has_nothing;          /**< as a first request: the VM has no resource of this type */
    struct config_name *names; /**< owned; by name. State of the world: what it wants. Delta: what
                                  it has (initial_resource_versions) */
    size_t n;
    struct config_name *gone; /**< part of names; by name. Delta: what it wants no longer */
    size_t n_gone;
    size_t taken; /**< bytes of the budget */
};

/**
 * Read the names of a request.
 *
 * q        what xds_request_read() has made of it.
 * message  the same bytes; borrowed until config_ask_fini().
 * out      filled with RC_OK: config_ask_fini().
 * Returns RC_OK; RC_FULL: too many names, or no room for them; RC_PEER_MALFORMED; RC_NO_MEMORY.
 */
enum rc config_ask_read(struct config_store *s, enum xds_variant variant,
                        const struct xds_request *q, const uint8_t *message, size_t n,
                        struct config_ask *out) MUST_USE;

/** Free what it holds. */
void config_ask_fini(struct config_store *s, struct config_ask *a);

/** As strcmp(), between a resource's name and one that was asked for. */
int config_name_compare(const char *name, const struct config_name *asked);
