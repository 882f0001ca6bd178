/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: what is read, what is refused and where, bounds; the way to a value; wiping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/core/doc/doc_fixture.h"

static void test_json__values__read_and_written_sorted(void **state)
{
    (void)state;
    assert_reads_as(doc_parse_json, "{\"b\": [1, 2.5, -3], \"a\": {\"y\": null, \"x\": true}}",
                    "{\"a\":{\"x\":true,\"y\":null},\"b\":[1,2.5,-3]}");
    assert_reads_as(doc_parse_json, "\"word\"", "\"word\"");
    assert_reads_as(doc_parse_json, " 9223372036854775807 ", "9223372036854775807");
    assert_reads_as(doc_parse_json, "[]", "[]");
    assert_reads_as(doc_parse_json, "\"\\u0000\"", "\"\\u0000\"");
    assert_reads_as(doc_parse_json, "\"a/b\\u00e4\"", "\"a/b\xc3\xa4\"");
}

static void test_json__no_json__refused_with_place(void **state)
{
    static const struct {
        const char *text;
        uint32_t line;
        uint32_t column;
        const char *what;
    } cases[] = {
        {"", 1, 1, "ends too early"},
        {"{\"a\": 1,\n \"b\": }", 2, 7, "not JSON"},
        {"{\"a\": 1}\n{}", 2, 1, "something follows"},
        {"{\"a\": 1, \"a\": 2}", 1, 12, "already in the same object"},
        {"[1, 92233720368547758080]", 1, 24, "64 bits"},
        {"{\"a\\u0000\": 1}", 1, 10, "NUL"},
        {"[1e999]", 1, 6, "64 bits"},
        {"{'a': 1}", 1, 2, "not JSON"},
        {"[1,]", 1, 4, "not JSON"},
        {"nul", 1, 3, "not JSON"},
        {"\"\xff\"", 1, 1, "not UTF-8"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        refuse_text(doc_parse_json, cases[i].text, cases[i].line, cases[i].column, cases[i].what);
    }
}

static void test_json__error__says_nothing_of_the_content(void **state)
{
    static const char text[] = "{\"token\": \"geheim\" geheim}";
    struct doc_error err = {.line = 0};
    json_t *v = NULL;
    (void)state;
    assert_int_equal(doc_parse_json(text, sizeof(text) - 1, &err, &v), RC_INVALID);
    assert_null(strstr(err.text, "geheim"));
}

static void test_json__every_prefix__refused(void **state)
{
    static const char text[] = "{\"a\": [1, \"\\u00e4\\\"\", {\"b\": null}], \"c\": false}";
    (void)state;
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        struct doc_error err = {.line = 0};
        json_t *v = NULL;
        assert_int_equal(parse_exact(doc_parse_json, text, i, &err, &v), RC_INVALID);
        assert_null(v);
        assert_int_equal(err.line, 1);
        assert_in_range(err.column, 1, i + 1);
    }
    json_decref(accept_text(doc_parse_json, text));
}

static void test_json__depth__bounded(void **state)
{
    char *deep = repeat("[", DOC_MAX_DEPTH, "");
    char *shut = repeat("]", DOC_MAX_DEPTH, "");
    char *text = malloc(2 * DOC_MAX_DEPTH + 1);
    (void)state;
    assert_non_null(text);
    (void)snprintf(text, 2 * DOC_MAX_DEPTH + 1, "%s%s", deep, shut);
    json_decref(accept_text(doc_parse_json, text));
    free(text);
    free(deep);
    free(shut);
    text = repeat("[", DOC_MAX_DEPTH + 1, "");
    refuse_text(doc_parse_json, text, 1, DOC_MAX_DEPTH + 1, "deeper than 64");
    free(text);
    /* Brackets in a string are none. */
    text = repeat("[", 1000, "\"");
    text[0] = '"';
    json_decref(accept_text(doc_parse_json, text));
    free(text);
    text = repeat("\\\"[", 1000, "\"");
    text[0] = '"';
    text[1] = '[';
    json_decref(accept_text(doc_parse_json, text));
    free(text);
}

