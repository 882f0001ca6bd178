/* SPDX-License-Identifier: Apache-2.0 */
/* What is read from a PEM file for people, also when nobody would accept it. */
#include "certs/cert_file.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/x509v3.h>

#include "core/base/clock.h"
#include "tests/certs/ca_fixture.h"

static struct cert_bytes join(struct cert_bytes a, struct cert_bytes b)
{
    struct cert_bytes all = {OPENSSL_malloc(a.n + b.n), a.n + b.n};

    memcpy(all.data, a.data, a.n);
    memcpy(all.data + a.n, b.data, b.n);
    cert_bytes_fini(&a);
    cert_bytes_fini(&b);
    return all;
}

/* Frees pem. Owned. */
static struct cert_file *parse(struct cert_bytes pem)
{
    struct cert_file *file = NULL;
    struct cert_error err;

    if (cert_file_parse(&pem, &file, &err) != RC_OK) {
        fail_msg("refused: %s", err.text);
    }
    cert_bytes_fini(&pem);
    return file;
}

static struct cert_info info_of(const struct ca_fixture *f, const struct pki_cert *c)
{
    struct cert_file *file = parse(ca_fixture_pem_of(f, c));
    struct cert_info info;

    assert_int_equal(cert_file_count(file), 1);
    assert_int_equal(cert_file_info(file, 0, &info), RC_OK);
    cert_file_free(&file);
    return info;
}

static void assert_has_name(const struct cert_info *info, const char *name)
{
    for (size_t i = 0; i < info->n_names; i++) {
        if (strcmp(info->names[i], name) == 0) {
            return;
        }
    }
    fail_msg("no name %s", name);
}

static void test_cert_file__serving_certificate__is_described(void **state)
{
    struct ca_fixture *f = *state;
    struct pki_cert c =
        pki_make(&f->root,
                 &(struct pki_spec){.name = "a, b",
                                    .san = "DNS:" NAME ",DNS:*.example.test,IP:10.0.0.1,IP:fd00::1,"
                                           "URI:spiffe://cluster.local/ns/a/sa/b,email:a@b.test",
                                    .ext_usage = "serverAuth",
                                    .from_s = -60,
                                    .to_s = 600});
    struct cert_info info = info_of(f, &c);

    assert_string_equal(info.subject, "CN=a\\, b");
    assert_string_equal(info.issuer, "CN=cluster root");
    assert_string_equal(info.key, "EC P-256");
    assert_int_equal(info.n_names, 6);
    assert_has_name(&info, NAME);
    assert_has_name(&info, "*.example.test");
    assert_has_name(&info, "10.0.0.1");
    assert_has_name(&info, "fd00::1");
    assert_has_name(&info, "spiffe://cluster.local/ns/a/sa/b");
    assert_has_name(&info, "a@b.test");
    assert_int_equal(strlen(info.sha256), 64);
    assert_int_equal(strspn(info.sha256, "0123456789abcdef"), 64);
    assert_int_equal(strspn(info.serial, "0123456789abcdef"), strlen(info.serial));
    assert_in_range(info.from, clock_wall() - 90, clock_wall() - 50);
    assert_in_range(info.to, clock_wall() + 550, clock_wall() + 610);
    assert_true(info.for_servers && !info.for_clients && !info.authority && !info.self_signed);

    cert_info_fini(&info);
    pki_free(&c);
}

static void test_cert_file__root__is_an_authority_without_names(void **state)
{
    struct ca_fixture *f = *state;
    struct cert_info info = info_of(f, &f->root);

    assert_true(info.authority && info.self_signed);
    assert_int_equal(info.n_names, 0);
    assert_true(info.for_servers && info.for_clients);
    cert_info_fini(&info);
}

static void test_cert_file__expired_weak_and_odd_ones__are_read_all_the_same(void **state)
{
    struct ca_fixture *f = *state;
    struct pki_cert c = pki_make(
        &f->root, &(struct pki_spec){.san = "DNS:a", .from_s = -99, .to_s = -9, .rsa = true});
    EVP_PKEY *weak = EVP_RSA_gen(1024);
    assert_int_equal(X509_set_pubkey(c.x, weak), 1);
    struct cert_info info = info_of(f, &c);

    assert_string_equal(info.key, "RSA 1024");
    assert_string_equal(info.subject, "");
    assert_true(info.to < clock_wall());

    cert_info_fini(&info);
    EVP_PKEY_free(weak);
    pki_free(&c);
}

