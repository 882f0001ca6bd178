/* SPDX-License-Identifier: Apache-2.0 */
/* Who is granted a stream first: ADS streams, CSRs, VMs without a certificate. */
#include "tests/gateway/upstream/pool_fixture.h"
#include "tests/support/virtual_clock.h"

#define RATE 25
#define LONG 100000.0

enum who { KNOWN, CSR, STRANGER };

static struct scene *scene_of(bool auto_pace)
{
    struct scene *s =
        scene_new(&(struct rig_opts){.auto_pace = auto_pace, .max_new_streams_per_second = RATE});

    for (size_t i = 0; i < ASKERS; i++) {
        s->a[i].opens = false;
    }
    return s;
}

static void be(struct asker *a, enum who who)
{
    a->ticket.is_stranger = who == STRANGER;
    a->ticket.is_csr = who == CSR;
}

/* Askers from .. to - 1 ask without end. */
static void flood(struct scene *s, enum who who, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        be(&s->a[i], who);
        s->a[i].again = s->pool;
        (void)ask(s, i, LONG);
    }
    rig_run(&s->r);
}

static unsigned ready_of(const struct scene *s, size_t from, size_t to)
{
    unsigned n = 0;

    for (size_t i = from; i < to; i++) {
        n += s->a[i].ready;
    }
    return n;
}

/* How many of them are granted in so many seconds. */
static unsigned granted_in(struct scene *s, double seconds, size_t from, size_t to)
{
    unsigned before = ready_of(s, from, to);

    rig_advance(&s->r, seconds);
    return ready_of(s, from, to) - before;
}

/* How long one waits who asks now. */
static double wait_of(struct scene *s, size_t i, enum who who)
{
    double since = worker_now(s->r.worker);

    be(&s->a[i], who);
    unsigned before = s->a[i].ready;
    (void)ask(s, i, 30);
    rig_run(&s->r);
    while (s->a[i].ready == before) {
        rig_advance(&s->r, 0.02);
        assert_true(worker_now(s->r.worker) - since < 30);
    }
    return worker_now(s->r.worker) - since;
}

static void test_lanes__flood_of_strangers__others_do_not_wait_for_it(void **state)
{
    (void)state;

    for (int auto_pace = 0; auto_pace < 2; auto_pace++) {
        struct scene *s = scene_of(auto_pace == 1);
        flood(s, STRANGER, 0, 40);
        rig_advance(&s->r, 2);
        for (size_t i = 40; i < 50; i++) {
            assert_true(wait_of(s, i, KNOWN) < 0.15);
            assert_true(wait_of(s, i, CSR) < 0.15);
        }
        scene_free(s);
    }
}

static void test_lanes__strangers_alone__get_the_whole_rate(void **state)
{
    struct scene *s = scene_of(false);
    (void)state;

    flood(s, STRANGER, 0, 40);
    rig_advance(&s->r, 2);
    unsigned n = granted_in(s, 4, 0, 40);

    assert_true(n >= 4 * RATE - 5 && n <= 4 * RATE + 5);
    scene_free(s);
}

static void test_lanes__strangers_beside_a_storm__get_their_share_of_the_rate(void **state)
{
    struct scene *s = scene_of(false);
    (void)state;

    flood(s, STRANGER, 0, 30);
    flood(s, KNOWN, 30, 60);
    rig_advance(&s->r, 2);
    unsigned before = ready_of(s, 30, 60);
    unsigned n = granted_in(s, 10, 0, 30);
    unsigned known = ready_of(s, 30, 60) - before;

    assert_true(n >= 0.15 * 10 * RATE && n <= 0.25 * 10 * RATE);
    assert_true(known >= 0.75 * 10 * RATE && n + known <= 10 * RATE + 5);
    scene_free(s);
}

static void test_lanes__low_rate__strangers_get_one_a_second(void **state)
{
    struct scene *s = scene_new(&(struct rig_opts){.max_new_streams_per_second = 3});
    (void)state;

    flood(s, STRANGER, 0, 30);
    flood(s, KNOWN, 30, 60);
    rig_advance(&s->r, 2);
    unsigned n = granted_in(s, 10, 0, 30);

    assert_true(n >= 8 && n <= 12);
    scene_free(s);
}

