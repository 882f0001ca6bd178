/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define LABEL_63 "a12345678901234567890123456789012345678901234567890123456789012"
#define LABEL_61 "a123456789012345678901234567890123456789012345678901234567890"
#define NAME_253 LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_61

static void test_path__objects_and_lists__as_the_api_has_them(void **state)
{
    static const struct {
        enum kube_kind kind;
        size_t version;
        const char *ns;
        const char *name;
        const char *expected;
    } rows[] = {
        {KUBE_CONFIG_MAP, 0, "istio-system", "istio",
         "/api/v1/namespaces/istio-system/configmaps/istio"},
        {KUBE_NODE, 0, NULL, "vms", "/api/v1/nodes/vms"},
        {KUBE_NODE, 0, NULL, NULL, "/api/v1/nodes"},
        {KUBE_WORKLOAD_GROUP, 0, "vms", "web",
         "/apis/networking.istio.io/v1/namespaces/vms/workloadgroups/web"},
        {KUBE_WORKLOAD_GROUP, 2, "vms", NULL,
         "/apis/networking.istio.io/v1alpha3/namespaces/vms/workloadgroups"},
        {KUBE_WORKLOAD_ENTRY, 1, NULL, NULL, "/apis/networking.istio.io/v1beta1/workloadentries"},
        {KUBE_ENDPOINT_SLICE, 0, "istio-system", NULL,
         "/apis/discovery.k8s.io/v1/namespaces/istio-system/endpointslices"},
        {KUBE_ACCESS_REVIEW, 0, NULL, NULL,
         "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"},
    };
    char path[KUBE_PATH_BYTES];
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(
            kube_path_make(rows[i].kind, rows[i].version, rows[i].ns, rows[i].name, path), RC_OK);
        assert_string_equal(path, rows[i].expected);
    }
    assert_int_equal(kube_kind_versions(KUBE_WORKLOAD_GROUP), 3);
    assert_int_equal(kube_kind_versions(KUBE_SECRET), 1);
}

static void test_path__names_that_cannot_be__are_refused(void **state)
{
    static const char *const rows[] = {"",    "A",   "-a", "a-",   "a/b",  "..",  "a..b", "a.-b",
                                       "a_b", "a b", "a%", "a\nb", "\xc3", "a?x", "a#"};
    char path[KUBE_PATH_BYTES] = "untouched";
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(kube_path_make(KUBE_SECRET, 0, "ns", rows[i], path), RC_INVALID);
        assert_int_equal(kube_path_make(KUBE_SECRET, 0, rows[i], "name", path), RC_INVALID);
    }
    assert_int_equal(kube_path_make(KUBE_SECRET, 0, "a.b", "name", path), RC_INVALID);
    assert_int_equal(kube_path_make(KUBE_SECRET, 0, NULL, "name", path), RC_INVALID);
    assert_int_equal(kube_path_make(KUBE_NODE, 0, "ns", "name", path), RC_INVALID);
    assert_int_equal(kube_path_make(KUBE_SECRET, 0, LABEL_63 "x", "name", path), RC_INVALID);
    assert_int_equal(kube_path_make(KUBE_SECRET, 0, "ns", NAME_253 "x", path), RC_INVALID);
    assert_string_equal(path, "untouched");
}

static void test_path__the_longest_names_of_every_kind__have_room(void **state)
{
    static const enum kube_kind kinds[] = {
#define KUBE_KIND(name, group, versions, plural, in_namespace) KUBE_##name,
#include "kube/kind.def"
#undef KUBE_KIND
    };
    char path[KUBE_PATH_BYTES];
    (void)state;
    assert_int_equal(strlen(NAME_253), 253);

    for (size_t i = 0; i < COUNT(kinds); i++) {
        for (size_t v = 0; v < kube_kind_versions(kinds[i]); v++) {
            const char *ns =
                kube_path_make(kinds[i], v, LABEL_63, NULL, path) == RC_OK ? LABEL_63 : NULL;
            assert_int_equal(kube_path_make(kinds[i], v, ns, NAME_253, path), RC_OK);
            assert_int_equal(kube_path_sub(path, "/token"), RC_OK);
            assert_int_equal(kube_path_query(path, "fieldSelector", NAME_253), RC_OK);
        }
    }
}

static void test_query__odd_values__are_encoded(void **state)
{
    char path[KUBE_PATH_BYTES] = "/a";
    (void)state;

    assert_int_equal(
        kube_path_query(path, "labelSelector", "kubernetes.io/service-name=a b&c?\xc3\xa4"), RC_OK);
    assert_int_equal(kube_path_query(path, "watch", "1"), RC_OK);

    assert_string_equal(
        path, "/a?labelSelector=kubernetes.io%2Fservice-name%3Da%20b%26c%3F%C3%A4&watch=1");
}

static void test_query__no_room__the_path_is_as_it_was(void **state)
{
    static char value[KUBE_PATH_BYTES];
    char path[KUBE_PATH_BYTES] = "/a";
    (void)state;
    memset(value, '/', sizeof(value) - 1);

    assert_int_equal(kube_path_query(path, "k", value), RC_FULL);

    assert_string_equal(path, "/a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path__objects_and_lists__as_the_api_has_them),
        cmocka_unit_test(test_path__names_that_cannot_be__are_refused),
        cmocka_unit_test(test_path__the_longest_names_of_every_kind__have_room),
        cmocka_unit_test(test_query__odd_values__are_encoded),
        cmocka_unit_test(test_query__no_room__the_path_is_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
