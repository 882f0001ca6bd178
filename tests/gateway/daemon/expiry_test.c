/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "gateway/daemon/expiry.h"

#define DAY_S INT64_C(86400)
#define END (1000 * DAY_S)

static enum expiry_stage note(struct expiry_watch *w, int64_t expiry, int64_t now)
{
    return expiry_watch_note(w, EXPIRY_SERVING, "edge", expiry, now);
}

static void test_expiry__day_after_day__each_stage_is_said_once(void **state)
{
    struct expiry_watch w = {.n = 0};
    int said[EXPIRY_OVER + 1] = {0};
    int64_t when[EXPIRY_OVER + 1] = {0};

    (void)state;
    for (int64_t now = END - 90 * DAY_S; now < END + 30 * DAY_S; now += 60) {
        enum expiry_stage stage = note(&w, END, now);
        said[stage]++;
        when[stage] = now;
    }

    for (enum expiry_stage stage = EXPIRY_IN_30_DAYS; stage <= EXPIRY_OVER; stage++) {
        assert_int_equal(said[stage], 1);
    }
    assert_int_equal(when[EXPIRY_IN_30_DAYS], END - 30 * DAY_S);
    assert_int_equal(when[EXPIRY_IN_7_DAYS], END - 7 * DAY_S);
    assert_int_equal(when[EXPIRY_IN_1_DAY], END - DAY_S);
    assert_int_equal(when[EXPIRY_OVER], END);
    expiry_watch_fini(&w);
}

static void test_expiry__first_look_is_late__only_the_last_stage_is_said(void **state)
{
    struct expiry_watch w = {.n = 0};

    (void)state;
    assert_int_equal(note(&w, END, END - 3 * DAY_S), EXPIRY_IN_7_DAYS);
    assert_int_equal(note(&w, END, END - 2 * DAY_S), EXPIRY_FAR);
    assert_int_equal(note(&w, END, END + DAY_S), EXPIRY_OVER);
    assert_int_equal(note(&w, END, END + 2 * DAY_S), EXPIRY_FAR);
    expiry_watch_fini(&w);
}

static void test_expiry__renewed__begins_anew(void **state)
{
    struct expiry_watch w = {.n = 0};

    (void)state;
    assert_int_equal(note(&w, END, END - DAY_S), EXPIRY_IN_1_DAY);
    assert_int_equal(note(&w, END + 90 * DAY_S, END - DAY_S), EXPIRY_FAR);
    assert_int_equal(note(&w, END + 90 * DAY_S, END + 60 * DAY_S), EXPIRY_IN_30_DAYS);
    assert_int_equal(note(&w, END, END - DAY_S), EXPIRY_IN_1_DAY); /* the old one is back */
    expiry_watch_fini(&w);
}

static void test_expiry__things_of_other_names_and_kinds__are_apart(void **state)
{
    struct expiry_watch w = {.n = 0};
    int64_t now = END - DAY_S;

    (void)state;
    assert_int_equal(expiry_watch_note(&w, EXPIRY_SERVING, "a", END, now), EXPIRY_IN_1_DAY);
    assert_int_equal(expiry_watch_note(&w, EXPIRY_SERVING, "b", END, now), EXPIRY_IN_1_DAY);
    assert_int_equal(expiry_watch_note(&w, EXPIRY_CLIENT_ROOTS, "a", END, now), EXPIRY_IN_1_DAY);
    assert_int_equal(expiry_watch_note(&w, EXPIRY_UPSTREAM_ROOTS, "a", END, now), EXPIRY_IN_1_DAY);
    assert_int_equal(expiry_watch_note(&w, EXPIRY_SERVING, "a", END, now), EXPIRY_FAR);
    expiry_watch_fini(&w);
}

static void test_expiry__far_ends__take_no_memory(void **state)
{
    struct expiry_watch w = {.n = 0};

    (void)state;
    assert_int_equal(note(&w, END, END - 31 * DAY_S), EXPIRY_FAR);
    assert_int_equal(w.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expiry__day_after_day__each_stage_is_said_once),
        cmocka_unit_test(test_expiry__first_look_is_late__only_the_last_stage_is_said),
        cmocka_unit_test(test_expiry__renewed__begins_anew),
        cmocka_unit_test(test_expiry__things_of_other_names_and_kinds__are_apart),
        cmocka_unit_test(test_expiry__far_ends__take_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
