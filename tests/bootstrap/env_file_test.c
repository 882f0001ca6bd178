/* SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap/env_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static char why_text[200];

/* Read an exact copy on the heap: what is read behind its end is seen by the sanitizer. */
static enum rc read_copy(const char *text, size_t n, json_t **out)
{
    const struct why w = {why_text, sizeof(why_text)};
    char *copy = calloc(1, n > 0 ? n : 1);
    memcpy(copy, text, n);
    why_text[0] = '\0';
    enum rc rc = env_file_read(copy, n, &w, out);
    free(copy);
    return rc;
}

/* {KEY, VALUE} of the only assignment. */
static void expect(const char *text, const char *key, const char *value)
{
    json_t *all = NULL;
    assert_int_equal(read_copy(text, strlen(text), &all), RC_OK);
    assert_int_equal(json_object_size(all), 1);
    assert_string_equal(doc_text(all, key, NULL), value);
    json_decref(all);
}

static void expect_refused(const char *text, const char *why)
{
    json_t *all = NULL;
    assert_int_equal(read_copy(text, strlen(text), &all), RC_INVALID);
    assert_string_equal(why_text, why);
    assert_null(all);
}

static void test_env_file__words_of_all_kinds__as_a_shell_reads_them(void **state)
{
    (void)state;

    expect("A=b", "A", "b");
    expect("A=\n", "A", "");
    expect("A=''\n", "A", "");
    expect("A='it'\"'\"'s'\n", "A", "it's");
    expect("A='$(id) `id` ; \\'\n", "A", "$(id) `id` ; \\");
    expect("A=\"a\\$b\\`c\\\"d\\\\e\\f\\\ng\"\n", "A", "a$b`c\"d\\e\\fg");
    expect("A=a\\ b\\'c\\\nd\n", "A", "a b'cd");
    expect("A='two\nlines\n'\n", "A", "two\nlines\n");
    expect("  A=b # a comment\n\n# B=c\n", "A", "b");
    expect("A=a#b\n", "A", "a#b");
    expect("A=1\nA=2\n", "A", "2");
    expect("A='\xc3\xa4'\n", "A", "\xc3\xa4");
    expect("_a1='[{\"name\":\"http\"}]'\n", "_a1", "[{\"name\":\"http\"}]");
}

static void test_env_file__empty__no_variables(void **state)
{
    (void)state;
    json_t *all = NULL;

    assert_int_equal(read_copy("", 0, &all), RC_OK);
    assert_int_equal(json_object_size(all), 0);
    json_decref(all);
}

static void test_env_file__what_a_shell_would_do__refused_with_its_line(void **state)
{
    (void)state;

    expect_refused("A=1\nB=$HOME\n",
                   "line 2: holds a character that a shell would act on; put the value in quotes");
    expect_refused("A=\"$(id)\"\n",
                   "line 1: holds $ or ` that a shell would run; put it between single quotes");
    expect_refused("A=a;id\n",
                   "line 1: holds a character that a shell would act on; put the value in quotes");
    expect_refused("A='a\nb'\nB=c d\n",
                   "line 3: more than one word behind =; put the value in quotes");
    expect_refused("A=b\nexport B=c\n", "line 2: what stands before = is no name of a variable");
    expect_refused("A b\n", "line 1: is no KEY=VALUE");
    expect_refused("1A=b\n", "line 1: what stands before = is no name of a variable");
    expect_refused("=b\n", "line 1: what stands before = is no name of a variable");
    expect_refused("A=b\r\n",
                   "line 1: ends with a carriage return; write the file with Unix line ends");
    expect_refused("A='\xff'\n", "line 1: the value is not UTF-8");
    expect_refused("A='b", "line 1: a quote (') is never closed");
    expect_refused("A=\"b\n", "line 2: a quote (\") is never closed");
    expect_refused("A=b\\",
                   "line 1: holds a character that a shell would act on; put the value in quotes");
}

static void test_env_file__zero_bytes__refused(void **state)
{
    (void)state;
    static const char in_key[] = "A\0B=c\n";
    static const char in_value[] = "A=b\0c\n";
    json_t *all = NULL;

    assert_int_equal(read_copy(in_key, sizeof(in_key) - 1, &all), RC_INVALID);
    assert_int_equal(read_copy(in_value, sizeof(in_value) - 1, &all), RC_INVALID);
}

static void test_env_file__cut_anywhere__never_more_than_there_is(void **state)
{
    (void)state;
    static const char text[] = "A='one'\"two\"\\ 3 # x\nB='\n'\nC=\"\\\n\"\n";

    for (size_t n = 0; n < sizeof(text); n++) {
        json_t *all = NULL;
        enum rc rc = read_copy(text, n, &all);
        assert_true(rc == RC_OK || rc == RC_INVALID);
        json_decref(all);
    }
}

static void test_env_file__too_many_or_too_long__refused(void **state)
{
    (void)state;
    size_t n = 0;
    char *text = calloc(32, ENV_FILE_MAX_KEYS + 2);
    json_t *all = NULL;
    for (unsigned i = 0; i <= ENV_FILE_MAX_KEYS; i++) {
        n += (size_t)snprintf(text + n, 32, "K%u=v\n", i);
    }
    assert_int_equal(read_copy(text, n, &all), RC_INVALID);
    assert_non_null(strstr(why_text, "too many variables"));

    memset(text, 'A', 300);
    memcpy(text + 300, "=b\n", 4);
    assert_int_equal(read_copy(text, 303, &all), RC_INVALID);

    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_env_file__words_of_all_kinds__as_a_shell_reads_them),
        cmocka_unit_test(test_env_file__empty__no_variables),
        cmocka_unit_test(test_env_file__what_a_shell_would_do__refused_with_its_line),
        cmocka_unit_test(test_env_file__zero_bytes__refused),
        cmocka_unit_test(test_env_file__cut_anywhere__never_more_than_there_is),
        cmocka_unit_test(test_env_file__too_many_or_too_long__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
