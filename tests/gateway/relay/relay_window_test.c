/* SPDX-License-Identifier: Apache-2.0 */
/* Flow control through the gateway: nothing is credited twice or never, and nobody stops others. */
#include "tests/gateway/relay/relay_fixture.h"

#define MIB (1024 * 1024)

static void start(struct rig *r)
{
    rig_start(r, NULL);
    r->opts.anonymous_allow = true;
}

/* Nghttp2 gives window back when half of it was used: more than half is as good as full, and more
 * than full is a byte credited twice. */
static void assert_window_full(int32_t window, int32_t full)
{
    assert_true(window <= full);
    assert_true(window > full / 2);
}

static void test_relay__not_admitted_yet__vm_window_stays_shut(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    struct peer_stream *down = rig_ads(&r, rig_vm(&r, NULL), 1000);

    for (int i = 0; i < 100; i++) {
        send_message(&r, down, 5000, 1);
    }
    assert_true(rig_up(&r, 0)->len <= H2_STREAM_WINDOW_BYTES);
    assert_true(peer_stream_window(down) < 5005);
    rig_answer(&r, rig_up(&r, 0), 10);

    assert_int_equal(rig_up(&r, 0)->len, 1005 + 100 * 5005);
    assert_false(down->ended);
    assert_window_full(peer_stream_window(down), H2_STREAM_WINDOW_BYTES);
    rig_stop(&r);
}

static void test_relay__first_message_larger_than_the_window__completes(void **state)
{
    struct rig r;
    (void)state;
    start(&r);

    struct peer_stream *down = rig_ads(&r, rig_vm(&r, NULL), 4 * MIB);
    assert_message(rig_up(&r, 0), 4 * MIB, 4 * MIB);
    rig_answer(&r, rig_up(&r, 0), 10);

    assert_message(down, 10, 7);
    assert_window_full(peer_stream_window(down), H2_STREAM_WINDOW_BYTES);
    rig_stop(&r);
}

static void test_relay__large_messages_before_an_answer__wait_for_it(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    struct peer_stream *down = rig_ads(&r, rig_vm(&r, NULL), 4 * MIB);

    send_message(&r, down, 4 * MIB, 2);
    send_message(&r, down, 4 * MIB, 3);
    assert_false(down->ended);
    assert_true(rig_up(&r, 0)->len <= 4 * MIB + 5 + H2_STREAM_WINDOW_BYTES);
    rig_answer(&r, rig_up(&r, 0), 10);

    assert_false(down->ended);
    assert_int_equal(rig_up(&r, 0)->len, 3 * (4 * MIB + 5));
    assert_window_full(peer_stream_window(down), H2_STREAM_WINDOW_BYTES);
    rig_stop(&r);
}

static void test_relay__large_messages_to_a_slow_istiod__wait_for_it(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    r.istiod_manual_credit = true;
    struct peer_stream *down = rig_ads(&r, rig_vm(&r, NULL), 100);
    struct peer_stream *up = rig_up(&r, 0);
    rig_answer(&r, up, 10);

    for (unsigned i = 0; i < 4; i++) {
        send_message(&r, down, 4 * MIB, i);
    }
    assert_false(down->ended);
    assert_true(r.worker->pool.used_bytes < 10 * MIB);
    while (up->uncredited > 0) {
        peer_credit(up, 0);
        rig_run(&r);
    }

    assert_false(down->ended);
    assert_int_equal(up->len, 105 + 4 * (4 * MIB + 5));
    assert_window_full(peer_stream_window(down), H2_STREAM_WINDOW_BYTES);
    rig_stop(&r);
}

