/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that grow old: when they are retired, in which order, how evenly. */
#include "tests/gateway/upstream/pool_fixture.h"
#include "tests/support/virtual_clock.h"

#define MINUTE 60.0

/* One old connection with streams from .. to - 1 whose askers end theirs when they are told. */
static struct scene *scene_of(uint32_t per_connection, size_t n)
{
    struct scene *s = scene_new(&(struct rig_opts){.streams_per_connection = per_connection});

    for (size_t i = 0; i < ASKERS; i++) {
        s->a[i].ends_when_retired = true;
    }
    ask_many(s, 0, n);
    return s;
}

/* How long from now until n streams were retired, at most so many seconds. */
static double until_retired(struct scene *s, unsigned n, double most)
{
    double since = worker_now(s->r.worker);

    while (retired(s) < n) {
        rig_pass(&s->r, 0.1);
        if (worker_now(s->r.worker) - since > most) {
            fail_msg("%u of %u streams retired after %g s", retired(s), n, most);
        }
    }
    return worker_now(s->r.worker) - since;
}

static void test_retire__nothing_learned__all_are_retired_before_27_minutes(void **state)
{
    struct scene *s = scene_of(50, 12);
    (void)state;

    rig_pass(&s->r, 20 * MINUTE);
    assert_int_equal(retired(s), 0);
    (void)until_retired(s, 12, 6 * MINUTE);

    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(s->a[i].retired, 1);
        assert_int_equal(s->a[i].why_retired, END_UP_RETIRED);
    }
    assert_int_equal(rig_count(&s->r, COUNTER_UP_RETIRED), 1);
    assert_int_equal(rig_count(&s->r, COUNTER_UP_GOAWAYS), 0);
    scene_free(s);
}

static void test_retire__twelve_streams__go_evenly_over_a_minute(void **state)
{
    struct scene *s = scene_of(50, 12);
    (void)state;

    (void)until_retired(s, 1, 26 * MINUTE);
    double before = worker_now(s->r.worker);
    for (unsigned n = 2; n <= 12; n++) {
        double pause = until_retired(s, n, MINUTE);
        assert_true(pause > 3 && pause < 7);
    }

    assert_true(worker_now(s->r.worker) - before <= RETIRE_SPREAD_S);
    scene_free(s);
}

static void test_retire__fresh_connection__is_open_before_the_first_stream_goes(void **state)
{
    struct scene *s = scene_of(50, 3);
    (void)state;

    while (s->r.n_istiods < 2) {
        assert_int_equal(retired(s), 0);
        rig_pass(&s->r, 0.1);
    }
    (void)until_retired(s, 1, 10);
    assert_true(s->r.istiods[1]->wire->opened);
    ask_many(s, 10, 11);

    assert_int_equal(s->a[10].ready, 1);
    assert_int_equal(s->r.istiods[1]->n_streams, 1);
    scene_free(s);
}

static void test_retire__no_connection_can_be_made__streams_stay(void **state)
{
    struct scene *s = scene_of(50, 3);
    (void)state;

    s->r.dials = RIG_DIAL_FAIL;
    while (s->r.n_istiods < 4) {
        rig_pass(&s->r, 0.1);
    }
    assert_int_equal(retired(s), 0);
    assert_int_equal(rig_count(&s->r, COUNTER_UP_RETIRED), 0);
    s->r.dials = RIG_DIAL_OPEN;

    (void)until_retired(s, 3, 2 * MINUTE);
    scene_free(s);
}

static void test_retire__last_stream_gone__connection_is_closed(void **state)
{
    struct scene *s = scene_of(50, 2);
    (void)state;

    (void)until_retired(s, 1, 26 * MINUTE);
    assert_non_null(s->r.istiods[0]->wire->conn);
    (void)until_retired(s, 2, MINUTE);
    rig_pass(&s->r, 1);

    assert_null(s->r.istiods[0]->wire->conn);
    assert_int_equal(s->r.istiods[0]->goaway_error, H2_NO_ERROR);
    assert_int_equal(rig_open_istiods(&s->r), 1);
    scene_free(s);
}

static void test_retire__old_and_idle__connection_is_closed(void **state)
{
    struct scene *s = scene_of(50, 1);
    (void)state;
    finish(s, 0);

    rig_pass(&s->r, 26 * MINUTE);

    assert_int_equal(rig_open_istiods(&s->r), 0);
    scene_free(s);
}

