/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of cert_set and root_set share: reading PEM files into OpenSSL objects, the
 * settings of every SSL_CTX, and the check of a peer's certificate. Included inside certs/ only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "certs/ca.h"
#include "certs/cert_bytes.h"
#include "certs/cert_peer.h"
#include "certs/cert_facts.h"
#include "certs/cert_set.h"
#include "certs/cert_time.h"
#include "certs/root_list.h"
#include "certs/spiffe.h"
#include "core/base/rc.h"

/* ---- cert_load.c: files ---- */

/**
 * Fill err. Control characters of the text are replaced.
 *
 * fmt      printf format of what is wrong; no secrets.
 * Returns  RC_INVALID.
 */
enum rc cert_fail(struct cert_error *err, const char *fmt, ...) MUST_USE
    __attribute__((format(printf, 2, 3)));

/** The last reason in OpenSSL's error queue as text; clears the queue. Static storage. */
const char *cert_openssl_reason(void);

/**
 * All certificates of a PEM file, in order, at least one.
 *
 * path     borrowed; a regular file of at most 1 MiB.
 * out      owned by the caller: sk_X509_pop_free(out, X509_free).
 * Returns  RC_OK; RC_INVALID with err->text filled; RC_NO_MEMORY.
 */
enum rc cert_load_chain(const char *path, STACK_OF(X509) * *out, struct cert_error *err) MUST_USE;

/** The private key of a PEM file, which must not be encrypted. As above; free with EVP_PKEY_free().
 */
enum rc cert_load_key(const char *path, EVP_PKEY **out, struct cert_error *err) MUST_USE;

/** What is wrong with a key that needs a passphrase when there is none. */
#define CERT_ENCRYPTED "is encrypted; write the key without a passphrase"

/** All certificates of a PEM text, in order; there may be none. Otherwise as below. */
enum rc cert_parse_some(const struct cert_bytes *pem, STACK_OF(X509) * *out,
                        struct cert_error *err) MUST_USE;

/** All certificates of a PEM text, in order, at least one. As cert_load_chain(); pem is borrowed.
 */
enum rc cert_parse_chain(const struct cert_bytes *pem, STACK_OF(X509) * *out,
                         struct cert_error *err) MUST_USE;

/**
 * The first private key of a PEM text.
 *
 * passphrase  borrowed; of an encrypted key. NULL: there is none. Nobody is ever asked for it.
 * out         owned by the caller: EVP_PKEY_free().
 * Returns     RC_OK; RC_INVALID with err->text filled; RC_NO_MEMORY.
 */
enum rc cert_parse_key(const struct cert_bytes *pem, const char *passphrase, EVP_PKEY **out,
                       struct cert_error *err) MUST_USE;

/** What is remembered of a file of roots. */
struct cert_roots {
    uint64_t print; /**< another number for other certificates */
    int64_t expiry; /**< when the last of them ends: seconds since 1970 */
};

/** The print of no certificate. */
#define CERT_PRINT_START UINT64_C(14695981039346656037)

/** One more root: into the print and the expiry. */
void cert_note_root(const X509 *cert, struct cert_roots *out);

/** Add all certificates of a PEM text as trust anchors. As above. */
enum rc cert_parse_roots(const struct cert_bytes *pem, X509_STORE *store, struct cert_roots *out,
                         struct cert_error *err) MUST_USE;

/** The same of a file. */
enum rc cert_load_roots(const char *path, X509_STORE *store, struct cert_roots *out,
                        struct cert_error *err) MUST_USE;

/* ---- root_list.c ---- */

/** Add as trust anchors what is not among those of the store, and note it. RC_OK; RC_NO_MEMORY. */
enum rc cert_add_roots(const struct root_list *l, X509_STORE *store,
                       struct cert_roots *roots) MUST_USE;

/** What of l is no anchor of ctx: as cert_set_missing(). */
void cert_ctx_missing(const SSL_CTX *ctx, const struct root_list *l, struct root_gap *out);

/* ---- cert_time.c ---- */

/** A date of a certificate as seconds since 1970. RC_INVALID: it is malformed. */
enum rc cert_read_time(const ASN1_TIME *t, int64_t *out) MUST_USE;

/* ---- cert_chain.c ---- */

/** Who is asked whether a certificate is believed, and as what. */
struct cert_question {
    X509 *leaf;               /**< borrowed */
    STACK_OF(X509) * between; /**< borrowed; what may lie between it and a root, or NULL */
    STACK_OF(X509) * roots;   /**< borrowed; each is an anchor, as in Go */
    bool server;              /**< as that of a server; else it may be of any kind */
    bool any_time;            /**< its dates, and those above it, do not matter */
};

