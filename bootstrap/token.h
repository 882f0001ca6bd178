/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the token of a service account says of itself. Claims: nobody has looked at the signature.
 * No text in here holds a part of a token.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/doc/doc.h"

/**
 * Its claims.
 *
 * token, n  borrowed; nothing around it.
 * out       owned; NULL when it is no JWT, or its claims are no JSON.
 * Returns   RC_OK; RC_NO_MEMORY.
 */
enum rc token_read_claims(const char *token, size_t n, json_t **out) MUST_USE;

/** Room for a subject. */
#define TOKEN_SUBJECT_BYTES 600

/** The subject of an account's tokens, "system:serviceaccount:NAMESPACE:ACCOUNT", into buf of
 * TOKEN_SUBJECT_BYTES. Returns buf. */
const char *token_subject(const char *ns, const char *account, char *buf);

/** When it runs out, seconds since 1970, 0 or more; INT64_MAX: it does not say. */
int64_t token_until(const json_t *claims);

/** Whose it says to be, when that is not the expected one; NULL: it is, or does not say. Borrowed
 * from claims. */
const char *token_other_subject(const json_t *claims, const char *expected);

/** Seconds by which the clock that made it was ahead of now_s, by its dates (nbf, iat); 0: it was
 * not. */
int64_t token_made_ahead(const json_t *claims, int64_t now_s);