static void test_retire__four_of_one_moment__go_one_after_another(void **state)
{
    struct scene *s = scene_of(4, 16);
    unsigned changes = 0;
    (void)state;
    assert_int_equal(rig_open_istiods(&s->r), 4);

    struct up_session *last = NULL;
    bool seen[16] = {false};
    for (unsigned n = 1; n <= 16; n++) {
        (void)until_retired(s, n, 26 * MINUTE);
        for (size_t i = 0; i < 16; i++) {
            if (s->a[i].retired > 0 && !seen[i]) {
                seen[i] = true;
                changes += s->a[i].up != last;
                last = s->a[i].up;
            }
        }
    }

    assert_int_equal(changes, 4);
    assert_true(worker_now(s->r.worker) < s->began + 26 * MINUTE);
    assert_int_equal(rig_count(&s->r, COUNTER_UP_RETIRED), 4);
    scene_free(s);
}

static void test_retire__more_than_fit_one_by_one__each_takes_less_time(void **state)
{
    struct scene *s = scene_of(2, 64);
    (void)state;

    double first = until_retired(s, 1, 26 * MINUTE);
    (void)until_retired(s, 64, 26 * MINUTE);

    double end = worker_now(s->r.worker) - s->began;
    assert_true(first > 15 * MINUTE);      /* whatever their number, most of a life is quiet */
    assert_true(end - first > 5 * MINUTE); /* spread nevertheless */
    assert_true(end < 25.5 * MINUTE);
    scene_free(s);
}

/* ---- what istiod says about its age ---- */

static double next_life_after_goaway(struct scene *s, double age, const char *text)
{
    rig_pass(&s->r, age);
    assert_int_equal(retired(s), 0);
    peer_goaway_text(s->r.istiods[0], INT32_MAX, H2_NO_ERROR, text);
    rig_advance(&s->r, POOL_RETIRE_S + 1);
    assert_int_equal(s->a[0].retired, 1);
    assert_int_equal(s->a[0].why_retired, END_UP_GOAWAY);
    ask_many(s, 10, 11);
    assert_int_equal(s->a[10].ready, 1);
    return until_retired(s, 2, 26 * MINUTE);
}

static void test_retire__istiod_ends_one_at_10_minutes__next_goes_after_8(void **state)
{
    struct scene *s = scene_of(50, 1);
    (void)state;

    double life = next_life_after_goaway(s, 10 * MINUTE, "max_age");

    assert_true(life > 6 * MINUTE && life <= 8 * MINUTE);
    assert_int_equal(s->a[10].why_retired, END_UP_RETIRED);
    scene_free(s);
}

static void test_retire__istiod_stops__nothing_is_learned(void **state)
{
    static const char *const texts[] = {"", "graceful_stop", "max_idle", "goodbye"};
    (void)state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct scene *s = scene_of(50, 1);
        assert_true(next_life_after_goaway(s, 3 * MINUTE, texts[i]) > 22 * MINUTE);
        scene_free(s);
    }
}

static void test_retire__age_of_seconds__is_not_learned(void **state)
{
    struct scene *s = scene_of(50, 1);
    (void)state;

    double life = next_life_after_goaway(s, RETIRE_AGE_MIN_S, "max_age");

    assert_true(life > 22 * MINUTE);
    scene_free(s);
}

static void test_retire__longer_age__does_not_make_it_later(void **state)
{
    struct scene *s = scene_of(50, 1);
    (void)state;

    retire_learn(s->r.upstream, 10 * MINUTE, worker_now(s->r.worker));
    retire_learn(s->r.upstream, 20 * MINUTE, worker_now(s->r.worker));
    retire_learn(s->r.upstream, 33 * MINUTE, worker_now(s->r.worker));

    assert_true(retire_age(s->r.upstream, worker_now(s->r.worker)) == 8 * MINUTE);
    scene_free(s);
}

static void test_retire__a_day_later__what_was_learned_is_forgotten(void **state)
{
    struct scene *s = scene_of(50, 0);
    (void)state;

    retire_learn(s->r.upstream, 10 * MINUTE, worker_now(s->r.worker));
    virtual_clock_advance(RETIRE_FORGET_S - MINUTE);
    assert_true(retire_age(s->r.upstream, worker_now(s->r.worker)) == 8 * MINUTE);
    virtual_clock_advance(2 * MINUTE);

    assert_true(retire_age(s->r.upstream, worker_now(s->r.worker)) == RETIRE_AGE_S);
    scene_free(s);
}

static void test_retire__goaway_while_it_is_retired__the_rest_goes_in_time(void **state)
{
    struct scene *s = scene_of(50, 12);
    (void)state;
    (void)until_retired(s, 2, 26 * MINUTE);

    peer_goaway_text(s->r.istiods[0], INT32_MAX, H2_NO_ERROR, "max_age");
    rig_advance(&s->r, POOL_RETIRE_S + 0.5);

    assert_int_equal(retired(s), 12);
    assert_int_equal(s->a[11].why_retired, END_UP_GOAWAY);
    scene_free(s);
}

/* ---- where their VMs go ---- */

