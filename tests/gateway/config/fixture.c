/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/gateway/config/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static const char *const file_names[] = {"tls.crt",  "tls.key",    "root.pem",   "other.key",
                                         "text.pem", "kubeconfig", "config.yaml"};

static const char kubeconfig[] =
    "current-context: mesh\n"
    "clusters:\n- {name: c, cluster: {server: \"https://10.0.0.1:6443\"}}\n"
    "users:\n- {name: u, user: {token: abc}}\n"
    "contexts:\n- {name: mesh, context: {cluster: c, user: u}}\n";

static FILE *open_file(const struct fixture *f, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    return file;
}

static void write_key(const struct fixture *f, const char *name, EVP_PKEY *key)
{
    FILE *file = open_file(f, name);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(file), 0);
}

static void write_certificate(const struct fixture *f, const char *name, X509 *x)
{
    FILE *file = open_file(f, name);
    assert_int_equal(PEM_write_X509(file, x), 1);
    assert_int_equal(fclose(file), 0);
}

static void add_extension(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

/* A certificate for key, signed by signer; extensions are added in between. */
static X509 *new_certificate(const char *name, EVP_PKEY *key)
{
    X509 *x = X509_new();
    assert_non_null(x);
    assert_int_equal(X509_set_version(x, X509_VERSION_3), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), 7), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), -3600));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), 86400));
    assert_int_equal(X509_set_pubkey(x, key), 1);
    X509_NAME *subject = X509_get_subject_name(x);
    assert_int_equal(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                                (const unsigned char *)name, -1, -1, 0),
                     1);
    return x;
}

static void make_files(const struct fixture *f)
{
    EVP_PKEY *root_key = EVP_EC_gen("P-256");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *root = new_certificate("root", root_key);
    X509 *leaf = new_certificate("istiod", key);
    assert_int_equal(X509_set_issuer_name(root, X509_get_subject_name(root)), 1);
    assert_int_equal(X509_set_issuer_name(leaf, X509_get_subject_name(root)), 1);
    add_extension(root, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(root, NID_key_usage, "critical,keyCertSign");
    add_extension(leaf, NID_key_usage, "critical,digitalSignature");
    add_extension(leaf, NID_ext_key_usage, "serverAuth");
    add_extension(leaf, NID_subject_alt_name, "DNS:istiod.istio-system.svc");
    assert_true(X509_sign(root, root_key, EVP_sha256()) > 0);
    assert_true(X509_sign(leaf, root_key, EVP_sha256()) > 0);
    write_certificate(f, "root.pem", root);
    write_certificate(f, "tls.crt", leaf);
    write_key(f, "tls.key", key);
    write_key(f, "other.key", root_key);
    FILE *text = open_file(f, "text.pem");
    (void)fputs("no PEM at all\n", text);
    assert_int_equal(fclose(text), 0);
    text = open_file(f, "kubeconfig");
    (void)fputs(kubeconfig, text);
    assert_int_equal(fclose(text), 0);
    X509_free(root);
    X509_free(leaf);
    EVP_PKEY_free(root_key);
    EVP_PKEY_free(key);
}

int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/xdsgate-config-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof(f->path), "%s/config.yaml", f->dir);
    make_files(f);
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(file_names) / sizeof(file_names[0]); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/%s", f->dir, file_names[i]);
        (void)unlink(path);
    }
    (void)rmdir(f->dir);
    free(f->errors);
    free(f);
    return 0;
}

char *fixture_example(const char *name)
{
    char path[512];
    char *text = NULL;
    size_t n = 0;
    (void)snprintf(path, sizeof(path), "%s/%s", CONFIG_EXAMPLES, name);
    FILE *in = fopen(path, "rb");
    FILE *out = open_memstream(&text, &n);
    assert_non_null(in);
    assert_non_null(out);
    for (int c = fgetc(in); c != EOF; c = fgetc(in)) {
        (void)fputc(c, out);
    }
    assert_int_equal(fclose(in), 0);
    assert_int_equal(fclose(out), 0);
    return text;
}

void fixture_write_bytes(struct fixture *f, const char *bytes, size_t n)
{
    FILE *file = open_file(f, "config.yaml");
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

void fixture_write(struct fixture *f, const char *text)
{
    unsigned line = 1;
    unsigned column = 1;
    FILE *file = open_file(f, "config.yaml");
    f->n_marks = 0;
    for (; *text != '\0'; text++) {
        if (*text == '^') {
            assert_true(f->n_marks < FIXTURE_MAX_MARKS);
            f->line[f->n_marks] = line;
            f->column[f->n_marks++] = column;
            continue;
        }
        if (*text == '@') {
            (void)fputs(f->dir, file);
            column += (unsigned)strlen(f->dir);
            continue;
        }
        (void)fputc(*text, file);
        column = *text == '\n' ? 1 : column + 1;
        line += *text == '\n';
    }
    assert_int_equal(fclose(file), 0);
}

enum rc fixture_load(struct fixture *f, struct config **out)
{
    size_t n = 0;
    free(f->errors);
    f->errors = NULL;
    FILE *errors = open_memstream(&f->errors, &n);
    assert_non_null(errors);
    enum rc rc = config_load(f->path, errors, out);
    assert_int_equal(fclose(errors), 0);
    return rc;
}

struct config *fixture_accept(struct fixture *f, const char *text)
{
    struct config *c = NULL;
    fixture_write(f, text);
    enum rc rc = fixture_load(f, &c);
    if (rc != RC_OK) {
        print_error("refused:\n%s\n%s", text, f->errors);
    }
    assert_int_equal(rc, RC_OK);
    assert_string_equal(f->errors, "");
    return c;
}

struct config *fixture_accept_example(struct fixture *f, const char *name)
{
    char *text = fixture_example(name);
    struct config *c = fixture_accept(f, text);
    free(text);
    return c;
}

static bool as_expected(const struct fixture *f, const char *what)
{
    const char *rest = f->errors;
    for (size_t i = 0; i < f->n_marks; i++) {
        char start[160];
        (void)snprintf(start, sizeof(start), "%s:%u:%u: ", f->path, f->line[i], f->column[i]);
        const char *end = strchr(rest, '\n');
        if (end == NULL || strncmp(rest, start, strlen(start)) != 0) {
            return false;
        }
        const char *found = i == 0 ? strstr(rest, what) : rest;
        if (found == NULL || found > end) {
            return false;
        }
        rest = end + 1;
    }
    return *rest == '\0';
}

void fixture_refuse(struct fixture *f, const char *text, const char *what)
{
    struct config *c = NULL;
    fixture_write(f, text);
    assert_true(f->n_marks > 0);
    enum rc rc = fixture_load(f, &c);
    if (rc != RC_INVALID || !as_expected(f, what)) {
        print_error("text:\n%s\nexpected at the carets, first with: %s\nsaid:\n%s", text, what,
                    f->errors);
    }
    assert_int_equal(rc, RC_INVALID);
    assert_true(as_expected(f, what));
    assert_null(c);
}

void fixture_assert_texts(char *const *texts, const char *const *expected)
{
    assert_non_null(texts);
    for (; *expected != NULL; texts++, expected++) {
        assert_non_null(*texts);
        assert_string_equal(*texts, *expected);
    }
    assert_null(*texts);
}
