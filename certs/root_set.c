/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trust roots of one upstream: the client side of TLS towards istiod. There is no way to give it a
 * client certificate, on purpose: it would become the identity of every VM behind the connection.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "certs/cert_internal.h"
#include "core/base/check.h"

#define ROOT_SET_MAGIC 0x8d20075eU

struct root_set {
    uint32_t magic;
    uint32_t refs; /* atomic */
    struct cert_roots roots;
    SSL_CTX *ctx; /* shared (ref) */
};

/* What is asked for: a PEM text, and more beside it or NULL. Borrowed. */
struct wish {
    const struct cert_bytes *pem;
    const struct root_list *more;
};

static enum rc setup_ctx(SSL_CTX *ctx, const struct wish *wish, struct cert_roots *roots,
                         struct cert_error *err)
{
    static const unsigned char h2[] = {2, 'h', '2'};
    X509_STORE *store = cert_store_new();

    if (store == NULL) {
        return RC_NO_MEMORY;
    }
    enum rc rc = cert_parse_roots(wish->pem, store, roots, err);
    if (rc == RC_OK && wish->more != NULL) {
        rc = cert_add_roots(wish->more, store, roots);
    }
    if (rc == RC_OK) {
        rc = cert_ctx_setup(ctx, store, NULL);
    }
    X509_STORE_free(store);
    /* This one says 0 when it worked. */
    if (rc == RC_OK && SSL_CTX_set_alpn_protos(ctx, h2, sizeof(h2)) != 0) {
        rc = RC_NO_MEMORY;
    }
    return rc;
}

static enum rc make_set(const struct wish *wish, struct root_set **out, struct cert_error *err)
{
    *err = (struct cert_error){.blame = CERT_BLAME_ROOTS};
    struct cert_roots roots = {.print = 0};
    ERR_clear_error();
    struct root_set *s = calloc(1, sizeof(*s));
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    enum rc rc = s == NULL || ctx == NULL ? RC_NO_MEMORY : setup_ctx(ctx, wish, &roots, err);

    if (rc != RC_OK) {
        SSL_CTX_free(ctx);
        free(s);
        ERR_clear_error();
        return rc;
    }
    *s = (struct root_set){.magic = ROOT_SET_MAGIC, .refs = 1, .roots = roots, .ctx = ctx};
    *out = s;
    return RC_OK;
}

enum rc root_set_parse(const struct cert_bytes *pem, struct root_set **out, struct cert_error *err)
{
    const struct wish wish = {pem, NULL};

    return make_set(&wish, out, err);
}

enum rc root_set_load_with(const char *file, const struct root_list *more, struct root_set **out,
                           struct cert_error *err)
{
    struct cert_bytes bytes = {0};
    const struct wish wish = {&bytes, more};

    *err = (struct cert_error){.blame = CERT_BLAME_ROOTS};
    TRY(cert_bytes_read(file, &bytes, err));
    enum rc rc = make_set(&wish, out, err);
    cert_bytes_fini(&bytes);
    return rc;
}

enum rc root_set_load(const char *file, struct root_set **out, struct cert_error *err)
{
    return root_set_load_with(file, NULL, out, err);
}

void root_set_on_secret(struct root_set *s, void (*fn)(const SSL *ssl, const char *line))
{
    CHECK_MAGIC(s, ROOT_SET_MAGIC);
    SSL_CTX_set_keylog_callback(s->ctx, fn);
}

uint64_t root_set_print(const struct root_set *s)
{
    CHECK_MAGIC(s, ROOT_SET_MAGIC);
    return s->roots.print;
}

void root_set_missing(const struct root_set *s, const struct root_list *l, struct root_gap *out)
{
    CHECK_MAGIC(s, ROOT_SET_MAGIC);
    cert_ctx_missing(s->ctx, l, out);
}

int64_t root_set_expiry(const struct root_set *s)
{
    CHECK_MAGIC(s, ROOT_SET_MAGIC);
    return s->roots.expiry;
}

struct root_set *root_set_ref(struct root_set *s)
{
    CHECK_MAGIC(s, ROOT_SET_MAGIC);
    __atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
    return s;
}

void root_set_unref(struct root_set **sp)
{
    struct root_set *s = *sp;

    *sp = NULL;
    if (s == NULL) {
        return;
    }
    CHECK_MAGIC(s, ROOT_SET_MAGIC);
    if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        s->magic = 0;
        SSL_CTX_free(s->ctx);
        free(s);
    }
}

/*
 * The name goes into SNI and is what the certificate must be for. An address gets no SNI (RFC 6066
 * 3).
 */
static bool set_name(SSL *ssl, const char *server_name)
{
    ASN1_OCTET_STRING *ip = a2i_IPADDRESS(server_name);
    bool is_ip = ip != NULL;

    ASN1_OCTET_STRING_free(ip);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (SSL_set1_host(ssl, server_name) != 1) {
        return false;
    }
    /* SSL_set_tlsext_host_name() without its cast; the name is copied. */
    void *name = (void *)(uintptr_t)server_name;
    return is_ip ||
           SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name) == 1;
}

SSL *root_set_new_ssl(struct root_set *s, const char *server_name)
{
    CHECK_MAGIC(s, ROOT_SET_MAGIC);
    /* An empty name would switch off the check of the name. */
    CHECK(server_name != NULL && server_name[0] != '\0');
    ERR_clear_error();
    SSL *ssl = SSL_new(s->ctx);
    if (ssl == NULL || !set_name(ssl, server_name)) {
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    ERR_clear_error(); /* a2i_IPADDRESS() complains about names */
    SSL_set_connect_state(ssl);
    return ssl;
}

bool root_set_alpn_is_h2(const SSL *ssl)
{
    const unsigned char *p;
    unsigned n;

    SSL_get0_alpn_selected(ssl, &p, &n);
    return n == 2 && memcmp(p, "h2", 2) == 0;
}
