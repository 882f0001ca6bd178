/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets: what they wait for, how they fail, and which connections are made for them. */
#include "tests/gateway/upstream/pool_fixture.h"
#include "tests/support/virtual_clock.h"

static const char *const two[] = {"10.1.0.1", "10.1.0.2", NULL};

static void test_pool__first_tickets__wait_for_one_connection(void **state)
{
    struct scene *s = scene_new(NULL);
    (void)state;
    s->r.dials = RIG_DIAL_HANG;

    ask_many(s, 0, 3);
    assert_int_equal(s->r.n_istiods, 1);
    assert_int_equal(ready(s), 0);
    wire_open(s->r.istiods[0]->wire);
    rig_run(&s->r);

    assert_int_equal(ready(s), 3);
    assert_int_equal(s->r.istiods[0]->n_streams, 3);
    assert_int_equal(rig_count(&s->r, COUNTER_UP_DIALS), 1);
    scene_free(s);
}

static void test_pool__connection_is_full__another_is_made(void **state)
{
    struct scene *s = scene_new(&(struct rig_opts){.streams_per_connection = 2});
    (void)state;

    ask_many(s, 0, 5);

    assert_int_equal(ready(s), 5);
    assert_int_equal(s->r.n_istiods, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(s->r.istiods[i]->n_streams <= 2);
    }
    scene_free(s);
}

static void test_pool__stream_ends__its_place_is_used_again(void **state)
{
    struct scene *s = scene_new(&(struct rig_opts){.streams_per_connection = 2});
    (void)state;
    ask_many(s, 0, 2);

    finish(s, 0);
    ask_many(s, 2, 3);

    assert_int_equal(ready(s), 3);
    assert_int_equal(s->r.n_istiods, 1);
    scene_free(s);
}

static void test_pool__several_have_room__the_fullest_is_used(void **state)
{
    struct scene *s = scene_new(&(struct rig_opts){.streams_per_connection = 2});
    (void)state;
    ask_many(s, 0, 4);
    assert_int_equal(s->r.n_istiods, 2);
    for (size_t i = 0; i < 4; i++) {
        /* the first one is left without streams, the second one with one */
        if (s->a[i].up == s->a[0].up && i > 0) {
            finish(s, i);
        }
    }
    struct up_session *second = s->a[3].up;
    assert_ptr_not_equal(second, s->a[0].up);
    finish(s, 3);
    finish(s, 0);

    ask_many(s, 4, 5);

    assert_ptr_equal(s->a[4].up, second);
    scene_free(s);
}

static void test_pool__istiod_takes_one_stream_only__another_connection_is_made(void **state)
{
    struct scene *s = scene_new(NULL);
    (void)state;
    s->r.istiod_max_streams = 1;
    ask_many(s, 0, 1);

    ask_many(s, 1, 2);

    assert_int_equal(s->r.n_istiods, 2);
    assert_int_equal(s->r.istiods[0]->n_streams, 1);
    assert_int_equal(s->r.istiods[1]->n_streams, 1);
    scene_free(s);
}

static void test_pool__two_endpoints__share_the_streams(void **state)
{
    struct scene *s = scene_new(&(struct rig_opts){.endpoints = two});
    size_t streams[2] = {0};
    (void)state;

    for (size_t i = 0; i < 20; i++) {
        ask_many(s, i, i + 1);
    }

    for (size_t i = 0; i < s->r.n_istiods; i++) {
        streams[s->r.istiods[i]->wire->peer.ip[3] - 1] += s->r.istiods[i]->n_streams;
    }
    assert_int_equal(streams[0] + streams[1], 20);
    assert_true(streams[0] >= 9 && streams[1] >= 9);
    scene_free(s);
}

static void test_pool__handshakes_fail__ticket_fails_at_its_deadline_with_the_reason(void **state)
{
    struct scene *s = scene_new(NULL);
    (void)state;
    s->r.dials = RIG_DIAL_FAIL;
    struct asker *a = ask(s, 0, 10);

    rig_advance(&s->r, 9.8);
    assert_int_equal(a->failed, 0);
    rig_advance(&s->r, 0.6);

    assert_int_equal(a->failed, 1);
    assert_int_equal(a->ready, 0);
    assert_non_null(strstr(a->why, "10.1.0.1:15012"));
    assert_non_null(strstr(a->why, "handshake failed"));
    assert_true(s->r.n_istiods >= 5 && s->r.n_istiods <= 15);
    assert_int_equal(rig_count(&s->r, COUNTER_UP_DIAL_FAILURES), s->r.n_istiods);
    assert_string_equal(pool_last_problem(s->pool), a->why);
    scene_free(s);
}

