/* SPDX-License-Identifier: Apache-2.0 */
/* What is not our YAML, with its place; and files that are cut or damaged anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/config/tree.h"
#include "tests/gateway/config/fixture.h"

#define AFTER                                                                                      \
    "listeners:\n"                                                                                 \
    "- {name: a, bind: [127.0.0.1:1], routes: [{sni: [\"*\"], mode: passthrough, upstream: u}]}\n" \
    "upstreams:\n"                                                                                 \
    "- {name: u, endpoints: [\"10.0.0.1:1\"]}\n"

static void test_tree__yaml_beyond_ours__refused_with_place(void **state)
{
    static const struct {
        const char *text;
        const char *what;
    } cases[] = {
        {"version: ^&one 1\n" AFTER, "anchors"},
        {"version: 1\nlisteners: ^&all\n- {name: a, bind: [127.0.0.1:1], routes: [{sni: [\"*\"], "
         "mode: passthrough, upstream: u}]}\n"
         "upstreams:\n- {name: u, endpoints: [\"10.0.0.1:1\"]}\n",
         "anchors"},
        {"version: 1\nworkers: ^*one\n" AFTER, "aliases"},
        {"version: 1\nlog:\n  ^<<: {level: info}\n" AFTER, "merge keys"},
        {"version: ^!!int 1\n" AFTER, "tags"},
        {"version: 1\nworkers: 1\n^version: 1\n" AFTER,
         "duplicate key \"version\": it is already on line 1"},
        {"version: 1\n^[a]: b\n" AFTER, "a key must be a word"},
        {"version: 1\n^\"\\0\": b\n" AFTER, "unknown key \"\\x00\""},
        {"version: 1\n^\"version\\0\": b\n" AFTER, "unknown key"},
        {"version: 1\n" AFTER "^---\nversion: 1\n", "a second document"},
        {"^- version: 1\n", "must be a mapping"},
        {"^just words\n", "must be a mapping"},
        {"^5\n", "must be a mapping"},
        {"version: 1\nlog:\n^\tlevel: info\n", "indent with blanks"},
        {"version: 1\nlog: {level: info\nlisteners^: 1\n", "flow mapping"},
        {"version: \"^", "quoted scalar"},
        {"version: 1\n  workers^: 1\n", "mapping"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture_refuse(*state, cases[i].text, cases[i].what);
    }
}

static void refuse_bytes(struct fixture *f, const char *bytes, size_t n, const char *expected)
{
    struct config *c = NULL;
    fixture_write_bytes(f, bytes, n);
    assert_int_equal(fixture_load(f, &c), RC_INVALID);
    size_t path = strlen(f->path);
    assert_int_equal(strncmp(f->errors, f->path, path), 0);
    if (strncmp(f->errors + path, expected, strlen(expected)) != 0) {
        print_error("expected %s, said %s", expected, f->errors);
    }
    assert_int_equal(strncmp(f->errors + path, expected, strlen(expected)), 0);
}

static void test_tree__bytes_that_are_no_text__refused_with_place(void **state)
{
    refuse_bytes(*state, "", 0, ":1:1: the file is empty");
    refuse_bytes(*state, "# only a comment\n", 17, ":1:1: the file is empty");
    refuse_bytes(*state, "version: 1\nx: \xff\n", 16, ":2:4: ");
    refuse_bytes(*state, "version: 1\n\xc3\xa4: \0\n", 17, ":2:4: ");
    refuse_bytes(*state, "v\0e\0r\0s\0", 8, ":1:2: ");
    refuse_bytes(*state,
                 "\xff\xfe"
                 "v\0:\0 \0",
                 8, ":1:1: ");
}

static void test_tree__column__counts_characters(void **state)
{
    fixture_refuse(*state, "version: 1\nlog: {file: @/a}\nworkers: 1\n^\"\xc3\xa4\": 1\n" AFTER,
                   "unknown key \"\\xc3\\xa4\"");
    struct fixture *f = *state;
    struct config *c = NULL;
    static const char text[] = "log: {file: \"/\xc3\xa4\", leve: info}\n";
    fixture_write_bytes(f, text, sizeof(text) - 1);
    assert_int_equal(fixture_load(f, &c), RC_INVALID);
    assert_non_null(strstr(f->errors, ":1:19: unknown key \"leve\""));
}

static void test_tree__depth__bounded(void **state)
{
    char text[256];
    size_t n = 0;
    for (size_t i = 0; i < 100; i++) {
        text[n++] = '[';
    }
    text[n++] = '\n';
    char expected[64];
    (void)snprintf(expected, sizeof(expected), ":1:%d: nested deeper than %d levels",
                   TREE_MAX_DEPTH, TREE_MAX_DEPTH);
    refuse_bytes(*state, text, n, expected);
}

static void test_tree__nodes__bounded(void **state)
{
    size_t n = (TREE_MAX_NODES + 10) * 2;
    char *text = malloc(n + 1);
    assert_non_null(text);
    text[0] = '[';
    for (size_t i = 0; i < n / 2; i++) {
        text[1 + 2 * i] = 'a';
        text[2 + 2 * i] = ',';
    }
    struct fixture *f = *state;
    struct config *c = NULL;
    fixture_write_bytes(f, text, n + 1);
    assert_int_equal(fixture_load(f, &c), RC_INVALID);
    assert_non_null(strstr(f->errors, "more than 100000 values"));
    free(text);
}

static void test_tree__file__bounded_and_regular(void **state)
{
    size_t n = 1024 * 1024;
    char *text = malloc(n + 1);
    assert_non_null(text);
    for (size_t i = 0; i <= n; i++) {
        text[i] = '#';
    }
    refuse_bytes(*state, text, n, ":1:1: the file is empty");
    refuse_bytes(*state, text, n + 1, ":1:1: the file cannot be read: it is larger than 1MiB");
    free(text);
    struct config *c = NULL;
    FILE *errors = fopen("/dev/null", "w");
    assert_non_null(errors);
    assert_int_equal(config_load("/dev/null", errors, &c), RC_INVALID);
    assert_int_equal(config_load("/nonexistent/file", errors, &c), RC_INVALID);
    assert_int_equal(fclose(errors), 0);
}

static void test_tree__thousands_of_errors__bounded_report(void **state)
{
    enum { ITEMS = 1000 };
    char *text = NULL;
    size_t n = 0;
    FILE *file = open_memstream(&text, &n);
    assert_non_null(file);
    (void)fputs("version: 2\nupstreams:\n", file);
    for (size_t i = 0; i < ITEMS; i++) {
        (void)fputs("- {nam: 5, b: 6}\n", file);
    }
    assert_int_equal(fclose(file), 0);
    struct fixture *f = *state;
    struct config *c = NULL;
    fixture_write_bytes(f, text, n);
    free(text);

    assert_int_equal(fixture_load(f, &c), RC_INVALID);

    size_t lines = 0;
    for (const char *s = f->errors; (s = strchr(s, '\n')) != NULL; s++) {
        lines++;
    }
    assert_int_equal(lines, 1001);
    assert_non_null(strstr(f->errors, " more errors\n"));
}

/* ---- damaged files ---- */

