/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "integration/sandbox/common/pki.h"

/** The mesh's certificate authority and the key that signs tokens. All owned. */
struct ca {
    EVP_PKEY *root_key;
    X509 *root;
    char *root_pem;
    EVP_PKEY *token_key;
    char *serving_cert; /* chain PEM: leaf and root */
    char *serving_key;  /* PEM */
};

/** What ca_open() writes beside the root. All borrowed. */
struct ca_material {
    const char *dir; /* must exist */
    const char *trust_domain;
    const char *audience;             /* of minted tokens */
    const struct names *identities;   /* NAMESPACE/SERVICE_ACCOUNT; the first also as token, vm.* */
    const struct names *server_names; /* SANs of the serving certificates */
    const char *token_key_file;       /* PEM of another key for tokens; NULL to keep one in dir */
    int64_t token_ttl_s;
};

/**
 * Load the root and the token key from the directory, or make them, and write the material:
 * root-cert.pem, root-key.pem, token-key.pem, istiod.crt/.key, xdsgate.crt/.key, token,
 * tokens/NS.SA, vm.crt/.key and certs/NS.SA.crt/.key.
 *
 * Returns  false on failure, already logged; call ca_close() all the same.
 */
bool ca_open(struct ca *ca, const struct ca_material *m);

/** Release keys and texts. */
void ca_close(struct ca *ca);

/** Longest certificate that may be asked for, as istiod has it. */
#define CA_MAX_TTL_S (90LL * 24 * 3600)
/** Life of a certificate for which none is asked. */
#define CA_DEFAULT_TTL_S (24LL * 3600)

/**
 * Sign a certificate request: its key and signature count, its names do not.
 *
 * identities  become the SANs.
 * ttl_s       1 .. CA_MAX_TTL_S.
 * Returns     the leaf as PEM, owned by the caller; NULL when the request is bad.
 */
char *ca_sign_csr(const struct ca *ca, const char *csr_pem, const struct names *identities,
                  int64_t ttl_s);

/** Mint a token for NAMESPACE/SERVICE_ACCOUNT. Owned by the caller; NULL without a slash. */
char *ca_mint(const struct ca *ca, const char *identity, const char *audience, int64_t ttl_s);
