/* SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap/bundle_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect(struct text *t, const char *content)
{
    assert_int_equal(text_result(t), RC_OK);
    assert_int_equal(t->n, strlen(content));
    assert_memory_equal(t->data, content, t->n);
    text_fini(t);
}

static void test_text__pieces_of_all_kinds__one_after_the_other(void **state)
{
    (void)state;
    struct text t;
    text_init(&t);

    text_put(&t, "one ");
    text_add(&t, "two three", 3);
    text_add(&t, NULL, 0);
    text_printf(&t, " %d", 3);

    expect(&t, "one two 3");
}

static void test_text__grows_over_many_blocks__content_stays(void **state)
{
    (void)state;
    struct text t;
    text_init(&t);

    for (unsigned i = 0; i < 100000; i++) {
        text_printf(&t, "%05u", i);
    }

    assert_int_equal(text_result(&t), RC_OK);
    assert_int_equal(t.n, 500000);
    assert_memory_equal(t.data, "0000000001", 10);
    assert_memory_equal(t.data + t.n - 10, "9999899999", 10);
    text_fini(&t);
}

static void test_text__over_the_limit__full_and_stays_so(void **state)
{
    (void)state;
    struct text t;
    text_init(&t);
    text_zeros(&t, TEXT_MAX_BYTES - 1);
    assert_int_equal(text_result(&t), RC_OK);

    text_put(&t, "ab");
    text_put(&t, "c");

    assert_int_equal(text_result(&t), RC_FULL);
    assert_int_equal(t.n, TEXT_MAX_BYTES - 1);
    text_fini(&t);
    text_put(&t, "again");
    expect(&t, "again");
}

static void test_text__printf_of_a_long_string__cut_at_511(void **state)
{
    (void)state;
    struct text t;
    text_init(&t);

    text_printf(&t, "%600s", "x");

    assert_int_equal(t.n, 511);
    text_fini(&t);
}

static void test_text__base64__rfc_4648_examples_and_lines_of_76(void **state)
{
    (void)state;
    struct text t;
    char data[58];
    char line[] = "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4\n";
    memset(data, 'x', sizeof(data));

    text_init(&t);
    text_base64(&t, "", 0);
    text_base64(&t, "f", 1);
    text_base64(&t, "fo", 2);
    text_base64(&t, "foo", 3);
    expect(&t, "Zg==\nZm8=\nZm9v\n");
    text_base64(&t, data, 57);
    expect(&t, line);
    text_base64(&t, data, 58);
    text_put(&t, "end");
    assert_int_equal(t.n, 77 + 5 + 3);
    assert_memory_equal(t.data + 77, "eA==\nend", 8);
    text_fini(&t);
}

static void test_text__indented__empty_lines_stay_empty_and_a_last_newline_is_added(void **state)
{
    (void)state;
    static const char lines[] = "a\n\n  b\nc";
    struct text t;

    text_init(&t);
    text_indented(&t, lines, sizeof(lines) - 1, 2);
    expect(&t, "  a\n\n    b\n  c\n");
    text_indented(&t, lines, 2, 4);
    expect(&t, "    a\n");
    text_indented(&t, lines, 0, 4);
    assert_int_equal(t.n, 0);
    text_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text__pieces_of_all_kinds__one_after_the_other),
        cmocka_unit_test(test_text__grows_over_many_blocks__content_stays),
        cmocka_unit_test(test_text__over_the_limit__full_and_stays_so),
        cmocka_unit_test(test_text__printf_of_a_long_string__cut_at_511),
        cmocka_unit_test(test_text__base64__rfc_4648_examples_and_lines_of_76),
        cmocka_unit_test(test_text__indented__empty_lines_stay_empty_and_a_last_newline_is_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
