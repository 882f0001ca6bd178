/* SPDX-License-Identifier: Apache-2.0 */
/* Who may come in: client certificates and ALPN, by real handshakes in memory. */
#include "certs/cert_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/certs/cert_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define DAY_S (24L * 3600L)
#define ALERT_NO_APPLICATION_PROTOCOL 120

/* ---- who may come in ---- */

static void test_cert_set__certificate_of_a_vm__gives_its_identity(void **state)
{
    struct cert_fixture *f = *state;

    cert_fixture_accepted(f->set, (struct client_opts){.cert = &f->vm},
                          "spiffe://cluster.local/ns/vms/sa/web");
}

static void test_cert_set__no_client_certificate__is_anonymous(void **state)
{
    struct cert_fixture *f = *state;

    cert_fixture_accepted(f->set, (struct client_opts){0}, NULL);
}

static void test_cert_set__chain_found_bad_after_all__gives_no_identity(void **state)
{
    struct cert_fixture *f = *state;
    const struct client_opts o = {.cert = &f->vm};
    struct tls_pair pair;

    assert_true(cert_fixture_connect(f->set, &o, &pair));
    cert_fixture_known(&pair, "spiffe://cluster.local/ns/vms/sa/web");
    SSL_set_verify_result(pair.server, X509_V_ERR_CERT_REVOKED);

    cert_fixture_known(&pair, NULL);
    tls_pair_fini(&pair);
}

static void test_cert_set__harmless_differences__are_accepted(void **state)
{
    struct cert_fixture *f = *state;
    const char *const san = "URI:spiffe://cluster.local/ns/other/sa/db";
    const struct pki_spec specs[] = {
        {.san = san},
        {.san = san, .usage = "digitalSignature"},
        {.san = san, .ext_usage = "clientAuth"},
        {.san = san, .ext_usage = "anyExtendedKeyUsage,clientAuth"},
        {.san = "DNS:vm1.example,URI:spiffe://cluster.local/ns/other/sa/db,IP:10.0.0.1"},
        {.san = san, .name = "vm1", .rsa = true},
    };

    for (size_t i = 0; i < COUNT(specs); i++) {
        struct pki_cert c = pki_make(&f->root, &specs[i]);
        cert_fixture_accepted(f->set, (struct client_opts){.cert = &c}, san + strlen("URI:"));
        pki_free(&c);
    }
}

static void test_cert_set__other_identities__are_refused(void **state)
{
    static const struct {
        const char *san;
        const char *reason;
    } rows[] = {
        {"URI:spiffe://other.local/ns/vms/sa/web",
         "the certificate is of trust domain other.local, not cluster.local"},
        {"URI:spiffe://cluster.local.evil/ns/vms/sa/web",
         "the certificate is of trust domain cluster.local.evil, not cluster.local"},
        {"URI:spiffe://cluster.local/ns/istio-system/sa/istiod",
         "ns/istio-system/sa/istiod is not in vm_identities"},
        {"URI:spiffe://cluster.local/ns/other/sa/web", "ns/other/sa/web is not in vm_identities"},
        {"URI:spiffe://cluster.local/ns/vms/sa/web,URI:spiffe://cluster.local/ns/vms/sa/web",
         "the certificate has more than one URI SAN"},
        {"URI:spiffe://cluster.local/ns/vms/sa/web,URI:https://example.test/",
         "the certificate has more than one URI SAN"},
        {"URI:https://example.test/",
         "the URI SAN of the certificate is no identity of a workload"},
        {"URI:spiffe://cluster.local/ns/vms/sa/web/more",
         "the URI SAN of the certificate is no identity of a workload"},
        {"DNS:vm1.example", "the certificate has no URI SAN"},
        {NULL, "the certificate has no URI SAN"},
    };
    struct cert_fixture *f = *state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct pki_cert c =
            pki_make(&f->root, &(struct pki_spec){.name = "vm", .san = rows[i].san});
        cert_fixture_refused(f->set, (struct client_opts){.cert = &c}, rows[i].reason);
        pki_free(&c);
    }
}

