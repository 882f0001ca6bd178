/* SPDX-License-Identifier: Apache-2.0 */
/* What an istiod that does not answer, a connection that goes away and an identity that runs out
 * mean for a VM. */
#include "tests/gateway/relay/relay_fixture.h"

#include "core/base/clock.h"
#include "gateway/upstream/pacer.h"
#include "tests/support/fake_certs.h"

#define TOO_LARGE "grpc: received message larger than max (5000000 vs. 4194304)"

static void start(struct rig *r, const char *const *endpoints)
{
    struct rig_opts o = {.identity = UPSTREAM_XFCC, .endpoints = endpoints, .auto_pace = true};
    rig_start(r, &o);
}

static struct peer_stream *csr(struct rig *r, struct h2_peer *vm)
{
    struct peer_stream *st = peer_request(vm, rig_ca_request, false);
    size_t len;
    uint8_t *m = peer_message(900, 1, &len);

    peer_send(st, m, len);
    peer_end(st, NULL);
    free(m);
    rig_run(r);
    return st;
}

static void test_relay__csr_is_never_answered__14(void **state)
{
    struct rig r;
    (void)state;
    start(&r, NULL);
    struct peer_stream *down = csr(&r, rig_vm(&r, RIG_ID));

    rig_advance(&r, 28);
    assert_false(down->ended);
    rig_advance(&r, 10);

    assert_status(down, "14", "did not answer");
    assert_int_equal(rig_up(&r, 0)->error, H2_CANCEL);
    rig_stop(&r);
}

static void test_relay__istiod_is_silent__another_is_asked(void **state)
{
    struct rig r;
    (void)state;
    start(&r, two_endpoints);
    rig_ads(&r, rig_vm(&r, RIG_ID), 10);
    rig_answer(&r, rig_up(&r, 0), 10);
    rig_ads(&r, rig_vm(&r, RIG_ID), 11); /* a second connection is made meanwhile */
    rig_answer(&r, rig_up(&r, 1), 10);
    assert_int_equal(r.n_istiods, 2);
    size_t before = r.istiods[0]->n_streams;
    struct peer_stream *down = rig_ads(&r, rig_vm(&r, RIG_ID), 20);
    assert_int_equal(r.istiods[1]->n_streams, 1); /* the less busy one, which says nothing */

    rig_advance(&r, 14);
    assert_int_equal(r.istiods[0]->n_streams, before);
    rig_advance(&r, 5);
    assert_int_equal(r.istiods[0]->n_streams, before + 1);
    struct peer_stream *second = &r.istiods[0]->streams[before];
    rig_answer(&r, second, 10);

    assert_message(second, 20, 20);
    assert_message(down, 10, 7);
    rig_stop(&r);
}

static void test_relay__only_istiod_is_slow__ads_waits(void **state)
{
    struct rig r;
    (void)state;
    start(&r, NULL);
    struct peer_stream *down = rig_ads(&r, rig_vm(&r, RIG_ID), 20);

    rig_advance(&r, 120);
    assert_false(down->ended);
    assert_null(rig_up(&r, 1));
    rig_answer(&r, rig_up(&r, 0), 10);

    assert_message(down, 10, 7);
    rig_stop(&r);
}

static void test_relay__connection_grows_old__vm_is_told_and_comes_back_on_a_fresh_one(void **state)
{
    struct rig r;
    (void)state;
    start(&r, NULL);
    struct h2_peer *vm = rig_vm(&r, RIG_ID);
    struct peer_stream *down = rig_ads(&r, vm, 100);
    rig_answer(&r, rig_up(&r, 0), 100);

    while (!down->ended) {
        rig_pass(&r, 0.1);
    }
    assert_status(down, "14", "transport is closing");
    assert_int_equal(rig_count(&r, COUNTER_UP_RETIRED), 1);
    assert_int_equal(counter_read(&r.worker->counters->stream_ends[END_UP_RETIRED]), 1);
    assert_int_equal(r.n_istiods, 2);
    (void)rig_ads(&r, vm, 100);

    assert_int_equal(r.istiods[0]->n_streams, 1);
    assert_int_equal(r.istiods[1]->n_streams, 1);
    rig_stop(&r);
}