static void test_retire__old_one_has_more_room__new_streams_go_to_the_fresh_one(void **state)
{
    struct scene *s = scene_of(8, 16);
    (void)state;
    finish(s, 0); /* both old ones have a place */
    finish(s, 15);

    (void)until_retired(s, 2, 26 * MINUTE);
    ask_many(s, 20, 22);

    size_t fresh = s->r.n_istiods - 1;
    assert_true(fresh >= 2);
    assert_int_equal(s->r.istiods[fresh]->n_streams, 2);
    scene_free(s);
}

/* ---- two workers ---- */

static struct pool *second_pool(struct scene *s)
{
    struct pool *p;

    assert_int_equal(pool_new(s->r.worker, s->r.upstream, count_retired, &p), RC_OK);
    return p;
}

static void ask_other(struct scene *s, struct pool *other, size_t i)
{
    struct pool *own = s->pool;

    s->pool = other;
    ask_many(s, i, i + 1);
    s->pool = own;
}

/* Streams 0 to 3 are of the scene's pool, 4 to 7 of the other, which the caller frees. */
static struct scene *scene_of_two_workers(struct pool **other)
{
    struct scene *s = scene_of(50, 4);

    *other = second_pool(s);
    for (size_t i = 4; i < 8; i++) {
        ask_other(s, *other, i);
    }
    return s;
}

static void test_retire__two_workers__one_at_a_time(void **state)
{
    struct pool *other;
    struct scene *s = scene_of_two_workers(&other);
    (void)state;

    (void)until_retired(s, 1, 26 * MINUTE);
    size_t first = s->a[0].retired + s->a[1].retired + s->a[2].retired + s->a[3].retired;
    size_t from = first == 1 ? 0 : 4;
    (void)until_retired(s, 4, 2 * MINUTE);
    for (size_t i = from; i < from + 4; i++) {
        assert_int_equal(s->a[i].retired, 1);
    }
    (void)until_retired(s, 8, 4 * MINUTE);

    assert_true(worker_now(s->r.worker) < s->began + 26 * MINUTE);
    pool_kill(other);
    pool_free(&other);
    scene_free(s);
}

static void test_retire__worker_with_the_turn_dies__another_has_it(void **state)
{
    struct pool *other;
    struct scene *s = scene_of_two_workers(&other);
    (void)state;

    (void)until_retired(s, 1, 26 * MINUTE);
    bool mine = s->a[4].retired + s->a[5].retired + s->a[6].retired + s->a[7].retired == 0;
    struct pool *dies = mine ? s->pool : other;
    pool_kill(dies);
    pool_free(&dies);
    (void)until_retired(s, 5, 4 * MINUTE);

    struct pool *rest = mine ? other : s->pool;
    pool_kill(rest);
    pool_free(&rest);
    s->pool = NULL;
    scene_free(s);
}

static void test_retire__pool_that_nobody_asks_any_more__is_retired_too(void **state)
{
    struct scene *s = scene_of(50, 2);
    (void)state;

    pool_free(&s->pool);
    (void)until_retired(s, 2, 26 * MINUTE);
    rig_pass(&s->r, 1);

    assert_int_equal(s->r.n_istiods, 1); /* it needs no fresh one */
    assert_int_equal(rig_open_istiods(&s->r), 0);
    scene_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retire__nothing_learned__all_are_retired_before_27_minutes),
        cmocka_unit_test(test_retire__twelve_streams__go_evenly_over_a_minute),
        cmocka_unit_test(test_retire__fresh_connection__is_open_before_the_first_stream_goes),
        cmocka_unit_test(test_retire__no_connection_can_be_made__streams_stay),
        cmocka_unit_test(test_retire__last_stream_gone__connection_is_closed),
        cmocka_unit_test(test_retire__old_and_idle__connection_is_closed),
        cmocka_unit_test(test_retire__four_of_one_moment__go_one_after_another),
        cmocka_unit_test(test_retire__more_than_fit_one_by_one__each_takes_less_time),
        cmocka_unit_test(test_retire__istiod_ends_one_at_10_minutes__next_goes_after_8),
        cmocka_unit_test(test_retire__istiod_stops__nothing_is_learned),
        cmocka_unit_test(test_retire__age_of_seconds__is_not_learned),
        cmocka_unit_test(test_retire__longer_age__does_not_make_it_later),
        cmocka_unit_test(test_retire__a_day_later__what_was_learned_is_forgotten),
        cmocka_unit_test(test_retire__goaway_while_it_is_retired__the_rest_goes_in_time),
        cmocka_unit_test(test_retire__old_one_has_more_room__new_streams_go_to_the_fresh_one),
        cmocka_unit_test(test_retire__two_workers__one_at_a_time),
        cmocka_unit_test(test_retire__worker_with_the_turn_dies__another_has_it),
        cmocka_unit_test(test_retire__pool_that_nobody_asks_any_more__is_retired_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
