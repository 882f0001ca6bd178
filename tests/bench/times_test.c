/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/times.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bench/load/tally.h"

static struct times t;

static int setup(void **state)
{
    (void)state;
    times_clear(&t);
    return 0;
}

static void assert_near(double seen, double expected)
{
    if (fabs(seen - expected) > expected * 0.01 + 1e-9) {
        fail_msg("%.9f instead of %.9f", seen, expected);
    }
}

static void test_times__nothing__is_zero(void **state)
{
    (void)state;
    assert_true(times_percentile(&t, 0.5) == 0);
    assert_true(t.max_s == 0);
}

static void test_times__one_value_of_any_size__is_every_percentile(void **state)
{
    (void)state;
    for (double s = 1e-9; s < 1e6; s *= 1.37) {
        times_clear(&t);
        times_add(&t, s);

        assert_near(times_percentile(&t, 0.01), s);
        assert_near(times_percentile(&t, 0.99), s);
        assert_true(t.max_s == s);
        assert_true(times_percentile(&t, 1) <= s);
    }
}

static void test_times__a_thousand__has_its_percentiles(void **state)
{
    (void)state;
    for (unsigned i = 1000; i > 0; i--) {
        times_add(&t, i * 1e-6);
    }
    times_add(&t, -1);

    assert_near(times_percentile(&t, 0.50), 500e-6);
    assert_near(times_percentile(&t, 0.90), 900e-6);
    assert_near(times_percentile(&t, 0.99), 990e-6);
    assert_true(t.max_s == 1000e-6);
    assert_int_equal(t.n, 1001);
}

static void test_times__few__the_last_counts(void **state)
{
    (void)state;
    times_add(&t, 1);
    times_add(&t, 2);
    times_add(&t, 3);

    assert_near(times_percentile(&t, 0.50), 2);
    assert_near(times_percentile(&t, 0.99), 3);
}

static void test_tally__more_than_its_rows__the_rest_shares_one(void **state)
{
    struct tally counts;
    uint64_t n = 0;
    char text[] = "a";

    (void)state;
    tally_clear(&counts);
    for (unsigned i = 0; i < TALLY_ROWS + 2; i++) {
        text[0] = (char)('a' + i);
        tally_add(&counts, text);
        tally_add(&counts, "a");
    }

    assert_int_equal(counts.n_rows, TALLY_ROWS);
    assert_int_equal(counts.rows[0].n, TALLY_ROWS + 3);
    assert_int_equal(counts.rows[1].n, 1);
    assert_string_equal(counts.rows[TALLY_ROWS - 1].text, "everything else");
    for (unsigned i = 0; i < counts.n_rows; i++) {
        n += counts.rows[i].n;
    }
    assert_int_equal(n, 2 * (TALLY_ROWS + 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_times__nothing__is_zero, setup),
        cmocka_unit_test_setup(test_times__one_value_of_any_size__is_every_percentile, setup),
        cmocka_unit_test_setup(test_times__a_thousand__has_its_percentiles, setup),
        cmocka_unit_test_setup(test_times__few__the_last_counts, setup),
        cmocka_unit_test(test_tally__more_than_its_rows__the_rest_shares_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