static void test_relay__vm_does_not_read__istiod_is_stopped_by_its_window_only(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    struct h2_peer *vm = rig_vm(&r, NULL);
    vm->manual_credit = true;
    struct peer_stream *slow = rig_ads(&r, vm, 10);
    struct peer_stream *quick = rig_ads(&r, rig_vm(&r, NULL), 20);
    struct peer_stream *up_slow = rig_up(&r, 0);
    struct peer_stream *up_quick = rig_up(&r, 1);

    rig_answer(&r, up_slow, 3 * MIB);
    rig_answer(&r, up_quick, 3 * MIB);
    assert_message(quick, 3 * MIB, 7);
    assert_int_equal(slow->len, 65535);
    assert_true(up_slow->out_at <= 65535 + H2_STREAM_WINDOW_BYTES);
    while (slow->uncredited > 0) {
        peer_credit(slow, 0);
        rig_run(&r);
    }

    assert_message(slow, 3 * MIB, 7);
    assert_window_full(peer_stream_window(up_slow), H2_STREAM_WINDOW_BYTES);
    assert_window_full(peer_conn_window(r.istiods[0]), H2_UP_CONN_WINDOW_BYTES);
    rig_stop(&r);
}

static void test_relay__vm_socket_full__bounded_and_goes_on(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    struct h2_peer *vm = rig_vm(&r, NULL);
    struct peer_stream *streams[4];
    nghttp2_settings_entry wide = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 8 * MIB};
    assert_int_equal(nghttp2_submit_settings(vm->ng, 0, &wide, 1), 0);
    assert_int_equal(nghttp2_session_set_local_window_size(vm->ng, 0, 0, 64 * MIB), 0);
    for (unsigned i = 0; i < 4; i++) {
        streams[i] = rig_ads(&r, vm, 10 + i);
    }
    vm->wire->socket_bytes = 1000;
    vm->frozen = true;

    for (size_t i = 0; i < 4; i++) {
        rig_answer(&r, rig_up(&r, i), MIB);
    }
    assert_true(vm->wire->out_len < CONN_OUT_MAX_BYTES);
    vm->frozen = false;
    vm->take_chunk = 3000;
    rig_run(&r);

    for (size_t i = 0; i < 4; i++) {
        assert_message(streams[i], MIB, 7);
    }
    rig_stop(&r);
}

static void test_relay__vm_makes_no_progress__stalled(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    r.limits.stall_timeout = 8;
    struct h2_peer *vm = rig_vm(&r, NULL);
    vm->manual_credit = true;
    struct peer_stream *down = rig_ads(&r, vm, 10);
    rig_answer(&r, rig_up(&r, 0), MIB);

    rig_advance(&r, 7);
    assert_int_equal(rig_count(&r, COUNTER_LIMIT_STALL), 0);
    rig_advance(&r, 4);

    assert_int_equal(rig_count(&r, COUNTER_LIMIT_STALL), 1);
    assert_true(down->closed);
    assert_int_equal(rig_up(&r, 0)->error, H2_CANCEL);
    rig_stop(&r);
}

static void test_relay__vm_talks_but_does_not_read__stalled(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    r.limits.stall_timeout = 8;
    struct h2_peer *vm = rig_vm(&r, NULL);
    vm->manual_credit = true;
    struct peer_stream *down = rig_ads(&r, vm, 10);
    rig_answer(&r, rig_up(&r, 0), MIB);

    for (int i = 0; i < 12 && !down->closed; i++) {
        send_message(&r, down, 10, 1);
        rig_advance(&r, 1);
    }

    assert_true(down->closed);
    assert_int_equal(rig_count(&r, COUNTER_LIMIT_STALL), 1);
    rig_stop(&r);
}

/* VMs that take nothing of a push; the first is the oldest. */
static void start_blockers(struct rig *r, struct peer_stream **down, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct h2_peer *vm = rig_vm(r, NULL);
        vm->manual_credit = true;
        down[i] = rig_ads(r, vm, 10);
        rig_answer(r, rig_up(r, i), MIB);
        rig_advance(r, 0.1);
    }
}

static void test_relay__many_vms_block_istiod__the_oldest_go(void **state)
{
    struct peer_stream *down[10];
    struct rig r;
    (void)state;
    start(&r);

    start_blockers(&r, down, 10);
    struct peer_stream *good = rig_ads(&r, rig_vm(&r, NULL), 10);
    rig_answer(&r, rig_up(&r, 10), MIB);
    rig_advance(&r, 5);

    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(down[i]->closed, i < 2);
    }
    assert_int_equal(rig_count(&r, COUNTER_LIMIT_BLOCKED), 2);
    assert_message(good, MIB, 7);
    assert_false(good->closed);
    rig_stop(&r);
}