static void test_pool__dialling_itself_fails__does_not_spin(void **state)
{
    struct scene *s = scene_new(NULL);
    (void)state;
    fake_dial_rc = RC_SYSTEM;
    struct asker *a = ask(s, 0, 5);

    rig_advance(&s->r, 5.5);

    assert_int_equal(a->failed, 1);
    assert_non_null(strstr(a->why, rc_text(RC_SYSTEM)));
    uint64_t n = rig_count(&s->r, COUNTER_UP_DIAL_FAILURES);
    assert_true(n >= 3 && n <= 10);
    fake_dial_rc = RC_OK;
    scene_free(s);
}

static void test_pool__works_again__waiting_tickets_are_served(void **state)
{
    struct scene *s = scene_new(NULL);
    (void)state;
    s->r.dials = RIG_DIAL_FAIL;
    ask_many(s, 0, 3);
    rig_advance(&s->r, 5);

    s->r.dials = RIG_DIAL_OPEN;
    rig_advance(&s->r, 1.5);

    assert_int_equal(ready(s), 3);
    assert_int_equal(failed(s), 0);
    scene_free(s);
}

static void test_pool__failed_endpoint__is_probed_though_another_has_room(void **state)
{
    struct scene *s = scene_new(&(struct rig_opts){.endpoints = two});
    (void)state;
    s->r.dials = RIG_DIAL_FAIL;
    (void)ask(s, 0, 30);
    rig_turn(&s->r);
    s->r.dials = RIG_DIAL_HANG;
    rig_run(&s->r);
    assert_int_equal(s->r.n_istiods, 1);
    wire_close(s->r.istiods[0]->wire, END_CONNECT);
    rig_run(&s->r);
    assert_int_equal(s->r.n_istiods, 2);
    wire_open(s->r.istiods[1]->wire);
    rig_run(&s->r);
    assert_int_equal(ready(s), 1);

    s->r.dials = RIG_DIAL_OPEN;
    ask_many(s, 1, 2);
    assert_int_equal(s->r.n_istiods, 2); /* its pause is not over */
    rig_advance(&s->r, 1);
    ask_many(s, 2, 3);

    assert_int_equal(ready(s), 3);
    assert_int_equal(s->r.n_istiods, 3);
    assert_true(addr_same_ip(&s->r.istiods[2]->wire->peer, &s->r.istiods[0]->wire->peer));
    ask_many(s, 3, 4);
    assert_int_equal(s->r.istiods[2]->n_streams, 1);
    scene_free(s);
}

static void test_pool__silent_endpoint__is_given_up_after_five_seconds(void **state)
{
    struct scene *s = scene_new(&(struct rig_opts){.endpoints = two});
    (void)state;
    s->r.dials = RIG_DIAL_HANG;
    struct asker *a = ask(s, 0, 30);

    rig_advance(&s->r, 4.9);
    assert_int_equal(s->r.n_istiods, 1);
    s->r.dials = RIG_DIAL_OPEN;
    rig_advance(&s->r, 0.3);

    assert_int_equal(a->ready, 1);
    assert_null(s->r.istiods[0]->wire->conn);
    scene_free(s);
}

static void test_pool__cancelled_while_queued__is_never_called(void **state)
{
    struct scene *s = scene_new(NULL);
    (void)state;
    s->r.dials = RIG_DIAL_HANG;
    ask_many(s, 0, 3);

    pool_cancel(&s->a[1].ticket);
    assert_null(s->a[1].ticket.pool);
    pool_cancel(&s->a[1].ticket);
    wire_open(s->r.istiods[0]->wire);
    rig_advance(&s->r, 31);

    assert_int_equal(s->a[1].ready + s->a[1].failed, 0);
    assert_int_equal(s->a[0].ready, 1);
    assert_int_equal(s->a[2].ready, 1);
    scene_free(s);
}

