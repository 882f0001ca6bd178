/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct histogram_scale scale = {{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}, 1000};

static void test_histogram_add__bounds__belong_to_their_bucket(void **state)
{
    static const struct {
        int64_t value;
        size_t bucket;
    } rows[] = {{-7, 0}, {0, 0}, {1, 0}, {2, 1}, {3, 2}, {1000, 9}, {1001, 10}, {INT64_MAX, 10}};
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct histogram h = {0};
        histogram_add(&h, &scale, rows[i].value);
        for (size_t k = 0; k <= HISTOGRAM_BUCKETS; k++) {
            assert_int_equal(h.buckets[k], k == rows[i].bucket);
        }
        assert_int_equal(h.sum, rows[i].value < 0 ? 0 : rows[i].value);
    }
}

static void test_histogram_add__several__are_summed(void **state)
{
    struct histogram h = {0};
    (void)state;

    histogram_add(&h, &scale, 3);
    histogram_add(&h, &scale, 4);
    histogram_add(&h, &scale, 5000);

    assert_int_equal(h.buckets[2], 2);
    assert_int_equal(h.buckets[10], 1);
    assert_int_equal(h.sum, 5007);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histogram_add__bounds__belong_to_their_bucket),
        cmocka_unit_test(test_histogram_add__several__are_summed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
