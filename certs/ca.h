/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An authority in hand: its certificate and its key, to sign serving certificates with. For the
 * command line on an administrator's machine; the daemon never holds such a key.
 *
 * What is signed is for servers only. A certificate of the mesh CA that is also good for clients
 * would be an identity in the mesh: whoever stole it from the gateway could be
 * istiod.istio-system.svc for every VM and, towards istiod, a caller of that name
 * (security/pkg/server/ca/authenticate/cert_authenticator.go takes every SAN).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "certs/cert_bytes.h"
#include "certs/cert_set.h"
#include "core/base/rc.h"

/** Names in one certificate. */
#define CA_NAMES_MAX 64
#define CA_VALIDITY_MIN_S (3600.)
/** Whoever wants more has forgotten it when it expires. */
#define CA_VALIDITY_MAX_S (398. * 86400)

struct ca;

/** PEM texts; borrowed during ca_load(). Istio: the keys of the secrets cacerts and
 * istio-ca-secret. */
struct ca_opts {
    struct cert_bytes certificate; /**< ca-cert.pem; more certificates in it count as chain */
    struct cert_bytes key;         /**< ca-key.pem */
    struct cert_bytes chain;       /**< cert-chain.pem: what lies between it and its root, in any
                                        order; may be empty */
    struct cert_bytes roots;       /**< root-cert.pem; empty: the certificate is a root itself */
    const char *passphrase;        /**< of the key; NULL: none. Nobody is asked for it */
};

/**
 * Read and check an authority: it may sign, is valid now, the key is its own, and it chains to its
 * roots.
 *
 * out      owned by the caller: ca_free().
 * Returns  RC_OK; RC_INVALID with *err filled; RC_NO_MEMORY.
 */
enum rc ca_load(const struct ca_opts *opts, struct ca **out, struct cert_error *err) MUST_USE;

/** Free it, wipe its key, and null the pointer; NULL is allowed. */
void ca_free(struct ca **ca);

/** Until when it can sign: the first end in its chain; seconds since 1970. */
int64_t ca_expiry(const struct ca *ca);

/**
 * Make a new authority of our own: a root of P-256 that is valid for ten years and signs no other
 * authority.
 *
 * certificate, key  owned by the caller: cert_bytes_fini().
 * Returns           RC_OK; RC_NO_MEMORY.
 */
enum rc ca_make(struct cert_bytes *certificate, struct cert_bytes *key) MUST_USE;

enum ca_key { CA_KEY_P256, CA_KEY_RSA_2048, CA_KEY_RSA_3072 };

struct ca_request {
    const char *const
        *names;     /**< borrowed; see cert_name_read(). One that comes twice counts once */
    size_t n_names; /**< 1 .. CA_NAMES_MAX */
    enum ca_key key;
    int64_t validity_s; /**< from now; the end is never behind the authority's own */
};

/** A new certificate and all that goes with it, as PEM. */
struct ca_issued {
    struct cert_bytes chain; /**< the certificate and what lies between it and the root */
    struct cert_bytes key;
    struct cert_bytes roots; /**< who believes these, believes the certificate */
    int64_t to;              /**< when it expires: seconds since 1970 */
};

/**
 * Make a key and sign a serving certificate for it, with DNS and IP SANs. What is given out has
 * been verified as a VM would: by the roots, at this moment, under each of its names.
 *
 * out      owned by the caller: ca_issued_fini().
 * Returns  RC_OK; RC_INVALID with *err filled; RC_NO_MEMORY.
 */
enum rc ca_issue(const struct ca *ca, const struct ca_request *request, struct ca_issued *out,
                 struct cert_error *err) MUST_USE;

/** Wipe and free what it holds. */
void ca_issued_fini(struct ca_issued *i);