static void test_lanes__auto_and_a_flood_of_csrs__ads_streams_do_not_wait(void **state)
{
    struct scene *s = scene_of(true);
    (void)state;

    flood(s, CSR, 0, 40);
    rig_advance(&s->r, 2);
    for (size_t i = 40; i < 60; i++) {
        rig_advance(&s->r, 0.1);
        assert_true(wait_of(s, i, KNOWN) < 0.05);
    }

    scene_free(s);
}

static void test_lanes__auto__csrs_have_a_pace_of_their_own(void **state)
{
    struct scene *s = scene_of(true);
    (void)state;

    flood(s, CSR, 0, 30);
    flood(s, KNOWN, 30, 60);
    rig_advance(&s->r, 2);
    unsigned before = ready_of(s, 30, 60);
    unsigned n = granted_in(s, 4, 0, 30);

    assert_true(n >= 4 * PACER_CSRS - 5 && n <= 4 * PACER_CSRS + 5);
    assert_true(ready_of(s, 30, 60) - before >= 4 * PACER_AUTO_START - 5);
    scene_free(s);
}

static void test_lanes__fixed_rate__holds_for_csrs_and_ads_together(void **state)
{
    struct scene *s = scene_of(false);
    (void)state;

    flood(s, CSR, 0, 30);
    flood(s, KNOWN, 30, 60);
    rig_advance(&s->r, 2);
    unsigned before = ready_of(s, 0, 60);
    unsigned n = granted_in(s, 4, 0, 30);

    assert_true(n >= 2 * RATE - 10 && n <= 2 * RATE + 10);
    assert_true(ready_of(s, 0, 60) - before <= 4 * RATE + 5);
    scene_free(s);
}

static void test_lanes__strangers_on_another_worker__stand_back_too(void **state)
{
    struct scene *s = scene_of(false);
    struct pool *mine = s->pool;
    struct pool *other;
    (void)state;
    assert_int_equal(pool_new(s->r.worker, s->r.upstream, count_retired, &other), RC_OK);

    s->pool = other;
    flood(s, STRANGER, 0, 30);
    s->pool = mine;
    flood(s, KNOWN, 30, 60);
    rig_advance(&s->r, 2);
    unsigned n = granted_in(s, 10, 0, 30);

    assert_true(n >= 0.1 * 10 * RATE && n <= 0.25 * 10 * RATE);
    for (size_t i = 0; i < 30; i++) {
        pool_cancel(&s->a[i].ticket);
    }
    pool_kill(other);
    pool_free(&other);
    scene_free(s);
}

static void test_lanes__strangers_have_filled_their_queue__others_can_wait(void **state)
{
    struct scene *s = scene_of(false);
    struct pool_ticket *many = calloc(POOL_QUEUE_STRANGERS_MAX, sizeof(*many));
    struct pool_ticket one_more = {.is_stranger = true};
    (void)state;
    assert_non_null(many);
    s->r.dials = RIG_DIAL_HANG;
    for (size_t i = 0; i < POOL_QUEUE_STRANGERS_MAX; i++) {
        list_init(&many[i].node);
        many[i].is_stranger = true;
        many[i].deadline = worker_now(s->r.worker) + LONG;
        assert_int_equal(pool_ask(s->pool, &many[i]), RC_OK);
    }
    list_init(&one_more.node);

    assert_int_equal(pool_ask(s->pool, &one_more), RC_FULL);
    be(&s->a[0], KNOWN);
    (void)ask(s, 0, 30);

    for (size_t i = 0; i < POOL_QUEUE_STRANGERS_MAX; i++) {
        pool_cancel(&many[i]);
    }
    pool_cancel(&s->a[0].ticket);
    assert_int_equal(s->r.upstream->n_known_waiting, 0);
    free(many);
    scene_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lanes__flood_of_strangers__others_do_not_wait_for_it),
        cmocka_unit_test(test_lanes__strangers_alone__get_the_whole_rate),
        cmocka_unit_test(test_lanes__strangers_beside_a_storm__get_their_share_of_the_rate),
        cmocka_unit_test(test_lanes__low_rate__strangers_get_one_a_second),
        cmocka_unit_test(test_lanes__auto_and_a_flood_of_csrs__ads_streams_do_not_wait),
        cmocka_unit_test(test_lanes__auto__csrs_have_a_pace_of_their_own),
        cmocka_unit_test(test_lanes__fixed_rate__holds_for_csrs_and_ads_together),
        cmocka_unit_test(test_lanes__strangers_on_another_worker__stand_back_too),
        cmocka_unit_test(test_lanes__strangers_have_filled_their_queue__others_can_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