/**
 * Verify a chain: signatures, dates, constraints, strength of keys and hashes.
 *
 * out        NULL, or gets the chain from the leaf to its anchor; owned by the caller:
 *            sk_X509_pop_free(out, X509_free).
 * why, size  get the reason of a refusal.
 * Returns    RC_OK; RC_PEER_DENIED; RC_NO_MEMORY.
 */
enum rc cert_chain_verify(const struct cert_question *q, STACK_OF(X509) * *out, char *why,
                          size_t size) MUST_USE;

/* ---- cert_make.c: new keys and certificates ---- */

/** A new key. NULL: out of memory. */
EVP_PKEY *cert_make_key(enum ca_key kind);

/** What a new certificate says before its extensions. */
struct cert_outline {
    const char *organization; /**< borrowed; O= of the subject */
    const char *common_name;  /**< borrowed; CN=, or NULL */
    EVP_PKEY *key;            /**< borrowed */
    const X509 *issuer;       /**< borrowed; NULL: itself */
    int64_t from;             /**< seconds since 1970 */
    int64_t to;               /**< seconds since 1970 */
};

/** An unsigned certificate with a random serial number of 128 bits. NULL: out of memory. */
X509 *cert_make(const struct cert_outline *o);

/** Add an extension in the notation of openssl.cnf. RC_NO_MEMORY when that does not work. */
enum rc cert_add_extension(X509 *x, X509 *issuer, int nid, const char *value) MUST_USE;

/** Sign with the hash that goes with the key. RC_NO_MEMORY when that does not work. */
enum rc cert_sign(X509 *x, EVP_PKEY *key) MUST_USE;

/** What a bio in memory has gathered, copied into out: cert_bytes_fini(). RC_NO_MEMORY, also when
 * that is nothing. */
enum rc cert_take_bytes(BIO *bio, struct cert_bytes *out) MUST_USE;

/** PEM of certificates, into out: cert_bytes_fini(). RC_NO_MEMORY. */
enum rc cert_write_chain(STACK_OF(X509) * certs, struct cert_bytes *out) MUST_USE;

/** PEM of a key in the clear, into out: cert_bytes_fini(). RC_NO_MEMORY. */
enum rc cert_write_key(const EVP_PKEY *key, struct cert_bytes *out) MUST_USE;

/* ---- cert_peer.c ---- */

/** cert_set_check_again() by the store and the policy of ctx. */
enum rc cert_peer_check(const struct cert_peer *p, SSL_CTX *ctx, char *why, size_t size) MUST_USE;

/* ---- cert_verify.c: settings and the check of the peer ---- */

/** What a client certificate has to match. Immutable; shared (ref) by every SSL_CTX of a set. */
struct cert_policy;

/** Copy what is needed of opts. Owned reference; NULL: out of memory. */
struct cert_policy *cert_policy_new(const struct cert_set_opts *opts);

/** The facts of x; RC_INVALID: its date is malformed; RC_NO_MEMORY. */
enum rc cert_facts_take(X509 *x, struct cert_facts *out) MUST_USE;

/** The trust domain of a ctx with a policy; borrowed while ctx lives. */
const char *cert_ctx_trust_domain(const SSL_CTX *ctx);

/** The vm_identities of a ctx with a policy, NULL-terminated; borrowed while ctx lives. */
const char *const *cert_ctx_vm_identities(const SSL_CTX *ctx);

/** Drop a reference and null the pointer; NULL is allowed. */
void cert_policy_unref(struct cert_policy **p);

/** An empty store of trust anchors with our flags. NULL: out of memory. */
X509_STORE *cert_store_new(void);

/**
 * The settings that both roles share: versions, ciphers, no resumption, modes, the check of the
 * peer.
 *
 * store    borrowed; the SSL_CTX takes a reference.
 * policy   borrowed; the SSL_CTX takes a reference. NULL: the chain (and the name) are all that
 * counts.
 * Returns  RC_OK; RC_NO_MEMORY.
 */
enum rc cert_ctx_setup(SSL_CTX *ctx, X509_STORE *store, struct cert_policy *policy) MUST_USE;

/** The only URI SAN of leaf as an identity. NULL, or why there is none; static storage. */
const char *cert_read_identity(const X509 *leaf, struct spiffe_id *out);

/**
 * Verify a VM's chain once more, by the store and the policy of ctx.
 *
 * chain      borrowed; the leaf first.
 * why, size  get the reason of a refusal.
 * Returns    RC_OK; RC_PEER_DENIED; RC_NO_MEMORY.
 */
enum rc cert_check_again(SSL_CTX *ctx, STACK_OF(X509) * chain, char *why, size_t size) MUST_USE;

/** Remember why the handshake is refused; the first reason stays. Nothing is kept when memory is
 * short. */
void cert_refuse(SSL *ssl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