static void test_json__values__bounded(void **state)
{
    char *text = repeat("1,", DOC_MAX_VALUES - 2, "1]");
    (void)state;
    text[0] = '[';
    text[1] = ' ';
    json_t *v = accept_text(doc_parse_json, text);
    assert_int_equal(json_array_size(v), DOC_MAX_VALUES - 2);
    json_decref(v);
    free(text);
    text = repeat("1,", DOC_MAX_VALUES, "1]");
    text[0] = '[';
    struct doc_error err = {.line = 0};
    v = NULL;
    assert_int_equal(doc_parse_json(text, strlen(text), &err, &v), RC_INVALID);
    assert_string_equal(err.text, "more than 100000 values");
    free(text);
}

static void test_json__size__bounded(void **state)
{
    char *text = repeat(" ", DOC_MAX_BYTES, "");
    (void)state;
    text[0] = '1';
    json_decref(accept_bytes(doc_parse_json, text, DOC_MAX_BYTES));
    free(text);
    text = repeat(" ", DOC_MAX_BYTES + 1, "");
    text[0] = '1';
    refuse_bytes(doc_parse_json, text, DOC_MAX_BYTES + 1, 1, 1, "longer than 4194304 bytes");
    free(text);
}

static void test_at__path__value_or_null(void **state)
{
    json_t *v = accept_text(
        doc_parse_json, "{\"metadata\": {\"name\": \"vm\", \"labels\": {}, \"z\": \"a\\u0000\"},"
                        " \"list\": [{\"name\": \"x\"}], \"n\": null}");
    (void)state;
    assert_ptr_equal(doc_at(v, NULL), v);
    assert_string_equal(doc_text(v, "metadata", "name", NULL), "vm");
    assert_non_null(doc_at(v, "metadata", "labels", NULL));
    assert_true(json_is_null(doc_at(v, "n", NULL)));
    assert_null(doc_at(v, "metadata", "nam", NULL));
    assert_null(doc_at(v, "list", "name", NULL));
    assert_null(doc_at(v, "metadata", "name", "deeper", NULL));
    assert_null(doc_at(NULL, "metadata", NULL));
    assert_null(doc_text(v, "metadata", NULL));
    assert_null(doc_text(v, "n", NULL));
    assert_null(doc_text(NULL, NULL));
    assert_null(doc_text(v, "metadata", "z", NULL)); /* it holds a NUL */
    json_decref(v);
}

static void test_is_text__same_text_only(void **state)
{
    json_t *v =
        accept_text(doc_parse_json, "{\"state\": \"ERROR\", \"n\": 1, \"z\": \"a\\u0000\"}");
    (void)state;

    assert_true(doc_is_text(v, "state", "ERROR"));
    assert_false(doc_is_text(v, "state", "ERR"));
    assert_false(doc_is_text(v, "stat", "ERROR"));
    assert_false(doc_is_text(v, "n", "1"));
    assert_false(doc_is_text(v, "z", "a"));
    assert_false(doc_is_text(NULL, "state", "ERROR"));
    json_decref(v);
}

/* The words of a freed document are gone; glibc reuses the first bytes of a freed block, so they
 * stand further behind. */
static void test_json__freed__wiped(void **state)
{
    json_malloc_t get = NULL;
    json_free_t release = NULL;
    (void)state;
    json_decref(accept_text(doc_parse_json, "1"));
    json_get_alloc_funcs(&get, &release);
    char *block = get(400);
    assert_non_null(block);
    memset(block, 's', 400);
    release(block);
#ifndef __SANITIZE_ADDRESS__
    char *again = malloc(400);
    assert_ptr_equal(again, block);
    for (size_t i = 32; i < 400; i++) {
        assert_int_equal(again[i], 0);
    }
    free(again);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json__values__read_and_written_sorted),
        cmocka_unit_test(test_json__no_json__refused_with_place),
        cmocka_unit_test(test_json__error__says_nothing_of_the_content),
        cmocka_unit_test(test_json__every_prefix__refused),
        cmocka_unit_test(test_json__depth__bounded),
        cmocka_unit_test(test_json__values__bounded),
        cmocka_unit_test(test_json__size__bounded),
        cmocka_unit_test(test_at__path__value_or_null),
        cmocka_unit_test(test_is_text__same_text_only),
        cmocka_unit_test(test_json__freed__wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
