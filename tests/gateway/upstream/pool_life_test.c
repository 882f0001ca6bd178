/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that go: endpoints that come and leave, GOAWAY, a pool that is freed, outcomes. */
#include "tests/gateway/upstream/pool_fixture.h"
#include "tests/support/virtual_clock.h"

static const char *const two[] = {"10.1.0.1", "10.1.0.2", NULL};
static const char *const first[] = {"10.1.0.1:15012", NULL};
static const char *const second[] = {"10.1.0.2:15012", NULL};
static const char *const both[] = {"10.1.0.1:15012", "10.1.0.2:15012", NULL};

static struct h2_peer *istiod_of(struct scene *s, int last)
{
    for (size_t i = 0; i < s->r.n_istiods; i++) {
        if (s->r.istiods[i]->wire->peer.ip[3] == last) {
            return s->r.istiods[i];
        }
    }
    fail_msg("nobody dialled 10.1.0.%d", last);
    return NULL;
}

/* ---- endpoints ---- */

static void test_pool__endpoint_added__gets_the_next_streams(void **state)
{
    struct scene *s = scene_new(NULL);
    (void)state;
    ask_many(s, 0, 4);

    publish(s, both);
    for (size_t i = 4; i < 8; i++) {
        ask_many(s, i, i + 1);
    }

    assert_int_equal(ready(s), 8);
    assert_true(istiod_of(s, 2)->n_streams >= 3);
    scene_free(s);
}

static void test_pool__endpoint_removed__its_idle_connection_ends(void **state)
{
    struct scene *s = scene_new(NULL);
    (void)state;
    ask_many(s, 0, 1);
    finish(s, 0);
    assert_int_equal(rig_open_istiods(&s->r), 1);

    publish(s, second);
    ask_many(s, 1, 2);

    assert_int_equal(s->a[1].ready, 1);
    assert_true(istiod_of(s, 1)->goaway);
    assert_null(istiod_of(s, 1)->wire->conn);
    assert_int_equal(istiod_of(s, 2)->n_streams, 1);
    scene_free(s);
}

static void test_pool__endpoint_removed__its_streams_stay_until_they_end(void **state)
{
    struct scene *s = scene_new(NULL);
    (void)state;
    ask_many(s, 0, 2);

    publish(s, second);
    ask_many(s, 2, 5);
    rig_advance(&s->r, 20);
    assert_int_equal(istiod_of(s, 1)->n_streams, 2); /* nothing new */
    assert_non_null(s->a[0].st);
    finish(s, 0);
    assert_non_null(istiod_of(s, 1)->wire->conn);
    finish(s, 1);

    assert_null(istiod_of(s, 1)->wire->conn);
    assert_int_equal(istiod_of(s, 1)->goaway_error, H2_NO_ERROR);
    scene_free(s);
}

static void test_pool__no_endpoints__waits_until_the_directory_has_some(void **state)
{
    static const char *const none[] = {NULL};
    struct scene *s = scene_new(NULL);
    (void)state;
    publish(s, none);

    ask_many(s, 0, 1);
    rig_advance(&s->r, 5);
    assert_int_equal(s->r.n_istiods, 0);
    publish(s, first);
    rig_advance(&s->r, 0.3);

    assert_int_equal(ready(s), 1);
    scene_free(s);
}

/* ---- GOAWAY ---- */

static void test_pool__goaway__streams_are_handed_out_one_by_one(void **state)
{
    struct scene *s = scene_new(NULL);
    (void)state;
    ask_many(s, 0, 13);

    peer_goaway(s->r.istiods[0], INT32_MAX, H2_NO_ERROR);
    rig_run(&s->r);
    assert_int_equal(retired(s), 0);
    rig_advance(&s->r, POOL_RETIRE_S / 2);
    assert_true(retired(s) >= 6 && retired(s) <= 8);
    rig_advance(&s->r, POOL_RETIRE_S / 2);

    for (size_t i = 0; i < 13; i++) {
        assert_true(s->a[i].retired >= 1);
    }
    assert_true(retired(s) <= 15);
    assert_int_equal(rig_count(&s->r, COUNTER_UP_GOAWAYS), 1);
    scene_free(s);
}

