/* SPDX-License-Identifier: Apache-2.0 */
/* What people do to certificate files, and which error they get. */
#include "certs/cert_set.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>

#include "tests/support/pki.h"

#define PATH_BYTES 96
#define DAY_S (24L * 3600L)
#define BEGIN_CERT "-----BEGIN CERTIFICATE-----\n"
#define END_CERT "-----END CERTIFICATE-----\n"

struct fixture {
    char dir[64];
    char roots[PATH_BYTES];
    char chain[PATH_BYTES];
    char key[PATH_BYTES];
    struct pki_cert root;
    struct pki_cert server;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    snprintf(f->dir, sizeof(f->dir), "/tmp/cert_load_test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->roots, PATH_BYTES, "%s/roots.pem", f->dir);
    snprintf(f->chain, PATH_BYTES, "%s/chain.pem", f->dir);
    snprintf(f->key, PATH_BYTES, "%s/key.pem", f->dir);
    f->root = pki_make_root("cluster root");
    f->server = pki_make_server(&f->root, "DNS:istiod.istio-system.svc");
    pki_write_cert(f->roots, &f->root);
    pki_write_cert(f->chain, &f->server);
    pki_write_key(f->key, &f->server, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    unlink(f->roots);
    unlink(f->chain);
    unlink(f->key);
    assert_int_equal(rmdir(f->dir), 0);
    pki_free(&f->root);
    pki_free(&f->server);
    free(f);
    return 0;
}

static enum rc load(const struct fixture *f, struct cert_error *err)
{
    const struct cert_pair_files pair = {f->chain, f->key};
    const char *const roots[] = {f->roots, NULL};
    const char *const identities[] = {"ns/vms/sa/*", NULL};
    const struct cert_set_opts opts = {.pairs = &pair,
                                       .n_pairs = 1,
                                       .client_roots = roots,
                                       .trust_domain = "cluster.local",
                                       .vm_identities = identities};
    struct cert_set *set = NULL;

    memset(err, 0x55, sizeof(*err));
    enum rc rc = cert_set_load(&opts, &set, err);
    assert_int_equal(set != NULL, rc == RC_OK);
    cert_set_unref(&set);
    return rc;
}

static void assert_good(const struct fixture *f)
{
    struct cert_error err;

    if (load(f, &err) != RC_OK) {
        fail_msg("refused: %s", err.text);
    }
}

static void assert_printable(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        assert_true(isprint((unsigned char)*p));
    }
}

/* text is how the error starts. */
static void assert_error(const struct fixture *f, enum cert_blame blame, const char *text)
{
    struct cert_error err;

    assert_int_equal(load(f, &err), RC_INVALID);
    assert_int_equal(err.blame, blame);
    assert_int_equal(err.index, 0);
    if (strncmp(err.text, text, strlen(text)) != 0) {
        fail_msg("\"%s\" instead of \"%s\"", err.text, text);
    }
    assert_printable(err.text);
}

/* The PEM text of a file in a buffer that the next call overwrites. */
static char *read_pem(const char *path)
{
    static char text[8192];
    FILE *file = fopen(path, "re");

    assert_non_null(file);
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[n] = '\0';
    return text;
}

static void test_cert_load__good_files__load(void **state)
{
    assert_good(*state);
}

static void test_cert_load__text_around_the_blocks__does_not_matter(void **state)
{
    struct fixture *f = *state;
    char text[9000];

    snprintf(text, sizeof(text), "# the root\n\n%s\n# end\n", read_pem(f->roots));
    pki_write_text(f->roots, text);
    snprintf(text, sizeof(text), "%s", read_pem(f->chain));
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s", read_pem(f->key));
    pki_write_text(f->chain, text);
    pki_write_text(f->key, text);

    assert_good(f);
}

static void test_cert_load__files_that_cannot_be_read__are_named(void **state)
{
    struct fixture *f = *state;

    unlink(f->key);
    assert_error(f, CERT_BLAME_PRIVATE_KEY, "cannot be opened: No such file or directory");
    unlink(f->chain);
    assert_error(f, CERT_BLAME_CERTIFICATE, "cannot be opened: No such file or directory");
    unlink(f->roots);
    assert_error(f, CERT_BLAME_ROOTS, "cannot be opened: No such file or directory");

    assert_int_equal(mkfifo(f->roots, 0600), 0);
    assert_error(f, CERT_BLAME_ROOTS, "is not a regular file");
    unlink(f->roots);
    pki_write_text(f->roots, "");
    assert_error(f, CERT_BLAME_ROOTS, "is empty");
    assert_int_equal(truncate(f->roots, 1024 * 1024 + 1), 0);
    assert_error(f, CERT_BLAME_ROOTS, "is larger than 1 MiB");
    assert_int_equal(truncate(f->roots, 1024 * 1024), 0);
    assert_error(f, CERT_BLAME_ROOTS, "has no PEM certificate in it");
}

static void test_cert_load__directory_as_a_file__is_an_error(void **state)
{
    struct fixture *f = *state;

    snprintf(f->key, PATH_BYTES, "/");
    assert_error(f, CERT_BLAME_PRIVATE_KEY, "is not a regular file");

    snprintf(f->key, PATH_BYTES, "%s/key.pem", f->dir);
}

static void test_cert_load__second_of_several__is_blamed_by_its_index(void **state)
{
    struct fixture *f = *state;
    const struct cert_pair_files pairs[] = {{f->chain, f->key}, {f->chain, "/nowhere/key"}};
    const char *const good_roots[] = {f->roots, NULL};
    const char *const bad_roots[] = {f->roots, f->roots, "/nowhere/roots", NULL};
    const char *const identities[] = {NULL};
    struct cert_set_opts opts = {.pairs = pairs,
                                 .n_pairs = 2,
                                 .client_roots = good_roots,
                                 .trust_domain = "cluster.local",
                                 .vm_identities = identities};
    struct cert_set *set = NULL;
    struct cert_error err;

    assert_int_equal(cert_set_load(&opts, &set, &err), RC_INVALID);
    assert_int_equal(err.blame, CERT_BLAME_PRIVATE_KEY);
    assert_int_equal(err.index, 1);

    opts.client_roots = bad_roots;
    assert_int_equal(cert_set_load(&opts, &set, &err), RC_INVALID);
    assert_int_equal(err.blame, CERT_BLAME_ROOTS);
    assert_int_equal(err.index, 2);
    assert_null(set);
}

static void test_cert_load__wrong_contents__are_errors(void **state)
{
    struct fixture *f = *state;
    char key[4096];
    char cert[4096];

    snprintf(key, sizeof(key), "%s", read_pem(f->key));
    snprintf(cert, sizeof(cert), "%s", read_pem(f->chain));
    pki_write_text(f->key, cert);
    assert_error(f, CERT_BLAME_PRIVATE_KEY, "has no readable PEM private key in it: ");
    pki_write_text(f->chain, key);
    assert_error(f, CERT_BLAME_CERTIFICATE, "has no PEM certificate in it");
    pki_write_text(f->chain, BEGIN_CERT "AAAA\n" END_CERT);
    assert_error(f, CERT_BLAME_CERTIFICATE, "certificate 1 in it is damaged: ");
    pki_write_text(f->roots, BEGIN_CERT "%%%%\n" END_CERT);
    assert_error(f, CERT_BLAME_ROOTS, "certificate 1 in it is damaged: ");
}

static void test_cert_load__file_cut_at_every_byte__never_loads(void **state)
{
    struct fixture *f = *state;
    struct cert_error err;
    char text[4096];
    unsigned errors = 0;

    snprintf(text, sizeof(text), "%s", read_pem(f->chain));
    size_t full = strlen(text) - strlen("-\n"); /* the last line may lack its end: see below */
    for (size_t n = 1; n < full; n += 3) {
        pki_write_text(f->chain, text);
        assert_int_equal(truncate(f->chain, (off_t)n), 0);
        assert_int_equal(load(f, &err), RC_INVALID);
        assert_int_equal(err.blame, CERT_BLAME_CERTIFICATE);
        assert_printable(err.text);
        errors++;
    }
    assert_true(errors > 100);

    snprintf(text, sizeof(text), "%s", read_pem(f->key));
    for (size_t n = 1; n < strlen(text) - 2; n++) {
        pki_write_cert(f->chain, &f->server);
        pki_write_text(f->key, text);
        assert_int_equal(truncate(f->key, (off_t)n), 0);
        assert_int_equal(load(f, &err), RC_INVALID);
        assert_int_equal(err.blame, CERT_BLAME_PRIVATE_KEY);
    }
}

static void test_cert_load__damaged_second_certificate__is_an_error(void **state)
{
    struct fixture *f = *state;
    char text[9000];

    snprintf(text, sizeof(text), "%s" BEGIN_CERT "AAAA\n" END_CERT, read_pem(f->chain));
    pki_write_text(f->chain, text);

    assert_error(f, CERT_BLAME_CERTIFICATE, "certificate 2 in it is damaged: ");
}

static void test_cert_load__key_of_another_certificate__is_an_error(void **state)
{
    struct fixture *f = *state;
    struct pki_cert rsa = pki_make(&f->root, &(struct pki_spec){.san = "DNS:a", .rsa = true});

    pki_write_key(f->key, &f->root, NULL);
    assert_error(f, CERT_BLAME_PRIVATE_KEY, "the private key does not belong to the certificate");
    pki_write_key(f->key, &rsa, NULL);
    assert_error(f, CERT_BLAME_PRIVATE_KEY, "the private key does not belong to the certificate");

    pki_free(&rsa);
}

static void test_cert_load__encrypted_key__is_an_error_and_asks_nobody(void **state)
{
    struct fixture *f = *state;

    pki_write_key(f->key, &f->server, "secret");

    assert_error(f, CERT_BLAME_PRIVATE_KEY, "is encrypted; write the key without a passphrase");
}

static void test_cert_load__rsa_key_in_its_old_form__loads(void **state)
{
    struct fixture *f = *state;
    struct pki_cert rsa = pki_make(
        &f->root, &(struct pki_spec){.san = "DNS:a", .ext_usage = "serverAuth", .rsa = true});
    BIO *file = BIO_new_file(f->key, "w");

    assert_int_equal(PEM_write_bio_PrivateKey_traditional(file, rsa.key, NULL, NULL, 0, NULL, NULL),
                     1);
    BIO_free(file);
    pki_write_cert(f->chain, &rsa);

    assert_good(f);
    pki_free(&rsa);
}

static void test_cert_load__serving_certificates_nobody_would_take__are_errors(void **state)
{
    static const struct {
        struct pki_spec spec;
        const char *text;
    } rows[] = {
        {{.san = "DNS:a", .from_s = -2 * DAY_S, .to_s = -60}, "the certificate expired at 2"},
        {{.san = "DNS:a", .from_s = 3600}, "the certificate is not valid before 2"},
        {{.san = "DNS:a", .ext_usage = "clientAuth"},
         "the certificate is not for servers (key usage)"},
        {{.san = "DNS:a", .usage = "cRLSign"}, "the certificate is not for servers (key usage)"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct pki_cert c = pki_make(&f->root, &rows[i].spec);
        pki_write_cert(f->chain, &c);
        pki_write_key(f->key, &c, NULL);
        assert_error(f, CERT_BLAME_CERTIFICATE, rows[i].text);
        pki_free(&c);
    }
}

static void test_cert_load__short_rsa_key__is_an_error(void **state)
{
    struct fixture *f = *state;
    struct pki_cert weak = {.x = X509_dup(f->server.x), .key = EVP_RSA_gen(1024)};

    assert_int_equal(X509_set_pubkey(weak.x, weak.key), 1);
    assert_true(X509_sign(weak.x, f->root.key, EVP_sha256()) > 0);
    pki_write_cert(f->chain, &weak);
    pki_write_key(f->key, &weak, NULL);

    assert_error(f, CERT_BLAME_CERTIFICATE, "the certificate cannot be used: ");
    pki_free(&weak);
}

static void test_cert_load__roots_of_an_upstream__have_the_same_errors(void **state)
{
    struct fixture *f = *state;
    struct root_set *roots = NULL;
    struct cert_error err = {.blame = CERT_BLAME_PRIVATE_KEY, .index = 7};

    assert_int_equal(root_set_load("/nowhere/roots", &roots, &err), RC_INVALID);
    assert_int_equal(err.blame, CERT_BLAME_ROOTS);
    assert_int_equal(err.index, 0);
    assert_string_equal(err.text, "cannot be opened: No such file or directory");
    assert_int_equal(root_set_load(f->key, &roots, &err), RC_INVALID);
    assert_string_equal(err.text, "has no PEM certificate in it");
    assert_null(roots);

    assert_int_equal(root_set_load(f->roots, &roots, &err), RC_OK);
    root_set_unref(&roots);
}

#define LOAD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOAD_TEST(test_cert_load__good_files__load),
        LOAD_TEST(test_cert_load__text_around_the_blocks__does_not_matter),
        LOAD_TEST(test_cert_load__files_that_cannot_be_read__are_named),
        LOAD_TEST(test_cert_load__directory_as_a_file__is_an_error),
        LOAD_TEST(test_cert_load__second_of_several__is_blamed_by_its_index),
        LOAD_TEST(test_cert_load__wrong_contents__are_errors),
        LOAD_TEST(test_cert_load__file_cut_at_every_byte__never_loads),
        LOAD_TEST(test_cert_load__damaged_second_certificate__is_an_error),
        LOAD_TEST(test_cert_load__key_of_another_certificate__is_an_error),
        LOAD_TEST(test_cert_load__encrypted_key__is_an_error_and_asks_nobody),
        LOAD_TEST(test_cert_load__rsa_key_in_its_old_form__loads),
        LOAD_TEST(test_cert_load__serving_certificates_nobody_would_take__are_errors),
        LOAD_TEST(test_cert_load__short_rsa_key__is_an_error),
        LOAD_TEST(test_cert_load__roots_of_an_upstream__have_the_same_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
