/* SPDX-License-Identifier: Apache-2.0 */
/* The client side: which servers are believed, and what they are shown. */
#include "certs/cert_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "tests/support/pki.h"
#include "tests/support/tls_pair.h"

#define DAY_S (24L * 3600L)
#define NAME "istiod.istio-system.svc"

struct fixture {
    char file[96];
    struct pki_cert root;
    struct root_set *roots;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct cert_error err;

    snprintf(f->file, sizeof(f->file), "/tmp/root_set_test.XXXXXX");
    int fd = mkstemp(f->file);
    assert_true(fd >= 0);
    close(fd);
    f->root = pki_make_root("cluster root");
    pki_write_cert(f->file, &f->root);
    assert_int_equal(root_set_load(f->file, &f->roots, &err), RC_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    root_set_unref(&f->roots);
    unlink(f->file);
    pki_free(&f->root);
    free(f);
    return 0;
}

static int choose_h2(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                     const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char only_h2[] = {2, 'h', '2'};
    unsigned char *found;

    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&found, out_len, only_h2, sizeof(only_h2), in, in_len) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = found;
    return SSL_TLSEXT_ERR_OK;
}

/* A server as istiod is: asks for a client certificate, chooses h2 when told to. */
static SSL *new_server(const struct pki_cert *cert, bool h2)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    assert_int_equal(SSL_CTX_use_certificate(ctx, cert->x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, cert->key), 1);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (h2) {
        SSL_CTX_set_alpn_select_cb(ctx, choose_h2, NULL);
    }
    SSL *ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    SSL_set_accept_state(ssl);
    return ssl;
}

static bool connect_to(const struct fixture *f, const struct pki_cert *cert, const char *name,
                       struct tls_pair *pair)
{
    tls_pair_init(pair, root_set_new_ssl(f->roots, name), new_server(cert, true));
    return tls_pair_handshake(pair);
}

static void assert_refused(const struct fixture *f, struct pki_cert cert, const char *name,
                           const char *reason)
{
    struct tls_pair pair;

    assert_false(connect_to(f, &cert, name, &pair));
    assert_string_equal(cert_set_peer_error(pair.client), reason);
    assert_true(pair.server_alert >= 0);
    tls_pair_fini(&pair);
    pki_free(&cert);
}

static void test_root_set__istiod__is_believed(void **state)
{
    struct fixture *f = *state;
    struct pki_cert cert = pki_make_server(&f->root, "DNS:istio-pilot,DNS:" NAME);
    struct tls_pair pair;

    assert_true(connect_to(f, &cert, NAME, &pair));

    assert_string_equal(cert_set_peer_error(pair.client), "");
    assert_true(root_set_alpn_is_h2(pair.client));
    assert_string_equal(SSL_get_servername(pair.server, TLSEXT_NAMETYPE_host_name), NAME);
    assert_int_equal(SSL_version(pair.client), TLS1_3_VERSION);
    tls_pair_fini(&pair);
    pki_free(&cert);
}

static void test_root_set__server_asks_for_a_certificate__gets_none(void **state)
{
    struct fixture *f = *state;
    struct pki_cert cert = pki_make_server(&f->root, "DNS:" NAME);
    struct tls_pair pair;

    assert_true(connect_to(f, &cert, NAME, &pair));

    assert_null(SSL_get0_peer_certificate(pair.server));
    tls_pair_fini(&pair);
    pki_free(&cert);
}

static void test_root_set__other_names__are_refused(void **state)
{
    struct fixture *f = *state;

    assert_refused(f, pki_make_server(&f->root, "DNS:istiod.istio-system.svc.evil.test"), NAME,
                   "certificate: hostname mismatch");
    assert_refused(f, pki_make_server(&f->root, "DNS:istio*.istio-system.svc"), NAME,
                   "certificate: hostname mismatch");
    assert_refused(f, pki_make_server(&f->root, "IP:10.0.0.1"), "10.0.0.2",
                   "certificate: IP address mismatch");
}