static void test_relay__goaway_before_an_answer__tried_elsewhere_unseen(void **state)
{
    struct rig r;
    (void)state;
    start(&r, NULL);
    struct peer_stream *down = csr(&r, rig_vm(&r, RIG_ID));

    peer_goaway(r.istiods[0], INT32_MAX, H2_NO_ERROR);
    rig_advance(&r, 8);
    assert_int_equal(r.n_istiods, 2);
    rig_answer(&r, rig_up(&r, 1), 10);

    assert_message(rig_up(&r, 1), 900, 1);
    assert_message(down, 10, 7);
    rig_stop(&r);
}

static void test_relay__message_too_large_for_istiod__said_once_and_the_pace_stays(void **state)
{
    struct rig r;
    (void)state;
    start(&r, NULL);
    double rate = pacer_rate(&r.upstream->pacer);
    struct peer_stream *down = csr(&r, rig_vm(&r, RIG_ID));

    answer_status(&r, rig_up(&r, 0), "8", TOO_LARGE);

    assert_status(down, "8", "larger than max");
    assert_null(rig_up(&r, 1));
    assert_true(pacer_rate(&r.upstream->pacer) >= rate);
    rig_stop(&r);
}

static void test_relay__ads_exhausted_to_the_end__pace_falls(void **state)
{
    struct rig r;
    (void)state;
    start(&r, NULL);
    double rate = pacer_rate(&r.upstream->pacer);
    struct peer_stream *down = rig_ads(&r, rig_vm(&r, RIG_ID), 10);

    rig_advance(&r, POOL_DEADLINE_S + 1); /* too late for another try */
    answer_status(&r, rig_up(&r, 0), "8", "request rate limit exceeded");

    assert_status(down, "8", "rate limit");
    assert_true(pacer_rate(&r.upstream->pacer) < rate);
    rig_stop(&r);
}

static void test_relay__new_dials_fail__open_connection_with_room_is_used(void **state)
{
    struct rig r;
    struct rig_opts o = {.identity = UPSTREAM_XFCC, .streams_per_connection = 1};
    (void)state;
    rig_start(&r, &o);
    struct peer_stream *first = rig_ads(&r, rig_vm(&r, RIG_ID), 10);
    rig_answer(&r, rig_up(&r, 0), 10);
    r.dials = RIG_DIAL_FAIL;
    struct peer_stream *waiting = rig_ads(&r, rig_vm(&r, RIG_ID), 20);
    rig_advance(&r, 20);
    assert_true(rig_count(&r, COUNTER_UP_DIAL_FAILURES) > 3);

    peer_reset(first, H2_CANCEL);
    rig_advance(&r, 3);
    assert_non_null(rig_up(&r, 1));
    rig_answer(&r, rig_up(&r, 1), 10);

    assert_message(waiting, 10, 7);
    rig_stop(&r);
}

static void set_address(struct rig *r, const char *ip)
{
    struct addr a;

    assert_int_equal(addr_parse_ip(ip, &a), RC_OK);
    a.port = 15012;
    assert_int_equal(upstream_set_addresses(r->upstream, &a, NULL, 1), RC_OK);
}

static void test_relay__endpoint_left_the_names__its_idle_connection_is_closed(void **state)
{
    struct rig r;
    (void)state;
    start(&r, NULL);
    struct h2_peer *vm = rig_vm(&r, RIG_ID);

    for (int i = 0; i < 6; i++) {
        set_address(&r, i % 2 == 0 ? "10.1.0.2" : "10.1.0.1");
        struct peer_stream *down = rig_ads(&r, vm, 10);
        rig_advance(&r, 0.5);
        peer_reset(down, H2_CANCEL);
        rig_advance(&r, 5);
    }

    assert_int_equal(r.n_istiods, 6);
    assert_int_equal(rig_open_istiods(&r), 1);
    rig_stop(&r);
}

static void test_relay__vm_reads_a_byte_now_and_then__stalled(void **state)
{
    struct rig r;
    (void)state;
    start(&r, NULL);
    r.limits.stall_timeout = 60;
    struct h2_peer *vm = rig_vm(&r, RIG_ID);
    vm->manual_credit = true;
    struct peer_stream *down = rig_ads(&r, vm, 10);
    rig_answer(&r, rig_up(&r, 0), 2 << 20);

    for (int i = 0; i < 5 && !down->closed; i++) {
        rig_advance(&r, 50);
        if (!down->closed) {
            peer_credit(down, 1);
            rig_run(&r);
        }
    }

    assert_true(down->closed);
    assert_int_equal(rig_count(&r, COUNTER_LIMIT_STALL), 1);
    rig_stop(&r);
}

