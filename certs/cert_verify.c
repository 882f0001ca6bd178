/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of every SSL_CTX and the check of the peer's certificate.
 *
 * The check replaces OpenSSL's whole verification step (SSL_CTX_set_cert_verify_callback): first
 * OpenSSL verifies the chain, then, with a policy, the leaf is held against it. So our checks see
 * only leaves of good chains, and run exactly once.
 *
 * Key usage is read as RFC 5280 has it and istiod does: an extension that is absent allows
 * everything.
 *
 * The two ex_data indexes are mutable globals because OpenSSL hands them out at run time; they are
 * written once, under pthread_once().
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "certs/cert_internal.h"
#include "core/base/check.h"

#define CERT_POLICY_MAGIC 0x9c1b64e3U
/** Leaf, two intermediates and a root are usual; plug-in CAs add one or two. */
#define CHAIN_MAX_DEPTH 8
/** What a server may show: ten times a usual chain. The peer is not known yet when it sends this.
 */
#define CHAIN_MAX_BYTES 65536
/** What a VM may show: twice the chain of a plug-in CA with four levels. We keep it with the VM. */
#define VM_CHAIN_MAX_BYTES 16384

struct cert_policy {
    uint32_t magic;
    uint32_t refs;        /* atomic */
    char *trust_domain;   /* owned */
    char **vm_identities; /* owned, NULL-terminated */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int ctx_policy_index = -1; /* of an SSL_CTX: struct cert_policy, shared (ref) */
static int ssl_reason_index = -1; /* of an SSL: char, owned */

static void on_ctx_freed(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl,
                         void *argp)
{
    struct cert_policy *policy = ptr;

    (void)parent, (void)ad, (void)idx, (void)argl, (void)argp;
    cert_policy_unref(&policy);
}

static void on_ssl_freed(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl,
                         void *argp)
{
    (void)parent, (void)ad, (void)idx, (void)argl, (void)argp;
    free(ptr);
}

static void make_indexes(void)
{
    ctx_policy_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_ctx_freed);
    ssl_reason_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, on_ssl_freed);
}

static bool have_indexes(void)
{
    pthread_once(&once, make_indexes);
    return ctx_policy_index >= 0 && ssl_reason_index >= 0;
}

/* ---- policy ---- */

static void free_strings(char **list)
{
    for (char **p = list; p != NULL && *p != NULL; p++) {
        free(*p);
    }
    free(list);
}

static char **copy_strings(const char *const *list)
{
    size_t n = 0;

    while (list != NULL && list[n] != NULL) {
        n++;
    }
    char **copy = calloc(n + 1, sizeof(*copy));
    for (size_t i = 0; copy != NULL && i < n; i++) {
        copy[i] = strdup(list[i]);
        if (copy[i] == NULL) {
            free_strings(copy);
            return NULL;
        }
    }
    return copy;
}

struct cert_policy *cert_policy_new(const struct cert_set_opts *opts)
{
    struct cert_policy *p = calloc(1, sizeof(*p));

    if (p == NULL) {
        return NULL;
    }
    p->magic = CERT_POLICY_MAGIC;
    p->refs = 1;
    p->trust_domain = strdup(opts->trust_domain);
    p->vm_identities = copy_strings(opts->vm_identities);
    if (p->trust_domain == NULL || p->vm_identities == NULL) {
        cert_policy_unref(&p);
    }
    return p;
}

const char *cert_ctx_trust_domain(const SSL_CTX *ctx)
{
    const struct cert_policy *policy = SSL_CTX_get_ex_data(ctx, ctx_policy_index);

    CHECK(policy != NULL);
    return policy->trust_domain;
}

const char *const *cert_ctx_vm_identities(const SSL_CTX *ctx)
{
    const struct cert_policy *policy = SSL_CTX_get_ex_data(ctx, ctx_policy_index);

    CHECK(policy != NULL);
    return (const char *const *)policy->vm_identities;
}