static void test_root_set__other_certificates__are_refused(void **state)
{
    struct fixture *f = *state;
    struct pki_cert foreign_root = pki_make_root("foreign root");

    assert_refused(f, pki_make_server(&foreign_root, "DNS:" NAME), NAME,
                   "certificate: unable to get local issuer certificate");
    assert_refused(f, pki_make_server(NULL, "DNS:" NAME), NAME,
                   "certificate: self-signed certificate");
    assert_refused(
        f,
        pki_make(&f->root,
                 &(struct pki_spec){.san = "DNS:" NAME, .from_s = -2 * DAY_S, .to_s = -60}),
        NAME, "certificate: certificate has expired");
    assert_refused(
        f, pki_make(&f->root, &(struct pki_spec){.san = "DNS:" NAME, .ext_usage = "clientAuth"}),
        NAME, "certificate: unsuitable certificate purpose");

    pki_free(&foreign_root);
}

static void test_root_set__wildcard_and_address__fit(void **state)
{
    struct fixture *f = *state;
    static const char *const rows[][2] = {{"DNS:*.istio-system.svc", NAME},
                                          {"IP:10.0.0.11", "10.0.0.11"},
                                          {"IP:fd00::11", "fd00::11"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct pki_cert cert = pki_make_server(&f->root, rows[i][0]);
        struct tls_pair pair;
        assert_true(connect_to(f, &cert, rows[i][1], &pair));
        const char *sni = SSL_get_servername(pair.server, TLSEXT_NAMETYPE_host_name);
        assert_int_equal(sni != NULL, i == 0);
        tls_pair_fini(&pair);
        pki_free(&cert);
    }
}

static void test_root_set__server_without_alpn__is_noticed(void **state)
{
    struct fixture *f = *state;
    struct pki_cert cert = pki_make_server(&f->root, "DNS:" NAME);
    struct tls_pair pair;

    tls_pair_init(&pair, root_set_new_ssl(f->roots, NAME), new_server(&cert, false));
    assert_true(tls_pair_handshake(&pair));

    assert_false(root_set_alpn_is_h2(pair.client));
    tls_pair_fini(&pair);
    pki_free(&cert);
}

static void test_root_set__set_is_gone_before_the_handshake__connection_still_works(void **state)
{
    struct fixture *f = *state;
    struct pki_cert cert = pki_make_server(&f->root, "DNS:" NAME);
    struct root_set *other = root_set_ref(f->roots);
    struct tls_pair pair;

    tls_pair_init(&pair, root_set_new_ssl(f->roots, NAME), new_server(&cert, true));
    root_set_unref(&other);
    root_set_unref(&f->roots);
    root_set_unref(&f->roots);

    assert_true(tls_pair_handshake(&pair));
    tls_pair_fini(&pair);
    pki_free(&cert);
}

static void
test_root_set__two_roots_of_a_rotation__both_are_believed_until_the_last_ends(void **state)
{
    struct fixture *f = *state;
    struct pki_cert next = pki_make(NULL, &(struct pki_spec){.name = "next root",
                                                             .ca = true,
                                                             .usage = "critical,keyCertSign",
                                                             .to_s = 700 * DAY_S});
    const struct pki_cert *const orders[][2] = {{&f->root, &next}, {&next, &f->root}};
    struct cert_error err;

    for (size_t i = 0; i < 2; i++) {
        pki_write_certs(f->file, orders[i], 2);
        root_set_unref(&f->roots);
        assert_int_equal(root_set_load(f->file, &f->roots, &err), RC_OK);
        for (size_t k = 0; k < 2; k++) {
            struct pki_cert cert = pki_make_server(orders[i][k], "DNS:" NAME);
            struct tls_pair pair;
            assert_true(connect_to(f, &cert, NAME, &pair));
            tls_pair_fini(&pair);
            pki_free(&cert);
        }
        assert_in_range(root_set_expiry(f->roots), clock_wall() + 699 * DAY_S,
                        clock_wall() + 700 * DAY_S);
    }
    pki_free(&next);
}

#define ROOT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOT_TEST(test_root_set__istiod__is_believed),
        ROOT_TEST(test_root_set__two_roots_of_a_rotation__both_are_believed_until_the_last_ends),
        ROOT_TEST(test_root_set__server_asks_for_a_certificate__gets_none),
        ROOT_TEST(test_root_set__other_names__are_refused),
        ROOT_TEST(test_root_set__other_certificates__are_refused),
        ROOT_TEST(test_root_set__wildcard_and_address__fit),
        ROOT_TEST(test_root_set__server_without_alpn__is_noticed),
        ROOT_TEST(test_root_set__set_is_gone_before_the_handshake__connection_still_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
