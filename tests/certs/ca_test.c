/* SPDX-License-Identifier: Apache-2.0 */
/* An authority is read and signs; the daemon serves what it signed, and its client side, which
 * checks as a VM does, believes it. */
#include "certs/ca.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "certs/cert_time.h"
#include "core/base/clock.h"
#include "core/base/file_put.h"
#include "tests/certs/ca_fixture.h"
#include "tests/support/tls_pair.h"

/* ---- signing ---- */

static struct ca_issued issue(const struct ca *ca, const char *const *names, size_t n,
                              enum ca_key key)
{
    const struct ca_request request = {
        .names = names, .n_names = n, .key = key, .validity_s = 90 * DAY_S};
    struct ca_issued issued;
    struct cert_error err;

    if (ca_issue(ca, &request, &issued, &err) != RC_OK) {
        fail_msg("not signed: %s", err.text);
    }
    return issued;
}

static struct ca_issued issue_one(const struct ca *ca)
{
    static const char *const names[] = {NAME};

    return issue(ca, names, 1, CA_KEY_P256);
}

static void assert_not_signed(const struct ca *ca, struct ca_request request, enum cert_blame blame,
                              const char *text)
{
    struct ca_issued issued = {.to = 7};
    struct cert_error err;

    assert_int_equal(ca_issue(ca, &request, &issued, &err), RC_INVALID);
    if (strstr(err.text, text) == NULL) {
        fail_msg("\"%s\" instead of \"%s\"", err.text, text);
    }
    assert_int_equal(err.blame, blame);
    assert_int_equal(issued.to, 7);
}

static X509 *read_leaf(const struct cert_bytes *pem)
{
    BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->n);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    BIO_free(bio);
    assert_non_null(x);
    return x;
}

static int count_certs(const struct cert_bytes *pem)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----";
    int n = 0;
    const uint8_t *p = pem->data;

    for (size_t i = 0; i + sizeof(begin) - 1 <= pem->n; i++) {
        n += memcmp(p + i, begin, sizeof(begin) - 1) == 0;
    }
    return n;
}

static void put(const char *path, const struct cert_bytes *b)
{
    const struct file_put file = {path, b->data, b->n, 0600, false};
    size_t failed;

    assert_int_equal(file_put_all(&file, 1, &failed), RC_OK);
}

/* The daemon serves it, a client that knows only `roots` believes it under this name. */
static void assert_believed(const struct ca_fixture *f, const struct ca_issued *i,
                            const struct cert_bytes *roots, const char *name)
{
    put(f->file[1], &i->chain);
    put(f->file[2], &i->key);
    put(f->file[3], roots);
    const struct cert_pair_files pair = {f->file[1], f->file[2]};
    const char *const none[] = {NULL};
    const struct cert_set_opts opts = {.pairs = &pair,
                                       .n_pairs = 1,
                                       .client_roots = none,
                                       .trust_domain = "",
                                       .vm_identities = none};
    struct cert_set *set = NULL;
    struct root_set *client = NULL;
    struct cert_error err;
    struct tls_pair tls;

    if (cert_set_load(&opts, &set, &err) != RC_OK) {
        fail_msg("cannot be served: %s", err.text);
    }
    assert_int_equal(root_set_load(f->file[3], &client, &err), RC_OK);
    tls_pair_init(&tls, root_set_new_ssl(client, name), cert_set_new_ssl(set));
    if (!tls_pair_handshake(&tls)) {
        fail_msg("not believed as %s: %s", name, cert_set_peer_error(tls.client));
    }
    tls_pair_fini(&tls);
    cert_set_unref(&set);
    root_set_unref(&client);
}

static void test_ca__root__signs_what_a_vm_believes(void **state)
{
    struct ca_fixture *f = *state;
    struct ca *ca = ca_fixture_load(ca_fixture_opts(f, &f->root));
    struct ca_issued issued = issue_one(ca);

    assert_believed(f, &issued, &issued.roots, NAME);
    assert_int_equal(count_certs(&issued.chain), 1);
    assert_int_equal(count_certs(&issued.roots), 1);

    ca_issued_fini(&issued);
    ca_free(&ca);
}

