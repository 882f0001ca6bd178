/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* Decode an exact copy into exact room on the heap: a step too far is seen by the sanitizer. */
static enum rc decode(const char *text, char **out, size_t *n_out)
{
    size_t n = strlen(text);
    char *copy = malloc(n > 0 ? n : 1);

    memcpy(copy, text, n);
    *out = malloc(BASE64_DECODED_BYTES(n));
    enum rc rc = base64_decode(copy, n, *out, n_out);
    free(copy);
    return rc;
}

static void test_base64__vectors_of_the_rfc__their_text(void **state)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"Zg==", "f"},
        {"Zm8=", "fo"},
        {"Zm9v", "foo"},
        {"Zm9vYg==", "foob"},
        {"Zm9vYmE=", "fooba"},
        {"Zm9vYmFy", "foobar"},
        {"Zm9v\nYm\r\nFy\n", "foobar"},
        {"  Zm8 = \n", "fo"},
        {"+/+/", "\xfb\xff\xbf"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        char *out = NULL;
        size_t n = 99;
        assert_int_equal(decode(rows[i][0], &out, &n), RC_OK);
        assert_int_equal(n, strlen(rows[i][1]));
        assert_string_equal(out, rows[i][1]);
        free(out);
    }
}

static void test_base64__zeros__are_bytes_like_others(void **state)
{
    char out[BASE64_DECODED_BYTES(4)];
    size_t n;
    (void)state;

    assert_int_equal(base64_decode("AAAA", 4, out, &n), RC_OK);
    assert_int_equal(n, 3);
    assert_memory_equal(out, "\0\0\0", 4);
}

static void test_base64__malformed__is_refused(void **state)
{
    static const char *const rows[] = {
        "Z", "Zg",   "Zg=",  "Zg===", "Zm8",  "Zm8==", "Zm9v=", "Zm9vY",   "Zg==Zg",
        "=", "Zm-v", "Zm_v", "Zm9v!", "Zm.v", "Zg=a",  "====",  "\x80g==", "Zg==="};
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        char *out = NULL;
        size_t n = 99;
        assert_int_equal(decode(rows[i], &out, &n), RC_INVALID);
        assert_int_equal(n, 99);
        free(out);
    }
}

static void test_base64__every_cut__whole_groups_only(void **state)
{
    static const char text[] = "Zm9vYmFyYmF6cXV4";
    (void)state;

    for (size_t n = 0; n < sizeof(text); n++) {
        char out[BASE64_DECODED_BYTES(sizeof(text))];
        size_t len;
        assert_int_equal(base64_decode(text, n, out, &len), n % 4 == 0 ? RC_OK : RC_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64__vectors_of_the_rfc__their_text),
        cmocka_unit_test(test_base64__zeros__are_bytes_like_others),
        cmocka_unit_test(test_base64__malformed__is_refused),
        cmocka_unit_test(test_base64__every_cut__whole_groups_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
