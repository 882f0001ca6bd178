/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define START 1000.0

static const struct kube_retry_policy policy = {
    .attempts_max = 4, .first_s = 1, .max_s = 3, .deadline_s = 100};

static struct kube_retry begin(void)
{
    struct kube_retry r;
    kube_retry_init(&r, &policy, START);
    return r;
}

static bool again(struct kube_retry *r, const struct kube_attempt *a, double now, double *wait_s)
{
    return kube_retry_again(r, a, 0.5, now, wait_s);
}

static void test_retry__table_of_outcomes__what_is_no_matter_of_time_is_the_answer(void **state)
{
    static const struct {
        struct kube_attempt a;
        bool expected;
    } rows[] = {
        {{.outcome = KUBE_OK, .status = 200, .repeatable = true}, false},
        {{.outcome = KUBE_REFUSED, .status = 400, .repeatable = true}, false},
        {{.outcome = KUBE_REFUSED, .status = 401, .repeatable = true}, false},
        {{.outcome = KUBE_REFUSED, .status = 401, .repeatable = true, .others = true}, true},
        {{.outcome = KUBE_REFUSED, .status = 401, .others = true}, true},
        {{.outcome = KUBE_REFUSED, .status = 403, .repeatable = true, .others = true}, false},
        {{.outcome = KUBE_REFUSED, .status = 404, .repeatable = true}, false},
        {{.outcome = KUBE_REFUSED, .status = 409, .repeatable = true}, false},
        {{.outcome = KUBE_REFUSED, .status = 410, .repeatable = true}, false},
        {{.outcome = KUBE_REFUSED, .status = 422, .repeatable = true}, false},
        {{.outcome = KUBE_REFUSED, .status = 429, .repeatable = true}, true},
        {{.outcome = KUBE_REFUSED, .status = 429}, true},
        {{.outcome = KUBE_REFUSED, .status = 500, .repeatable = true}, true},
        {{.outcome = KUBE_REFUSED, .status = 500}, false},
        {{.outcome = KUBE_REFUSED, .status = 501, .repeatable = true}, false},
        {{.outcome = KUBE_REFUSED, .status = 502, .repeatable = true}, true},
        {{.outcome = KUBE_REFUSED, .status = 503, .repeatable = true}, true},
        {{.outcome = KUBE_REFUSED, .status = 504, .repeatable = true}, true},
        {{.outcome = KUBE_UNREACHABLE, .repeatable = true}, true},
        {{.outcome = KUBE_UNREACHABLE}, false},
        {{.outcome = KUBE_TIMEOUT, .repeatable = true}, true},
        {{.outcome = KUBE_TIMEOUT}, false},
        {{.outcome = KUBE_UNTRUSTED, .repeatable = true}, false},
        {{.outcome = KUBE_UNTRUSTED, .repeatable = true, .others = true}, true},
        {{.outcome = KUBE_BAD_ANSWER, .status = 200, .repeatable = true}, false},
        {{.outcome = KUBE_CANCELLED, .repeatable = true}, false},
        {{.outcome = KUBE_NO_MEMORY, .repeatable = true}, false},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct kube_retry r = begin();
        double wait_s = -1;
        bool got = again(&r, &rows[i].a, START, &wait_s);
        if (got != rows[i].expected || (wait_s >= 0) != got) {
            fail_msg("row %zu", i);
        }
    }
}

static void
test_retry__failure_after_failure__pauses_double_to_the_longest_then_it_is_over(void **state)
{
    static const struct kube_attempt down = {.outcome = KUBE_UNREACHABLE, .repeatable = true};
    static const double pauses[] = {0.75, 1.5, 2.25}; /* 1, 2, 3 by chance 0.5 */
    struct kube_retry r = begin();
    double wait_s;
    (void)state;

    for (size_t i = 0; i < COUNT(pauses); i++) {
        assert_true(again(&r, &down, START, &wait_s));
        assert_float_equal(wait_s, pauses[i], 1e-9);
    }
    assert_false(again(&r, &down, START, &wait_s));
}

static void test_retry__other_credentials__at_once_and_only_once(void **state)
{
    static const struct kube_attempt denied = {
        .outcome = KUBE_REFUSED, .status = 401, .others = true};
    struct kube_retry r = begin();
    double wait_s = -1;
    (void)state;

    assert_true(again(&r, &denied, START, &wait_s));
    assert_float_equal(wait_s, 0, 1e-9);
    assert_false(again(&r, &denied, START, &wait_s));
}

static void test_retry__retry_after__never_sooner(void **state)
{
    struct kube_attempt busy = {.outcome = KUBE_REFUSED, .status = 429, .retry_after_s = 7};
    struct kube_retry r = begin();
    double wait_s;
    (void)state;

    assert_true(again(&r, &busy, START, &wait_s));
    assert_float_equal(wait_s, 7, 1e-9);
    busy.retry_after_s = 0.1;
    assert_true(again(&r, &busy, START, &wait_s));
    assert_float_equal(wait_s, 1.5, 1e-9);
}

static void test_retry__pause_reaches_the_deadline__is_the_answer(void **state)
{
    struct kube_attempt busy = {.outcome = KUBE_REFUSED, .status = 429, .retry_after_s = 60};
    struct kube_retry r = begin();
    double wait_s;
    (void)state;

    assert_true(again(&r, &busy, START + 39.9, &wait_s));
    assert_false(again(&r, &busy, START + 40, &wait_s));
}

static void test_retry__deadline_is_over__no_other_credentials_either(void **state)
{
    static const struct kube_attempt denied = {
        .outcome = KUBE_REFUSED, .status = 401, .others = true};
    struct kube_retry r = begin();
    double wait_s;
    (void)state;

    assert_false(again(&r, &denied, START + 100, &wait_s));
}

static void test_retry__zeros__are_the_defaults(void **state)
{
    static const struct kube_retry_policy zeros = {0};
    struct kube_retry r;
    (void)state;

    kube_retry_init(&r, &zeros, START);

    assert_int_equal(r.policy.attempts_max, KUBE_RETRY_ATTEMPTS);
    assert_float_equal(r.policy.max_s, KUBE_RETRY_MAX_S, 1e-9);
    assert_float_equal(r.policy.deadline_s, KUBE_RETRY_DEADLINE_S, 1e-9);
    assert_float_equal(kube_retry_pause(&zeros, 1, 0), KUBE_RETRY_FIRST_S / 2, 1e-9);
    assert_float_equal(kube_retry_pause(&zeros, UINT32_MAX, 0), KUBE_RETRY_MAX_S / 2, 1e-9);
}

static void test_retry__chance__between_half_and_all(void **state)
{
    (void)state;

    assert_float_equal(kube_retry_pause(&policy, 2, 0), 1, 1e-9);
    assert_float_equal(kube_retry_pause(&policy, 2, 1), 2, 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retry__table_of_outcomes__what_is_no_matter_of_time_is_the_answer),
        cmocka_unit_test(
            test_retry__failure_after_failure__pauses_double_to_the_longest_then_it_is_over),
        cmocka_unit_test(test_retry__other_credentials__at_once_and_only_once),
        cmocka_unit_test(test_retry__retry_after__never_sooner),
        cmocka_unit_test(test_retry__pause_reaches_the_deadline__is_the_answer),
        cmocka_unit_test(test_retry__deadline_is_over__no_other_credentials_either),
        cmocka_unit_test(test_retry__zeros__are_the_defaults),
        cmocka_unit_test(test_retry__chance__between_half_and_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