static void test_ca__each_kind_of_key__is_served(void **state)
{
    static const char *const names[] = {NAME};
    static const struct {
        enum ca_key kind;
        int type;
        int bits;
    } rows[] = {{CA_KEY_P256, EVP_PKEY_EC, 256},
                {CA_KEY_RSA_2048, EVP_PKEY_RSA, 2048},
                {CA_KEY_RSA_3072, EVP_PKEY_RSA, 3072}};
    struct ca_fixture *f = *state;
    struct ca *ca = ca_fixture_load(ca_fixture_opts(f, &f->root));

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct ca_issued issued = issue(ca, names, 1, rows[i].kind);
        X509 *x = read_leaf(&issued.chain);
        assert_int_equal(EVP_PKEY_get_base_id(X509_get0_pubkey(x)), rows[i].type);
        assert_int_equal(EVP_PKEY_get_bits(X509_get0_pubkey(x)), rows[i].bits);
        assert_believed(f, &issued, &issued.roots, NAME);
        X509_free(x);
        ca_issued_fini(&issued);
    }
    ca_free(&ca);
}

static void test_ca__keys_of_authorities__can_sign(void **state)
{
    struct ca_fixture *f = *state;
    struct pki_cert rsa = ca_fixture_make(NULL, (struct pki_spec){.rsa = true});
    struct ca *ca = ca_fixture_load(ca_fixture_opts(f, &rsa));
    struct ca_issued issued = issue_one(ca);

    assert_believed(f, &issued, &issued.roots, NAME);

    ca_issued_fini(&issued);
    ca_free(&ca);
    pki_free(&rsa);
}

static void test_ca__what_is_signed__is_for_servers_and_not_for_clients(void **state)
{
    struct ca_fixture *f = *state;
    struct ca *ca = ca_fixture_load(ca_fixture_opts(f, &f->root));
    struct ca_issued issued = issue_one(ca);
    struct ca_issued other = issue_one(ca);
    X509 *x = read_leaf(&issued.chain);
    X509 *y = read_leaf(&other.chain);

    assert_int_equal(X509_check_purpose(x, X509_PURPOSE_SSL_SERVER, 0), 1);
    assert_int_equal(X509_check_purpose(x, X509_PURPOSE_SSL_CLIENT, 0), 0);
    assert_int_equal(X509_check_ca(x), 0);
    assert_int_equal(X509_get_key_usage(x), KU_DIGITAL_SIGNATURE);
    assert_int_equal(X509_get_extended_key_usage(x), XKU_SSL_SERVER);
    assert_non_null(X509_get0_subject_key_id(x));
    assert_int_equal(ASN1_INTEGER_cmp(X509_get0_serialNumber(x), X509_get0_serialNumber(y)) != 0,
                     1);
    assert_int_equal(ASN1_STRING_length(X509_get0_serialNumber(x)), 16);

    X509_free(x);
    X509_free(y);
    ca_issued_fini(&issued);
    ca_issued_fini(&other);
    ca_free(&ca);
}

static void test_ca__validity__begins_in_the_past_and_is_what_was_asked(void **state)
{
    struct ca_fixture *f = *state;
    struct ca *ca = ca_fixture_load(ca_fixture_opts(f, &f->root));
    struct ca_issued issued = issue_one(ca);
    X509 *x = read_leaf(&issued.chain);
    int64_t end = clock_wall() + 90 * DAY_S;

    assert_in_range(end - issued.to, 0, 60);
    assert_int_equal(X509_cmp_current_time(X509_get0_notBefore(x)), -1);
    time_t five_minutes_ago = (time_t)(clock_wall() - 300);
    assert_int_equal(X509_cmp_time(X509_get0_notBefore(x), &five_minutes_ago), -1);

    X509_free(x);
    ca_issued_fini(&issued);
    ca_free(&ca);
}

static void test_ca__authority_ends_first__its_end_is_the_end(void **state)
{
    struct ca_fixture *f = *state;
    struct pki_cert below = ca_fixture_make(&f->root, (struct pki_spec){.to_s = 20 * DAY_S});
    struct ca_opts opts = ca_fixture_opts(f, &below);
    opts.roots = ca_fixture_pem_of(f, &f->root);
    struct ca *ca = ca_fixture_load(opts);
    struct ca_issued issued = issue_one(ca);

    assert_int_equal(issued.to, ca_expiry(ca));
    assert_in_range(clock_wall() + 20 * DAY_S - issued.to, 0, 60);

    ca_issued_fini(&issued);
    ca_free(&ca);
    pki_free(&below);
}

