/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/sandbox/common/json.h"

#include <stdlib.h>
#include <string.h>

#include "tests/integration/sandbox/unit.h"

static const char doc[] =
    "{ \"a\" : {\"sub\":\"inner\",\"x\":[1,{\"y\":null}]}, \"exp\":1700000000,"
    "\"aud\":[\"one\",\"two\"],\"sub\":\"o\\\"k\",\"one\":\"two\"}";

static void test_json__members__are_found_at_the_top_only(void **state)
{
    char *s = NULL;
    int64_t n = 0;

    (void)state;
    assert_true(json_get_str(doc, "sub", &s));
    assert_string_equal(s, "o\"k");
    free(s);
    assert_true(json_get_int(doc, "exp", &n));
    assert_int_equal(n, 1700000000);
    assert_true(json_has_str(doc, "aud", "two"));
    assert_false(json_has_str(doc, "aud", "three"));
    assert_true(json_has_str(doc, "one", "two"));
    assert_false(json_get_int(doc, "sub", &n));
    assert_false(json_get_int(doc, "x", &n));
}

static void test_json__cut_at_every_byte__finds_nothing(void **state)
{
    (void)state;
    for (size_t len = 0; len + 1 < sizeof(doc); len++) {
        char *part = sbx_strndup(doc, len);
        char *s = NULL;

        assert_false(json_get_str(part, "sub", &s));
        assert_false(json_has_str(part, "aud", "one"));
        free(part);
    }
}

static void test_json__nested_too_deep__finds_nothing(void **state)
{
    struct text t = {0};
    int64_t n = 0;

    (void)state;
    text_add(&t, "{\"a\":");
    for (int i = 0; i < 100000; i++) {
        text_add(&t, "[");
    }
    for (int i = 0; i < 100000; i++) {
        text_add(&t, "]");
    }
    text_add(&t, ",\"exp\":1}");
    assert_false(json_get_int(text_str(&t), "exp", &n));
    text_fini(&t);
}

static void test_json__written__reads_back(void **state)
{
    struct text t = {0};
    char *s = NULL;
    int64_t n = 0;

    (void)state;
    json_open(&t, NULL, '{');
    json_open(&t, "list", '[');
    json_str(&t, NULL, "x\n\"y\"");
    json_str(&t, NULL, "z");
    json_close(&t, ']');
    json_int(&t, "n", -5);
    json_bool(&t, "b", true);
    json_str(&t, "none", NULL);
    json_str(&t, "s", "tab\tback\\");
    json_close(&t, '}');

    assert_true(json_has_str(text_str(&t), "list", "z"));
    assert_true(json_get_int(text_str(&t), "n", &n));
    assert_int_equal(n, -5);
    assert_non_null(strstr(text_str(&t), "\"x\\u000a\\\"y\\\"\",\"z\"]"));
    assert_false(json_get_str(text_str(&t), "none", &s));
    text_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json__members__are_found_at_the_top_only),
        cmocka_unit_test(test_json__cut_at_every_byte__finds_nothing),
        cmocka_unit_test(test_json__nested_too_deep__finds_nothing),
        cmocka_unit_test(test_json__written__reads_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
