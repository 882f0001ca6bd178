/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* An exact copy on the heap: a read behind its end is seen by the sanitizer. */
static bool feed_copy(struct utf8_scan *s, const char *text, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);

    memcpy(copy, text, n);
    bool is_good = utf8_feed(s, copy, n);
    free(copy);
    return is_good;
}

static bool is_utf8(const void *text, size_t n)
{
    struct utf8_scan s = {0};

    return utf8_feed(&s, text, n) && utf8_is_whole(&s);
}

/* Write a code point as RFC 3629 section 3 has it. Returns the length. */
static size_t encode(uint32_t c, uint8_t out[4])
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    out[0] = (uint8_t)(first[n] | c);
    return n;
}

static void test_utf8__every_character__is_taken_but_surrogates(void **state)
{
    uint8_t bytes[4];
    (void)state;

    for (uint32_t c = 0; c < 0x200000; c++) {
        bool is_character = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
        size_t n = encode(c, bytes);
        if (is_utf8(bytes, n) != is_character) {
            fail_msg("U+%04X", c);
        }
    }
}

/* What encode() did not write is none: each sequence of up to three bytes is tried. */
static void test_utf8__every_short_sequence__only_characters_are_taken(void **state)
{
    uint8_t bytes[4];
    size_t n_good = 0;
    (void)state;

    for (uint32_t v = 0; v < 0x1000000; v++) {
        uint8_t try[] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
        if (try[0] < 0x80 || !is_utf8(try, 3)) {
            continue;
        }
        uint32_t c = (try[0] & 0x0fU) << 12 | (try[1] & 0x3fU) << 6 | (try[2] & 0x3fU);
        bool is_pair = try[0] < 0xe0; /* two bytes, and an ASCII one */
        if (is_pair) {
            c = (try[0] & 0x1fU) << 6 | (try[1] & 0x3fU);
        }
        size_t n = encode(c, bytes);
        assert_int_equal(n, is_pair ? 2 : 3);
        assert_memory_equal(bytes, try, n);
        assert_true(!is_pair || try[2] < 0x80);
        n_good++;
    }
    /* all of two bytes with any ASCII one behind, and all of three */
    assert_int_equal(n_good, (0x800 - 0x80) * 0x80 + (0x10000 - 0x800 - 0x800));
}

static void test_utf8__malformed__is_refused_wherever_it_is_split(void **state)
{
    static const char *const rows[] = {
        "\x80",             /* a byte that continues nothing */
        "a\xbf",            /* so here */
        "\xc0\xaf",         /* overlong */
        "\xc1\xbf",         /* overlong */
        "\xe0\x9f\xbf",     /* overlong */
        "\xf0\x8f\xbf\xbf", /* overlong */
        "\xed\xa0\x80",     /* the first surrogate */
        "\xed\xbf\xbf",     /* the last one */
        "\xf4\x90\x80\x80", /* above U+10FFFF */
        "\xf5\x80\x80\x80", /* so */
        "\xff",             /* never */
        "\xc3\xc3\xa4",     /* a character begins in another one */
        "\xe2\x82 ",        /* a character breaks off */
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t n = strlen(rows[i]);
        for (size_t cut = 0; cut <= n; cut++) {
            struct utf8_scan s = {0};
            assert_false(feed_copy(&s, rows[i], cut) && feed_copy(&s, rows[i] + cut, n - cut));
        }
    }
}

static void test_utf8__split_at_every_byte__is_whole_between_characters_only(void **state)
{
    static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x99\x82z";
    static const char *const ends = "\0\1\3\6\12\13";
    (void)state;

    for (size_t cut = 0; cut < sizeof(text); cut++) {
        struct utf8_scan s = {0};
        assert_true(feed_copy(&s, text, cut));
        bool is_end = memchr(ends, (int)cut, 6) != NULL;
        assert_int_equal(utf8_is_whole(&s), is_end);
        assert_true(feed_copy(&s, text + cut, sizeof(text) - 1 - cut));
        assert_true(utf8_is_whole(&s));
    }
}

static void test_utf8__cut_text__its_whole_characters_stay(void **state)
{
    static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x99\x82z";
    static const uint8_t whole[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};
    (void)state;

    for (size_t n = 0; n < sizeof(text); n++) {
        assert_int_equal(utf8_whole_bytes(text, n), whole[n]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8__every_character__is_taken_but_surrogates),
        cmocka_unit_test(test_utf8__every_short_sequence__only_characters_are_taken),
        cmocka_unit_test(test_utf8__malformed__is_refused_wherever_it_is_split),
        cmocka_unit_test(test_utf8__split_at_every_byte__is_whole_between_characters_only),
        cmocka_unit_test(test_utf8__cut_text__its_whole_characters_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
