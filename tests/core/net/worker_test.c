/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's loop on the test's own thread; its clock is the test's. */
#include "core/net/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static double now;

double __wrap_clock_mono(void);

double __wrap_clock_mono(void)
{
    return now;
}

/* Something that has so many seconds to do. */
static void be_busy(struct worker *w, void *arg)
{
    (void)w;
    now += *(const double *)arg;
}

/* Of any length. */
static uint64_t turns(const struct worker *w)
{
    uint64_t n = 0;

    for (size_t i = 0; i <= HISTOGRAM_BUCKETS; i++) {
        n += w->counters->turns.buckets[i];
    }
    return n;
}

/* The next wait is when a turn is known to be over. */
static void test_worker__turn__counted_with_how_long_it_took(void **state)
{
    static double busy_s = 0.003;
    struct worker *w;
    (void)state;
    now = 1000;
    assert_int_equal(worker_new(0, &w), RC_OK);
    worker_turn(w, 0);
    assert_int_equal(turns(w), 0);

    assert_int_equal(worker_post(w, be_busy, &busy_s), RC_OK);
    worker_turn(w, 1);
    worker_turn(w, 0);

    assert_int_equal(turns(w), 2);
    assert_int_equal(w->counters->turns.buckets[0], 1); /* the first one */
    assert_int_equal(w->counters->turns.buckets[4], 1); /* up to 5 ms */
    assert_int_equal(w->counters->turns.sum, 3000);
    worker_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worker__turn__counted_with_how_long_it_took),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
