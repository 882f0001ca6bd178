/* SPDX-License-Identifier: Apache-2.0 */
/* YAML: scalars as sigs.k8s.io/yaml reads them, what is refused and where, bounds, several
 * documents, and writing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/core/doc/doc_fixture.h"

/* The right sides are what sigs.k8s.io/yaml v1.6 made of the left sides (YAMLToJSON). */
static void test_yaml__scalars__as_kubernetes_tools_read_them(void **state)
{
    static const char *const cases[][2] = {
        {"[a, b c, \"1\", '2', !!str 3]", "[\"a\",\"b c\",\"1\",\"2\",\"3\"]"},
        {"[yes, On, y, N, off, True, FALSE, tRue]",
         "[true,true,true,false,false,true,false,\"tRue\"]"},
        {"[~, null, Null, NULL, nULL, ]", "[null,null,null,null,\"nULL\"]"},
        {"[1, +12, -3, 0x1F, -0x10, 0o17, 017, 0b101, -0b11, 1_000, 12_]",
         "[1,12,-3,31,-16,15,15,5,-3,1000,12]"},
        {"[08, 1.5, .5, 5., -1e3, 1.5E+2]", "[8.0,1.5,0.5,5.0,-1000.0,150.0]"},
        {"[9223372036854775807, -9223372036854775808]",
         "[9223372036854775807,-9223372036854775808]"},
        {"[1e999, 1.2.3, 0x, 0xg, 1e, ., -, +, 1__, e3]",
         "[\"1e999\",\"1.2.3\",\"0x\",\"0xg\",\"1e\",\".\",\"-\",\"+\",1,\"e3\"]"},
        {"[2024-01-02, 2024-01-02T03:04:05Z, 12:30:45, .5_5, 10.0.0.1, \"::1\"]",
         "[\"2024-01-02\",\"2024-01-02T03:04:05Z\",\"12:30:45\",\".5_5\",\"10.0.0.1\",\"::1\"]"},
        {"{1: a, yes: b, x: c, \"0x1\": d}",
         "{\"0x1\":\"d\",\"1\":\"a\",\"true\":\"b\",\"x\":\"c\"}"},
        {"a: |\n  x\n  y\nb: >-\n  x\n  y\n", "{\"a\":\"x\\ny\\n\",\"b\":\"x y\"}"},
        {"a: &here 1\n", "{\"a\":1}"},
        {"[2024-13-99, 2024-1, 0x1_f, _1, -_1, 1_e3, 0_8]",
         "[\"2024-13-99\",\"2024-1\",31,\"_1\",-1,1000.0,8.0]"},
        {"{\"a\": [1, 2], \"b\": {}}", "{\"a\":[1,2],\"b\":{}}"},
        {"a:\nb:\n- c: 1\n", "{\"a\":null,\"b\":[{\"c\":1}]}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_reads_as(doc_parse_yaml, cases[i][0], cases[i][1]);
    }
}

static void test_yaml__beyond_ours__refused_with_place(void **state)
{
    static const struct {
        const char *text;
        uint32_t line;
        uint32_t column;
        const char *what;
    } cases[] = {
        {"a: &x 1\nb: *x\n", 2, 4, "aliases"},
        {"a:\n  <<: {b: 1}\n", 2, 3, "merge keys"},
        {"a: !!int 1\n", 1, 4, "tags"},
        {"a: !mine [1]\n", 1, 4, "tags"},
        {"!!map {a: 1}\n", 1, 1, "tags"},
        {"a: 1\nb: 2\na: 3\n", 3, 1, "already in the same mapping"},
        {"1: a\n\"1\": b\n", 2, 1, "already in the same mapping"},
        {"[a]: b\n", 1, 1, "a key must be a word"},
        {"1.5: b\n", 1, 1, "put it in quotes"},
        {"~: b\n", 1, 1, "put it in quotes"},
        {"\"a\\0\": b\n", 1, 1, "NUL"},
        {"a: .inf\n", 1, 4, "infinity"},
        {"a: 1\n\tb: 2\n", 2, 1, "indent with blanks"},
        {"# \xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x9f\na: 1\n\tb: 2\n", 3, 1, "indent with blanks"},
        {"a: {b: 1\nc: 2", 2, 2, "flow mapping"},
        {"a: \"x", 1, 6, "end of stream"},
        {"a: 1\n---\nb: 2\n", 3, 1, "second document"},
        {"", 1, 1, "no document"},
        {"# nothing\n---\n...\n", 1, 1, "no document"},
        {"a: \xff\n", 1, 4, "UTF-8"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        refuse_text(doc_parse_yaml, cases[i].text, cases[i].line, cases[i].column, cases[i].what);
    }
}

static void test_yaml__tab_somewhere_else__is_not_blamed(void **state)
{
    (void)state;

    for (size_t umlauts = 0; umlauts < 20; umlauts++) {
        struct doc_error err = {.line = 0};
        json_t *v = NULL;
        char *text = repeat("#\xc3\xa4", umlauts, "\na: [1\nb\t: 2\n");
        assert_int_equal(parse_exact(doc_parse_yaml, text, strlen(text), &err, &v), RC_INVALID);
        free(text);
        assert_null(strstr(err.text, "tabs"));
    }
}

static void test_yaml__several_documents__empty_ones_left_out(void **state)
{
    (void)state;
    assert_reads_as(doc_parse_yaml_all, "---\na: 1\n---\n# none\n---\nb: 2\n...\n---\n",
                    "[{\"a\":1},{\"b\":2}]");
    assert_reads_as(doc_parse_yaml_all, "", "[]");
    assert_reads_as(doc_parse_yaml, "---\n---\na: 1\n---\n", "{\"a\":1}");
    refuse_text(doc_parse_yaml_all, "a: 1\n---\nb: *x\n", 3, 4, "aliases");
}

static void test_yaml__every_prefix__value_or_error_in_it(void **state)
{
    static const char text[] =
        "apiVersion: v1\nmetadata:\n  name: \"v\\u00e4m\"\n  labels: {a: b}\n"
        "spec:\n- |\n  x\n- 'y'\n---\n{\"k\": [1, 2.5]}\n";
    (void)state;
    for (size_t i = 0; i <= sizeof(text) - 1; i++) {
        struct doc_error err = {.line = 0};
        json_t *v = NULL;
        enum rc rc = parse_exact(doc_parse_yaml_all, text, i, &err, &v);
        assert_true(rc == RC_OK || rc == RC_INVALID);
        assert_int_equal(rc == RC_OK, v != NULL);
        if (rc == RC_INVALID) {
            assert_in_range(err.line, 1, 12);
            assert_in_range(err.column, 1, 40);
        }
        json_decref(v);
    }
}

static void test_yaml__bounds__refused(void **state)
{
    char *text = repeat("[", DOC_MAX_DEPTH + 1, "");
    (void)state;
    refuse_text(doc_parse_yaml, text, 1, DOC_MAX_DEPTH + 1, "deeper than 64");
    free(text);
    text = repeat("- ", DOC_MAX_DEPTH, "a\n");
    json_decref(accept_text(doc_parse_yaml, text));
    free(text);
    text = repeat("- a\n", DOC_MAX_VALUES, "");
    refuse_text(doc_parse_yaml, text, DOC_MAX_VALUES, 3, "more than 100000 values");
    text[4 * (DOC_MAX_VALUES - 1)] = '\0';
    json_decref(accept_text(doc_parse_yaml, text));
    free(text);
    text = repeat("#", DOC_MAX_BYTES + 1, "");
    refuse_text(doc_parse_yaml, text, 1, 1, "longer than 4194304 bytes");
    text[DOC_MAX_BYTES] = '\0';
    refuse_text(doc_parse_yaml, text, 1, 1, "no document");
    free(text);
}

/* ---- writing ---- */

static void assert_writes(const char *json, const char *yaml)
{
    json_t *v = accept_text(doc_parse_json, json);
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(doc_write_yaml(v, &text, &n), RC_OK);
    assert_string_equal(text, yaml);
    assert_int_equal(n, strlen(yaml));
    json_t *again = accept_bytes(doc_parse_yaml, text, n);
    assert_int_equal(json_equal(v, again), 1);
    json_decref(again);
    json_decref(v);
    free(text);
}

static void test_write__document__block_style_and_sorted(void **state)
{
    (void)state;
    assert_writes(
        "{\"b\": {\"w\": [1, true, null, {\"q\": 1, \"p\": \"x\"}], \"x\": 2}, \"a\": \"\","
        " \"e\": {}, \"l\": []}",
        "a: \"\"\nb:\n  w:\n  - 1\n  - true\n  - null\n  - p: x\n    q: 1\n  x: 2\n"
        "e: {}\nl: []\n");
    assert_writes("[100.0, 0.1, 1e20, -2.5e-7, 99.99]", "- 100.0\n- 0.1\n- 1.0e+20\n- -2.5e-07\n"
                                                        "- 99.99\n");
    assert_writes("{\"pem\": \"-----BEGIN-----\\nabc\\n\"}", "pem: |\n  -----BEGIN-----\n  abc\n");
}

static void test_write__text_that_reads_otherwise__quoted(void **state)
{
    (void)state;
    assert_writes("[\"yes\", \"y\", \"1\", \"0x1\", \"1.5\", \"~\", \"null\", \".inf\", \"1_0\"]",
                  "- \"yes\"\n- \"y\"\n- \"1\"\n- \"0x1\"\n- \"1.5\"\n- \"~\"\n- \"null\"\n"
                  "- \".inf\"\n- \"1_0\"\n");
    assert_writes("[\"2024-01-02\", \"12:30\", \"=\", \"<<\", \"a\\u0000\", \"x\\ty\"]",
                  "- \"2024-01-02\"\n- \"12:30\"\n- \"=\"\n- \"<<\"\n- \"a\\0\"\n- \"x\\ty\"\n");
    assert_writes("[\"10.0.0.1\", \"istiod.istio-system.svc:15012\", \"a b\", \"1.10.2\"]",
                  "- 10.0.0.1\n- istiod.istio-system.svc:15012\n- a b\n- 1.10.2\n");
    assert_writes("[\"a: b\", \"#x\", \"- x\", \"*x\", \" x\", \"x \", \"{x\"]",
                  "- 'a: b'\n- '#x'\n- '- x'\n- '*x'\n- ' x'\n- 'x '\n- '{x'\n");
    assert_writes("{\"1\": 1, \"true\": 2}", "\"1\": 1\n\"true\": 2\n");
}

/* What could go wrong with white space and odd characters is read back as it was. */
static void test_write__odd_text__reads_back(void **state)
{
    static const char *const parts[] = {
        "\n",   " ", "a", "\t", ":", "#", "-", "\\u0085", "\\ufeff", "\\u2028", "\\ud83d\\ude00",
        "\\\"", "'", "|", "\\r"};
    enum { N = sizeof(parts) / sizeof(parts[0]) };
    (void)state;
    for (size_t i = 0; i < (size_t)N * N * N * N; i++) {
        char json[128];
        (void)snprintf(json, sizeof(json), "[\"%s%s%s%s\"]", parts[i % N], parts[i / N % N],
                       parts[i / N / N % N], parts[i / N / N / N]);
        for (char *c = strchr(json, '\n'); c != NULL; c = strchr(json, '\n')) {
            memmove(c + 2, c + 1, strlen(c));
            c[0] = '\\';
            c[1] = 'n';
        }
        for (char *c = strchr(json, '\t'); c != NULL; c = strchr(json, '\t')) {
            memmove(c + 2, c + 1, strlen(c));
            c[0] = '\\';
            c[1] = 't';
        }
        json_t *v = accept_text(doc_parse_json, json);
        char *text = NULL;
        size_t n = 0;
        assert_int_equal(doc_write_yaml(v, &text, &n), RC_OK);
        json_t *again = accept_bytes(doc_parse_yaml, text, n);
        if (json_equal(v, again) != 1) {
            print_error("%s was written as\n%s", json, text);
        }
        assert_int_equal(json_equal(v, again), 1);
        json_decref(again);
        json_decref(v);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yaml__scalars__as_kubernetes_tools_read_them),
        cmocka_unit_test(test_yaml__beyond_ours__refused_with_place),
        cmocka_unit_test(test_yaml__tab_somewhere_else__is_not_blamed),
        cmocka_unit_test(test_yaml__several_documents__empty_ones_left_out),
        cmocka_unit_test(test_yaml__every_prefix__value_or_error_in_it),
        cmocka_unit_test(test_yaml__bounds__refused),
        cmocka_unit_test(test_write__document__block_style_and_sorted),
        cmocka_unit_test(test_write__text_that_reads_otherwise__quoted),
        cmocka_unit_test(test_write__odd_text__reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