static void test_pool__goaway__new_streams_go_elsewhere_and_it_ends_with_its_last(void **state)
{
    struct scene *s = scene_new(NULL);
    (void)state;
    ask_many(s, 0, 2);

    peer_goaway(s->r.istiods[0], INT32_MAX, H2_NO_ERROR);
    rig_run(&s->r);
    ask_many(s, 2, 4);
    assert_int_equal(s->r.n_istiods, 2);
    assert_int_equal(s->r.istiods[0]->n_streams, 2);
    finish(s, 0);
    assert_non_null(s->r.istiods[0]->wire->conn);
    finish(s, 1);

    assert_null(s->r.istiods[0]->wire->conn);
    assert_non_null(s->r.istiods[1]->wire->conn);
    scene_free(s);
}

static void test_pool__goaway_on_an_idle_connection__it_ends_at_once(void **state)
{
    struct scene *s = scene_new(NULL);
    (void)state;
    ask_many(s, 0, 1);
    finish(s, 0);

    peer_goaway(s->r.istiods[0], INT32_MAX, H2_NO_ERROR);
    rig_run(&s->r);

    assert_null(s->r.istiods[0]->wire->conn);
    scene_free(s);
}

/* ---- freed ---- */

static void test_pool__freed_with_an_idle_connection__it_ends(void **state)
{
    struct scene *s = scene_new(NULL);
    (void)state;
    ask_many(s, 0, 1);
    finish(s, 0);

    pool_free(&s->pool);
    assert_null(s->pool);
    rig_run(&s->r);

    assert_int_equal(rig_open_istiods(&s->r), 0);
    assert_int_equal(s->r.upstream->refs, 2); /* the rig's, and that of its own pool */
    scene_free(s);
}

static void test_pool__freed_with_open_streams__lives_until_the_last_ends(void **state)
{
    struct scene *s = scene_new(NULL);
    (void)state;
    ask_many(s, 0, 2);

    pool_free(&s->pool);
    rig_advance(&s->r, 40);
    assert_non_null(s->a[0].st);
    assert_int_equal(s->r.upstream->refs, 3);
    finish(s, 0);
    assert_int_equal(rig_open_istiods(&s->r), 1);
    finish(s, 1);

    assert_int_equal(rig_open_istiods(&s->r), 0);
    assert_int_equal(s->r.upstream->refs, 2);
    scene_free(s);
}

static void test_pool__freed_while_dialling__ends_when_it_opens(void **state)
{
    struct scene *s = scene_new(NULL);
    (void)state;
    s->r.dials = RIG_DIAL_HANG;
    ask_many(s, 0, 1);
    pool_cancel(&s->a[0].ticket);

    pool_free(&s->pool);
    rig_run(&s->r);
    assert_int_equal(s->r.upstream->refs, 3);
    wire_open(s->r.istiods[0]->wire);
    rig_run(&s->r);

    assert_null(s->r.istiods[0]->wire->conn);
    assert_int_equal(s->r.upstream->refs, 2);
    scene_free(s);
}

static void test_pool__killed__all_streams_are_closed_and_places_given_back(void **state)
{
    struct scene *s = scene_new(&(struct rig_opts){.streams_per_connection = 1});
    (void)state;
    ask_many(s, 0, 3);

    pool_kill(s->pool);
    rig_run(&s->r);

    for (size_t i = 0; i < 3; i++) {
        assert_null(s->a[i].st);
    }
    assert_int_equal(rig_open_istiods(&s->r), 0);
    assert_int_equal(rig_count(&s->r, COUNTER_UP_CONNS_OPEN), 0);
    scene_free(s);
}

static void test_pool__connection_is_lost__the_next_stream_gets_another(void **state)
{
    struct scene *s = scene_new(NULL);
    (void)state;
    ask_many(s, 0, 2);

    wire_close(s->r.istiods[0]->wire, END_IO);
    rig_run(&s->r);
    assert_true(s->a[0].st == NULL && s->a[1].st == NULL);
    ask_many(s, 2, 3);

    assert_int_equal(s->r.n_istiods, 2);
    assert_int_equal(s->a[2].ready, 1);
    assert_int_equal(rig_count(&s->r, COUNTER_UP_DIAL_FAILURES), 0);
    scene_free(s);
}