static void test_relay__vm_reads_slowly__left_in_peace(void **state)
{
    struct rig r;
    (void)state;
    start(&r, NULL);
    r.limits.stall_timeout = 60;
    struct h2_peer *vm = rig_vm(&r, RIG_ID);
    vm->manual_credit = true;
    struct peer_stream *down = rig_ads(&r, vm, 10);
    rig_answer(&r, rig_up(&r, 0), 2 << 20);

    for (int i = 0; i < 400 && down->uncredited > 0; i++) {
        peer_credit(down, down->uncredited < 10000 ? down->uncredited : 10000);
        rig_advance(&r, 1);
    }

    assert_message(down, 2 << 20, 7);
    rig_stop(&r);
}

static void test_relay__anonymous_allowed__still_limited(void **state)
{
    struct rig r;
    (void)state;
    start(&r, NULL);
    r.opts.anonymous_allow = true;
    bucket_init(&r.shared.anonymous, 2, worker_now(r.worker));
    struct h2_peer *vm = rig_vm(&r, NULL);

    assert_false(rig_ads(&r, vm, 10)->ended);
    assert_false(rig_ads(&r, vm, 10)->ended);
    assert_status(rig_ads(&r, vm, 10), "14", "without a client certificate");

    assert_int_equal(rig_count(&r, COUNTER_LIMIT_UNAUTHENTICATED), 1);
    rig_stop(&r);
}

static void test_relay__certificate_expires_on_an_open_connection__no_new_stream(void **state)
{
    struct rig r;
    (void)state;
    start(&r, NULL);
    fake_expiry = clock_wall() + 3600;
    struct h2_peer *vm = rig_vm(&r, RIG_ID);
    assert_false(rig_ads(&r, vm, 10)->ended);
    fake_expiry = clock_wall();

    struct peer_stream *down = csr(&r, vm);

    fake_expiry = INT64_MAX;
    assert_status(down, "14", "expired");
    assert_true(vm->goaway);
    assert_null(rig_up(&r, 1));
    rig_stop(&r);
}

static void test_relay__vms_without_certificate_hold_too_much__the_last_is_refused(void **state)
{
    struct rig r;
    (void)state;
    start(&r, NULL);
    r.opts.anonymous_allow = true;
    r.limits.message_bytes = 100000;
    r.limits.streams_per_connection = 100;
    struct h2_peer *vm = rig_vm(&r, NULL);
    struct peer_stream *last = NULL;
    size_t len;
    uint8_t *m = peer_message(99999, 1, &len);

    for (int i = 0; i < 16; i++) { /* all but the last byte */
        last = peer_request(vm, rig_ca_request, false);
        peer_send(last, m, len - 1);
        rig_run(&r);
    }

    assert_status(last, "8", "buffer memory");
    assert_int_equal(rig_count(&r, COUNTER_LIMIT_HELD), 1);
    assert_false(rig_ads(&r, rig_vm(&r, RIG_ID), 5000)->ended); /* others have room of their own */
    free(m);
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relay__csr_is_never_answered__14),
        cmocka_unit_test(test_relay__istiod_is_silent__another_is_asked),
        cmocka_unit_test(test_relay__only_istiod_is_slow__ads_waits),
        cmocka_unit_test(
            test_relay__connection_grows_old__vm_is_told_and_comes_back_on_a_fresh_one),
        cmocka_unit_test(test_relay__goaway_before_an_answer__tried_elsewhere_unseen),
        cmocka_unit_test(test_relay__message_too_large_for_istiod__said_once_and_the_pace_stays),
        cmocka_unit_test(test_relay__ads_exhausted_to_the_end__pace_falls),
        cmocka_unit_test(test_relay__new_dials_fail__open_connection_with_room_is_used),
        cmocka_unit_test(test_relay__endpoint_left_the_names__its_idle_connection_is_closed),
        cmocka_unit_test(test_relay__vm_reads_a_byte_now_and_then__stalled),
        cmocka_unit_test(test_relay__vm_reads_slowly__left_in_peace),
        cmocka_unit_test(test_relay__anonymous_allowed__still_limited),
        cmocka_unit_test(test_relay__certificate_expires_on_an_open_connection__no_new_stream),
        cmocka_unit_test(test_relay__vms_without_certificate_hold_too_much__the_last_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
