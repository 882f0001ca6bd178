/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/daemon/trim.h"

static void test_trim__little_work__never(void **state)
{
    struct trim t = {0};
    (void)state;

    for (uint64_t work = 0; work < 1000; work += 10) {
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

    for (uint64_t work = 12; work <= 12 * 500; work += 12) {
        times += trim_due(&t, work);
    }

    assert_int_equal(times, 5);
}

static void test_trim__never_quiet__not_at_all(void **state)
{
    struct trim t = {0};
    (void)state;

    for (uint64_t work = 20; work <= 20 * 500; work += 20) {
        assert_false(trim_due(&t, work));
    }
}

static void test_trim__storms_with_quiet_seconds_between__one_pays_for_several(void **state)
{
    struct trim t = {0};
    uint64_t work = 0;
    int times = 0;
    (void)state;

    for (int second = 0; second < 60; second++) {
        work += second % 2 == 0 ? 2000 : 0;
        times += trim_due(&t, work);
    }

    assert_int_equal(times, 10);
    assert_false(trim_due(&t, work + 2000));
    for (int second = 0; second < 5; second++) {
        times += trim_due(&t, work + 2000);
    }
    assert_int_equal(times, 11); /* what waited is not forgotten */
}

/* Of files, in KiB: what this process has of its program and libraries. */
static long resident_of_files(void)
{
    char line[128];
    long kib = -1;
    FILE *f = fopen("/proc/self/status", "re");

    assert_non_null(f);
    while (kib < 0 && fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, "RssFile:", 8) == 0) {
            kib = strtol(line + 8, NULL, 10);
        }
    }
    assert_int_equal(fclose(f), 0);
    assert_true(kib > 0);
    return kib;
}

static void test_trim_code__less_is_resident_and_all_of_it_still_works(void **state)
{
    long before = resident_of_files();
    (void)state;

    trim_code();

    assert_true(resident_of_files() < before);
    assert_float_equal(strtod("1.5e3", NULL), 1500, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trim__little_work__never),
        cmocka_unit_test(test_trim__storm__once_when_it_is_over),
        cmocka_unit_test(test_trim__quiet_work_adds_up__now_and_then),
        cmocka_unit_test(test_trim__never_quiet__not_at_all),
        cmocka_unit_test(test_trim__storms_with_quiet_seconds_between__one_pays_for_several),
        cmocka_unit_test(test_trim_code__less_is_resident_and_all_of_it_still_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
