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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_pool__first_tickets_and_a_low_limit_of_istiod__none_waits_inside_nghttp2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
