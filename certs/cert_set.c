/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serving certificates: one SSL_CTX per certificate, chosen by the server name in the ClientHello.
 *
 * Every connection starts from the first SSL_CTX. It alone knows the others (struct choice in its
 * ex_data), so there is no circle of references: a connection keeps the first SSL_CTX alive, that
 * keeps the others, and each keeps the policy. The set itself may be gone before its last
 * connection.
 *
 * Deliberately not here: a list of client CAs in the CertificateRequest (agents ignore it, and it
 * makes the handshake larger), session tickets and caches (agents never resume).
 */
#include "certs/cert_set.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "certs/cert_internal.h"
#include "core/base/check.h"

#define CERT_SET_MAGIC 0x5e7ce275U
#define CHOICE_MAGIC 0x0c401ce1U

/* The contexts in the order of the options. contexts[0] is borrowed: it owns this. */
struct choice {
    uint32_t magic;
    size_t n;
    SSL_CTX *contexts[];
};

struct cert_set {
    uint32_t magic;
    uint32_t refs;        /* atomic */
    SSL_CTX *first;       /* shared (ref) */
    int64_t expiry;       /* seconds since 1970 */
    int64_t roots_expiry; /* of the last client root; 0: there are none */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int choice_index =
    -1; /* of an SSL_CTX: struct choice, owned; see cert_verify.c on globals */

static void free_choice(struct choice *c)
{
    for (size_t i = 1; c != NULL && i < c->n; i++) {
        SSL_CTX_free(c->contexts[i]);
    }
    free(c);
}

static void on_ctx_freed(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl,
                         void *argp)
{
    (void)parent, (void)ad, (void)idx, (void)argl, (void)argp;
    free_choice(ptr);
}

static void make_index(void)
{
    choice_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_ctx_freed);
}

/* ---- callbacks of the handshake ---- */

/* Does a list of protocol names (RFC 7301 3.1, without its length) hold h2? */
static bool offers_h2(const unsigned char *p, size_t n)
{
    while (n > 0) {
        size_t len = p[0];
        if (len == 0 || len > n - 1) {
            return false;
        }
        if (len == 2 && p[1] == 'h' && p[2] == '2') {
            return true;
        }
        p += 1 + len;
        n -= 1 + len;
    }
    return false;
}

/*
 * OpenSSL asks for a choice only when the client offers protocols at all; a client that offers none
 * would get through. So the offer is looked at here.
 */