static void test_cert_set__certificates_for_other_uses__are_refused(void **state)
{
    struct cert_fixture *f = *state;
    const char *const san = "URI:spiffe://cluster.local/ns/vms/sa/web";
    const struct {
        struct pki_spec spec;
        const char *reason;
    } rows[] = {
        {{.san = san, .ext_usage = "serverAuth"}, "certificate: unsuitable certificate purpose"},
        {{.san = san, .ext_usage = "codeSigning"}, "certificate: unsuitable certificate purpose"},
        {{.san = san, .usage = "keyCertSign"}, "certificate: unsuitable certificate purpose"},
        {{.san = san, .usage = "keyAgreement"},
         "the certificate is not for signatures (key usage)"},
        {{.san = san, .ca = true, .usage = "digitalSignature,keyCertSign"},
         "the certificate is one of a certificate authority"},
        {{.san = san, .from_s = -2 * DAY_S, .to_s = -60}, "certificate: certificate has expired"},
        {{.san = san, .from_s = 3600}, "certificate: certificate is not yet valid"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct pki_cert c = pki_make(&f->root, &rows[i].spec);
        cert_fixture_refused(f->set, (struct client_opts){.cert = &c}, rows[i].reason);
        pki_free(&c);
    }
}

static void test_cert_set__unknown_issuers__are_refused(void **state)
{
    struct cert_fixture *f = *state;
    const struct pki_spec spec = {.name = "vm", .san = "URI:spiffe://cluster.local/ns/vms/sa/web"};
    struct pki_cert foreign = pki_make(&f->foreign_root, &spec);
    struct pki_cert self_signed = pki_make(NULL, &spec);
    struct pki_cert impostor_root = pki_make_root("cluster root");
    struct pki_cert impostor = pki_make(&impostor_root, &spec);

    cert_fixture_refused(f->set, (struct client_opts){.cert = &foreign},
                         "certificate: unable to get local issuer certificate");
    cert_fixture_refused(f->set,
                         (struct client_opts){.cert = &foreign, .intermediate = &f->foreign_root},
                         "certificate chain: self-signed certificate in certificate chain "
                         "(certificate 1 above the peer's)");
    cert_fixture_refused(f->set, (struct client_opts){.cert = &self_signed},
                         "certificate: self-signed certificate");
    cert_fixture_refused(f->set, (struct client_opts){.cert = &impostor},
                         "certificate: certificate signature failure");

    pki_free(&foreign);
    pki_free(&self_signed);
    pki_free(&impostor);
    pki_free(&impostor_root);
}

static void test_cert_set__chain_over_an_intermediate__needs_all_of_it(void **state)
{
    struct cert_fixture *f = *state;
    struct pki_cert middle = cert_fixture_intermediate(f, NULL);
    struct pki_cert vm = pki_make_workload(&middle, "URI:spiffe://cluster.local/ns/vms/sa/web");

    cert_fixture_accepted(f->set, (struct client_opts){.cert = &vm, .intermediate = &middle},
                          "spiffe://cluster.local/ns/vms/sa/web");
    cert_fixture_refused(f->set, (struct client_opts){.cert = &vm},
                         "certificate: unable to get local issuer certificate");

    pki_free(&vm);
    pki_free(&middle);
}

static void test_cert_set__leaf_as_an_issuer__is_refused(void **state)
{
    struct cert_fixture *f = *state;
    struct pki_cert vm =
        pki_make(&f->vm, &(struct pki_spec){.san = "URI:spiffe://cluster.local/ns/vms/sa/db"});

    struct tls_pair pair;
    const struct client_opts o = {.cert = &vm, .intermediate = &f->vm};
    assert_false(cert_fixture_connect(f->set, &o, &pair));
    assert_string_not_equal(cert_set_peer_error(pair.server), "");

    tls_pair_fini(&pair);
    pki_free(&vm);
}

static void test_cert_set__name_constraints_of_the_issuer__count(void **state)
{
    struct cert_fixture *f = *state;
    struct pki_cert middle = cert_fixture_intermediate(f, "critical,permitted;URI:other.local");
    struct pki_cert vm = pki_make_workload(&middle, "URI:spiffe://cluster.local/ns/vms/sa/web");

    cert_fixture_refused(f->set, (struct client_opts){.cert = &vm, .intermediate = &middle},
                         "certificate: permitted subtree violation");

    pki_free(&vm);
    pki_free(&middle);
}

static void test_cert_set__intermediate_as_root_file__is_an_anchor(void **state)
{
    struct cert_fixture *f = *state;
    struct pki_cert middle = cert_fixture_intermediate(f, NULL);
    struct pki_cert vm = pki_make_workload(&middle, "URI:spiffe://cluster.local/ns/vms/sa/web");
    const char *const roots[] = {f->root_file, NULL};

    pki_write_cert(f->root_file, &middle);
    struct cert_set *set = cert_fixture_load(f, roots);
    cert_fixture_accepted(set, (struct client_opts){.cert = &vm},
                          "spiffe://cluster.local/ns/vms/sa/web");
    cert_fixture_refused(set, (struct client_opts){.cert = &f->vm},
                         "certificate: unable to get local issuer certificate");

    cert_set_unref(&set);
    pki_free(&vm);
    pki_free(&middle);
}

static void test_cert_set__several_roots__are_all_trusted(void **state)
{
    struct cert_fixture *f = *state;
    const struct pki_cert *const both[] = {&f->root, &f->foreign_root};
    struct pki_cert vm2 =
        pki_make_workload(&f->foreign_root, "URI:spiffe://cluster.local/ns/vms/sa/web");
    const char *const roots[] = {f->root_file, f->root_file, NULL};

    pki_write_certs(f->root_file, both, 2);
    struct cert_set *set = cert_fixture_load(f, roots);
    cert_fixture_accepted(set, (struct client_opts){.cert = &f->vm},
                          "spiffe://cluster.local/ns/vms/sa/web");
    cert_fixture_accepted(set, (struct client_opts){.cert = &vm2},
                          "spiffe://cluster.local/ns/vms/sa/web");

    cert_set_unref(&set);
    pki_free(&vm2);
}

static void test_cert_set__no_roots__refuses_every_certificate(void **state)
{
    struct cert_fixture *f = *state;
    const char *const none[] = {NULL};
    struct cert_set *set = cert_fixture_load(f, none);

    cert_fixture_accepted(set, (struct client_opts){0}, NULL);
    cert_fixture_refused(set, (struct client_opts){.cert = &f->vm},
                         "certificate: unable to get local issuer certificate");

    cert_set_unref(&set);
}

/* ---- ALPN ---- */

static void test_cert_set__no_alpn__is_refused(void **state)
{
    struct cert_fixture *f = *state;
    struct tls_pair pair;
    const struct client_opts o = {.no_alpn = true};

    cert_fixture_refused(f->set, o, "the client offers no ALPN protocol; h2 is needed");
    assert_false(cert_fixture_connect(f->set, &o, &pair));
    assert_int_equal(pair.client_alert, ALERT_NO_APPLICATION_PROTOCOL);
    tls_pair_fini(&pair);
}

static void test_cert_set__alpn_without_h2__is_refused(void **state)
{
    static const unsigned char http[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
    static const unsigned char near[] = {3, 'h', '2', 'c', 1, 'h', 2, 'H', '2', 2, 'h', '3'};
    struct cert_fixture *f = *state;
    struct tls_pair pair;
    const struct client_opts o = {.alpn = http, .n_alpn = sizeof(http)};

    cert_fixture_refused(f->set, o, "the client does not offer ALPN protocol h2");
    cert_fixture_refused(f->set, (struct client_opts){.alpn = near, .n_alpn = sizeof(near)},
                         "the client does not offer ALPN protocol h2");
    assert_false(cert_fixture_connect(f->set, &o, &pair));
    assert_int_equal(pair.client_alert, ALERT_NO_APPLICATION_PROTOCOL);
    tls_pair_fini(&pair);
}

static void test_cert_set__h2_among_others__is_chosen(void **state)
{
    static const unsigned char list[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1', 2, 'h', '2'};
    struct cert_fixture *f = *state;

    cert_fixture_accepted(f->set, (struct client_opts){.alpn = list, .n_alpn = sizeof(list)}, NULL);
}

#define CERT_TEST(name) \
    cmocka_unit_test_setup_teardown(name, cert_fixture_setup, cert_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CERT_TEST(test_cert_set__certificate_of_a_vm__gives_its_identity),
        CERT_TEST(test_cert_set__no_client_certificate__is_anonymous),
        CERT_TEST(test_cert_set__chain_found_bad_after_all__gives_no_identity),
        CERT_TEST(test_cert_set__harmless_differences__are_accepted),
        CERT_TEST(test_cert_set__other_identities__are_refused),
        CERT_TEST(test_cert_set__certificates_for_other_uses__are_refused),
        CERT_TEST(test_cert_set__unknown_issuers__are_refused),
        CERT_TEST(test_cert_set__chain_over_an_intermediate__needs_all_of_it),
        CERT_TEST(test_cert_set__leaf_as_an_issuer__is_refused),
        CERT_TEST(test_cert_set__name_constraints_of_the_issuer__count),
        CERT_TEST(test_cert_set__intermediate_as_root_file__is_an_anchor),
        CERT_TEST(test_cert_set__several_roots__are_all_trusted),
        CERT_TEST(test_cert_set__no_roots__refuses_every_certificate),
        CERT_TEST(test_cert_set__no_alpn__is_refused),
        CERT_TEST(test_cert_set__alpn_without_h2__is_refused),
        CERT_TEST(test_cert_set__h2_among_others__is_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
