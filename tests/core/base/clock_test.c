/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_text(int64_t ms, const char *expected)
{
    char buf[CLOCK_TEXT_BYTES] = "?";

    assert_int_equal(clock_text_ms(ms, buf), expected[0] != '\0');
    assert_string_equal(buf, expected);
}

static void test_clock_text_ms__times__are_rfc3339(void **state)
{
    (void)state;

    assert_text(0, "1970-01-01T00:00:00.000Z");
    assert_text(INT64_C(1795309323456), "2026-11-22T01:02:03.456Z");
    assert_text(-1, "1969-12-31T23:59:59.999Z");
    assert_text(-1000, "1969-12-31T23:59:59.000Z");
    assert_text(INT64_C(253402300799999), "9999-12-31T23:59:59.999Z");
}

static void test_clock_text_ms__years_that_nobody_reads__are_none(void **state)
{
    (void)state;

    assert_text(INT64_C(253402300800000), "");
    assert_text(INT64_MAX, "");
    assert_text(INT64_MIN, "");
    assert_text(INT64_C(-30641760000000), ""); /* in 998 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_text_ms__times__are_rfc3339),
        cmocka_unit_test(test_clock_text_ms__years_that_nobody_reads__are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
