/* SPDX-License-Identifier: Apache-2.0 */
/* Streams to istiod whose VM is gone: ended politely, reset at a pace, and not without number. */
#include "tests/gateway/relay/relay_fixture.h"

#define VANISH 2000
#define MIB (1024 * 1024)

static void start(struct rig *r, uint32_t per_connection)
{
    struct rig_opts o = {.identity = UPSTREAM_XFCC, .streams_per_connection = per_connection};

    rig_start(r, &o);
    rig_run(r); /* the loop's own time catches up */
}

/* A VM of its own with one ADS stream that istiod has answered; up: istiod's end of it. */
static struct h2_peer *answered_vm(struct rig *r, size_t nth, struct peer_stream **up)
{
    struct h2_peer *vm = rig_vm(r, RIG_ID);

    (void)rig_ads(r, vm, 10);
    *up = rig_up(r, nth);
    rig_answer(r, *up, 10);
    return vm;
}

static void vanish(struct rig *r, struct h2_peer *vm)
{
    wire_close(vm->wire, END_IO);
    rig_run(r);
}

static size_t still_open(const struct rig *r)
{
    size_t n = 0;

    for (size_t i = 0; i < r->n_istiods; i++) {
        for (size_t k = 0; k < r->istiods[i]->n_streams; k++) {
            n += !r->istiods[i]->streams[k].closed;
        }
    }
    return n;
}

/* ---- one ---- */

static void test_leave__istiod_ends_it_too__nothing_is_reset(void **state)
{
    struct rig r;
    struct peer_stream *up;
    (void)state;
    start(&r, 50);
    struct h2_peer *vm = answered_vm(&r, 0, &up);

    vanish(&r, vm);
    assert_true(up->ended);
    peer_end(up, ok_trailers);
    rig_run(&r);

    assert_true(up->closed);
    assert_int_equal(up->error, H2_NO_ERROR);
    rig_stop(&r);
}

static void test_leave__istiod_does_not_end_it__reset_after_two_seconds(void **state)
{
    struct rig r;
    struct peer_stream *up;
    (void)state;
    start(&r, 50);
    struct h2_peer *vm = answered_vm(&r, 0, &up);

    vanish(&r, vm);
    rig_advance(&r, 1.9);
    assert_false(up->closed);
    rig_advance(&r, 0.2);

    assert_true(up->closed);
    assert_int_equal(up->error, H2_CANCEL);
    rig_stop(&r);
}

static void test_leave__istiod_is_in_a_push__all_of_it_is_taken(void **state)
{
    struct rig r;
    struct peer_stream *up;
    static uint8_t push[4 * MIB];
    (void)state;
    start(&r, 50);
    struct h2_peer *vm = answered_vm(&r, 0, &up);
    vm->manual_credit = true; /* a VM that reads nothing: istiod's window closes */
    peer_send(up, push, sizeof(push));
    rig_run(&r);
    assert_true(up->out_at < sizeof(push));

    vanish(&r, vm);
    assert_int_equal(up->out_at, up->out_len);
    peer_end(up, ok_trailers);
    rig_run(&r);

    assert_int_equal(up->error, H2_NO_ERROR);
    assert_true(peer_conn_window(r.istiods[0]) >= H2_UP_CONN_WINDOW_BYTES / 2);
    rig_stop(&r);
}

static void
test_leave__half_a_request_of_another_method__is_not_ended_but_reset_at_once(void **state)
{
    struct rig r;
    (void)state;
    start(&r, 50);
    struct h2_peer *vm = rig_vm(&r, RIG_ID);
    struct peer_stream *down = peer_request(vm, chat_request, false);
    send_message(&r, down, 10, 1);
    struct peer_stream *up = rig_up(&r, 0);
    assert_non_null(up);

    (void)rig_ads(&r, vm, 10);
    struct peer_stream *ads = rig_up(&r, 1);

    vanish(&r, vm);
    rig_advance(&r, 0.1);

    assert_false(up->ended);
    assert_int_equal(up->error, H2_CANCEL);
    assert_true(ads->ended && !ads->closed);
    rig_advance(&r, 2);
    assert_true(ads->closed);
    rig_stop(&r);
}

static void test_leave__other_method_is_answered_in_full__nothing_is_reset(void **state)
{
    struct rig r;
    (void)state;
    start(&r, 50);
    struct peer_stream *down = peer_request(rig_vm(&r, RIG_ID), chat_request, false);
    send_message(&r, down, 10, 1);
    struct peer_stream *up = rig_up(&r, 0);

    answer_status(&r, up, "0", "");
    rig_advance(&r, 3);

    assert_true(up->closed && up->ended);
    assert_int_equal(up->error, H2_NO_ERROR);
    rig_stop(&r);
}

