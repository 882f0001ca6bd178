/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept of a VM's certificate once its handshake is over: its identity, its last day, and
 * the chain, to verify it again when the roots have changed. One small block for each VM; its SSL
 * is not needed any more. Immutable.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "certs/cert_facts.h"
#include "core/base/rc.h"

/** Enough for every text of cert_set_check_again(). */
#define CERT_WHY_BYTES 320

struct cert_set;
struct cert_peer;

/**
 * Take what is needed of the certificate that the peer has shown.
 *
 * ssl      borrowed; of cert_set_new_ssl().
 * out      owned by the caller: cert_peer_free().
 * Returns  RC_OK; RC_NOT_FOUND: it has shown none, the handshake is not over, or the chain was
 *          found bad; RC_NO_MEMORY.
 */
enum rc cert_peer_take(const SSL *ssl, struct cert_peer **out) MUST_USE;

/** Its SPIFFE ID: spiffe://TRUST-DOMAIN/ns/NS/sa/SA in characters that need no quoting. Borrowed
 * from p. */
const char *cert_peer_identity(const struct cert_peer *p);

/** When it expires: seconds since 1970. */
int64_t cert_peer_expiry(const struct cert_peer *p);

/** Its key, number and days; borrowed from p. */
const struct cert_facts *cert_peer_facts(const struct cert_peer *p);

/**
 * Would s accept it now: chain, roots, dates, identity?
 *
 * why, size  get the reason of a refusal, cut at size.
 * Returns    RC_OK; RC_PEER_DENIED with why filled; RC_NO_MEMORY.
 */
enum rc cert_set_check_again(const struct cert_set *s, const struct cert_peer *p, char *why,
                             size_t size) MUST_USE;

/** Free it and null the pointer; NULL is allowed. */
void cert_peer_free(struct cert_peer **p);