void cert_policy_unref(struct cert_policy **pp)
{
    struct cert_policy *p = *pp;

    *pp = NULL;
    if (p == NULL) {
        return;
    }
    CHECK_MAGIC(p, CERT_POLICY_MAGIC);
    if (__atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    p->magic = 0;
    free(p->trust_domain);
    free_strings(p->vm_identities);
    free(p);
}

/* ---- the reason of a refusal ---- */

void cert_refuse(SSL *ssl, const char *fmt, ...)
{
    char text[CERT_WHY_BYTES];
    va_list ap;

    if (SSL_get_ex_data(ssl, ssl_reason_index) != NULL) {
        return;
    }
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    char *copy = strdup(text);
    if (copy != NULL && SSL_set_ex_data(ssl, ssl_reason_index, copy) != 1) {
        free(copy);
    }
}

const char *cert_set_peer_error(const SSL *ssl)
{
    const char *reason = have_indexes() ? SSL_get_ex_data(ssl, ssl_reason_index) : NULL;
    return reason != NULL ? reason : "";
}

/* ---- the leaf ---- */

const char *cert_read_identity(const X509 *leaf, struct spiffe_id *out)
{
    const char *why = NULL;
    const ASN1_IA5STRING *uri = NULL;
    int critical;
    /* One SAN extension: with several, d2i gives NULL. */
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, &critical, NULL);

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI) {
            continue;
        }
        if (uri != NULL) {
            why = "the certificate has more than one URI SAN";
        }
        uri = name->d.uniformResourceIdentifier;
    }
    if (uri == NULL) {
        why = "the certificate has no URI SAN";
    }
    if (why == NULL) {
        enum rc rc = spiffe_parse((const char *)ASN1_STRING_get0_data(uri),
                                  (size_t)ASN1_STRING_length(uri), out);
        why = rc == RC_OK ? NULL : "the URI SAN of the certificate is no identity of a workload";
    }
    GENERAL_NAMES_free(names);
    return why;
}

static const char *check_usage(X509 *leaf)
{
    uint32_t flags = X509_get_extension_flags(leaf);

    if ((flags & (EXFLAG_INVALID | EXFLAG_CRITICAL)) != 0) {
        return "the certificate has a malformed or unknown critical extension";
    }
    if (X509_check_ca(leaf) != 0) {
        return "the certificate is one of a certificate authority";
    }
    if ((flags & EXFLAG_XKUSAGE) != 0 &&
        (X509_get_extended_key_usage(leaf) & (XKU_SSL_CLIENT | XKU_ANYEKU)) == 0) {
        return "the certificate is not for clients (extended key usage)";
    }
    /* Without the extension OpenSSL says that every bit is set. */
    if ((X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE) == 0) {
        return "the certificate is not for signatures (key usage)";
    }
    return NULL;
}

/* May a VM with this leaf of a good chain come in? If not, why gets the reason. */
static bool check_leaf(X509 *leaf, const struct cert_policy *policy, char *why, size_t size)
{
    struct spiffe_id id;
    const char *text = check_usage(leaf);

    if (text == NULL) {
        text = cert_read_identity(leaf, &id);
    }
    if (text != NULL) {
        snprintf(why, size, "%s", text);
        return false;
    }
    if (strcmp(id.trust_domain, policy->trust_domain) != 0) {
        snprintf(why, size, "the certificate is of trust domain %s, not %s", id.trust_domain,
                 policy->trust_domain);
        return false;
    }
    if (!spiffe_allowed(&id, (const char *const *)policy->vm_identities)) {
        snprintf(why, size, "ns/%s/sa/%s is not in vm_identities", id.ns, id.sa);
        return false;
    }
    return true;
}

static void explain_chain(X509_STORE_CTX *sctx, char *why, size_t size)
{
    int error = X509_STORE_CTX_get_error(sctx);
    int depth = X509_STORE_CTX_get_error_depth(sctx);
    const char *text = X509_verify_cert_error_string(error);

    if (depth > 0) {
        snprintf(why, size, "certificate chain: %s (certificate %d above the peer's)", text, depth);
    } else {
        snprintf(why, size, "certificate: %s", text);
    }
}

