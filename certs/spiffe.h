/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SPIFFE IDs of Istio workloads: spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT. Pure.
 *
 * Only characters that Kubernetes allows in these parts are accepted, so that an ID can be put into
 * an x-forwarded-client-cert header without quoting and can never end an element of it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/base/rc.h"

/** Kubernetes: namespaces are DNS labels (63), service accounts and trust domains DNS subdomains
 * (253); a trust domain may hold "_", too (SPIFFE-ID 2.1). */
#define SPIFFE_TD_BYTES 254
#define SPIFFE_NS_BYTES 64
#define SPIFFE_SA_BYTES 254
#define SPIFFE_URI_BYTES (9 + SPIFFE_TD_BYTES + 4 + SPIFFE_NS_BYTES + 4 + SPIFFE_SA_BYTES)

struct spiffe_id {
    char trust_domain[SPIFFE_TD_BYTES];
    char ns[SPIFFE_NS_BYTES];
    char sa[SPIFFE_SA_BYTES];
};

/** Parse n bytes (not zero-terminated, may hold zeros). RC_PEER_MALFORMED for anything but the
 * exact form. */
enum rc spiffe_parse(const char *uri, size_t n, struct spiffe_id *out) MUST_USE;

/** The URI of id into buf of SPIFFE_URI_BYTES; returns its length. */
size_t spiffe_format(const struct spiffe_id *id, char *buf);

/**
 * Is pattern of the form "ns/NS/sa/SA" with "*" allowed for a whole NS or SA? Also refuses the
 * namespaces istio-system and kube-system by name. RC_OK or RC_INVALID.
 */
enum rc spiffe_pattern_check(const char *pattern) MUST_USE;

/** Does id match one of the NULL-terminated patterns? istio-system and kube-system never do. */
bool spiffe_allowed(const struct spiffe_id *id, const char *const *patterns);
