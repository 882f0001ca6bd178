/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look at a bearer token before it is relayed, so that garbage does not cost istiod a
 * TokenReview. The signature is not checked: that is istiod's job. Pure; bounded; never keeps or
 * prints a token.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "certs/spiffe.h"
#include "core/base/rc.h"

/** Kubernetes tokens are 1 to 2 KB; more than this is refused. */
#define JWT_MAX_BYTES 8192

/** TokenReview forgives this much after exp (seen on Kubernetes 1.36: 25 s yes, 89 s no). */
#define JWT_LEEWAY_S 60

/**
 * Look at the value of an authorization header, "Bearer a.b.c".
 *
 * value, n   borrowed.
 * audiences  NULL-terminated; one of them must be in `aud` (a string or an array of strings).
 * now        seconds since 1970.
 * why        on failure, a static text for the VM's operator, without any part of the token.
 * Returns RC_OK or RC_PEER_DENIED: not a Bearer token with three base64url parts and JSON objects
 * in the first two, no numeric exp, expired for longer than JWT_LEEWAY_S, or no expected audience.
 */
enum rc jwt_look(const char *value, size_t n, const char *const *audiences, int64_t now,
                 const char **why) MUST_USE;

/**
 * When a token, a.b.c, runs out, whatever its audience is.
 *
 * token, n  borrowed; nothing around it.
 * until     seconds since 1970.
 * why       on failure, a static text, without any part of the token.
 * Returns RC_OK or RC_PEER_DENIED: no JWT, or one without a numeric exp.
 */
enum rc jwt_read_expiry(const char *token, size_t n, int64_t *until, const char **why) MUST_USE;

/**
 * Whose token it is, if it is one of Kubernetes: "sub" says
 * system:serviceaccount:NAMESPACE:ACCOUNT. A claim: nobody has looked at the signature.
 *
 * value, n  an authorization header, "Bearer a.b.c"; borrowed.
 * out       its trust domain is "", since the token says nothing of it.
 * until     when it runs out: seconds since 1970.
 * Returns RC_OK or RC_PEER_DENIED: as jwt_look(), or the subject is no service account.
 */
enum rc jwt_read_account(const char *value, size_t n, struct spiffe_id *out,
                         int64_t *until) MUST_USE;

/**
 * The second part of a token, a.b.c, decoded: JSON, if it is any good.
 *
 * token, n  borrowed; nothing around it.
 * out       room for JWT_MAX_BYTES; not zero-terminated.
 * Returns RC_OK or RC_PEER_DENIED: no three parts, or no base64url.
 */
enum rc jwt_read_claims(const char *token, size_t n, char *out, size_t *n_out) MUST_USE;
