/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

#include "integration/sandbox/common/text.h"

/** How long after its end a token still counts, as the TokenReview of Kubernetes does. */
#define TOKEN_LEEWAY_S 60

/** What to put into a service account token. All pointers borrowed. */
struct token_claims {
    const char *service_namespace;
    const char *service_account;
    const char *audience;
    int64_t issued_s;  /* seconds since 1970 */
    int64_t expires_s; /* seconds since 1970 */
};

/**
 * Sign a service account token (JWT): ES256 for a P-256 key, RS256 for an RSA key.
 *
 * Returns  owned by the caller; NULL when OpenSSL fails.
 */
char *token_mint(EVP_PKEY *key, const struct token_claims *claims);

/**
 * Verify a token: three parts, the key's own algorithm, signature, audience, not expired (with
 * TOKEN_LEEWAY_S), subject system:serviceaccount:NS:SA.
 *
 * now_s     seconds since 1970.
 * identity  on success gets "ns/NS/sa/SA", owned by the caller.
 * Returns   NULL when it holds, else why not: a constant text that quotes nothing of the token.
 */
const char *token_verify(EVP_PKEY *key, const char *token, const char *audience, int64_t now_s,
                         char **identity);

/** Base64url without padding. Returns owned by the caller. */
char *base64url_encode(const unsigned char *data, size_t n);

/**
 * Base64url without padding, back to bytes.
 *
 * n        characters of `s` to read.
 * n_bytes  gets the length.
 * Returns  owned by the caller, NUL added after the bytes; NULL when it is malformed.
 */
unsigned char *base64url_decode(const char *s, size_t n, size_t *n_bytes);
