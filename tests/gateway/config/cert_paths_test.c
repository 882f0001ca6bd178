/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate files are found also in a configuration that is refused. */
#include "gateway/config/cert_paths.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char path[64];
    char errors[512];
    struct cert_path *paths;
    size_t n;
};

static enum rc load(struct fixture *f, const char *text)
{
    snprintf(f->path, sizeof(f->path), "/tmp/cert_paths_test.XXXXXX");
    int fd = mkstemp(f->path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    FILE *errors = fmemopen(f->errors, sizeof(f->errors), "w");
    enum rc rc = cert_paths_load(f->path, errors, &f->paths, &f->n);
    fclose(errors);
    unlink(f->path);
    return rc;
}

static void assert_path(const struct fixture *f, size_t i, enum cert_path_kind kind,
                        const char *owner, const char *file)
{
    assert_true(i < f->n);
    assert_int_equal(f->paths[i].kind, kind);
    assert_string_equal(f->paths[i].owner, owner);
    assert_string_equal(f->paths[i].file, file);
}

static void test_cert_paths__configuration__has_all_in_order(void **state)
{
    struct fixture f = {.n = 0};

    (void)state;
    assert_int_equal(load(&f, "listeners:\n"
                              "- name: a\n"
                              "  tls:\n"
                              "    certificates:\n"
                              "    - {certificate: /1.crt, private_key: /1.key}\n"
                              "    - {certificate: /2.crt}\n"
                              "    client_roots: [/r1, /r2]\n"
                              "- name: passthrough\n"
                              "upstreams:\n"
                              "- name: u\n"
                              "  tls: {roots: [/u]}\n"),
                     RC_OK);

    assert_int_equal(f.n, 5);
    assert_path(&f, 0, CERT_PATH_SERVING, "a", "/1.crt");
    assert_string_equal(f.paths[0].private_key, "/1.key");
    assert_path(&f, 1, CERT_PATH_SERVING, "a", "/2.crt");
    assert_null(f.paths[1].private_key);
    assert_path(&f, 2, CERT_PATH_CLIENT_ROOTS, "a", "/r1");
    assert_path(&f, 3, CERT_PATH_CLIENT_ROOTS, "a", "/r2");
    assert_path(&f, 4, CERT_PATH_UPSTREAM_ROOTS, "u", "/u");
    cert_paths_free(&f.paths, f.n);
    assert_null(f.paths);
}

static void test_cert_paths__values_of_other_kinds__are_left_out(void **state)
{
    static const char *const texts[] = {
        "",
        "just text\n",
        "[a, b]\n",
        "listeners: 5\nupstreams: {a: b}\n",
        "listeners: [5, [], {tls: []}]\nupstreams: [{tls: text}, {tls: {roots: text}}]\n",
        "listeners: [{tls: {certificates: [5, {certificate: [x]}], client_roots: {a: b}}}]\n",
        "listeners: [{tls: {certificates: {certificate: /x}}}]\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct fixture f = {.n = 7};
        assert_int_equal(load(&f, texts[i]), RC_OK);
        assert_int_equal(f.n, 0);
        cert_paths_free(&f.paths, f.n);
    }
}

static void test_cert_paths__owner_without_a_name__is_empty(void **state)
{
    struct fixture f = {.n = 0};

    (void)state;
    assert_int_equal(load(&f, "upstreams: [{name: [x], tls: {roots: [/u]}}]\n"), RC_OK);

    assert_path(&f, 0, CERT_PATH_UPSTREAM_ROOTS, "", "/u");
    cert_paths_free(&f.paths, f.n);
}

static void test_cert_paths__no_yaml__is_an_error_with_its_place(void **state)
{
    struct fixture f = {.n = 7};

    (void)state;
    assert_int_equal(load(&f, "listeners: [\n"), RC_INVALID);

    assert_non_null(strstr(f.errors, ":2:1: "));
    assert_null(f.paths);
    assert_int_equal(f.n, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cert_paths__configuration__has_all_in_order),
        cmocka_unit_test(test_cert_paths__values_of_other_kinds__are_left_out),
        cmocka_unit_test(test_cert_paths__owner_without_a_name__is_empty),
        cmocka_unit_test(test_cert_paths__no_yaml__is_an_error_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
