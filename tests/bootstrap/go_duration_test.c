/* SPDX-License-Identifier: Apache-2.0 */
/* Durations as Go's time.ParseDuration() reads them and jsonpb writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bootstrap/go_duration.h"

/* The right side is what Go 1.24 and jsonpb make of the left side. */
static void test_duration__good__read_and_written(void **state)
{
    static const char *const cases[][2] = {
        {"45s", "45s"},
        {"1h30m", "5400s"},
        {"1.5s", "1.500s"},
        {"0", "0s"},
        {"-0", "0s"},
        {"+5m", "300s"},
        {"-1.5h", "-5400s"},
        {"100ms", "0.100s"},
        {"1500us", "0.001500s"},
        {"1ns", "0.000000001s"},
        {"3\xc2\xb5s", "0.000003s"},
        {"3\xce\xbcs", "0.000003s"},
        {".5s", "0.500s"},
        {"1.s", "1s"},
        {"1m0.1s2ms", "60.102s"},
        {"0.333333333333333333h", "1199.999999999s"},
        {"9223372036854775807ns", "9223372036.854775807s"},
        {"-9223372036854775808ns", "-9223372036.854775808s"},
    };
    char buf[GO_DURATION_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ns = 0;
        assert_true(go_duration_parse(cases[i][0], &ns));
        assert_string_equal(go_duration_format(ns, buf), cases[i][1]);
    }
}

static void test_duration__bad__refused(void **state)
{
    static const char *const cases[] = {
        "",
        "-",
        "+",
        "s",
        ".s",
        "1",
        "45",
        "1d",
        "1S",
        "1 s",
        "1s ",
        "s1",
        "1s-1s",
        "--1s",
        "1e3s",
        "1ss",
        "0x1s",
        "9223372036854775808ns",
        "2562048h",
        "9223372036854775807ns1ns",
        "99999999999999999999s",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ns = 77;
        assert_false(go_duration_parse(cases[i], &ns));
        assert_int_equal(ns, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_duration__good__read_and_written),
        cmocka_unit_test(test_duration__bad__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
