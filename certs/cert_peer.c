/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept of a VM's certificate: its identity as text and its chain as DER, in one block. DER
 * knows its own length, so the certificates stand one after the other.
 *
 * A root that was shown stays out: it counts only as an anchor, and then it is in the roots. Agents
 * show theirs, half of what they show.
 */
#include "certs/cert_peer.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "certs/cert_internal.h"
#include "core/base/check.h"

#define CERT_PEER_MAGIC 0xce97a2e1U

struct cert_peer {
    uint32_t magic;
    uint32_t n_identity; /* with its final zero */
    uint32_t n_der;
    struct cert_facts facts;
    unsigned char bytes[]; /* the identity, then the certificates, the leaf first */
};

/* The anchor of the chain that was verified; NULL: there is none. Borrowed from ssl. */
static X509 *find_anchor(const SSL *ssl)
{
    STACK_OF(X509) *verified = SSL_get0_verified_chain(ssl);
    return sk_X509_num(verified) > 0 ? sk_X509_value(verified, sk_X509_num(verified) - 1) : NULL;
}

/* Shown, but of no use without the roots, which have it anyway. */
static bool is_known_root(X509 *x, const X509 *anchor)
{
    return (X509_get_extension_flags(x) & EXFLAG_SS) != 0 && anchor != NULL &&
           X509_cmp(x, anchor) == 0;
}

/* The certificates to keep, in order. Borrowed from ssl. NULL: out of memory. */
static STACK_OF(X509) * collect(const SSL *ssl, X509 *leaf)
{
    STACK_OF(X509) *shown = SSL_get_peer_cert_chain(ssl);
    STACK_OF(X509) *kept = sk_X509_new_null();
    const X509 *anchor = find_anchor(ssl);

    if (kept == NULL || sk_X509_push(kept, leaf) <= 0) {
        sk_X509_free(kept);
        return NULL;
    }
    for (int i = 0; i < sk_X509_num(shown); i++) {
        X509 *x = sk_X509_value(shown, i);
        if (!is_known_root(x, anchor) && sk_X509_push(kept, x) <= 0) {
            sk_X509_free(kept);
            return NULL;
        }
    }
    return kept;
}

/* Their length, and the bytes themselves when there is room. 0: out of memory. */
static size_t put_all(STACK_OF(X509) * kept, unsigned char *to)
{
    size_t all = 0;

    for (int i = 0; i < sk_X509_num(kept); i++) {
        int n = i2d_X509(sk_X509_value(kept, i), to != NULL ? &to : NULL);
        if (n <= 0) {
            return 0;
        }
        all += (size_t)n;
    }
    return all;
}

static struct cert_peer *pack(const char *identity, size_t n, STACK_OF(X509) * kept)
{
    size_t n_der = put_all(kept, NULL);
    struct cert_peer *p = n_der == 0 ? NULL : malloc(sizeof(*p) + n + 1 + n_der);

    if (p == NULL) {
        return NULL;
    }
    *p = (struct cert_peer){
        .magic = CERT_PEER_MAGIC, .n_identity = (uint32_t)n + 1, .n_der = (uint32_t)n_der};
    memcpy(p->bytes, identity, n);
    p->bytes[n] = '\0';
    if (put_all(kept, p->bytes + n + 1) != n_der) {
        free(p);
        return NULL;
    }
    return p;
}

static enum rc take(const SSL *ssl, X509 *leaf, struct cert_peer **out)
{
    struct spiffe_id id;
    char uri[SPIFFE_URI_BYTES];
    struct cert_facts facts;

    /* It has passed verification, so only memory can be missing. */
    if (cert_read_identity(leaf, &id) != NULL || cert_facts_take(leaf, &facts) != RC_OK) {
        return RC_NO_MEMORY;
    }
    STACK_OF(X509) *kept = collect(ssl, leaf);
    struct cert_peer *p = kept == NULL ? NULL : pack(uri, spiffe_format(&id, uri), kept);
    sk_X509_free(kept);
    if (p == NULL) {
        return RC_NO_MEMORY;
    }
    p->facts = facts;
    *out = p;
    return RC_OK;
}

enum rc cert_peer_take(const SSL *ssl, struct cert_peer **out)
{
    if (!SSL_is_init_finished(ssl) || SSL_get_verify_result(ssl) != X509_V_OK) {
        return RC_NOT_FOUND;
    }
    X509 *leaf = SSL_get0_peer_certificate(ssl);
    if (leaf == NULL) {
        return RC_NOT_FOUND;
    }
    ERR_clear_error();
    enum rc rc = take(ssl, leaf, out);
    ERR_clear_error();
    return rc;
}

const char *cert_peer_identity(const struct cert_peer *p)
{
    CHECK_MAGIC(p, CERT_PEER_MAGIC);
    return (const char *)p->bytes;
}

int64_t cert_peer_expiry(const struct cert_peer *p)
{
    CHECK_MAGIC(p, CERT_PEER_MAGIC);
    return p->facts.expiry;
}

const struct cert_facts *cert_peer_facts(const struct cert_peer *p)
{
    CHECK_MAGIC(p, CERT_PEER_MAGIC);
    return &p->facts;
}

/* The chain, the leaf first, owned. NULL: out of memory. */
static STACK_OF(X509) * unpack(const struct cert_peer *p)
{
    const unsigned char *at = p->bytes + p->n_identity;
    const unsigned char *end = at + p->n_der;
    STACK_OF(X509) *chain = sk_X509_new_null();

    while (chain != NULL && at < end) {
        X509 *x = d2i_X509(NULL, &at, end - at);
        if (x == NULL || sk_X509_push(chain, x) <= 0) {
            X509_free(x);
            sk_X509_pop_free(chain, X509_free);
            return NULL;
        }
    }
    return chain;
}

enum rc cert_peer_check(const struct cert_peer *p, SSL_CTX *ctx, char *why, size_t size)
{
    enum rc rc = RC_NO_MEMORY;

    CHECK_MAGIC(p, CERT_PEER_MAGIC);
    ERR_clear_error();
    STACK_OF(X509) *chain = unpack(p);
    if (chain != NULL) {
        rc = cert_check_again(ctx, chain, why, size);
        sk_X509_pop_free(chain, X509_free);
    }
    ERR_clear_error();
    return rc;
}

void cert_peer_free(struct cert_peer **pp)
{
    struct cert_peer *p = *pp;

    *pp = NULL;
    if (p != NULL) {
        CHECK_MAGIC(p, CERT_PEER_MAGIC);
        p->magic = 0;
        free(p);
    }
}
