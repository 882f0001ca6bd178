/* SPDX-License-Identifier: Apache-2.0 */
/* What the server side shows and how it behaves, by real handshakes in memory. */
#include "certs/cert_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <pthread.h>
#include <time.h>

#include <cmocka.h>

#include "tests/certs/cert_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define VM_URI "spiffe://cluster.local/ns/vms/sa/web"

/* ---- the certificate we show ---- */

static void test_cert_set__server_name__chooses_the_certificate(void **state)
{
    static const struct {
        const char *sni;
        size_t server;
    } rows[] = {
        {NULL, 0},
        {"istiod.istio-system.svc", 0},
        {"ISTIOD.istio-system.SVC", 0},
        {"unknown.test", 0},
        {"a.example.test", 1},
        {"A.Example.Test", 1},
        {"a.example.test.", 1},
        {"a.b.example.test", 0},
        {"example.test", 0},
        {"canary.example.test", 2}, /* exact goes before the wildcard that stands first */
        {"Canary.Example.test", 2},
    };
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct cert_fixture *f = *state;

    for (size_t i = 0; i < COUNT(rows) * COUNT(versions); i++) {
        struct tls_pair pair;
        size_t row = i / COUNT(versions);
        const struct client_opts o = {
            .cert = &f->vm, .sni = rows[row].sni, .max_version = versions[i % COUNT(versions)]};
        assert_true(cert_fixture_connect(f->set, &o, &pair));
        X509 *shown = SSL_get0_peer_certificate(pair.client);
        if (X509_cmp(shown, f->server[rows[row].server].x) != 0) {
            fail_msg("wrong certificate for %s", o.sni);
        }
        tls_pair_fini(&pair);
    }
}

static void test_cert_set__bad_certificate_under_another_name__is_refused_as_well(void **state)
{
    struct cert_fixture *f = *state;
    struct pki_cert c = pki_make_workload(&f->root, "URI:spiffe://other.local/ns/vms/sa/web");

    cert_fixture_refused(f->set, (struct client_opts){.cert = &c, .sni = "canary.example.test"},
                         "the certificate is of trust domain other.local, not cluster.local");
    cert_fixture_refused(f->set,
                         (struct client_opts){.no_alpn = true, .sni = "canary.example.test"},
                         "the client offers no ALPN protocol; h2 is needed");

    pki_free(&c);
}

static void test_cert_set__hello_retry__keeps_the_chosen_certificate(void **state)
{
    struct cert_fixture *f = *state;
    struct tls_pair pair;
    SSL *client = cert_fixture_client(
        &(struct client_opts){.cert = &f->vm, .sni = "canary.example.test", .min_version = 0x0304});

    /* The first share is of a group the server does not have. */
    assert_int_equal(SSL_set1_groups_list(client, "X448:P-256"), 1);
    tls_pair_init(&pair, client, cert_set_new_ssl(f->set));

    assert_true(tls_pair_handshake(&pair));
    assert_int_equal(X509_cmp(SSL_get0_peer_certificate(client), f->server[2].x), 0);
    cert_fixture_known(&pair, VM_URI);
    tls_pair_fini(&pair);
}

static void test_cert_set__chain_file__is_sent_whole(void **state)
{
    struct cert_fixture *f = *state;
    struct pki_cert middle = cert_fixture_intermediate(f, NULL);
    struct pki_cert server = pki_make_server(&middle, "DNS:istiod.istio-system.svc");
    const struct pki_cert *const chain[] = {&server, &middle, &f->root};
    const char *const roots[] = {f->root_file, NULL};
    struct tls_pair pair;

    pki_write_certs(f->chain_file[0], chain, 3);
    pki_write_key(f->key_file[0], &server, NULL);
    struct cert_set *set = cert_fixture_load(f, roots);
    assert_true(cert_fixture_connect(set, &(struct client_opts){0}, &pair));
    assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(pair.client)), 3);

    tls_pair_fini(&pair);
    cert_set_unref(&set);
    pki_free(&server);
    pki_free(&middle);
}

static void test_cert_set__expiry__is_the_first_of_all(void **state)
{
    struct cert_fixture *f = *state;
    const char *const roots[] = {f->root_file, NULL};
    int64_t before = cert_set_expiry(f->set);
    struct pki_cert soon = pki_make(
        &f->root, &(struct pki_spec){.san = "DNS:a", .ext_usage = "serverAuth", .to_s = 3600});
    struct tm tm;

    pki_write_cert(f->chain_file[1], &soon);
    pki_write_key(f->key_file[1], &soon, NULL);
    struct cert_set *set = cert_fixture_load(f, roots);

    assert_int_equal(ASN1_TIME_to_tm(X509_get0_notAfter(soon.x), &tm), 1);
    assert_int_equal(cert_set_expiry(set), timegm(&tm));
    assert_true(cert_set_expiry(set) < before);
    cert_set_unref(&set);
    pki_free(&soon);
}

/* ---- the protocol ---- */

static void test_cert_set__old_versions_and_ciphers__are_refused(void **state)
{
    static const struct client_opts rows[] = {
        {.max_version = TLS1_1_VERSION},
        {.max_version = TLS1_2_VERSION, .ciphers = "AES128-SHA"},
        {.max_version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-SHA256"},
        {.max_version = TLS1_2_VERSION, .ciphers = "DHE-RSA-AES128-GCM-SHA256"},
    };
    struct cert_fixture *f = *state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tls_pair pair;
        assert_false(cert_fixture_connect(f->set, &rows[i], &pair));
        assert_true(pair.client_alert >= 0);
        assert_string_equal(cert_set_peer_error(pair.server), "");
        tls_pair_fini(&pair);
    }
}

