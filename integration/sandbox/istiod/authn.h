/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <openssl/evp.h>

#include "integration/sandbox/common/text.h"
#include "integration/sandbox/istiod/cidr.h"

/** Who vouched for a caller. */
enum auth_method { AUTH_NONE, AUTH_CERT, AUTH_TOKEN, AUTH_XFCC };

/** What a control plane believes. All borrowed. */
struct authn_rules {
    const char *trust_domain;
    const char *cluster_id;           /* the clusterid header may be this, or empty */
    const char *audience;             /* of tokens */
    EVP_PKEY *token_key;              /* verifies tokens */
    const struct cidr_list *gateways; /* may send x-forwarded-client-cert */
};

/** What a caller shows. All borrowed; NULL where there is none. */
struct authn_input {
    const char *cert_pem;      /* client certificate of the connection, chain verified */
    const char *authorization; /* first value */
    const char *cluster_id;    /* "" unless there is exactly one value */
    const char *xfcc;          /* first value */
    const char *peer_address;  /* TCP peer, without port */
};

/**
 * Authenticate in istiod's order: client certificate, token, x-forwarded-client-cert; the first
 * success wins. A client certificate that istiod's handshake would refuse (not exactly one
 * spiffe:// URI of the trust domain) ends it at once, as the handshake would.
 *
 * now_s       seconds since 1970.
 * identities  gets the caller's identities on success.
 * why         on failure gets each authenticator's reason; never quotes a token.
 */
enum auth_method authn_check(const struct authn_rules *rules, const struct authn_input *in,
                             int64_t now_s, struct names *identities, struct text *why);

/** "none", "cert", "token" or "xfcc". */
const char *auth_method_name(enum auth_method method);

/**
 * istiod's identity check of an ADS stream: does one SPIFFE identity have this namespace and, if
 * service_account is not empty, this service account? The trust domain is not compared.
 */
bool authn_matches_node(const struct names *identities, const char *node_namespace,
                        const char *service_account);