static void test_pool__cancelled_when_granted__has_no_effect(void **state)
{
    struct scene *s = scene_new(NULL);
    (void)state;
    ask_many(s, 0, 1);

    pool_cancel(&s->a[0].ticket);
    ask_many(s, 1, 2);

    assert_int_equal(ready(s), 2);
    assert_non_null(s->a[0].st);
    scene_free(s);
}

static void test_pool__granted_but_not_opened__takes_no_place(void **state)
{
    struct scene *s = scene_new(&(struct rig_opts){.streams_per_connection = 1});
    (void)state;
    s->a[0].opens = false;

    ask_many(s, 0, 2);

    assert_int_equal(ready(s), 2);
    assert_int_equal(s->r.n_istiods, 1);
    scene_free(s);
}

static void test_pool__not_before__waits_while_others_pass(void **state)
{
    struct scene *s = scene_new(NULL);
    (void)state;
    s->a[0].ticket.not_before = worker_now(s->r.worker) + 2;

    ask_many(s, 0, 3);
    assert_int_equal(ready(s), 2);
    assert_int_equal(s->a[0].ready, 0);
    rig_advance(&s->r, 1.9);
    assert_int_equal(s->a[0].ready, 0);
    rig_advance(&s->r, 0.4);

    assert_int_equal(s->a[0].ready, 1);
    scene_free(s);
}

static void test_pool__paced__so_many_streams_a_second(void **state)
{
    struct scene *s = scene_new(&(struct rig_opts){.max_new_streams_per_second = 10});
    (void)state;

    ask_many(s, 0, 40);
    assert_true(ready(s) <= 2);
    rig_advance(&s->r, 2);
    assert_true(ready(s) >= 18 && ready(s) <= 23);
    rig_advance(&s->r, 2.2);

    assert_int_equal(ready(s), 40);
    scene_free(s);
}

static void test_pool__queue_is_full__says_so(void **state)
{
    struct scene *s = scene_new(NULL);
    struct pool_ticket *t = calloc(POOL_QUEUE_MAX + 1, sizeof(*t));
    (void)state;
    assert_non_null(t);
    s->r.dials = RIG_DIAL_HANG;

    for (size_t i = 0; i <= POOL_QUEUE_MAX; i++) {
        list_init(&t[i].node);
        t[i].deadline = worker_now(s->r.worker) + 30;
        t[i].on_failed = on_failed;
        assert_int_equal(pool_ask(s->pool, &t[i]), i < POOL_QUEUE_MAX ? RC_OK : RC_FULL);
    }
    assert_null(t[POOL_QUEUE_MAX].pool);
    pool_cancel(&t[0]);
    assert_int_equal(pool_ask(s->pool, &t[POOL_QUEUE_MAX]), RC_OK);

    for (size_t i = 0; i <= POOL_QUEUE_MAX; i++) {
        pool_cancel(&t[i]);
    }
    rig_run(&s->r);
    assert_int_equal(s->r.n_istiods, 0); /* nobody waits any more */
    free(t);
    scene_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool__first_tickets__wait_for_one_connection),
        cmocka_unit_test(test_pool__connection_is_full__another_is_made),
        cmocka_unit_test(test_pool__stream_ends__its_place_is_used_again),
        cmocka_unit_test(test_pool__several_have_room__the_fullest_is_used),
        cmocka_unit_test(test_pool__istiod_takes_one_stream_only__another_connection_is_made),
        cmocka_unit_test(test_pool__two_endpoints__share_the_streams),
        cmocka_unit_test(test_pool__handshakes_fail__ticket_fails_at_its_deadline_with_the_reason),
        cmocka_unit_test(test_pool__dialling_itself_fails__does_not_spin),
        cmocka_unit_test(test_pool__works_again__waiting_tickets_are_served),
        cmocka_unit_test(test_pool__failed_endpoint__is_probed_though_another_has_room),
        cmocka_unit_test(test_pool__silent_endpoint__is_given_up_after_five_seconds),
        cmocka_unit_test(test_pool__cancelled_while_queued__is_never_called),
        cmocka_unit_test(test_pool__cancelled_when_granted__has_no_effect),
        cmocka_unit_test(test_pool__granted_but_not_opened__takes_no_place),
        cmocka_unit_test(test_pool__not_before__waits_while_others_pass),
        cmocka_unit_test(test_pool__paced__so_many_streams_a_second),
        cmocka_unit_test(test_pool__queue_is_full__says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