static void test_leave__istiod_gives_no_window__place_is_free_after_two_seconds(void **state)
{
    struct rig r;
    struct peer_stream *up;
    (void)state;
    start(&r, 1);
    r.istiod_window = 1000;
    r.istiod_manual_credit = true;
    struct h2_peer *vm = rig_vm(&r, RIG_ID);
    (void)rig_ads(&r, vm, 3000);
    up = rig_up(&r, 0);
    assert_int_equal(up->len, 1000);
    peer_respond(up, rig_response, true); /* its own side is over */
    rig_run(&r);

    vanish(&r, vm);
    assert_false(up->closed);
    rig_advance(&r, 2.1);
    assert_true(up->closed);
    (void)rig_ads(&r, rig_vm(&r, RIG_ID), 10);

    assert_int_equal(r.n_istiods, 1);
    assert_int_equal(r.istiods[0]->n_streams, 2);
    rig_stop(&r);
}

/* ---- many ---- */

static void test_leave__2000_at_once_and_a_limit_of_resets__another_vm_loses_nothing(void **state)
{
    struct rig r;
    struct peer_stream *good;
    (void)state;
    start(&r, 10000);
    r.limits.streams_per_connection = 10000;
    r.limits.ads_streams_per_vm = 10000;
    r.limits.new_streams_per_second = 10000;
    struct h2_peer *vm = answered_vm(&r, 0, &good);
    struct h2_peer *many = rig_vm(&r, RIG_ID);
    for (size_t i = 0; i < VANISH; i++) {
        (void)rig_ads(&r, many, 10);
    }
    assert_int_equal(r.n_istiods, 1);
    assert_int_equal(r.istiods[0]->n_streams, VANISH + 1);

    vanish(&r, many);
    rig_pass(&r, 90);
    assert_int_equal(still_open(&r), 1);
    send_message(&r, good, 20, 1);

    assert_int_equal(rig_open_istiods(&r), 1);
    assert_false(good->closed);
    assert_int_equal(vm->streams[0].len, 15 + 25);
    rig_stop(&r);
}

static void test_leave__vm_opens_and_resets_without_end__few_streams_of_istiod(void **state)
{
    struct rig r;
    unsigned refused = 0;
    (void)state;
    start(&r, 50);
    r.limits.new_streams_per_second = 10000;
    struct h2_peer *vm = rig_vm(&r, RIG_ID);

    for (size_t i = 0; i < 300; i++) {
        struct peer_stream *down = rig_ads(&r, vm, 10);
        refused += down->ended;
        if (!down->ended) {
            peer_reset(down, H2_CANCEL);
        }
        rig_run(&r);
    }

    assert_int_equal(still_open(&r), r.limits.streams_per_connection);
    assert_int_equal(refused, 300 - r.limits.streams_per_connection);
    assert_int_equal(rig_count(&r, COUNTER_LIMIT_STREAMS), refused);
    rig_advance(&r, 3);
    struct peer_stream *later = rig_ads(&r, vm, 10);
    assert_false(later->ended);
    rig_stop(&r);
}

static void test_leave__places_of_left_streams__are_not_given_to_others(void **state)
{
    struct rig r;
    struct peer_stream *up;
    (void)state;
    start(&r, 1);

    vanish(&r, answered_vm(&r, 0, &up));
    (void)rig_ads(&r, rig_vm(&r, RIG_ID), 10);

    assert_int_equal(r.n_istiods, 2);
    assert_int_equal(r.istiods[0]->n_streams, 1);
    rig_stop(&r);
}

static void test_leave__connection_retired_by_istiod__ends_without_resets(void **state)
{
    struct rig r;
    struct peer_stream *up;
    (void)state;
    start(&r, 50);
    for (size_t i = 0; i < 4; i++) {
        (void)answered_vm(&r, i, &up);
    }

    peer_goaway(r.istiods[0], INT32_MAX, H2_NO_ERROR);
    rig_advance(&r, POOL_RETIRE_S + 3);

    assert_null(r.istiods[0]->wire->conn);
    assert_false(rig_up(&r, 3)->error == H2_CANCEL); /* it was among the last */
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leave__istiod_ends_it_too__nothing_is_reset),
        cmocka_unit_test(test_leave__istiod_does_not_end_it__reset_after_two_seconds),
        cmocka_unit_test(test_leave__istiod_is_in_a_push__all_of_it_is_taken),
        cmocka_unit_test(
            test_leave__half_a_request_of_another_method__is_not_ended_but_reset_at_once),
        cmocka_unit_test(test_leave__other_method_is_answered_in_full__nothing_is_reset),
        cmocka_unit_test(test_leave__istiod_gives_no_window__place_is_free_after_two_seconds),
        cmocka_unit_test(test_leave__2000_at_once_and_a_limit_of_resets__another_vm_loses_nothing),
        cmocka_unit_test(test_leave__vm_opens_and_resets_without_end__few_streams_of_istiod),
        cmocka_unit_test(test_leave__places_of_left_streams__are_not_given_to_others),
        cmocka_unit_test(test_leave__connection_retired_by_istiod__ends_without_resets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