static void test_ca__young_authority__what_it_signs_does_not_begin_before_it(void **state)
{
    struct ca_fixture *f = *state;
    struct pki_cert young = ca_fixture_make(NULL, (struct pki_spec){.from_s = -60});
    struct ca *ca = ca_fixture_load(ca_fixture_opts(f, &young));
    struct ca_issued issued = issue_one(ca);
    X509 *x = read_leaf(&issued.chain);

    assert_int_equal(ASN1_TIME_compare(X509_get0_notBefore(x), X509_get0_notBefore(young.x)), 0);

    X509_free(x);
    ca_issued_fini(&issued);
    ca_free(&ca);
    pki_free(&young);
}

static void test_ca__many_names__each_is_believed_and_no_other(void **state)
{
    static const char *const names[] = {NAME,          "istiod-canary.istio-system.svc",
                                        "*.edge.test", "10.0.0.11",
                                        "fd00::11",    "ISTIOD.istio-system.SVC"};
    struct ca_fixture *f = *state;
    struct ca *ca = ca_fixture_load(ca_fixture_opts(f, &f->root));
    struct ca_issued issued = issue(ca, names, 6, CA_KEY_P256);
    X509 *x = read_leaf(&issued.chain);
    GENERAL_NAMES *sans = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);

    assert_int_equal(sk_GENERAL_NAME_num(sans), 5); /* one came twice */
    for (size_t i = 0; i < 2; i++) {
        assert_believed(f, &issued, &issued.roots, names[i]);
    }
    assert_believed(f, &issued, &issued.roots, "one.edge.test");
    assert_believed(f, &issued, &issued.roots, "10.0.0.11");
    assert_believed(f, &issued, &issued.roots, "fd00::11");
    assert_int_equal(X509_check_host(x, "istiod.other.svc", 0, 0, NULL), 0);

    GENERAL_NAMES_free(sans);
    X509_free(x);
    ca_issued_fini(&issued);
    ca_free(&ca);
}

static void test_ca__bad_names__are_blamed_by_their_index(void **state)
{
    static const char *const bad[] = {NAME, "a_b"};
    static const char *const *const none = bad;
    static const char *many[CA_NAMES_MAX + 1];
    struct ca_fixture *f = *state;
    struct ca *ca = ca_fixture_load(ca_fixture_opts(f, &f->root));
    struct ca_request r = {.names = bad, .n_names = 2, .validity_s = DAY_S};
    struct ca_issued issued;
    struct cert_error err;

    assert_int_equal(ca_issue(ca, &r, &issued, &err), RC_INVALID);
    assert_int_equal(err.blame, CERT_BLAME_NAME);
    assert_int_equal(err.index, 1);

    r = (struct ca_request){.names = none, .n_names = 0, .validity_s = DAY_S};
    assert_not_signed(ca, r, CERT_BLAME_NAME, "1 to 64 names");
    for (size_t i = 0; i < CA_NAMES_MAX + 1; i++) {
        many[i] = NAME;
    }
    r = (struct ca_request){.names = many, .n_names = CA_NAMES_MAX + 1, .validity_s = DAY_S};
    assert_not_signed(ca, r, CERT_BLAME_NAME, "1 to 64 names");
    ca_free(&ca);
}

static void test_ca__validity_out_of_range__is_refused(void **state)
{
    static const char *const names[] = {NAME};
    struct ca_fixture *f = *state;
    struct ca *ca = ca_fixture_load(ca_fixture_opts(f, &f->root));

    assert_not_signed(ca, (struct ca_request){.names = names, .n_names = 1, .validity_s = 3599},
                      CERT_BLAME_VALIDITY, "1 hour to 398 days");
    assert_not_signed(ca,
                      (struct ca_request){.names = names, .n_names = 1, .validity_s = 399 * DAY_S},
                      CERT_BLAME_VALIDITY, "1 hour to 398 days");
    ca_free(&ca);
}

/* ---- plug-in authorities ---- */