/* Every line of the errors names a place inside the file. */
static void assert_places(const struct fixture *f, unsigned n_lines)
{
    size_t path = strlen(f->path);
    assert_int_not_equal(f->errors[0], '\0');
    for (const char *s = f->errors; *s != '\0'; s = strchr(s, '\n') + 1) {
        unsigned line = 0;
        unsigned column = 0;
        assert_int_equal(strncmp(s, f->path, path), 0);
        assert_int_equal(sscanf(s + path, ":%u:%u: ", &line, &column), 2);
        assert_in_range(line, 1, n_lines);
        assert_in_range(column, 1, 200);
        assert_non_null(strchr(s, '\n'));
    }
}

static void read_damaged(struct fixture *f, const char *text, size_t n)
{
    struct config *c = NULL;
    unsigned n_lines = 2;
    for (size_t i = 0; i < n; i++) {
        n_lines += text[i] == '\n';
    }
    fixture_write_bytes(f, text, n);
    enum rc rc = fixture_load(f, &c);
    if (rc == RC_OK) {
        assert_string_equal(f->errors, "");
        assert_non_null(c);
        config_free(&c);
        return;
    }
    assert_int_equal(rc, RC_INVALID);
    assert_null(c);
    assert_places(f, n_lines);
}

/* The full example, naming files that do not exist: reading certificates thousands of times takes
 * long. */
static char *text_without_files(void)
{
    char *text = fixture_example("full.yaml");
    for (char *at = strchr(text, '@'); at != NULL; at = strchr(at, '@')) {
        *at = 'x';
    }
    return text;
}

static void test_tree__every_prefix__error_or_config(void **state)
{
    char *text = text_without_files();
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        read_damaged(*state, text, i);
    }
    free(text);
}

static void test_tree__every_byte_changed__error_or_config(void **state)
{
    static const char bytes[] = {'\0', '\n', '\t', ' ', ':', '[', ']',    '{',    '}', '"',
                                 '\'', '*',  '&',  '-', '9', '#', '\xff', '\x01', '|'};
    char *text = text_without_files();
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        char old = text[i];
        text[i] = bytes[i * 7 % sizeof(bytes)];
        read_damaged(*state, text, n);
        text[i] = old;
    }
    free(text);
}

/* With files: a file that ends before its last upstream misses something. */
static void test_tree__every_line_cut_off__error_or_config(void **state)
{
    struct fixture *f = *state;
    char *full = fixture_example("full.yaml");
    for (const char *s = strchr(full, '\n'); s != NULL; s = strchr(s + 1, '\n')) {
        struct config *c = NULL;
        char *text = strndup(full, (size_t)(s - full));
        assert_non_null(text);
        fixture_write(f, text);
        enum rc rc = fixture_load(f, &c);
        bool whole = strstr(text, "\nworkers") != NULL ||
                     strstr(text, "name: eastwest\n  endpoints") != NULL;
        assert_int_equal(rc == RC_OK, c != NULL);
        if (!whole) {
            assert_int_equal(rc, RC_INVALID);
        }
        config_free(&c);
        free(text);
    }
    free(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree__yaml_beyond_ours__refused_with_place),
        cmocka_unit_test(test_tree__bytes_that_are_no_text__refused_with_place),
        cmocka_unit_test(test_tree__column__counts_characters),
        cmocka_unit_test(test_tree__depth__bounded),
        cmocka_unit_test(test_tree__nodes__bounded),
        cmocka_unit_test(test_tree__file__bounded_and_regular),
        cmocka_unit_test(test_tree__thousands_of_errors__bounded_report),
        cmocka_unit_test(test_tree__every_prefix__error_or_config),
        cmocka_unit_test(test_tree__every_byte_changed__error_or_config),
        cmocka_unit_test(test_tree__every_line_cut_off__error_or_config),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
