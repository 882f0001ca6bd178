/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/json_diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* JSON, with ' for ". */
static json_t *parse(const char *text)
{
    struct doc_error err;
    char *json = strdup(text);
    json_t *v = NULL;

    for (char *c = json; *c != '\0'; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    assert_int_equal(doc_parse_json(json, strlen(json), &err, &v), RC_OK);
    free(json);
    return v;
}

static void assert_diff(const char *before, const char *after, const char *want)
{
    json_t *a = parse(before);
    json_t *b = parse(after);
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    json_diff_write(a, b, 2, out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, want);
    free(text);
    json_decref(a);
    json_decref(b);
}

static void test_json_diff__equal__nothing(void **state)
{
    (void)state;
    assert_diff("{'a': [1, {'b': null}], 'c': 1}", "{'c': 1, 'a': [1, {'b': null}]}", "");
}

static void test_json_diff__objects__each_place_with_its_path(void **state)
{
    (void)state;
    assert_diff("{'a': {'b': 1, 'c': 'x'}, 'gone': [7]}", "{'a': {'b': 2, 'c': 'x', 'd': {}}}",
                "  a.b: 1 -> 2\n"
                "  + a.d: {}\n"
                "  - gone: [7]\n");
    assert_diff("{'a': {}}", "{'a': []}", "  a: {} -> []\n");
    assert_diff("1", "'1'", "  1 -> \"1\"\n");
}

static void test_json_diff__lists__what_both_begin_and_end_with_is_left_out(void **state)
{
    (void)state;
    assert_diff("{'l': [1, 2, 3]}", "{'l': [1, 9, 2, 3]}", "  + l[1]: 9\n");
    assert_diff("{'l': [1, 2, 3]}", "{'l': [1, 3]}", "  - l[1]: 2\n");
    assert_diff("{'l': [1, {'n': 1}, 3]}", "{'l': [1, {'n': 2}, 3]}", "  l[1].n: 1 -> 2\n");
    assert_diff("[1, 1]", "[1, 1, 1]", "  + [2]: 1\n");
    assert_diff("[[1], [2, 3]]", "[[1], [2, 4]]", "  [1][1]: 3 -> 4\n");
    assert_diff("[]", "['a', 'b']", "  + [0]: \"a\"\n  + [1]: \"b\"\n");
}

static void test_json_diff__long_and_hostile_values__cut_and_harmless(void **state)
{
    static char long_text[400];
    static char want[400];
    (void)state;

    memset(long_text, 'x', 300);
    memcpy(long_text, "{'a': '", 7);
    memcpy(long_text + 300, "'}", 3);
    snprintf(want, sizeof(want), "  a: \"%.159s... -> 0\n", long_text + 7);
    assert_diff(long_text, "{'a': 0}", want);
    assert_diff("{'\342\200\256a': 0}", "{'\342\200\256a': '\302\233'}",
                "  \357\277\275a: 0 -> \"\357\277\275\"\n");
}

/* A path that is too long is cut, and the next one is right again. */
static void test_json_diff__deep_with_long_keys__paths_are_cut(void **state)
{
    char before[2048] = "";
    char after[sizeof(before) + 16] = "";
    char want[1024];
    char key[128];
    (void)state;

    memset(key, 'k', 100);
    key[100] = '\0';
    for (int i = 0; i < 10; i++) {
        size_t n = strlen(before);
        snprintf(before + n, sizeof(before) - n, "{'%s':", key);
    }
    snprintf(after, sizeof(after), "%s1}}}}}}}}}}", before);
    size_t n = strlen(before);
    snprintf(before + n, sizeof(before) - n, "0}}}}}}}}}}");
    n = (size_t)snprintf(want, sizeof(want), "  ");
    for (size_t i = 0; i < 511; i++) {
        want[n++] = i % 101 == 100 ? '.' : 'k';
    }
    snprintf(want + n, sizeof(want) - n, ": 0 -> 1\n");
    assert_diff(before, after, want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_diff__equal__nothing),
        cmocka_unit_test(test_json_diff__objects__each_place_with_its_path),
        cmocka_unit_test(test_json_diff__lists__what_both_begin_and_end_with_is_left_out),
        cmocka_unit_test(test_json_diff__long_and_hostile_values__cut_and_harmless),
        cmocka_unit_test(test_json_diff__deep_with_long_keys__paths_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
