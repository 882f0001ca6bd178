/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void test_hex__each_byte__as_printf_has_it(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        const unsigned char byte = (unsigned char)i;
        char expected[3];
        char out[HEX_BYTES(1)];
        snprintf(expected, sizeof(expected), "%02x", i);
        assert_string_equal(hex_write(out, &byte, 1), expected);
    }
}

static void test_hex__many_or_none__in_their_order_with_a_zero(void **state)
{
    static const unsigned char bytes[] = {0x00, 0x7f, 0x80, 0xff};
    char out[HEX_BYTES(sizeof(bytes))];
    (void)state;

    assert_string_equal(hex_write(out, bytes, sizeof(bytes)), "007f80ff");
    assert_string_equal(hex_write(out, bytes, 0), "");
}

static void test_hex__room__holds_whole_bytes(void **state)
{
    (void)state;
    for (size_t n = 0; n < 9; n++) {
        assert_int_equal(HEX_FITS(HEX_BYTES(n)), n);
        assert_int_equal(HEX_FITS(HEX_BYTES(n) + 1), n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hex__each_byte__as_printf_has_it),
        cmocka_unit_test(test_hex__many_or_none__in_their_order_with_a_zero),
        cmocka_unit_test(test_hex__room__holds_whole_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
