/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_text__control_characters_and_foreign_bytes__are_marks(void **state)
{
    char out[64] = "it says: ";
    (void)state;

    kube_text_append(out, sizeof(out), "a\nb\x1b[0m\x7f\xc3\xa4", 100, NULL);

    assert_string_equal(out, "it says: a?b?[0m???");
}

static void test_text__more_than_max__is_cut(void **state)
{
    char out[64] = "x: ";
    (void)state;

    kube_text_append(out, sizeof(out), "0123456789", 4, NULL);

    assert_string_equal(out, "x: 0123");
}

static void test_text__array_is_full__nothing_behind_its_end(void **state)
{
    (void)state;
    for (size_t size = 4; size < 40; size++) {
        char *out = calloc(1, size);
        memcpy(out, "x: ", 3);
        kube_text_append(out, size, "01234567 eyJhbGciOiJSUzI1NiJ9.e30.c2ln 89", 100, NULL);
        assert_true(strlen(out) < size);
        assert_null(strstr(out, "eyJ"));
        free(out);
    }
}

static void test_text__a_web_token_of_anybody__is_left_out(void **state)
{
    char out[200] = "";
    (void)state;

    kube_text_append(out, sizeof(out), "bad \"eyJhbGciOiJSUzI1NiJ9.e30.c2ln\" (eyJ is fine)", 150,
                     NULL);

    assert_string_equal(out, "bad \"[token]\" (eyJ is fine)");
}

static void test_text__our_secret_is_no_web_token__is_left_out(void **state)
{
    char out[200] = "";
    (void)state;

    kube_text_append(out, sizeof(out), "no abcdef.0123 here", 150, "abcdef.0123");

    assert_string_equal(out, "no [token] here");
}

static void test_text__an_empty_secret__hides_nothing(void **state)
{
    char out[200] = "";
    (void)state;

    kube_text_append(out, sizeof(out), "abc", 150, "");

    assert_string_equal(out, "abc");
}

static void test_fail__too_long__is_cut_and_rc_returned(void **state)
{
    static char text[2 * KUBE_TEXT_BYTES];
    struct kube_error err;
    (void)state;
    memset(text, 'x', sizeof(text) - 1);

    assert_int_equal(kube_fail(&err, RC_INVALID, "%s", text), RC_INVALID);
    assert_int_equal(strlen(err.text), KUBE_TEXT_BYTES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text__control_characters_and_foreign_bytes__are_marks),
        cmocka_unit_test(test_text__more_than_max__is_cut),
        cmocka_unit_test(test_text__array_is_full__nothing_behind_its_end),
        cmocka_unit_test(test_text__a_web_token_of_anybody__is_left_out),
        cmocka_unit_test(test_text__our_secret_is_no_web_token__is_left_out),
        cmocka_unit_test(test_text__an_empty_secret__hides_nothing),
        cmocka_unit_test(test_fail__too_long__is_cut_and_rc_returned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
