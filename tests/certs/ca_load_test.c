/* SPDX-License-Identifier: Apache-2.0 */
/* Authorities that are none, and what is said about them. */
#include "certs/ca.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/certs/ca_fixture.h"

/* Frees opts. text is how the error starts. */
static void assert_no_authority(struct ca_opts opts, enum cert_blame blame, const char *text)
{
    struct cert_error err;
    struct ca *ca = NULL;

    assert_int_equal(ca_load(&opts, &ca, &err), RC_INVALID);
    assert_null(ca);
    if (strncmp(err.text, text, strlen(text)) != 0) {
        fail_msg("\"%s\" instead of \"%s\"", err.text, text);
    }
    assert_int_equal(err.blame, blame);
    ca_fixture_free_opts(&opts);
}

/* ---- authorities that are none ---- */

static void test_ca__certificates_that_may_not_sign__are_refused(void **state)
{
    struct ca_fixture *f = *state;
    struct pki_cert server = pki_make_server(&f->root, "DNS:" NAME);
    struct pki_cert no_sign = ca_fixture_make(NULL, (struct pki_spec){.usage = "critical,cRLSign"});
    struct ca_opts opts = ca_fixture_opts(f, &server);
    opts.roots = ca_fixture_pem_of(f, &f->root);

    assert_no_authority(opts, CERT_BLAME_CERTIFICATE,
                        "is not the certificate of an authority (basic constraints)");
    assert_no_authority(ca_fixture_opts(f, &no_sign), CERT_BLAME_CERTIFICATE,
                        "may not sign certificates (key usage)");
    pki_free(&server);
    pki_free(&no_sign);
}

static void test_ca__dates__are_looked_at_in_the_whole_chain(void **state)
{
    struct ca_fixture *f = *state;
    struct pki_cert expired =
        ca_fixture_make(NULL, (struct pki_spec){.from_s = -9 * DAY_S, .to_s = -60});
    struct pki_cert early = ca_fixture_make(NULL, (struct pki_spec){.from_s = DAY_S});
    struct pki_cert below = ca_fixture_make(&expired, (struct pki_spec){.name = "below"});
    struct ca_opts opts = ca_fixture_opts(f, &below);
    opts.roots = ca_fixture_pem_of(f, &expired);

    assert_no_authority(ca_fixture_opts(f, &expired), CERT_BLAME_CERTIFICATE,
                        "is not good at this moment, by its roots: certificate has expired");
    assert_no_authority(ca_fixture_opts(f, &early), CERT_BLAME_CERTIFICATE,
                        "is not good at this moment, by its roots: certificate is not yet valid");
    assert_no_authority(opts, CERT_BLAME_CERTIFICATE,
                        "is not good at this moment, by its roots: certificate has expired (1 ");
    pki_free(&expired);
    pki_free(&early);
    pki_free(&below);
}

static void test_ca__foreign_roots__are_an_error(void **state)
{
    struct ca_fixture *f = *state;
    struct pki_cert below = ca_fixture_make(&f->root, (struct pki_spec){.name = "below"});
    struct pki_cert foreign = pki_make_root("foreign");
    struct ca_opts opts = ca_fixture_opts(f, &below);
    opts.roots = ca_fixture_pem_of(f, &foreign);

    assert_no_authority(opts, CERT_BLAME_CERTIFICATE,
                        "is not good at this moment, by its roots: unable to get");
    assert_no_authority(ca_fixture_opts(f, &below), CERT_BLAME_CERTIFICATE,
                        "is no root itself, and its chain has none");
    pki_free(&below);
    pki_free(&foreign);
}

/* ---- keys ---- */

static void test_ca__key_of_another__is_refused(void **state)
{
    struct ca_fixture *f = *state;
    struct pki_cert other = pki_make_root("other");
    struct ca_opts opts = {.certificate = ca_fixture_pem_of(f, &f->root),
                           .key = ca_fixture_key_of(f, &other, NULL)};

    assert_no_authority(opts, CERT_BLAME_PRIVATE_KEY,
                        "is not the key of the authority's certificate");
    pki_free(&other);
}

