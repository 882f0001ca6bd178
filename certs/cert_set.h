/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates of one listener and trust roots of one upstream, as immutable snapshots that are
 * shared by reference count (any thread). Each holds ready SSL_CTXs: live connections keep theirs,
 * new ones use the set in force.
 *
 * A client certificate is optional to show. When shown it is verified inside the handshake, as
 * strictly as istiod does and a little more (istio pkg/spiffe/spiffe.go, security/pkg/server/ca):
 * chain, dates, key usage (clientAuth, digitalSignature; an absent extension allows all), no
 * authority, exactly one URI SAN of the form spiffe://TRUST-DOMAIN/ns/NS/sa/SA, our trust domain,
 * and a match in vm_identities. A failure ends the handshake with an alert; cert_set_peer_error()
 * has the reason.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "core/base/rc.h"

struct cert_bytes;
struct cert_set;
struct root_list;
struct root_set;

/** A certificate chain and its key, PEM files. Borrowed strings. */
struct cert_pair_files {
    const char *certificate;
    const char *private_key;
};

struct cert_set_opts {
    const struct cert_pair_files *pairs; /**< borrowed; the first serves names that no other has */
    size_t n_pairs;                      /**< 1 or more */
    const char *const *client_roots;     /**< borrowed, NULL-terminated; PEM files */
    const struct root_list *more_roots;  /**< borrowed; believed beside these; NULL: none */
    const char *trust_domain;            /**< borrowed, such as "cluster.local" */
    const char *const *vm_identities; /**< borrowed, NULL-terminated; see spiffe_pattern_check() */
    /** Gets the secrets of connections, as SSL_CTX_set_keylog_callback(); NULL: nobody. */
    void (*on_secret)(const SSL *ssl, const char *line);
};

/** Which input was wrong, for an error with line and column. */
enum cert_blame {
    CERT_BLAME_CERTIFICATE,
    CERT_BLAME_PRIVATE_KEY,
    CERT_BLAME_ROOTS,
    CERT_BLAME_CHAIN,    /**< of an authority: what lies between it and its root */
    CERT_BLAME_NAME,     /**< a name for a new certificate */
    CERT_BLAME_VALIDITY, /**< how long a new certificate is to be valid */
};

struct cert_error {
    enum cert_blame blame;
    size_t index;   /**< which pair, root file or name */
    char text[256]; /**< what is wrong; no secrets, no newline */
};

/**
 * Load and check: files there, chain parses, key fits its certificate, not expired (an expired
 * serving certificate is an error, and so is one that is not valid yet or not for servers). Only
 * regular files of at most 1 MiB are read, so this never blocks.
 *
 * out   owned reference. Returns RC_OK; RC_INVALID with *err filled; RC_NO_MEMORY.
 */
enum rc cert_set_load(const struct cert_set_opts *opts, struct cert_set **out,
                      struct cert_error *err) MUST_USE;

/** Would this pair be loaded? As cert_set_load(), which nothing comes of. */
enum rc cert_set_try_pair(const struct cert_pair_files *pair, struct cert_error *err) MUST_USE;

/** One more reference to s, which is returned. */
struct cert_set *cert_set_ref(struct cert_set *s);

/** Drop a reference and null the pointer; NULL is allowed. */
void cert_set_unref(struct cert_set **s);

/**
 * A new server-side SSL for one connection: TLS 1.2 and 1.3, ALPN h2 demanded already in the
 * ClientHello (a hello without ALPN, or without h2 in it, ends with no_application_protocol),
 * certificate by SNI, client certificate as above, no tickets, no renegotiation, no early data,
 * SSL_MODE_RELEASE_BUFFERS, partial writes, moving buffers. The caller sets the BIO. The SSL keeps
 * what it needs of the set alive. NULL: out of memory.
 */
SSL *cert_set_new_ssl(struct cert_set *s);

/**
 * Why the peer's handshake was refused by our checks (certificate, ALPN offer); "" when it was not
 * us. Also for an SSL of root_set_new_ssl(). Borrowed from ssl.
 */
const char *cert_set_peer_error(const SSL *ssl);

/** The patterns of who may come in, NULL-terminated; borrowed while s lives. */
const char *const *cert_set_vm_identities(const struct cert_set *s);

/** The trust domain of those who may come in; borrowed while s lives. */
const char *cert_set_trust_domain(const struct cert_set *s);

/** When the first serving certificate of the set expires: seconds since 1970. */
int64_t cert_set_expiry(const struct cert_set *s);

/** The same of the last of the client roots; 0: there are none. As root_set_expiry(). */
int64_t cert_set_roots_expiry(const struct cert_set *s);

/** Load trust roots for an upstream. Errors as cert_set_load() with CERT_BLAME_ROOTS. */
enum rc root_set_load(const char *file, struct root_set **out, struct cert_error *err) MUST_USE;

/** The same, and more roots beside those of the file; borrowed during the call, NULL: none. */
enum rc root_set_load_with(const char *file, const struct root_list *more, struct root_set **out,
                           struct cert_error *err) MUST_USE;

/** The same of a PEM text; borrowed during the call. */
enum rc root_set_parse(const struct cert_bytes *pem, struct root_set **out,
                       struct cert_error *err) MUST_USE;

/** Give the secrets of connections to fn, as cert_set_opts.on_secret. Before the first SSL. */
void root_set_on_secret(struct root_set *s, void (*fn)(const SSL *ssl, const char *line));

/** A fingerprint of its certificates: to see whether a reload changed them. */
uint64_t root_set_print(const struct root_set *s);

/**
 * When the last of its roots expires: seconds since 1970. Not the first: in a rotation the old one
 * ends while the new one is at work.
 */
int64_t root_set_expiry(const struct root_set *s);

/** One more reference to s, which is returned. */
struct root_set *root_set_ref(struct root_set *s);

/** Drop a reference and null the pointer; NULL is allowed. */
void root_set_unref(struct root_set **s);

/**
 * A new client-side SSL: TLS 1.2 and 1.3, SNI and certificate name = server_name, ALPN h2, the
 * roots, and never a client certificate (it would become every VM's identity: istio
 * pilot/pkg/bootstrap/server.go, authenticator order). Same modes as above. server_name must not be
 * empty; an IP address is checked against IP SANs and sent without SNI. NULL: out of memory.
 */
SSL *root_set_new_ssl(struct root_set *s, const char *server_name);

/** After the handshake: did the server choose h2? It may also choose nothing, which OpenSSL lets
 * pass. */
bool root_set_alpn_is_h2(const SSL *ssl);
