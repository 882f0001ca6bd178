/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FFFD "\xef\xbf\xbd"

/* Clean an exact copy on the heap: a read behind its end is seen by the sanitizer. */
static void assert_clean(const char *text, size_t n, const char *expected)
{
    char *copy = malloc(n > 0 ? n : 1);
    char *out = malloc(SHOW_CLEAN_BYTES(n));

    memcpy(copy, text, n);
    assert_int_equal(show_clean(copy, n, out), strlen(expected));
    assert_string_equal(out, expected);
    free(copy);
    free(out);
}

static void test_show_clean__texts_of_people__stay(void **state)
{
    const char *texts[] = {"",
                           "vm1.vms",
                           "<b>&\"'\\",
                           ("Stra\xc3\x9f"
                            "e"),
                           "\xe6\x97\xa5\xe6\x9c\xac",
                           "\xf0\x9f\x9a\x80",
                           "\xf4\x8f\xbf\xbf"};
    (void)state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_clean(texts[i], strlen(texts[i]), texts[i]);
    }
}

static void test_show_clean__what_steers_a_terminal__is_replaced(void **state)
{
    (void)state;

    assert_clean("a\x1b[2Jb", 6, "a" FFFD "[2Jb");
    assert_clean("a\r\nb\0c", 6, "a" FFFD FFFD "b" FFFD "c");
    assert_clean("\x7f", 1, FFFD);
    assert_clean("\xc2\x9b"
                 "31m",
                 5, FFFD "31m"); /* the C1 form of ESC [ */
    assert_clean("\xe2\x80\xae"
                 "gpj",
                 6, FFFD "gpj");                            /* right to left override */
    assert_clean("\xe2\x80\xa8\xe2\x80\xa9", 6, FFFD FFFD); /* line and paragraph separator */
    assert_clean("\xef\xbb\xbfx", 4, FFFD "x");
}

static void test_show_clean__no_utf8__each_byte_is_replaced(void **state)
{
    (void)state;

    assert_clean("\xff\xfe", 2, FFFD FFFD);
    assert_clean("\xc0\xaf", 2, FFFD FFFD);                   /* overlong */
    assert_clean("\xe0\x80\xaf", 3, FFFD FFFD FFFD);          /* overlong */
    assert_clean("\xed\xa0\x80", 3, FFFD FFFD FFFD);          /* a surrogate */
    assert_clean("\xf4\x90\x80\x80", 4, FFFD FFFD FFFD FFFD); /* above U+10FFFF */
    assert_clean("a\x80z", 3, "a" FFFD "z");
}

static void test_show_clean__cut_at_every_byte__is_whole_characters(void **state)
{
    const char *text = "\xc3\x9f\xe6\x97\xa5\xf0\x9f\x9a\x80";
    const char *expected[] = {"",
                              FFFD,
                              "\xc3\x9f",
                              "\xc3\x9f" FFFD,
                              "\xc3\x9f" FFFD FFFD,
                              "\xc3\x9f\xe6\x97\xa5",
                              "\xc3\x9f\xe6\x97\xa5" FFFD,
                              "\xc3\x9f\xe6\x97\xa5" FFFD FFFD,
                              "\xc3\x9f\xe6\x97\xa5" FFFD FFFD FFFD,
                              "\xc3\x9f\xe6\x97\xa5\xf0\x9f\x9a\x80"};
    (void)state;

    for (size_t n = 0; n <= strlen(text); n++) {
        assert_clean(text, n, expected[n]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_show_clean__texts_of_people__stay),
        cmocka_unit_test(test_show_clean__what_steers_a_terminal__is_replaced),
        cmocka_unit_test(test_show_clean__no_utf8__each_byte_is_replaced),
        cmocka_unit_test(test_show_clean__cut_at_every_byte__is_whole_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
