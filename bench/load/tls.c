/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/tls.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

/* Several records a read, so that system calls are few. */
#define READ_AHEAD_BYTES (64 * 1024)

const char *tls_error(const char *fallback)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = code == 0 ? NULL : ERR_reason_error_string(code);

    ERR_clear_error();
    return text == NULL ? fallback : text;
}

static SSL_CTX *give_up(SSL_CTX *ctx, const char *what)
{
    (void)fprintf(stderr, "%s: %s\n", what, tls_error("failed"));
    SSL_CTX_free(ctx);
    return NULL;
}

static SSL_CTX *make(const SSL_METHOD *method, const char *cert_file, const char *key_file)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1 ||
        SSL_CTX_set1_groups_list(ctx, "X25519") != 1 || SSL_CTX_set_num_tickets(ctx, 0) != 1) {
        return give_up(ctx, "TLS");
    }
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_default_read_buffer_len(ctx, READ_AHEAD_BYTES);
    if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1) {
        return give_up(ctx, cert_file);
    }
    if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1) {
        return give_up(ctx, key_file);
    }
    return ctx;
}

static int choose_h2(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                     const unsigned char *in, unsigned int in_len, void *arg)
{
    static const unsigned char h2[] = {2, 'h', '2'};
    unsigned char *chosen = NULL;

    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, out_len, h2, sizeof(h2), in, in_len) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

SSL_CTX *tls_server_new(const char *cert_file, const char *key_file)
{
    SSL_CTX *ctx = make(TLS_server_method(), cert_file, key_file);

    if (ctx != NULL) {
        SSL_CTX_set_alpn_select_cb(ctx, choose_h2, NULL);
    }
    return ctx;
}

static void free_known(void *parent, void *known, CRYPTO_EX_DATA *ad, int index, long argl,
                       void *argp)
{
    (void)parent;
    (void)ad;
    (void)index;
    (void)argl;
    (void)argp;
    X509_free(known);
}

/* arg is the index of the context's data which holds the certificate found good last. */
static int verify(X509_STORE_CTX *chain, void *arg)
{
    int index = *(const int *)arg;
    const SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    SSL_CTX *ctx = SSL_get_SSL_CTX(ssl);
    X509 *known = SSL_CTX_get_ex_data(ctx, index);
    X509 *leaf = X509_STORE_CTX_get0_cert(chain);

    if (known != NULL && X509_cmp(known, leaf) == 0) {
        X509_STORE_CTX_set_error(chain, X509_V_OK);
        return 1;
    }
    if (X509_verify_cert(chain) != 1) {
        return 0;
    }
    if (X509_up_ref(leaf) == 1) {
        X509_free(known);
        (void)SSL_CTX_set_ex_data(ctx, index, leaf);
    }
    return 1;
}

SSL_CTX *tls_client_new(const char *ca_file, const char *cert_file, const char *key_file,
                        const char *alpn)
{
    static int index = -1;
    SSL_CTX *ctx = make(TLS_client_method(), cert_file, key_file);
    unsigned char wire[64];
    size_t n = strlen(alpn);

    if (ctx == NULL) {
        return NULL;
    }
    if (index < 0) {
        index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_known);
    }
    if (n == 0 || n >= sizeof(wire)) {
        return give_up(ctx, "--alpn");
    }
    wire[0] = (unsigned char)n;
    memcpy(wire + 1, alpn, n);
    if (SSL_CTX_load_verify_locations(ctx, ca_file, NULL) != 1) {
        return give_up(ctx, ca_file);
    }
    if (index < 0 || SSL_CTX_set_alpn_protos(ctx, wire, (unsigned int)n + 1) != 0) {
        return give_up(ctx, "TLS");
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, verify, &index);
    return ctx;
}