static void test_ca__encrypted_key__needs_the_right_passphrase(void **state)
{
    struct ca_fixture *f = *state;
    struct ca_opts opts = {.certificate = ca_fixture_pem_of(f, &f->root),
                           .key = ca_fixture_key_of(f, &f->root, "hunter2")};
    struct cert_error err;
    struct ca *ca = NULL;

    assert_int_equal(ca_load(&opts, &ca, &err), RC_INVALID);
    assert_int_equal(err.blame, CERT_BLAME_PRIVATE_KEY);
    assert_string_equal(err.text, "is encrypted; write the key without a passphrase");
    opts.passphrase = "wrong";
    assert_int_equal(ca_load(&opts, &ca, &err), RC_INVALID);
    assert_string_equal(err.text,
                        "cannot be decrypted: the passphrase is wrong, or the file damaged");
    opts.passphrase = "";
    assert_int_equal(ca_load(&opts, &ca, &err), RC_INVALID);

    opts.passphrase = "hunter2";
    assert_int_equal(ca_load(&opts, &ca, &err), RC_OK);
    ca_free(&ca);
    ca_fixture_free_opts(&opts);
}

static void test_ca__damaged_texts__are_blamed_by_their_place(void **state)
{
    static uint8_t junk[] = "junk";
    const struct cert_bytes bad = {junk, 4};
    struct ca_fixture *f = *state;
    struct ca_opts good = ca_fixture_opts(f, &f->root);
    struct cert_error err;
    struct ca *ca = NULL;

    struct ca_opts opts = good;
    opts.certificate = bad;
    assert_int_equal(ca_load(&opts, &ca, &err), RC_INVALID);
    assert_int_equal(err.blame, CERT_BLAME_CERTIFICATE);
    opts = good;
    opts.key = bad;
    assert_int_equal(ca_load(&opts, &ca, &err), RC_INVALID);
    assert_int_equal(err.blame, CERT_BLAME_PRIVATE_KEY);
    opts = good;
    opts.chain = bad;
    assert_int_equal(ca_load(&opts, &ca, &err), RC_INVALID);
    assert_int_equal(err.blame, CERT_BLAME_CHAIN);
    opts = good;
    opts.roots = bad;
    assert_int_equal(ca_load(&opts, &ca, &err), RC_INVALID);
    assert_int_equal(err.blame, CERT_BLAME_ROOTS);
    opts = good;
    opts.certificate = (struct cert_bytes){NULL, 0};
    assert_int_equal(ca_load(&opts, &ca, &err), RC_INVALID);
    assert_string_equal(err.text, "is empty");
    assert_null(ca);
    ca_fixture_free_opts(&good);
}

static void test_ca__text_cut_anywhere__never_loads(void **state)
{
    struct ca_fixture *f = *state;
    struct ca_opts good = ca_fixture_opts(f, &f->root);
    struct cert_error err;
    struct ca *ca = NULL;

    for (size_t n = 0; n < good.key.n - 2; n++) {
        struct ca_opts opts = good;
        opts.key.n = n;
        assert_int_equal(ca_load(&opts, &ca, &err), RC_INVALID);
        assert_int_equal(err.blame, CERT_BLAME_PRIVATE_KEY);
    }
    for (size_t n = 0; n < good.certificate.n - 2; n++) {
        struct ca_opts opts = good;
        opts.certificate.n = n;
        assert_int_equal(ca_load(&opts, &ca, &err), RC_INVALID);
        assert_int_equal(err.blame, CERT_BLAME_CERTIFICATE);
    }
    ca_fixture_free_opts(&good);
}

#define CA_TEST(name) cmocka_unit_test_setup_teardown(name, ca_fixture_setup, ca_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CA_TEST(test_ca__certificates_that_may_not_sign__are_refused),
        CA_TEST(test_ca__dates__are_looked_at_in_the_whole_chain),
        CA_TEST(test_ca__foreign_roots__are_an_error),
        CA_TEST(test_ca__key_of_another__is_refused),
        CA_TEST(test_ca__encrypted_key__needs_the_right_passphrase),
        CA_TEST(test_ca__damaged_texts__are_blamed_by_their_place),
        CA_TEST(test_ca__text_cut_anywhere__never_loads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