/* ---- outcomes ---- */

/* Where the next stream goes when the first one's endpoint is said to be so: 1 or 2. */
static int next_after(enum pool_outcome outcome, double wait)
{
    struct scene *s = scene_new(&(struct rig_opts){.endpoints = two});

    ask_many(s, 0, 3); /* both have a connection, one endpoint has two streams */
    ask_many(s, 3, 4);
    ask_many(s, 4, 5);
    struct asker *least = &s->a[4];
    for (size_t i = 0; i < 5; i++) {
        bool other = up_session_addr(s->a[i].up)->ip[3] != up_session_addr(s->a[4].up)->ip[3];
        least = other ? &s->a[i] : least;
    }
    int was = up_session_addr(least->up)->ip[3];
    up_session_outcome(least->up, outcome);
    rig_advance(&s->r, wait);
    /* make sure that it would be the choice */
    for (size_t i = 0; i < 5; i++) {
        if (s->a[i].st != NULL && up_session_addr(s->a[i].up)->ip[3] == was) {
            finish(s, i);
        }
    }
    ask_many(s, 5, 6);
    assert_int_equal(s->a[5].ready, 1);
    bool same = up_session_addr(s->a[5].up)->ip[3] == was;
    scene_free(s);
    return same ? 1 : 2;
}

static void test_pool__outcome__cools_its_endpoint_for_a_while(void **state)
{
    static const struct {
        enum pool_outcome outcome;
        double shorter;
        double longer;
    } rows[] = {{POOL_EXHAUSTED, 0.2, 0.5},
                {POOL_NOT_READY, 0.4, 0.7},
                {POOL_SILENT, 9, 10.5},
                {POOL_UNPROCESSED, 0.2, 0.5}};
    (void)state;

    assert_int_equal(next_after(POOL_ADMITTED, 0), 1);
    assert_int_equal(next_after(POOL_RETIRED, 0), 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(next_after(rows[i].outcome, rows[i].shorter), 2);
        assert_int_equal(next_after(rows[i].outcome, rows[i].longer), 1);
    }
}

static void test_pool__only_endpoint_is_exhausted__the_pacer_slows_and_it_is_used(void **state)
{
    struct scene *s = scene_new(&(struct rig_opts){.auto_pace = true});
    (void)state;
    ask_many(s, 0, 1);
    double rate = pacer_rate(&s->r.upstream->pacer);

    up_session_outcome(s->a[0].up, POOL_EXHAUSTED);
    ask_many(s, 1, 2);

    assert_int_equal(s->a[1].ready, 1);
    assert_true(pacer_rate(&s->r.upstream->pacer) < rate);
    assert_int_equal(rig_count(&s->r, COUNTER_UP_EXHAUSTED), 1);
    assert_false(up_session_has_other(s->a[0].up));
    scene_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool__endpoint_added__gets_the_next_streams),
        cmocka_unit_test(test_pool__endpoint_removed__its_idle_connection_ends),
        cmocka_unit_test(test_pool__endpoint_removed__its_streams_stay_until_they_end),
        cmocka_unit_test(test_pool__no_endpoints__waits_until_the_directory_has_some),
        cmocka_unit_test(test_pool__goaway__streams_are_handed_out_one_by_one),
        cmocka_unit_test(test_pool__goaway__new_streams_go_elsewhere_and_it_ends_with_its_last),
        cmocka_unit_test(test_pool__goaway_on_an_idle_connection__it_ends_at_once),
        cmocka_unit_test(test_pool__freed_with_an_idle_connection__it_ends),
        cmocka_unit_test(test_pool__freed_with_open_streams__lives_until_the_last_ends),
        cmocka_unit_test(test_pool__freed_while_dialling__ends_when_it_opens),
        cmocka_unit_test(test_pool__killed__all_streams_are_closed_and_places_given_back),
        cmocka_unit_test(test_pool__connection_is_lost__the_next_stream_gets_another),
        cmocka_unit_test(test_pool__outcome__cools_its_endpoint_for_a_while),
        cmocka_unit_test(test_pool__only_endpoint_is_exhausted__the_pacer_slows_and_it_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