/* In place of OpenSSL's verification. 1: the peer is whom it says. */
static int verify_peer(X509_STORE_CTX *sctx, void *arg)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(sctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    char why[CERT_WHY_BYTES];

    (void)arg;
    if (X509_verify_cert(sctx) != 1) {
        if (X509_STORE_CTX_get_error(sctx) == X509_V_OK) {
            X509_STORE_CTX_set_error(sctx, X509_V_ERR_UNSPECIFIED);
        }
        explain_chain(sctx, why, sizeof(why));
        cert_refuse(ssl, "%s", why);
        return 0;
    }
    const struct cert_policy *policy = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ctx_policy_index);
    if (policy == NULL) {
        return 1;
    }
    CHECK_MAGIC(policy, CERT_POLICY_MAGIC);
    if (!check_leaf(X509_STORE_CTX_get0_cert(sctx), policy, why, sizeof(why))) {
        cert_refuse(ssl, "%s", why);
        X509_STORE_CTX_set_error_depth(sctx, 0);
        X509_STORE_CTX_set_error(sctx, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    return 1;
}

static enum rc verify_again(X509_STORE_CTX *sctx, SSL_CTX *ctx, STACK_OF(X509) * chain, char *why,
                            size_t size)
{
    const struct cert_policy *policy = SSL_CTX_get_ex_data(ctx, ctx_policy_index);
    X509 *leaf = sk_X509_value(chain, 0);

    if (X509_STORE_CTX_init(sctx, SSL_CTX_get_cert_store(ctx), leaf, chain) != 1 ||
        X509_STORE_CTX_set_default(sctx, "ssl_client") != 1 ||
        X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(sctx), SSL_CTX_get0_param(ctx)) != 1) {
        return RC_NO_MEMORY;
    }
    if (X509_verify_cert(sctx) != 1) {
        explain_chain(sctx, why, size);
        return X509_STORE_CTX_get_error(sctx) == X509_V_ERR_OUT_OF_MEM ? RC_NO_MEMORY
                                                                       : RC_PEER_DENIED;
    }
    CHECK(policy != NULL);
    CHECK_MAGIC(policy, CERT_POLICY_MAGIC);
    return check_leaf(leaf, policy, why, size) ? RC_OK : RC_PEER_DENIED;
}

enum rc cert_check_again(SSL_CTX *ctx, STACK_OF(X509) * chain, char *why, size_t size)
{
    X509_STORE_CTX *sctx = X509_STORE_CTX_new();
    enum rc rc = sctx == NULL ? RC_NO_MEMORY : verify_again(sctx, ctx, chain, why, size);

    X509_STORE_CTX_free(sctx);
    return rc;
}

/* ---- settings ---- */

X509_STORE *cert_store_new(void)
{
    X509_STORE *store = X509_STORE_new();

    /*
     * Any certificate of a root file is an anchor, as in Go: with a plug-in CA people give the
     * intermediate. Not X509_V_FLAG_X509_STRICT: roots of Istio and of people lack extensions that
     * it wants.
     */
    if (store != NULL && X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) != 1) {
        X509_STORE_free(store);
        return NULL;
    }
    return store;
}

static bool set_protocol(SSL_CTX *ctx)
{
    static const unsigned char session_id_context[] = "xdsgate";

    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(ctx, CHAIN_MAX_BYTES);
    SSL_CTX_set_security_level(ctx, 2);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ctx, 0) == 1 && SSL_CTX_set_num_tickets(ctx, 0) == 1 &&
           SSL_CTX_set_max_early_data(ctx, 0) == 1 &&
           SSL_CTX_set_session_id_context(ctx, session_id_context,
                                          sizeof(session_id_context) - 1) == 1 &&
           SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
           SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") == 1;
}

enum rc cert_ctx_setup(SSL_CTX *ctx, X509_STORE *store, struct cert_policy *policy)
{
    ERR_clear_error();
    if (!have_indexes() || !set_protocol(ctx)) {
        ERR_clear_error();
        return RC_NO_MEMORY;
    }
    SSL_CTX_set1_cert_store(ctx, store);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_verify_depth(ctx, CHAIN_MAX_DEPTH);
    SSL_CTX_set_cert_verify_callback(ctx, verify_peer, NULL);
    if (policy == NULL) {
        return RC_OK;
    }
    SSL_CTX_set_max_cert_list(ctx, VM_CHAIN_MAX_BYTES);
    if (SSL_CTX_set_ex_data(ctx, ctx_policy_index, policy) != 1) {
        ERR_clear_error();
        return RC_NO_MEMORY;
    }
    __atomic_add_fetch(&policy->refs, 1, __ATOMIC_RELAXED);
    return RC_OK;
}