static void test_relay__many_slow_vms_that_read__none_goes(void **state)
{
    struct peer_stream *down[12];
    struct rig r;
    (void)state;
    start(&r);

    start_blockers(&r, down, 12);
    for (int s = 0; s < 30; s++) {
        for (size_t i = 0; i < 12; i++) {
            peer_credit(down[i], down[i]->uncredited < 20000 ? down[i]->uncredited : 20000);
        }
        rig_advance(&r, 1);
    }

    assert_int_equal(rig_count(&r, COUNTER_LIMIT_BLOCKED), 0);
    rig_stop(&r);
}

static void test_relay__istiod_makes_no_progress__stalled_with_14(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    r.limits.stall_timeout = 8;
    r.istiod_manual_credit = true;
    struct peer_stream *down = rig_ads(&r, rig_vm(&r, NULL), 10);
    rig_answer(&r, rig_up(&r, 0), 10);
    send_message(&r, down, 200000, 1);

    rig_advance(&r, 12);

    assert_status(down, "14", "stall_timeout");
    rig_stop(&r);
}

static void test_relay__idle_for_long__is_not_stalled(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    r.limits.stall_timeout = 2;
    struct peer_stream *down = rig_ads(&r, rig_vm(&r, NULL), 10);
    rig_answer(&r, rig_up(&r, 0), 10);

    rig_advance(&r, 40);
    send_message(&r, down, 10, 3);

    assert_false(down->ended);
    assert_int_equal(rig_up(&r, 0)->len, 30);
    rig_stop(&r);
}

static void test_relay__vm_that_does_not_read_its_end__is_reset(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    r.limits.stall_timeout = 5;
    struct h2_peer *vm = rig_vm(&r, NULL);
    vm->manual_credit = true;
    struct peer_stream *down = rig_ads(&r, vm, 10);
    rig_answer(&r, rig_up(&r, 0), MIB / 8);
    peer_end(rig_up(&r, 0), ok_trailers);
    rig_run(&r);
    assert_false(down->ended);

    rig_advance(&r, 5.2);

    assert_true(down->closed);
    assert_int_equal(down->error, H2_CANCEL);
    rig_stop(&r);
}

/* ---- long random traffic ---- */

static uint32_t seed;

static uint32_t rnd(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

struct pair {
    struct peer_stream *down;
    struct peer_stream *up;
    size_t sent_up;
    size_t sent_down;
};

static void send_something(struct rig *r, struct pair *p)
{
    size_t len;
    size_t n = rnd(10) == 0 ? rnd(500000) : rnd(3000);
    uint8_t *m = peer_message(n, (unsigned)n, &len);

    (void)r;
    if (rnd(2) == 0) {
        peer_send(p->down, m, len);
        p->sent_up += len;
    } else {
        peer_send(p->up, m, len);
        p->sent_down += len;
    }
    free(m);
}

static void shake_speeds(struct rig *r)
{
    for (size_t i = 0; i < r->n_vms; i++) {
        r->vms[i]->feed_chunk = rnd(4) == 0 ? 1 + rnd(50) : 1 + rnd(60000);
        r->vms[i]->take_chunk = 1 + rnd(60000);
        r->vms[i]->frozen = rnd(5) == 0;
        r->vms[i]->wire->socket_bytes = rnd(3) == 0 ? rnd(5000) : 200000;
    }
    r->istiods[0]->feed_chunk = 1 + rnd(60000);
    r->istiods[0]->take_chunk = 1 + rnd(60000);
    r->istiods[0]->frozen = rnd(5) == 0;
    r->istiods[0]->wire->socket_bytes = rnd(3) == 0 ? rnd(5000) : 200000;
}

static void credit_some(struct pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct peer_stream *both[] = {pairs[i].down, pairs[i].up};
        for (int k = 0; k < 2; k++) {
            if (both[k]->uncredited > 0 && rnd(2) == 0) {
                peer_credit(both[k], 1 + rnd((uint32_t)both[k]->uncredited));
            }
        }
    }
}

