/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of a VM's certificate when its SSL is gone. */
#include "certs/cert_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <malloc.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/certs/cert_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define VM_URI "spiffe://cluster.local/ns/vms/sa/web"

/* A handshake, what is taken of it, and no SSL any more. Owned. */
static struct cert_peer *take(const struct cert_fixture *f, struct client_opts o, int version)
{
    struct cert_peer *peer = NULL;
    struct tls_pair pair;

    o.max_version = version;
    assert_true(cert_fixture_connect(f->set, &o, &pair));
    assert_int_equal(cert_peer_take(pair.server, &peer), RC_OK);
    tls_pair_fini(&pair);
    return peer;
}

static void denied(const struct cert_set *set, const struct cert_peer *peer, const char *reason)
{
    char why[CERT_WHY_BYTES] = "";

    assert_int_equal(cert_set_check_again(set, peer, why, sizeof(why)), RC_PEER_DENIED);
    assert_string_equal(why, reason);
}

static void accepted(const struct cert_set *set, const struct cert_peer *peer)
{
    char why[CERT_WHY_BYTES] = "";

    if (cert_set_check_again(set, peer, why, sizeof(why)) != RC_OK) {
        fail_msg("refused: %s", why);
    }
}

/* The serving files with other rules for VMs. Owned. */
static struct cert_set *load(const struct cert_fixture *f, const char *trust_domain,
                             const char *identity)
{
    const char *const identities[] = {identity, NULL};
    const char *const roots[] = {f->root_file, NULL};
    const struct cert_pair_files pair = {f->chain_file[0], f->key_file[0]};
    const struct cert_set_opts opts = {.pairs = &pair,
                                       .n_pairs = 1,
                                       .client_roots = roots,
                                       .trust_domain = trust_domain,
                                       .vm_identities = identities};
    struct cert_set *set = NULL;
    struct cert_error err;

    assert_int_equal(cert_set_load(&opts, &set, &err), RC_OK);
    return set;
}

static void test_cert_peer__connection_is_gone__knows_identity_and_last_day(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct cert_fixture *f = *state;
    struct tm tm;

    assert_int_equal(ASN1_TIME_to_tm(X509_get0_notAfter(f->vm.x), &tm), 1);
    for (size_t i = 0; i < COUNT(versions); i++) {
        struct cert_peer *peer = take(f, (struct client_opts){.cert = &f->vm}, versions[i]);

        assert_string_equal(cert_peer_identity(peer), VM_URI);
        assert_int_equal(cert_peer_expiry(peer), timegm(&tm));
        accepted(f->set, peer);

        cert_peer_free(&peer);
        assert_null(peer);
        cert_peer_free(&peer);
    }
}

static void test_cert_peer__handshake_not_over_or_no_certificate__is_not_found(void **state)
{
    struct cert_fixture *f = *state;
    SSL *fresh = cert_set_new_ssl(f->set);
    struct cert_peer *peer = NULL;
    struct tls_pair pair;

    assert_int_equal(cert_peer_take(fresh, &peer), RC_NOT_FOUND);
    SSL_free(fresh);
    assert_true(cert_fixture_connect(f->set, &(struct client_opts){0}, &pair));
    assert_int_equal(cert_peer_take(pair.server, &peer), RC_NOT_FOUND);
    assert_null(peer);
    tls_pair_fini(&pair);
}

static void test_cert_peer__rules_have_changed__says_what_is_wrong(void **state)
{
    struct cert_fixture *f = *state;
    struct cert_peer *peer = take(f, (struct client_opts){.cert = &f->vm}, 0);
    struct cert_set *other_domain = load(f, "other.local", "ns/vms/sa/*");
    struct cert_set *other_vms = load(f, "cluster.local", "ns/vms/sa/db");
    char cut[8];

    denied(other_domain, peer, "the certificate is of trust domain cluster.local, not other.local");
    denied(other_vms, peer, "ns/vms/sa/web is not in vm_identities");
    assert_int_equal(cert_set_check_again(other_vms, peer, cut, sizeof(cut)), RC_PEER_DENIED);
    assert_string_equal(cut, "ns/vms/");

    cert_set_unref(&other_vms);
    cert_set_unref(&other_domain);
    cert_peer_free(&peer);
}