static void test_cert_file__control_characters__are_escaped(void **state)
{
    static const unsigned char odd[] = "evil\x1b[2J\n\\x41 \xc3\xa9";
    struct ca_fixture *f = *state;
    struct pki_cert c = pki_make(&f->root, &(struct pki_spec){.name = "x\x1b[31m\r\n\xc3\xa9"});
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, odd, sizeof(odd)); /* with its final zero */
    GENERAL_NAME_set0_value(name, GEN_DNS, text);
    sk_GENERAL_NAME_push(names, name);
    assert_int_equal(X509_add1_ext_i2d(c.x, NID_subject_alt_name, names, 0, 0), 1);
    struct cert_info info = info_of(f, &c);

    assert_string_equal(info.names[0], "evil\\x1b[2J\\x0a\\x5cx41\\x20\\xc3\\xa9\\x00");
    assert_string_equal(info.subject, "CN=x\\1B[31m\\0D\\0A\\C3\\A9");

    cert_info_fini(&info);
    GENERAL_NAMES_free(names);
    pki_free(&c);
}

static void test_cert_file__very_long_names__are_cut(void **state)
{
    struct ca_fixture *f = *state;
    char san[2000] = "DNS:";
    memset(san + 4, 'a', sizeof(san) - 5);
    struct pki_cert c = pki_make(&f->root, &(struct pki_spec){.san = san});
    struct cert_info info = info_of(f, &c);

    assert_in_range(strlen(info.names[0]), 500, CERT_SUBJECT_BYTES - 1);
    cert_info_fini(&info);
    pki_free(&c);
}

static void test_cert_file__malformed_names__are_an_error(void **state)
{
    struct ca_fixture *f = *state;
    struct pki_cert c = pki_make(&f->root, &(struct pki_spec){.name = "x"});
    ASN1_OCTET_STRING *junk = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(junk, (const unsigned char *)"\x30\x05\x01", 3);
    X509_EXTENSION *ext = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, junk);
    X509_add_ext(c.x, ext, -1);
    struct cert_file *file = parse(ca_fixture_pem_of(f, &c));
    struct cert_info info;

    assert_int_equal(cert_file_info(file, 0, &info), RC_INVALID);

    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(junk);
    cert_file_free(&file);
    pki_free(&c);
}

/* No VM may get a key, in whatever form it is. */
static void test_cert_file__key_that_cannot_be_read__is_one_all_the_same(void **state)
{
    static const char *const keys[] = {
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE=\n"
        "-----END OPENSSH PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    };
    struct ca_fixture *f = *state;

    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        size_t n = strlen(keys[i]);
        struct cert_bytes key = {OPENSSL_memdup(keys[i], n), n};
        struct cert_file *file = parse(join(ca_fixture_pem_of(f, &f->root), key));
        assert_int_equal(cert_file_count(file), 1);
        assert_int_equal(cert_file_key(file), CERT_FILE_UNREADABLE_KEY);
        assert_false(cert_file_fits(file, file, 0));
        cert_file_free(&file);
    }
}

static void test_cert_file__kinds_of_files__are_told_apart(void **state)
{
    struct ca_fixture *f = *state;
    struct pki_cert c = pki_make_server(&f->root, "DNS:" NAME);
    const struct pki_cert *const both[] = {&c, &f->root};
    struct cert_file *chain = parse(ca_fixture_pem(f, both, 2));
    struct cert_file *key = parse(ca_fixture_key_of(f, &c, NULL));
    struct cert_file *locked = parse(ca_fixture_key_of(f, &c, "hunter2"));
    struct cert_file *roots = parse(ca_fixture_pem_of(f, &f->root));
    struct cert_file *all = parse(join(ca_fixture_key_of(f, &c, NULL), ca_fixture_pem(f, both, 2)));

    assert_int_equal(cert_file_count(chain), 2);
    assert_int_equal(cert_file_key(chain), CERT_FILE_NO_KEY);
    assert_int_equal(cert_file_count(key), 0);
    assert_int_equal(cert_file_key(key), CERT_FILE_KEY);
    assert_int_equal(cert_file_key(locked), CERT_FILE_ENCRYPTED_KEY);
    assert_int_equal(cert_file_count(all), 2);
    assert_int_equal(cert_file_key(all), CERT_FILE_KEY);
    assert_true(cert_file_is_roots(roots));
    assert_false(cert_file_is_roots(chain));
    assert_false(cert_file_is_roots(key));

    assert_true(cert_file_fits(key, chain, 0));
    assert_false(cert_file_fits(key, chain, 1));
    assert_false(cert_file_fits(locked, chain, 0));
    assert_false(cert_file_fits(chain, chain, 0));
    assert_true(cert_file_fits(all, all, 0));

    cert_file_free(&chain);
    cert_file_free(&key);
    cert_file_free(&locked);
    cert_file_free(&roots);
    cert_file_free(&all);
    pki_free(&c);
}