static void test_ca__intermediate__its_chain_is_sent_without_the_root(void **state)
{
    struct ca_fixture *f = *state;
    struct pki_cert upper = ca_fixture_make(&f->root, (struct pki_spec){.name = "upper"});
    struct pki_cert lower = ca_fixture_make(&upper, (struct pki_spec){.name = "lower"});
    /* As people make it: from the bottom up, or the other way, with or without the rest. */
    const struct pki_cert *const orders[][3] = {
        {&lower, &upper, &f->root}, {&f->root, &upper, &lower}, {&upper, NULL, NULL}};
    static const size_t lengths[] = {3, 3, 1};

    for (size_t i = 0; i < 3; i++) {
        struct ca_opts opts = ca_fixture_opts(f, &lower);
        opts.chain = ca_fixture_pem(f, orders[i], lengths[i]);
        opts.roots = ca_fixture_pem_of(f, &f->root);
        struct ca *ca = ca_fixture_load(opts);
        struct ca_issued issued = issue_one(ca);

        assert_int_equal(count_certs(&issued.chain), 3);
        assert_int_equal(count_certs(&issued.roots), 1);
        assert_believed(f, &issued, &issued.roots, NAME);
        ca_issued_fini(&issued);
        ca_free(&ca);
    }
    pki_free(&upper);
    pki_free(&lower);
}

/* The same authority, with other dates. */
static struct pki_cert renew(const struct ca_fixture *f, const struct pki_cert *c, long from_s,
                             long to_s)
{
    struct pki_cert fresh = {.x = X509_dup(c->x)};

    assert_non_null(fresh.x);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(fresh.x), from_s));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(fresh.x), to_s));
    assert_true(X509_sign(fresh.x, f->root.key, EVP_sha256()) > 0);
    return fresh;
}

static void test_ca__intermediate_and_its_renewal__the_valid_one_is_sent(void **state)
{
    struct ca_fixture *f = *state;
    struct pki_cert valid = ca_fixture_make(&f->root, (struct pki_spec){.name = "upper"});
    struct pki_cert over = renew(f, &valid, -30 * DAY_S, -DAY_S);
    struct pki_cert later = renew(f, &valid, DAY_S, 30 * DAY_S);
    struct pki_cert lower = ca_fixture_make(&valid, (struct pki_spec){.name = "lower"});
    const struct pki_cert *const orders[][3] = {{&over, &later, &valid}, {&valid, &over, &later}};

    for (size_t i = 0; i < 2; i++) {
        struct ca_opts opts = ca_fixture_opts(f, &lower);
        opts.chain = ca_fixture_pem(f, orders[i], 3);
        opts.roots = ca_fixture_pem_of(f, &f->root);
        struct ca *ca = ca_fixture_load(opts);
        struct ca_issued issued = issue_one(ca);

        assert_int_equal(count_certs(&issued.chain), 3);
        assert_believed(f, &issued, &issued.roots, NAME);
        ca_issued_fini(&issued);
        ca_free(&ca);
    }
    pki_free(&over);
    pki_free(&later);
    pki_free(&lower);
    pki_free(&valid);
}

static void test_ca__chain_in_the_certificates_own_file__is_enough(void **state)
{
    struct ca_fixture *f = *state;
    struct pki_cert below = ca_fixture_make(&f->root, (struct pki_spec){.name = "below"});
    const struct pki_cert *const all[] = {&below, &f->root};
    struct ca_opts opts = {.certificate = ca_fixture_pem(f, all, 2),
                           .key = ca_fixture_key_of(f, &below, NULL)};
    struct ca *ca = ca_fixture_load(opts);
    struct ca_issued issued = issue_one(ca);
    struct cert_bytes root = ca_fixture_pem_of(f, &f->root);

    assert_int_equal(count_certs(&issued.chain), 2);
    assert_int_equal(issued.roots.n, root.n);
    assert_memory_equal(issued.roots.data, root.data, root.n);

    cert_bytes_fini(&root);
    ca_issued_fini(&issued);
    ca_free(&ca);
    pki_free(&below);
}

static void test_ca__roots_with_an_intermediate__it_is_sent_all_the_same(void **state)
{
    struct ca_fixture *f = *state;
    struct pki_cert below = ca_fixture_make(&f->root, (struct pki_spec){.name = "below"});
    const struct pki_cert *const both[] = {&below, &f->root};
    struct ca_opts opts = ca_fixture_opts(f, &below);
    opts.roots = ca_fixture_pem(f, both, 2);
    struct ca *ca = ca_fixture_load(opts);
    struct ca_issued issued = issue_one(ca);
    struct cert_bytes root = ca_fixture_pem_of(f, &f->root);

    assert_int_equal(count_certs(&issued.roots), 2);
    assert_believed(f, &issued, &root, NAME); /* a VM that knows the root only */

    cert_bytes_fini(&root);
    ca_issued_fini(&issued);
    ca_free(&ca);
    pki_free(&below);
}

