/* SPDX-License-Identifier: Apache-2.0 */
/* How many streams pass in how much time, and what `auto` makes of istiod's answers. */
#include "gateway/upstream/pacer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NOW 5000.0

/* Streams that pass at once. */
static unsigned burst_at(struct pacer *p, double now)
{
    unsigned n = 0;

    while (n < 100000 && pacer_take(p, now) <= 0) {
        n++;
    }
    return n;
}

static void assert_near(double have, double want, double by)
{
    if (have < want - by || have > want + by) {
        fail_msg("%f is not %f", have, want);
    }
}

static void test_pacer__fixed_rate__so_many_in_ten_seconds(void **state)
{
    struct pacer p;
    unsigned n = 0;
    (void)state;
    pacer_init(&p, 50, NOW);
    assert_int_equal(burst_at(&p, NOW), 1);

    for (int i = 1; i <= 1000; i++) {
        n += burst_at(&p, NOW + i * 0.01);
    }

    assert_near(n, 500, 1);
    pacer_fini(&p);
}

static void test_pacer__long_idle__a_fifth_of_a_second_passes_at_once(void **state)
{
    struct pacer p;
    (void)state;
    pacer_init(&p, 100, NOW);

    assert_int_equal(burst_at(&p, NOW + 3600), 20);
    assert_int_equal(burst_at(&p, NOW + 3600), 0);
    pacer_fini(&p);
}

static void test_pacer__slow_rate__one_still_passes(void **state)
{
    struct pacer p;
    (void)state;
    pacer_init(&p, 1, NOW);

    assert_int_equal(burst_at(&p, NOW + 60), 1);
    assert_int_equal(burst_at(&p, NOW + 60.9), 0);
    assert_int_equal(burst_at(&p, NOW + 61.01), 1);
    pacer_fini(&p);
}

static void test_pacer__no_token__the_wait_it_names_is_enough(void **state)
{
    struct pacer p;
    (void)state;
    pacer_init(&p, 20, NOW);
    (void)burst_at(&p, NOW);

    double wait = pacer_take(&p, NOW);
    assert_near(wait, 0.05, 0.0001);
    assert_true(pacer_take(&p, NOW + wait / 2) > 0);
    assert_true(pacer_take(&p, NOW + wait + 1e-6) <= 0);
    pacer_fini(&p);
}

static void test_pacer__clock_of_another_worker_is_behind__no_token_is_lost_or_made(void **state)
{
    struct pacer p;
    (void)state;
    pacer_init(&p, 10, NOW);
    assert_true(pacer_take(&p, NOW + 100) <= 0);

    assert_int_equal(burst_at(&p, NOW + 99), 1);
    assert_int_equal(burst_at(&p, NOW + 100.05), 0);
    assert_int_equal(burst_at(&p, NOW + 100.11), 1);
    pacer_fini(&p);
}

static void test_pacer__fixed_rate__learns_nothing(void **state)
{
    struct pacer p;
    (void)state;
    pacer_init(&p, 40, NOW);
    (void)burst_at(&p, NOW);

    pacer_admitted(&p, NOW);
    pacer_exhausted(&p, NOW);

    assert_near(pacer_rate(&p), 40, 0);
    pacer_fini(&p);
}

static void test_pacer__auto_admitted_while_somebody_waits__rises_to_its_bound(void **state)
{
    struct pacer p;
    (void)state;
    pacer_init(&p, 0, NOW);
    assert_near(pacer_rate(&p), PACER_AUTO_START, 0);
    (void)burst_at(&p, NOW);

    pacer_admitted(&p, NOW);
    assert_near(pacer_rate(&p), PACER_AUTO_START + 1, 0);
    for (int i = 0; i < 5000; i++) {
        pacer_admitted(&p, NOW);
    }

    assert_near(pacer_rate(&p), PACER_AUTO_MAX, PACER_AUTO_MAX / 100);
    pacer_fini(&p);
}

static void test_pacer__auto_admitted_while_nobody_waits__stays(void **state)
{
    struct pacer p;
    (void)state;
    pacer_init(&p, 0, NOW);

    pacer_admitted(&p, NOW); /* nobody ever waited */
    assert_near(pacer_rate(&p), PACER_AUTO_START, 0);
    (void)burst_at(&p, NOW);
    pacer_admitted(&p, NOW + 1.5); /* nor for a while */

    assert_near(pacer_rate(&p), PACER_AUTO_START, 0);
    pacer_fini(&p);
}

static void test_pacer__auto_exhausted_many_times__falls_once_a_second_to_its_bound(void **state)
{
    struct pacer p;
    (void)state;
    pacer_init(&p, 0, NOW);
    (void)burst_at(&p, NOW);
    for (int i = 0; i < 200; i++) {
        pacer_admitted(&p, NOW);
    }
    double before = pacer_rate(&p);

    for (int i = 0; i < 50; i++) {
        pacer_exhausted(&p, NOW + 10 + i * 0.01);
    }
    assert_near(pacer_rate(&p), before * 2 / 3, before / 100);
    for (int i = 0; i < 20; i++) {
        pacer_exhausted(&p, NOW + 20 + i);
    }

    assert_near(pacer_rate(&p), PACER_AUTO_MIN, 0);
    pacer_fini(&p);
}

static void test_pacer__auto_first_exhausted__counts_at_once(void **state)
{
    struct pacer p;
    (void)state;
    pacer_init(&p, 0, NOW);

    pacer_exhausted(&p, NOW);

    assert_true(pacer_rate(&p) < PACER_AUTO_START);
    pacer_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pacer__fixed_rate__so_many_in_ten_seconds),
        cmocka_unit_test(test_pacer__long_idle__a_fifth_of_a_second_passes_at_once),
        cmocka_unit_test(test_pacer__slow_rate__one_still_passes),
        cmocka_unit_test(test_pacer__no_token__the_wait_it_names_is_enough),
        cmocka_unit_test(test_pacer__clock_of_another_worker_is_behind__no_token_is_lost_or_made),
        cmocka_unit_test(test_pacer__fixed_rate__learns_nothing),
        cmocka_unit_test(test_pacer__auto_admitted_while_somebody_waits__rises_to_its_bound),
        cmocka_unit_test(test_pacer__auto_admitted_while_nobody_waits__stays),
        cmocka_unit_test(test_pacer__auto_exhausted_many_times__falls_once_a_second_to_its_bound),
        cmocka_unit_test(test_pacer__auto_first_exhausted__counts_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