static void let_everything_through(struct rig *r, struct pair *pairs, size_t n)
{
    for (size_t i = 0; i < r->n_vms; i++) {
        r->vms[i]->frozen = false;
    }
    r->istiods[0]->frozen = false;
    for (bool again = true; again;) {
        again = false;
        rig_run(r);
        for (size_t i = 0; i < n; i++) {
            again = again || pairs[i].down->uncredited > 0 || pairs[i].up->uncredited > 0;
            peer_credit(pairs[i].down, 0);
            peer_credit(pairs[i].up, 0);
        }
    }
}

static void run_random(uint32_t with)
{
    enum { VMS = 3, EACH = 3, PAIRS = VMS * EACH };
    struct pair pairs[PAIRS] = {0};
    struct rig r;

    seed = with;
    start(&r);
    r.limits.frame_flood = 1000000; /* bytes one by one are suspicious */
    r.istiod_manual_credit = true;
    for (size_t i = 0; i < PAIRS; i++) {
        struct h2_peer *vm = i % EACH == 0 ? rig_vm(&r, NULL) : r.vms[i / EACH];
        vm->manual_credit = true;
        pairs[i].down = rig_ads(&r, vm, 100 + i);
        pairs[i].up = rig_up(&r, i);
        peer_respond(pairs[i].up, rig_response, false);
        pairs[i].sent_up = 105 + i;
    }
    for (int turn = 0; turn < 400; turn++) {
        shake_speeds(&r);
        send_something(&r, &pairs[rnd(PAIRS)]);
        credit_some(pairs, PAIRS);
        rig_run(&r);
    }
    let_everything_through(&r, pairs, PAIRS);

    for (size_t i = 0; i < PAIRS; i++) {
        assert_false(pairs[i].down->ended || pairs[i].up->ended);
        assert_int_equal(pairs[i].up->len, pairs[i].sent_up);
        assert_int_equal(pairs[i].down->len, pairs[i].sent_down);
        assert_memory_equal(pairs[i].down->data, pairs[i].up->out, pairs[i].sent_down);
        assert_memory_equal(pairs[i].up->data, pairs[i].down->out, pairs[i].sent_up);
        assert_window_full(peer_stream_window(pairs[i].down), H2_STREAM_WINDOW_BYTES);
        assert_window_full(peer_stream_window(pairs[i].up), H2_STREAM_WINDOW_BYTES);
    }
    for (size_t i = 0; i < VMS; i++) {
        assert_window_full(peer_conn_window(r.vms[i]), H2_DOWN_CONN_WINDOW_BYTES);
    }
    assert_window_full(peer_conn_window(r.istiods[0]), H2_UP_CONN_WINDOW_BYTES);
    assert_int_equal(r.worker->pool.used_bytes, 0);
    rig_stop(&r);
}

static void test_relay__random_traffic__every_byte_arrives_and_windows_are_full_again(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= 4; i++) {
        run_random(i * 7919);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relay__not_admitted_yet__vm_window_stays_shut),
        cmocka_unit_test(test_relay__first_message_larger_than_the_window__completes),
        cmocka_unit_test(test_relay__large_messages_before_an_answer__wait_for_it),
        cmocka_unit_test(test_relay__large_messages_to_a_slow_istiod__wait_for_it),
        cmocka_unit_test(test_relay__vm_does_not_read__istiod_is_stopped_by_its_window_only),
        cmocka_unit_test(test_relay__vm_socket_full__bounded_and_goes_on),
        cmocka_unit_test(test_relay__vm_makes_no_progress__stalled),
        cmocka_unit_test(test_relay__vm_talks_but_does_not_read__stalled),
        cmocka_unit_test(test_relay__many_vms_block_istiod__the_oldest_go),
        cmocka_unit_test(test_relay__many_slow_vms_that_read__none_goes),
        cmocka_unit_test(test_relay__istiod_makes_no_progress__stalled_with_14),
        cmocka_unit_test(test_relay__idle_for_long__is_not_stalled),
        cmocka_unit_test(test_relay__vm_that_does_not_read_its_end__is_reset),
        cmocka_unit_test(test_relay__random_traffic__every_byte_arrives_and_windows_are_full_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