static void test_cert_file__roots__vouch_for_their_own_whatever_the_date(void **state)
{
    struct ca_fixture *f = *state;
    struct pki_cert below = ca_fixture_make(&f->root, (struct pki_spec){.name = "below"});
    struct pki_cert c =
        pki_make(&below, &(struct pki_spec){.san = "DNS:" NAME, .from_s = -99, .to_s = -9});
    struct pki_cert other = pki_make_root("other");
    const struct pki_cert *const chain_of[] = {&c, &below};
    const struct pki_cert *const rotation[] = {&other, &f->root};
    struct cert_file *chain = parse(ca_fixture_pem(f, chain_of, 2));
    struct cert_file *alone = parse(ca_fixture_pem_of(f, &c));
    struct cert_file *roots = parse(ca_fixture_pem(f, rotation, 2));
    struct cert_file *foreign = parse(ca_fixture_pem_of(f, &other));
    char anchor[CERT_SUBJECT_BYTES] = "";
    char why[200] = "";

    assert_int_equal(cert_file_verify(chain, 0, roots, anchor, why, sizeof(why)), RC_OK);
    assert_string_equal(anchor, "CN=cluster root");
    assert_int_equal(cert_file_verify(chain, 1, roots, anchor, why, sizeof(why)), RC_OK);

    assert_int_equal(cert_file_verify(alone, 0, roots, anchor, why, sizeof(why)), RC_PEER_DENIED);
    assert_string_equal(why, "unable to get local issuer certificate");
    assert_int_equal(cert_file_verify(chain, 0, foreign, anchor, why, sizeof(why)), RC_PEER_DENIED);

    cert_file_free(&chain);
    cert_file_free(&alone);
    cert_file_free(&roots);
    cert_file_free(&foreign);
    pki_free(&c);
    pki_free(&below);
    pki_free(&other);
}

static void test_cert_file__joined__has_each_certificate_once(void **state)
{
    struct ca_fixture *f = *state;
    struct pki_cert other = pki_make_root("other");
    const struct pki_cert *const both[] = {&other, &f->root};
    struct cert_file *one = parse(ca_fixture_pem_of(f, &f->root));
    struct cert_file *two = parse(ca_fixture_pem(f, both, 2));
    struct cert_bytes pem = {NULL, 0};
    size_t added = 9;

    assert_int_equal(cert_file_join(two, one, &pem, &added), RC_OK);
    assert_int_equal(added, 0);
    assert_null(pem.data);
    assert_int_equal(cert_file_join(one, two, &pem, &added), RC_OK);
    assert_int_equal(added, 1);
    struct cert_file *joined = parse(pem);
    assert_int_equal(cert_file_count(joined), 2);

    cert_file_free(&one);
    cert_file_free(&two);
    cert_file_free(&joined);
    pki_free(&other);
}

static void test_cert_file__text_cut_anywhere__is_an_error_or_what_is_whole(void **state)
{
    struct ca_fixture *f = *state;
    struct pki_cert c = pki_make_server(&f->root, "DNS:" NAME);
    struct cert_bytes pem = join(ca_fixture_key_of(f, &c, NULL), ca_fixture_pem_of(f, &c));

    for (size_t n = 0; n < pem.n - 2; n++) {
        const struct cert_bytes cut = {pem.data, n};
        struct cert_file *file = NULL;
        struct cert_error err;
        if (cert_file_parse(&cut, &file, &err) == RC_OK) {
            assert_int_equal(cert_file_key(file), CERT_FILE_KEY);
            assert_int_equal(cert_file_count(file), 0);
        } else {
            assert_true(err.text[0] != '\0');
        }
        cert_file_free(&file);
    }
    cert_bytes_fini(&pem);
    pki_free(&c);
}

static void test_cert_file__nothing_of_use_in_it__is_an_error(void **state)
{
    static uint8_t junk[] = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    struct cert_bytes pem = {junk, sizeof(junk) - 1};
    struct cert_file *file = NULL;
    struct cert_error err;

    (void)state;
    assert_int_equal(cert_file_parse(&pem, &file, &err), RC_INVALID);
    assert_string_equal(err.text, "has neither a PEM certificate nor a readable private key in it");
    pem.n = 0;
    assert_int_equal(cert_file_parse(&pem, &file, &err), RC_INVALID);
    assert_string_equal(err.text, "is empty");
    assert_int_equal(cert_file_load("/nowhere/tls.crt", &file, &err), RC_INVALID);
    assert_string_equal(err.text, "cannot be opened: No such file or directory");
    assert_null(file);
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, ca_fixture_setup, ca_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(test_cert_file__serving_certificate__is_described),
        FILE_TEST(test_cert_file__root__is_an_authority_without_names),
        FILE_TEST(test_cert_file__expired_weak_and_odd_ones__are_read_all_the_same),
        FILE_TEST(test_cert_file__control_characters__are_escaped),
        FILE_TEST(test_cert_file__very_long_names__are_cut),
        FILE_TEST(test_cert_file__malformed_names__are_an_error),
        FILE_TEST(test_cert_file__key_that_cannot_be_read__is_one_all_the_same),
        FILE_TEST(test_cert_file__kinds_of_files__are_told_apart),
        FILE_TEST(test_cert_file__roots__vouch_for_their_own_whatever_the_date),
        FILE_TEST(test_cert_file__joined__has_each_certificate_once),
        FILE_TEST(test_cert_file__text_cut_anywhere__is_an_error_or_what_is_whole),
        cmocka_unit_test(test_cert_file__nothing_of_use_in_it__is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
