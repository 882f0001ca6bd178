/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "integration/sandbox/common/text.h"

/** Address prefixes that may assert identities by header. {0} is an empty list: nobody may. */
struct cidr_list {
    struct names entries; /* each ADDRESS/BITS, checked by cidr_add */
};

/** Append ADDRESS/BITS. Returns false when it is none (the slash is required). */
bool cidr_add(struct cidr_list *l, const char *entry);

/**
 * Is this peer trusted? Loopback always is, once the list is non-empty.
 *
 * address  IPv4 or IPv6 without port.
 */
bool cidr_trusts(const struct cidr_list *l, const char *address);

/** Release the list. */
void cidr_fini(struct cidr_list *l);

/**
 * The address of a gRPC peer string: "ipv4:1.2.3.4:5", "ipv6:%5B::1%5D:5" or "ipv6:[::1]:5".
 *
 * Returns  owned by the caller; "" when it is neither.
 */
char *peer_address(const char *peer);

/** The peer string without scheme and percent codes, "1.2.3.4:5" or "[::1]:5". Owned. */
char *peer_text(const char *peer);