static void test_cert_set__second_connection__is_never_resumed(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct cert_fixture *f = *state;

    for (size_t i = 0; i < COUNT(versions); i++) {
        const struct client_opts o = {.cert = &f->vm, .max_version = versions[i]};
        struct tls_pair pair;
        assert_true(cert_fixture_connect(f->set, &o, &pair));
        SSL_SESSION *session = SSL_get1_session(pair.client);
        assert_false(SSL_SESSION_has_ticket(session));
        assert_false(SSL_SESSION_is_resumable(session));
        tls_pair_fini(&pair);

        SSL *client = cert_fixture_client(&o);
        assert_int_equal(SSL_set_session(client, session), 1);
        tls_pair_init(&pair, client, cert_set_new_ssl(f->set));
        assert_true(tls_pair_handshake(&pair));
        assert_false(SSL_session_reused(client));
        cert_fixture_known(&pair, VM_URI);
        tls_pair_fini(&pair);
        SSL_SESSION_free(session);
    }
}

static void test_cert_set__renegotiation__is_refused(void **state)
{
    struct cert_fixture *f = *state;
    const struct client_opts o = {.cert = &f->vm, .max_version = TLS1_2_VERSION};
    struct tls_pair pair;
    char byte;

    assert_true(cert_fixture_connect(f->set, &o, &pair));
    assert_int_equal(SSL_renegotiate(pair.client), 1);
    (void)SSL_do_handshake(pair.client);
    assert_int_equal(SSL_peek(pair.server, &byte, 1), -1);
    (void)SSL_do_handshake(pair.client);

    assert_int_equal(pair.client_alert, SSL_AD_NO_RENEGOTIATION);
    tls_pair_fini(&pair);
}

static void test_cert_set__certificate_request__names_no_authority(void **state)
{
    struct cert_fixture *f = *state;
    const struct client_opts o = {.cert = &f->vm};
    struct tls_pair pair;

    assert_true(cert_fixture_connect(f->set, &o, &pair));

    assert_true(sk_X509_NAME_num(SSL_get0_peer_CA_list(pair.client)) <= 0);
    tls_pair_fini(&pair);
}

static void test_cert_set__modes__are_those_of_many_idle_connections(void **state)
{
    struct cert_fixture *f = *state;
    const long want = SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER;
    SSL *ssl = cert_set_new_ssl(f->set);

    assert_non_null(ssl);
    assert_int_equal(SSL_get_mode(ssl) & want, want);
    assert_int_equal(SSL_get_max_early_data(ssl), 0);
    assert_int_equal(SSL_get_min_proto_version(ssl), TLS1_2_VERSION);
    assert_string_equal(cert_set_peer_error(ssl), "");
    SSL_free(ssl);
}

/* ---- life ---- */

static void test_cert_set__set_is_gone_before_the_handshake__connection_still_works(void **state)
{
    struct cert_fixture *f = *state;
    const struct client_opts o = {.cert = &f->vm, .sni = "canary.example.test"};
    struct tls_pair pair;

    tls_pair_init(&pair, cert_fixture_client(&o), cert_set_new_ssl(f->set));
    cert_set_unref(&f->set);
    assert_null(f->set);
    cert_set_unref(&f->set);

    assert_true(tls_pair_handshake(&pair));
    cert_fixture_known(&pair, VM_URI);
    tls_pair_fini(&pair);
}

struct thread_arg {
    struct cert_set *set; /* a reference of its own */
    const struct pki_cert *vm;
    int good;
};

#define HANDSHAKES_PER_THREAD 10

static void *shake_hands(void *p)
{
    struct thread_arg *arg = p;

    for (int i = 0; i < HANDSHAKES_PER_THREAD; i++) {
        const struct client_opts o = {
            .cert = arg->vm, .sni = i % 2 == 0 ? "canary.example.test" : NULL, .no_alpn = i == 5};
        struct tls_pair pair;
        arg->good += cert_fixture_connect(arg->set, &o, &pair) ? 1 : 0;
        tls_pair_fini(&pair);
    }
    cert_set_unref(&arg->set);
    return NULL;
}

static void test_cert_set__threads_share_a_set__all_handshakes_work(void **state)
{
    struct cert_fixture *f = *state;
    struct thread_arg args[3];
    pthread_t threads[COUNT(args)];

    for (size_t i = 0; i < COUNT(args); i++) {
        args[i] = (struct thread_arg){.set = cert_set_ref(f->set), .vm = &f->vm};
        assert_int_equal(pthread_create(&threads[i], NULL, shake_hands, &args[i]), 0);
    }
    cert_set_unref(&f->set);
    for (size_t i = 0; i < COUNT(args); i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(args[i].good, HANDSHAKES_PER_THREAD - 1);
    }
}

#define CERT_TEST(name) \
    cmocka_unit_test_setup_teardown(name, cert_fixture_setup, cert_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CERT_TEST(test_cert_set__server_name__chooses_the_certificate),
        CERT_TEST(test_cert_set__bad_certificate_under_another_name__is_refused_as_well),
        CERT_TEST(test_cert_set__hello_retry__keeps_the_chosen_certificate),
        CERT_TEST(test_cert_set__chain_file__is_sent_whole),
        CERT_TEST(test_cert_set__expiry__is_the_first_of_all),
        CERT_TEST(test_cert_set__old_versions_and_ciphers__are_refused),
        CERT_TEST(test_cert_set__second_connection__is_never_resumed),
        CERT_TEST(test_cert_set__renegotiation__is_refused),
        CERT_TEST(test_cert_set__certificate_request__names_no_authority),
        CERT_TEST(test_cert_set__modes__are_those_of_many_idle_connections),
        CERT_TEST(test_cert_set__set_is_gone_before_the_handshake__connection_still_works),
        CERT_TEST(test_cert_set__threads_share_a_set__all_handshakes_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
