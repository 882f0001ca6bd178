/* SPDX-License-Identifier: Apache-2.0 */
/* What is read of the ConfigMap in which the mesh publishes its roots. Its watch is tried by
 * integration/process/test_mesh_roots.py. */
#include "gateway/cluster/mesh_roots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/pki.h"

static enum rc read_map(const char *text, struct root_list **out, char *why)
{
    struct doc_error err;
    json_t *map = NULL;

    why[0] = '\0';
    assert_int_equal(doc_parse_json(text, strlen(text), &err, &map), RC_OK);
    enum rc rc = mesh_roots_read(map, out, why);
    json_decref(map);
    return rc;
}

static void test_mesh_roots_read__no_config_map__nothing_is_published(void **state)
{
    char why[MESH_ROOTS_WHY_BYTES];
    struct root_list *l = NULL;

    (void)state;
    assert_int_equal(mesh_roots_read(NULL, &l, why), RC_OK);
    assert_int_equal(root_list_count(l), 0);
    root_list_unref(&l);
}

static void test_mesh_roots_read__not_what_istiod_writes__says_why(void **state)
{
    static const char *const rows[][2] = {
        {"{}", "it has no text under root-cert.pem"},
        {"[]", "it has no text under root-cert.pem"},
        {"{\"data\":{\"ca.crt\":\"x\"}}", "it has no text under root-cert.pem"},
        {"{\"data\":{\"root-cert.pem\":7}}", "it has no text under root-cert.pem"},
        {"{\"data\":{\"root-cert.pem\":\"\"}}", "its root-cert.pem is empty"},
        {"{\"data\":{\"root-cert.pem\":\"x\"}}", "its root-cert.pem has no PEM certificate in it"},
    };
    char why[MESH_ROOTS_WHY_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct root_list *l = NULL;
        assert_int_equal(read_map(rows[i][0], &l, why), RC_INVALID);
        assert_string_equal(why, rows[i][1]);
        assert_null(l);
    }
}

static void test_mesh_roots_read__two_roots_of_a_rotation__both_are_read(void **state)
{
    char file[] = "/tmp/mesh_roots_test.XXXXXX";
    struct pki_cert a = pki_make_root("a");
    struct pki_cert b = pki_make_root("b");
    const struct pki_cert *const both[] = {&a, &b};
    char pem[8192] = "";
    char why[MESH_ROOTS_WHY_BYTES];
    struct root_list *l = NULL;

    (void)state;
    close(mkstemp(file));
    pki_write_certs(file, both, 2);
    FILE *in = fopen(file, "r");
    assert_true(fread(pem, 1, sizeof(pem) - 1, in) > 0);
    (void)fclose(in);
    json_t *map = json_pack("{s:{s:s}}", "data", MESH_ROOTS_KEY, pem);

    assert_int_equal(mesh_roots_read(map, &l, why), RC_OK);

    assert_int_equal(root_list_count(l), 2);
    json_decref(map);
    root_list_unref(&l);
    unlink(file);
    pki_free(&a);
    pki_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mesh_roots_read__no_config_map__nothing_is_published),
        cmocka_unit_test(test_mesh_roots_read__not_what_istiod_writes__says_why),
        cmocka_unit_test(test_mesh_roots_read__two_roots_of_a_rotation__both_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
