/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/daemon/trim.h"

static void test_trim__little_work__never(void **state)
{
    struct trim t = {0};
    (void)state;

    for (uint64_t work = 0; work < 1000; work += 50) {
        assert_false(trim_due(&t, work));
    }
}

static void test_trim__storm__once_when_it_is_over(void **state)
{
    struct trim t = {0};
    (void)state;

    assert_false(trim_due(&t, 5000));
    assert_false(trim_due(&t, 9000));
    assert_true(trim_due(&t, 9010));
    assert_false(trim_due(&t, 9020));
}

static void test_trim__quiet_work_adds_up__now_and_then(void **state)
{
    struct trim t = {0};
    int times = 0;
    (void)state;

    for (uint64_t work = 60; work <= 60 * 100; work += 60) {
        times += trim_due(&t, work);
    }

    assert_int_equal(times, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trim__little_work__never),
        cmocka_unit_test(test_trim__storm__once_when_it_is_over),
        cmocka_unit_test(test_trim__quiet_work_adds_up__now_and_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