static void test_ca__ends_within_the_hour__signs_nothing(void **state)
{
    static const char *const names[] = {NAME};
    struct ca_fixture *f = *state;
    struct pki_cert ending = ca_fixture_make(NULL, (struct pki_spec){.to_s = 3500});
    struct ca *ca = ca_fixture_load(ca_fixture_opts(f, &ending));

    assert_not_signed(ca, (struct ca_request){.names = names, .n_names = 1, .validity_s = DAY_S},
                      CERT_BLAME_CERTIFICATE, "within the hour");
    ca_free(&ca);
    pki_free(&ending);
}

static void test_ca__constraints_of_the_authority__are_kept(void **state)
{
    static const char *const names[] = {NAME};
    static const char *const inside[] = {"gw.edge.test"};
    struct ca_fixture *f = *state;
    struct pki_cert narrow = ca_fixture_make(
        &f->root, (struct pki_spec){.name = "narrow", .constraints = "permitted;DNS:edge.test"});
    struct ca_opts opts = ca_fixture_opts(f, &narrow);
    opts.roots = ca_fixture_pem_of(f, &f->root);
    struct ca *ca = ca_fixture_load(opts);
    struct ca_issued issued = issue(ca, inside, 1, CA_KEY_P256);

    assert_not_signed(ca, (struct ca_request){.names = names, .n_names = 1, .validity_s = DAY_S},
                      CERT_BLAME_CERTIFICATE,
                      "signs nothing that a VM would believe: permitted subtree violation");

    ca_issued_fini(&issued);
    ca_free(&ca);
    pki_free(&narrow);
}

/* ---- an authority of our own ---- */

static void test_ca__own_authority__signs_serving_certificates_only(void **state)
{
    struct ca_fixture *f = *state;
    struct ca_opts opts = {0};

    assert_int_equal(ca_make(&opts.certificate, &opts.key), RC_OK);
    X509 *x = read_leaf(&opts.certificate);
    struct ca *ca = ca_fixture_load(opts);
    struct ca_issued issued = issue_one(ca);

    assert_believed(f, &issued, &issued.roots, NAME);
    assert_int_equal(X509_get_pathlen(x), 0);
    assert_in_range(ca_expiry(ca) - clock_wall(), 3649 * DAY_S, 3651 * DAY_S);

    X509_free(x);
    ca_issued_fini(&issued);
    ca_free(&ca);
}

static void test_cert_time__dates__are_written_as_iso_8601(void **state)
{
    char buf[CERT_TIME_BYTES];

    (void)state;
    cert_format_time(0, buf);
    assert_string_equal(buf, "1970-01-01T00:00:00Z");
    cert_format_time(4102444800, buf);
    assert_string_equal(buf, "2100-01-01T00:00:00Z");
    cert_format_time(INT64_MAX, buf);
    assert_string_equal(buf, "an unknown date");
}

#define CA_TEST(name) cmocka_unit_test_setup_teardown(name, ca_fixture_setup, ca_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CA_TEST(test_ca__root__signs_what_a_vm_believes),
        CA_TEST(test_ca__each_kind_of_key__is_served),
        CA_TEST(test_ca__keys_of_authorities__can_sign),
        CA_TEST(test_ca__what_is_signed__is_for_servers_and_not_for_clients),
        CA_TEST(test_ca__validity__begins_in_the_past_and_is_what_was_asked),
        CA_TEST(test_ca__authority_ends_first__its_end_is_the_end),
        CA_TEST(test_ca__young_authority__what_it_signs_does_not_begin_before_it),
        CA_TEST(test_ca__many_names__each_is_believed_and_no_other),
        CA_TEST(test_ca__bad_names__are_blamed_by_their_index),
        CA_TEST(test_ca__validity_out_of_range__is_refused),
        CA_TEST(test_ca__intermediate__its_chain_is_sent_without_the_root),
        CA_TEST(test_ca__intermediate_and_its_renewal__the_valid_one_is_sent),
        CA_TEST(test_ca__chain_in_the_certificates_own_file__is_enough),
        CA_TEST(test_ca__roots_with_an_intermediate__it_is_sent_all_the_same),
        CA_TEST(test_ca__ends_within_the_hour__signs_nothing),
        CA_TEST(test_ca__constraints_of_the_authority__are_kept),
        CA_TEST(test_ca__own_authority__signs_serving_certificates_only),
        cmocka_unit_test(test_cert_time__dates__are_written_as_iso_8601),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
