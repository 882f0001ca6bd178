/* SPDX-License-Identifier: Apache-2.0 */
/* A limit lets a second's worth through at once, and its rate for ever. */
#include "gateway/upstream/bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW 777.0

static unsigned burst_at(struct bucket *b, double now)
{
    unsigned n = 0;

    while (n < 100000 && bucket_take(b, now)) {
        n++;
    }
    return n;
}

static void test_bucket__new__holds_one_second(void **state)
{
    struct bucket b;
    (void)state;
    bucket_init(&b, 20, NOW);

    assert_int_equal(burst_at(&b, NOW), 20);
    assert_false(bucket_take(&b, NOW));
}

static void test_bucket__long_idle__holds_no_more_than_one_second(void **state)
{
    struct bucket b;
    (void)state;
    bucket_init(&b, 20, NOW);
    (void)burst_at(&b, NOW);

    assert_int_equal(burst_at(&b, NOW + 1000), 20);
}

static void test_bucket__empty__refills_at_its_rate(void **state)
{
    struct bucket b;
    unsigned n = 0;
    (void)state;
    bucket_init(&b, 20, NOW);
    (void)burst_at(&b, NOW);

    assert_false(bucket_take(&b, NOW + 0.04));
    assert_true(bucket_take(&b, NOW + 0.051));
    for (int i = 1; i <= 1000; i++) {
        n += burst_at(&b, NOW + 0.051 + i * 0.01);
    }
    assert_true(n >= 199 && n <= 201);
}

static void test_bucket__refused__costs_nothing(void **state)
{
    struct bucket b;
    (void)state;
    bucket_init(&b, 2, NOW);
    (void)burst_at(&b, NOW);

    for (int i = 0; i < 1000; i++) {
        assert_false(bucket_take(&b, NOW + 0.4));
    }
    assert_true(bucket_take(&b, NOW + 0.51));
}

static void test_bucket__rate_of_one__one_a_second(void **state)
{
    struct bucket b;
    (void)state;
    bucket_init(&b, 1, NOW);

    assert_int_equal(burst_at(&b, NOW), 1);
    assert_int_equal(burst_at(&b, NOW + 0.99), 0);
    assert_int_equal(burst_at(&b, NOW + 1.01), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bucket__new__holds_one_second),
        cmocka_unit_test(test_bucket__long_idle__holds_no_more_than_one_second),
        cmocka_unit_test(test_bucket__empty__refills_at_its_rate),
        cmocka_unit_test(test_bucket__refused__costs_nothing),
        cmocka_unit_test(test_bucket__rate_of_one__one_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