static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
    const unsigned char *p;
    size_t n;

    (void)arg;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &p,
                                  &n) != 1) {
        cert_refuse(ssl, "the client offers no ALPN protocol; h2 is needed");
    } else if (n < 2 || !offers_h2(p + 2, n - 2)) {
        cert_refuse(ssl, "the client does not offer ALPN protocol h2");
    } else {
        return SSL_CLIENT_HELLO_SUCCESS;
    }
    *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
    return SSL_CLIENT_HELLO_ERROR;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char h2[] = {'h', '2'};

    (void)arg;
    if (!offers_h2(in, in_len)) {
        cert_refuse(ssl, "the client does not offer ALPN protocol h2");
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = h2;
    *out_len = sizeof(h2);
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *find_name(const struct choice *c, const char *name, size_t n, unsigned flags)
{
    for (size_t i = 0; i < c->n; i++) {
        if (X509_check_host(SSL_CTX_get0_certificate(c->contexts[i]), name, n, flags, NULL) == 1) {
            return c->contexts[i];
        }
    }
    return NULL;
}

/* A certificate for exactly this name, else one with a fitting wildcard, else the first. */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    const unsigned flags =
        X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct choice *c = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), choice_index);

    (void)alert;
    (void)arg;
    /* After a HelloRetryRequest the choice has been made: c is NULL when it was not the first. */
    if (name == NULL || c == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    CHECK_MAGIC(c, CHOICE_MAGIC);
    size_t n = strlen(name);
    if (n > 0 && name[n - 1] == '.') {
        n--;
    }
    if (n == 0) {
        return SSL_TLSEXT_ERR_NOACK; /* X509_check_host() takes 0 for "until the zero byte" */
    }
    SSL_CTX *ctx = find_name(c, name, n, flags | X509_CHECK_FLAG_NO_WILDCARDS);
    if (ctx == NULL) {
        ctx = find_name(c, name, n, flags);
    }
    ERR_clear_error();
    if (ctx == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    return SSL_set_SSL_CTX(ssl, ctx) != NULL ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- loading ---- */

static enum rc check_dates(X509 *leaf, int64_t *expiry, struct cert_error *err)
{
    int64_t start = 0;
    int64_t end = 0;
    char text[CERT_TIME_BYTES];

    if (cert_read_time(X509_get0_notBefore(leaf), &start) != RC_OK ||
        cert_read_time(X509_get0_notAfter(leaf), &end) != RC_OK) {
        return cert_fail(err, "the certificate has a malformed date");
    }
    if (X509_cmp_current_time(X509_get0_notAfter(leaf)) <= 0) {
        cert_format_time(end, text);
        return cert_fail(err, "the certificate expired at %s", text);
    }
    if (X509_cmp_current_time(X509_get0_notBefore(leaf)) > 0) {
        cert_format_time(start, text);
        return cert_fail(err, "the certificate is not valid before %s", text);
    }
    *expiry = end;
    return RC_OK;
}

/*
 * What the file does not have of the chain may be among the client roots: looked up once. By
 * default OpenSSL does so, with a signature to verify, in every handshake.
 */
static enum rc complete_chain(SSL_CTX *ctx, bool has_more)
{
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
    if (has_more) {
        return RC_OK;
    }
    long built = SSL_CTX_build_cert_chain(ctx, SSL_BUILD_CHAIN_FLAG_NO_ROOT |
                                                   SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR |
                                                   SSL_BUILD_CHAIN_FLAG_CLEAR_ERROR);
    return built > 0 ? RC_OK : RC_NO_MEMORY;
}

static enum rc use_chain(SSL_CTX *ctx, STACK_OF(X509) * chain, int64_t *expiry,
                         struct cert_error *err)
{
    X509 *leaf = sk_X509_value(chain, 0);

    TRY(check_dates(leaf, expiry, err));
    ERR_clear_error();
    if (X509_check_purpose(leaf, X509_PURPOSE_SSL_SERVER, 0) != 1) {
        return cert_fail(err, "the certificate is not for servers (key usage)");
    }
    if (SSL_CTX_use_certificate(ctx, leaf) != 1) {
        return cert_fail(err, "the certificate cannot be used: %s", cert_openssl_reason());
    }
    for (int i = 1; i < sk_X509_num(chain); i++) {
        if (SSL_CTX_add1_chain_cert(ctx, sk_X509_value(chain, i)) != 1) {
            return cert_fail(err, "certificate %d of the chain cannot be used: %s", i + 1,
                             cert_openssl_reason());
        }
    }
    return complete_chain(ctx, sk_X509_num(chain) > 1);
}

static enum rc load_chain(SSL_CTX *ctx, const char *path, int64_t *expiry, struct cert_error *err)
{
    STACK_OF(X509) * chain;

    err->blame = CERT_BLAME_CERTIFICATE;
    TRY(cert_load_chain(path, &chain, err));
    enum rc rc = use_chain(ctx, chain, expiry, err);
    sk_X509_pop_free(chain, X509_free);
    return rc;
}

static enum rc load_key(SSL_CTX *ctx, const char *path, struct cert_error *err)
{
    EVP_PKEY *key;
    enum rc rc = RC_OK;

    err->blame = CERT_BLAME_PRIVATE_KEY;
    TRY(cert_load_key(path, &key, err));
    ERR_clear_error();
    if (X509_check_private_key(SSL_CTX_get0_certificate(ctx), key) != 1) {
        rc = cert_fail(err, "the private key does not belong to the certificate");
    } else if (SSL_CTX_use_PrivateKey(ctx, key) != 1) {
        rc = cert_fail(err, "the private key cannot be used: %s", cert_openssl_reason());
    }
    EVP_PKEY_free(key);
    ERR_clear_error();
    return rc;
}

/* One serving context with its certificate. */
static enum rc load_pair(const struct cert_pair_files *pair, X509_STORE *store,
                         struct cert_policy *policy, SSL_CTX **out, int64_t *expiry,
                         struct cert_error *err)
{
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    enum rc rc = ctx == NULL ? RC_NO_MEMORY : cert_ctx_setup(ctx, store, policy);

    if (rc == RC_OK) {
        SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
        SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
        SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
        rc = load_chain(ctx, pair->certificate, expiry, err);
    }
    if (rc == RC_OK) {
        rc = load_key(ctx, pair->private_key, err);
    }
    if (rc != RC_OK) {
        SSL_CTX_free(ctx);
        ERR_clear_error();
        return rc;
    }
    *out = ctx;
    return RC_OK;
}

static void free_contexts(struct choice *c)
{
    if (c->n > 0) {
        SSL_CTX_free(c->contexts[0]);
    }
    free_choice(c);
}

/* All contexts, tied together; *first owns the rest. */
static enum rc load_pairs(const struct cert_set_opts *opts, X509_STORE *store,
                          struct cert_policy *policy, struct cert_set *s, struct cert_error *err)
{
    struct choice *c = calloc(1, sizeof(*c) + opts->n_pairs * sizeof(c->contexts[0]));
    enum rc rc = RC_OK;

    if (c == NULL) {
        return RC_NO_MEMORY;
    }
    c->magic = CHOICE_MAGIC;
    for (size_t i = 0; i < opts->n_pairs; i++) {
        int64_t expiry = 0;
        err->index = i;
        rc = load_pair(&opts->pairs[i], store, policy, &c->contexts[i], &expiry, err);
        if (rc != RC_OK) {
            free_contexts(c);
            return rc;
        }
        SSL_CTX_set_keylog_callback(c->contexts[i], opts->on_secret);
        c->n++;
        s->expiry = i == 0 || expiry < s->expiry ? expiry : s->expiry;
    }
    if (SSL_CTX_set_ex_data(c->contexts[0], choice_index, c) != 1) {
        free_contexts(c);
        return RC_NO_MEMORY;
    }
    s->first = c->contexts[0];
    return RC_OK;
}

static enum rc load_client_roots(const struct cert_set_opts *opts, X509_STORE *store,
                                 int64_t *expiry, struct cert_error *err)
{
    const char *const *files = opts->client_roots;
    struct cert_roots more = {.print = CERT_PRINT_START};

    err->blame = CERT_BLAME_ROOTS;
    for (size_t i = 0; files != NULL && files[i] != NULL; i++) {
        err->index = i;
        struct cert_roots roots;
        TRY(cert_load_roots(files[i], store, &roots, err));
        *expiry = roots.expiry > *expiry ? roots.expiry : *expiry;
    }
    if (opts->more_roots != NULL) {
        TRY(cert_add_roots(opts->more_roots, store, &more));
        *expiry = more.expiry > *expiry ? more.expiry : *expiry;
    }
    return RC_OK;
}

enum rc cert_set_load(const struct cert_set_opts *opts, struct cert_set **out,
                      struct cert_error *err)
{
    CHECK(opts->n_pairs > 0);
    pthread_once(&once, make_index);
    *err = (struct cert_error){.text = ""};
    struct cert_set *s = calloc(1, sizeof(*s));
    struct cert_policy *policy = cert_policy_new(opts);
    X509_STORE *store = cert_store_new();
    enum rc rc = RC_NO_MEMORY;

    if (s != NULL && policy != NULL && store != NULL && choice_index >= 0) {
        s->magic = CERT_SET_MAGIC;
        s->refs = 1;
        rc = load_client_roots(opts, store, &s->roots_expiry, err);
    }
    if (rc == RC_OK) {
        rc = load_pairs(opts, store, policy, s, err);
    }
    X509_STORE_free(store);
    cert_policy_unref(&policy);
    if (rc != RC_OK) {
        free(s);
        ERR_clear_error();
        return rc;
    }
    *out = s;
    return RC_OK;
}

enum rc cert_set_try_pair(const struct cert_pair_files *pair, struct cert_error *err)
{
    const char *const none[] = {NULL};
    const struct cert_set_opts opts = {.pairs = pair,
                                       .n_pairs = 1,
                                       .client_roots = none,
                                       .trust_domain = "",
                                       .vm_identities = none};
    struct cert_set *set = NULL;

    TRY(cert_set_load(&opts, &set, err));
    cert_set_unref(&set);
    return RC_OK;
}

struct cert_set *cert_set_ref(struct cert_set *s)
{
    CHECK_MAGIC(s, CERT_SET_MAGIC);
    __atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
    return s;
}

void cert_set_unref(struct cert_set **sp)
{
    struct cert_set *s = *sp;

    *sp = NULL;
    if (s == NULL) {
        return;
    }
    CHECK_MAGIC(s, CERT_SET_MAGIC);
    if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        s->magic = 0;
        SSL_CTX_free(s->first);
        free(s);
    }
}

SSL *cert_set_new_ssl(struct cert_set *s)
{
    CHECK_MAGIC(s, CERT_SET_MAGIC);
    ERR_clear_error();
    SSL *ssl = SSL_new(s->first);
    if (ssl == NULL) {
        ERR_clear_error();
        return NULL;
    }
    SSL_set_accept_state(ssl);
    return ssl;
}

int64_t cert_set_expiry(const struct cert_set *s)
{
    CHECK_MAGIC(s, CERT_SET_MAGIC);
    return s->expiry;
}

const char *cert_set_trust_domain(const struct cert_set *s)
{
    CHECK_MAGIC(s, CERT_SET_MAGIC);
    return cert_ctx_trust_domain(s->first);
}

const char *const *cert_set_vm_identities(const struct cert_set *s)
{
    CHECK_MAGIC(s, CERT_SET_MAGIC);
    return cert_ctx_vm_identities(s->first);
}

int64_t cert_set_roots_expiry(const struct cert_set *s)
{
    CHECK_MAGIC(s, CERT_SET_MAGIC);
    return s->roots_expiry;
}

void cert_set_missing(const struct cert_set *s, const struct root_list *l, struct root_gap *out)
{
    CHECK_MAGIC(s, CERT_SET_MAGIC);
    cert_ctx_missing(s->first, l, out);
}

enum rc cert_set_check_again(const struct cert_set *s, const struct cert_peer *p, char *why,
                             size_t size)
{
    CHECK_MAGIC(s, CERT_SET_MAGIC);
    return cert_peer_check(p, s->first, why, size);
}