static void test_cert_peer__roots_have_changed__is_denied(void **state)
{
    struct cert_fixture *f = *state;
    const char *const roots[] = {f->root_file, NULL};
    struct cert_peer *peer = take(f, (struct client_opts){.cert = &f->vm}, 0);

    pki_write_cert(f->root_file, &f->foreign_root);
    struct cert_set *set = cert_fixture_load(f, roots);
    denied(set, peer, "certificate: unable to get local issuer certificate");

    cert_set_unref(&set);
    cert_peer_free(&peer);
}

/* The way from the leaf to an anchor of a later day leads over what was shown. */
static void test_cert_peer__chain_over_an_intermediate__is_kept(void **state)
{
    struct cert_fixture *f = *state;
    struct pki_cert middle = cert_fixture_intermediate(f, NULL);
    struct pki_cert vm = pki_make_workload(&middle, "URI:" VM_URI);
    struct cert_peer *peer = take(f, (struct client_opts){.cert = &vm, .intermediate = &middle}, 0);
    const char *const roots[] = {f->root_file, NULL};

    accepted(f->set, peer);
    pki_write_cert(f->root_file, &middle);
    struct cert_set *set = cert_fixture_load(f, roots);
    accepted(set, peer);

    cert_set_unref(&set);
    cert_peer_free(&peer);
    pki_free(&vm);
    pki_free(&middle);
}

static void test_cert_peer__root_is_shown_too__is_not_kept(void **state)
{
    struct cert_fixture *f = *state;
    const struct client_opts with = {.cert = &f->vm, .intermediate = &f->root};
    struct cert_peer *plain = take(f, (struct client_opts){.cert = &f->vm}, 0);
    struct cert_peer *peer = take(f, with, 0);

    accepted(f->set, peer);
    assert_int_equal(malloc_usable_size(peer), malloc_usable_size(plain));

    cert_peer_free(&peer);
    cert_peer_free(&plain);
}

/* What is kept has an end because the handshake has one. */
static void test_cert_peer__long_chain__is_refused_in_the_handshake(void **state)
{
    struct cert_fixture *f = *state;
    char san[12000];
    size_t n = (size_t)snprintf(san, sizeof(san), "URI:" VM_URI);
    const struct pki_spec spec = {.name = "long", .san = san, .ca = true};

    while (n < sizeof(san) - 16) {
        n += (size_t)snprintf(san + n, sizeof(san) - n, ",DNS:a%zu.test", n);
    }
    struct pki_cert vm = pki_make(&f->root, &(struct pki_spec){.san = san});
    struct pki_cert middle = pki_make(&f->root, &spec);
    struct cert_peer *peer = take(f, (struct client_opts){.cert = &vm}, 0);
    struct tls_pair pair;

    accepted(f->set, peer);
    assert_true(malloc_usable_size(peer) > 8000);
    const struct client_opts o = {.cert = &vm, .intermediate = &middle};
    assert_false(cert_fixture_connect(f->set, &o, &pair));
    assert_false(SSL_is_init_finished(pair.server));

    tls_pair_fini(&pair);
    cert_peer_free(&peer);
    pki_free(&middle);
    pki_free(&vm);
}

#define CERT_TEST(name) \
    cmocka_unit_test_setup_teardown(name, cert_fixture_setup, cert_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CERT_TEST(test_cert_peer__connection_is_gone__knows_identity_and_last_day),
        CERT_TEST(test_cert_peer__handshake_not_over_or_no_certificate__is_not_found),
        CERT_TEST(test_cert_peer__rules_have_changed__says_what_is_wrong),
        CERT_TEST(test_cert_peer__roots_have_changed__is_denied),
        CERT_TEST(test_cert_peer__chain_over_an_intermediate__is_kept),
        CERT_TEST(test_cert_peer__root_is_shown_too__is_not_kept),
        CERT_TEST(test_cert_peer__long_chain__is_refused_in_the_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
