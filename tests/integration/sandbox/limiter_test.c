/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/sandbox/istiod/limiter.h"

#include "tests/integration/sandbox/unit.h"

static void test_limiter__storm__one_at_once_then_a_second_of_waiting(void **state)
{
    struct limiter l = {.per_second = 10};
    int64_t wait_ms = -1;
    int admitted = 0;

    (void)state;
    for (int i = 0; i < 100; i++) {
        if (limiter_reserve(&l, 5000, &wait_ms)) {
            assert_int_equal(wait_ms, admitted * 100);
            admitted++;
        }
    }
    assert_int_equal(admitted, 11); /* 0, 100, ... 1000 ms */
}

static void test_limiter__refused_caller__uses_nothing_up(void **state)
{
    struct limiter l = {.per_second = 1};
    int64_t wait_ms = 0;

    (void)state;
    assert_true(limiter_reserve(&l, 0, &wait_ms));
    assert_true(limiter_reserve(&l, 0, &wait_ms));
    assert_false(limiter_reserve(&l, 0, &wait_ms));
    assert_true(limiter_reserve(&l, 1000, &wait_ms));
    assert_int_equal(wait_ms, 1000);
}

static void test_limiter__after_a_pause__burst_is_one(void **state)
{
    struct limiter l = {.per_second = 10};
    int64_t wait_ms = -1;

    (void)state;
    assert_true(limiter_reserve(&l, 0, &wait_ms));
    assert_true(limiter_reserve(&l, 60000, &wait_ms));
    assert_int_equal(wait_ms, 0);
    assert_true(limiter_reserve(&l, 60000, &wait_ms));
    assert_int_equal(wait_ms, 100);
}

static void test_limiter__zero__limits_nothing(void **state)
{
    struct limiter l = {0};
    int64_t wait_ms = -1;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        assert_true(limiter_reserve(&l, 0, &wait_ms));
        assert_int_equal(wait_ms, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limiter__storm__one_at_once_then_a_second_of_waiting),
        cmocka_unit_test(test_limiter__refused_caller__uses_nothing_up),
        cmocka_unit_test(test_limiter__after_a_pause__burst_is_one),
        cmocka_unit_test(test_limiter__zero__limits_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
