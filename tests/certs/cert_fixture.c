/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/certs/cert_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "certs/cert_peer.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const unsigned char alpn_h2[] = {2, 'h', '2'};
static const char *const vm_identities[] = {"ns/vms/sa/*", "ns/other/sa/db", NULL};

static void make_files(struct cert_fixture *f)
{
    static const char *const sans[3] = {"DNS:istiod.istio-system.svc", "DNS:*.example.test",
                                        "DNS:canary.example.test"};

    snprintf(f->root_file, PATH_BYTES, "%s/root.pem", f->dir);
    pki_write_cert(f->root_file, &f->root);
    for (size_t i = 0; i < 3; i++) {
        f->server[i] = pki_make_server(&f->root, sans[i]);
        snprintf(f->chain_file[i], PATH_BYTES, "%s/chain%zu.pem", f->dir, i);
        snprintf(f->key_file[i], PATH_BYTES, "%s/key%zu.pem", f->dir, i);
        pki_write_cert(f->chain_file[i], &f->server[i]);
        pki_write_key(f->key_file[i], &f->server[i], NULL);
    }
}

void (*cert_fixture_on_secret)(const SSL *ssl, const char *line);

struct cert_set *cert_fixture_load(const struct cert_fixture *f, const char *const *roots)
{
    const struct cert_pair_files pairs[3] = {{f->chain_file[0], f->key_file[0]},
                                             {f->chain_file[1], f->key_file[1]},
                                             {f->chain_file[2], f->key_file[2]}};
    const struct cert_set_opts opts = {.pairs = pairs,
                                       .n_pairs = 3,
                                       .client_roots = roots,
                                       .more_roots = f->more_roots,
                                       .trust_domain = "cluster.local",
                                       .vm_identities = vm_identities,
                                       .on_secret = cert_fixture_on_secret};
    struct cert_set *set = NULL;
    struct cert_error err;

    if (cert_set_load(&opts, &set, &err) != RC_OK) {
        fail_msg("cert_set_load: %s", err.text);
    }
    return set;
}

int cert_fixture_setup(void **state)
{
    struct cert_fixture *f = calloc(1, sizeof(*f));

    snprintf(f->dir, sizeof(f->dir), "/tmp/cert_set_test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->root = pki_make_root("cluster root");
    f->foreign_root = pki_make_root("foreign root");
    f->vm = pki_make_workload(&f->root, "critical,URI:spiffe://cluster.local/ns/vms/sa/web");
    make_files(f);
    const char *const roots[] = {f->root_file, NULL};
    f->set = cert_fixture_load(f, roots);
    *state = f;
    return 0;
}

int cert_fixture_teardown(void **state)
{
    struct cert_fixture *f = *state;

    cert_set_unref(&f->set);
    for (size_t i = 0; i < 3; i++) {
        unlink(f->chain_file[i]);
        unlink(f->key_file[i]);
        pki_free(&f->server[i]);
    }
    unlink(f->root_file);
    assert_int_equal(rmdir(f->dir), 0);
    pki_free(&f->vm);
    pki_free(&f->root);
    pki_free(&f->foreign_root);
    free(f);
    return 0;
}

SSL *cert_fixture_client(const struct client_opts *o)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    char name[256];

    SSL_CTX_set_security_level(ctx, 0);
    assert_int_equal(SSL_CTX_set_min_proto_version(ctx, o->min_version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(ctx, o->max_version), 1);
    if (o->ciphers != NULL) {
        assert_int_equal(SSL_CTX_set_cipher_list(ctx, o->ciphers), 1);
    }
    if (o->cert != NULL) {
        assert_int_equal(SSL_CTX_use_certificate(ctx, o->cert->x), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(ctx, o->cert->key), 1);
    }
    if (o->intermediate != NULL) {
        assert_int_equal(SSL_CTX_add1_chain_cert(ctx, o->intermediate->x), 1);
    }
    SSL *ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    if (!o->no_alpn) {
        const unsigned char *alpn = o->n_alpn > 0 ? o->alpn : alpn_h2;
        size_t n = o->n_alpn > 0 ? o->n_alpn : sizeof(alpn_h2);
        assert_int_equal(SSL_set_alpn_protos(ssl, alpn, (unsigned)n), 0);
    }
    if (o->sni != NULL) {
        snprintf(name, sizeof(name), "%s", o->sni);
        assert_int_equal(SSL_set_tlsext_host_name(ssl, name), 1);
    }
    SSL_set_connect_state(ssl);
    return ssl;
}

bool cert_fixture_connect(struct cert_set *set, const struct client_opts *o, struct tls_pair *pair)
{
    tls_pair_init(pair, cert_fixture_client(o), cert_set_new_ssl(set));
    return tls_pair_handshake(pair);
}

void cert_fixture_known(const struct tls_pair *pair, const char *uri)
{
    struct cert_peer *peer = NULL;

    if (uri == NULL) {
        assert_int_equal(cert_peer_take(pair->server, &peer), RC_NOT_FOUND);
        assert_null(peer);
        return;
    }
    assert_int_equal(cert_peer_take(pair->server, &peer), RC_OK);
    assert_string_equal(cert_peer_identity(peer), uri);
    cert_peer_free(&peer);
    assert_null(peer);
}

void cert_fixture_accepted(struct cert_set *set, struct client_opts o, const char *uri)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    for (size_t i = 0; i < COUNT(versions); i++) {
        struct tls_pair pair;
        const unsigned char *alpn;
        unsigned n_alpn;
        o.max_version = versions[i];
        if (!cert_fixture_connect(set, &o, &pair)) {
            fail_msg("refused: %s", cert_set_peer_error(pair.server));
        }
        assert_int_equal(SSL_version(pair.client), versions[i]);
        assert_string_equal(cert_set_peer_error(pair.server), "");
        SSL_get0_alpn_selected(pair.client, &alpn, &n_alpn);
        assert_int_equal(n_alpn, 2);
        assert_memory_equal(alpn, "h2", 2);
        cert_fixture_known(&pair, uri);
        tls_pair_fini(&pair);
    }
}

void cert_fixture_refused(struct cert_set *set, struct client_opts o, const char *reason)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    for (size_t i = 0; i < COUNT(versions); i++) {
        struct tls_pair pair;
        o.max_version = versions[i];
        if (cert_fixture_connect(set, &o, &pair)) {
            fail_msg("accepted, but should be: %s", reason);
        }
        assert_false(SSL_is_init_finished(pair.server));
        assert_string_equal(cert_set_peer_error(pair.server), reason);
        assert_true(pair.client_alert >= 0);
        cert_fixture_known(&pair, NULL);
        tls_pair_fini(&pair);
    }
}

struct pki_cert cert_fixture_intermediate(const struct cert_fixture *f, const char *constraints)
{
    return pki_make(&f->root, &(struct pki_spec){.name = "intermediate",
                                                 .ca = true,
                                                 .usage = "critical,keyCertSign",
                                                 .constraints = constraints,
                                                 .from_s = -60});
}
