/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

#include "integration/sandbox/common/text.h"

/** Make a key: P-256, or RSA-2048. Returns owned by the caller; NULL when OpenSSL fails. */
EVP_PKEY *pki_key_new(bool rsa);

/** Private key to PEM (PKCS#8). Returns owned by the caller; NULL when OpenSSL fails. */
char *pki_key_pem(EVP_PKEY *key);

/** PEM to private key. Returns owned by the caller; NULL when it is none. */
EVP_PKEY *pki_key_parse(const char *pem);

/** First certificate of a PEM text. Returns owned by the caller; NULL when there is none. */
X509 *pki_cert_parse(const char *pem);

/** Certificate to PEM. Returns owned by the caller; NULL when OpenSSL fails. */
char *pki_cert_pem(X509 *cert);

/** A self-signed mesh root, O = organisation, ten years. Returns owned; NULL on failure. */
X509 *pki_root_new(EVP_PKEY *key, const char *organisation);

/** What to put into a certificate. */
struct pki_leaf {
    X509 *issuer;             /* borrowed */
    EVP_PKEY *issuer_key;     /* borrowed */
    EVP_PKEY *key;            /* borrowed; its public half is certified */
    const struct names *sans; /* borrowed; spiffe://... is a URI, an address an IP, else DNS */
    int64_t not_before_s;     /* seconds since 1970 */
    int64_t not_after_s;      /* seconds since 1970 */
};

/** Sign a leaf (server and client EKU). Returns PEM owned by the caller; NULL on failure. */
char *pki_leaf_sign(const struct pki_leaf *leaf);

/** A certificate request with one critical URI SAN and no subject. Returns PEM, or NULL. */
char *pki_csr_new(EVP_PKEY *key, const char *uri);

/**
 * The public key of a certificate request whose own signature holds.
 *
 * Returns  owned by the caller; NULL when it is malformed or the signature is wrong.
 */
EVP_PKEY *pki_csr_key(const char *pem);

/**
 * All SANs of the first certificate of a PEM text.
 *
 * out    gets URI, DNS and IP names appended.
 * n_uri  how many of them are URIs; may be NULL.
 * Returns  false when there is no certificate; a certificate without SANs is no failure.
 */
bool pki_cert_sans(const char *pem, struct names *out, size_t *n_uri);

/** Not-after of the first certificate, seconds since 1970; 0 when there is none. */
int64_t pki_cert_not_after(const char *pem);
