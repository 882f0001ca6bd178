/* SPDX-License-Identifier: Apache-2.0 */
/* What an upstream says in its SETTINGS holds for the first streams as well. */
#include "tests/gateway/upstream/pool_fixture.h"

static void
test_pool__first_tickets_and_a_low_limit_of_istiod__none_waits_inside_nghttp2(void **state)
{
    struct scene *s = scene_new(NULL);
    size_t arrived = 0;
    (void)state;
    s->r.istiod_max_streams = 1;

    s->r.dials = RIG_DIAL_HANG;
    ask_many(s, 0, 3);
    s->r.dials = RIG_DIAL_OPEN;

    wire_open(s->r.istiods[0]->wire);
    rig_turn(&s->r); /* its SETTINGS are still on their way */
    rig_advance(&s->r, 2);

    assert_int_equal(ready(s), 3);
    for (size_t i = 0; i < s->r.n_istiods; i++) {
        arrived += s->r.istiods[i]->n_streams;
    }
    assert_int_equal(arrived, 3);
    scene_free(s);
}

static void test_pool__istiod_takes_no_streams__asked_again_with_pauses(void **state)
{
    struct scene *s = scene_new(NULL);
    (void)state;
    s->r.istiod_takes_none = true;

    ask_many(s, 0, 3);
    rig_advance(&s->r, 10);
    assert_int_equal(ready(s), 0);
    assert_true(s->r.n_istiods >= 5 && s->r.n_istiods <= 12);
    assert_int_equal(rig_open_istiods(&s->r), 0);
    assert_int_equal(upstream_get_health(s->r.upstream), UPSTREAM_UNUSABLE);
    assert_non_null(strstr(pool_last_problem(s->pool), "takes no streams"));
    s->r.istiod_takes_none = false;
    rig_advance(&s->r, 2);

    assert_int_equal(ready(s), 3);
    assert_int_equal(upstream_get_health(s->r.upstream), UPSTREAM_USABLE);
    scene_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool__istiod_takes_no_streams__asked_again_with_pauses),
        cmocka_unit_test(
            test_pool__first_tickets_and_a_low_limit_of_istiod__none_waits_inside_nghttp2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
