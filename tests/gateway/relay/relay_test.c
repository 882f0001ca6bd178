/* SPDX-License-Identifier: Apache-2.0 */
/* What a VM and an istiod see of a relayed stream, and all the ways it may end. */
#include "tests/gateway/relay/relay_fixture.h"

static void start(struct rig *r)
{
    rig_start(r, NULL);
    r->opts.anonymous_allow = true;
}

static void test_relay__request_and_answer__both_arrive(void **state)
{
    struct rig r;
    (void)state;
    start(&r);

    struct peer_stream *down = rig_ads(&r, rig_vm(&r, NULL), 3000);
    struct peer_stream *up = rig_up(&r, 0);
    assert_non_null(up);
    assert_message(up, 3000, 3000);
    assert_false(up->ended);
    rig_answer(&r, up, 70000);

    assert_message(down, 70000, 7);
    assert_text(peer_header(down, ":status"), "200");
    assert_false(down->ended);
    assert_int_equal(rig_count(&r, COUNTER_STREAMS_ADMITTED), 1);
    assert_int_equal(rig_count(&r, COUNTER_BYTES_UP), 3005);
    assert_int_equal(rig_count(&r, COUNTER_BYTES_DOWN), 70005);
    rig_stop(&r);
}

static void test_relay__incomplete_first_message__istiod_is_not_asked(void **state)
{
    struct rig r;
    size_t len;
    uint8_t *m = peer_message(100, 1, &len);
    (void)state;
    start(&r);

    struct peer_stream *down = peer_request(rig_vm(&r, NULL), rig_ads_request, false);
    peer_send(down, m, len - 1);
    rig_run(&r);
    assert_int_equal(r.n_istiods, 0);
    peer_send(down, m + len - 1, 1);
    rig_run(&r);

    assert_message(rig_up(&r, 0), 100, 1);
    free(m);
    rig_stop(&r);
}

static void test_relay__vm_half_closes__istiod_sees_it_and_its_trailers_come(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    struct peer_stream *down = rig_ads(&r, rig_vm(&r, NULL), 10);
    struct peer_stream *up = rig_up(&r, 0);
    rig_answer(&r, up, 10);

    peer_end(down, NULL);
    rig_run(&r);
    assert_true(up->ended && !up->closed);
    peer_end(up, ok_trailers);
    rig_run(&r);

    assert_true(down->closed);
    assert_int_equal(down->error, 0);
    assert_text(peer_header(down, "grpc-status"), "0");
    assert_int_equal(rig_count(&r, COUNTER_STREAMS_OPEN), 0);
    rig_stop(&r);
}

static void test_relay__istiod_ends_first__vm_gets_trailers_then_no_error(void **state)
{
    static const char *const trailers[] = {
        "grpc-status", "7", "grpc-message", "no access", "x-unexpected", "1", NULL};
    struct rig r;
    (void)state;
    start(&r);
    struct peer_stream *down = rig_ads(&r, rig_vm(&r, NULL), 10);
    struct peer_stream *up = rig_up(&r, 0);
    rig_answer(&r, up, 10);

    peer_end(up, trailers);
    rig_run(&r);

    assert_status(down, "7", "no access");
    assert_int_equal(down->trailers.n, 2);
    assert_true(down->closed);
    assert_int_equal(down->error, H2_NO_ERROR);
    rig_stop(&r);
}

static void test_relay__statuses_that_mean_something__pass_unchanged(void **state)
{
    static const char *const statuses[] = {"0", "3", "7", "12", "13", "16"};
    (void)state;

    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        struct rig r;
        start(&r);
        struct peer_stream *down = rig_ads(&r, rig_vm(&r, NULL), 10);
        answer_status(&r, rig_up(&r, 0), statuses[i], "why %E2%82%AC");

        assert_status(down, statuses[i], "why %E2%82%AC");
        assert_int_equal(down->trailers.n, 0);
        assert_int_equal(rig_count(&r, COUNTER_STREAMS_RETRIED), 0);
        rig_stop(&r);
    }
}

static void test_relay__vm_resets__istiod_gets_the_end_and_then_cancel(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    struct peer_stream *down = rig_ads(&r, rig_vm(&r, NULL), 10);
    struct peer_stream *up = rig_up(&r, 0);
    rig_answer(&r, up, 10);

    peer_reset(down, H2_CANCEL);
    rig_run(&r);
    assert_true(up->ended);
    rig_advance(&r, 1.9);
    assert_false(up->closed);
    rig_advance(&r, 0.2);

    assert_true(up->closed);
    assert_int_equal(up->error, H2_CANCEL);
    assert_int_equal(counter_read(&r.worker->counters->stream_ends[END_DOWN_RESET]), 1);
    rig_stop(&r);
}

static void test_relay__vm_disappears__each_of_its_streams_ends(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    struct h2_peer *vm = rig_vm(&r, NULL);
    (void)rig_ads(&r, vm, 10);
    (void)rig_ads(&r, vm, 11);
    rig_answer(&r, rig_up(&r, 0), 10);

    wire_close(vm->wire, END_DOWN_CLOSED);
    rig_run(&r);

    assert_true(rig_up(&r, 0)->ended && rig_up(&r, 1)->ended);
    rig_advance(&r, 2.1);
    assert_true(rig_up(&r, 0)->closed && rig_up(&r, 1)->closed);
    assert_int_equal(rig_up(&r, 0)->error, H2_CANCEL);
    assert_int_equal(rig_up(&r, 1)->error, H2_CANCEL);
    assert_int_equal(rig_open_istiods(&r), 1);
    rig_stop(&r);
}

static void test_relay__istiod_resets_after_its_answer__vm_gets_what_it_means(void **state)
{
    static const struct {
        uint32_t error;
        const char *status;
    } rows[] = {{H2_CANCEL, "1"}, {H2_REFUSED_STREAM, "14"}, {H2_ENHANCE_YOUR_CALM, "8"},
                {12, "7"},        {H2_INTERNAL_ERROR, "13"}, {99, "13"}};
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rig r;
        start(&r);
        struct peer_stream *down = rig_ads(&r, rig_vm(&r, NULL), 10);
        rig_answer(&r, rig_up(&r, 0), 10);

        peer_reset(rig_up(&r, 0), rows[i].error);
        rig_run(&r);

        assert_status(down, rows[i].status, "istiod reset the stream");
        rig_stop(&r);
    }
}

static void test_relay__connection_lost_after_an_answer__vm_gets_14_eof(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    struct peer_stream *down = rig_ads(&r, rig_vm(&r, NULL), 10);
    rig_answer(&r, rig_up(&r, 0), 10);

    wire_close(r.istiods[0]->wire, END_DOWN_CLOSED);
    rig_run(&r);

    assert_status(down, "14", "error reading from server: EOF");
    assert_message(down, 10, 7);
    assert_int_equal(rig_count(&r, COUNTER_STREAMS_RETRIED), 0);
    rig_stop(&r);
}

static void test_relay__istiod_ends_without_a_status__vm_gets_2(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    struct peer_stream *down = rig_ads(&r, rig_vm(&r, NULL), 10);
    rig_answer(&r, rig_up(&r, 0), 10);

    peer_end(rig_up(&r, 0), NULL);
    rig_run(&r);

    assert_status(down, "2", "without a status");
    rig_stop(&r);
}

static void test_relay__vm_half_closes_inside_a_message__malformed(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    struct peer_stream *down = peer_request(rig_vm(&r, NULL), rig_ads_request, false);

    peer_send(down, "\0\0\0\0\5abc", 8);
    peer_end(down, NULL);
    rig_run(&r);

    assert_status(down, "13", "malformed gRPC frame");
    assert_int_equal(r.n_istiods, 0);
    rig_stop(&r);
}

static void test_relay__bad_compressed_flag__malformed(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    struct peer_stream *down = rig_ads(&r, rig_vm(&r, NULL), 10);
    struct peer_stream *up = rig_up(&r, 0);
    rig_answer(&r, up, 10);

    peer_send(down, "\2\0\0\0\0", 5);
    rig_run(&r);

    assert_status(down, "13", "malformed gRPC frame");
    assert_true(up->ended);
    rig_stop(&r);
}

static void test_relay__message_over_the_limit__8_and_istiod_sees_nothing(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    r.limits.message_bytes = 1000;

    struct peer_stream *ok = rig_ads(&r, rig_vm(&r, NULL), 1000);
    struct peer_stream *bad = rig_ads(&r, r.vms[0], 1001);

    assert_false(ok->ended);
    assert_status(bad, "8", "message_bytes");
    assert_null(rig_up(&r, 1));
    assert_int_equal(rig_count(&r, COUNTER_LIMIT_MESSAGE_BYTES), 1);
    rig_stop(&r);
}

static void test_relay__request_without_a_message__istiod_decides(void **state)
{
    struct rig r;
    (void)state;
    start(&r);

    struct peer_stream *down = peer_request(rig_vm(&r, NULL), rig_ca_request, true);
    rig_run(&r);
    assert_true(rig_up(&r, 0)->ended);
    answer_status(&r, rig_up(&r, 0), "3", "no request");

    assert_status(down, "3", "no request");
    rig_stop(&r);
}

static void test_relay__interim_response__is_not_passed(void **state)
{
    static const char *const interim[] = {":status", "103", "link", "x", NULL};
    struct rig r;
    (void)state;
    start(&r);
    struct peer_stream *down = rig_ads(&r, rig_vm(&r, NULL), 10);
    struct peer_stream *up = rig_up(&r, 0);

    nghttp2_nv nv[] = {
        {(uint8_t *)(uintptr_t)interim[0], (uint8_t *)(uintptr_t)interim[1], 7, 3, 0},
        {(uint8_t *)(uintptr_t)interim[2], (uint8_t *)(uintptr_t)interim[3], 4, 1, 0}};
    assert_int_equal(nghttp2_submit_headers(up->peer->ng, 0, up->id, NULL, nv, 2, NULL), 0);
    rig_run(&r);
    assert_false(down->got_headers);
    rig_answer(&r, up, 10);

    assert_text(peer_header(down, ":status"), "200");
    assert_message(down, 10, 7);
    rig_stop(&r);
}

static void test_relay__first_message_does_not_come__deadline_exceeded(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    r.limits.first_request_timeout = 3;
    struct peer_stream *down = peer_request(rig_vm(&r, NULL), rig_ads_request, false);
    peer_send(down, "\0\0\0\0\5abc", 8);
    rig_run(&r);

    rig_advance(&r, 2.9);
    assert_false(down->ended);
    rig_advance(&r, 0.3);

    assert_status(down, "4", "first message");
    assert_int_equal(rig_count(&r, COUNTER_LIMIT_FIRST_REQUEST), 1);
    rig_stop(&r);
}

static void test_relay__drain__streams_end_one_by_one_then_the_connection(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    struct h2_peer *vm = rig_vm(&r, NULL);
    struct peer_stream *a = rig_ads(&r, vm, 1);
    struct peer_stream *b = rig_ads(&r, vm, 2);
    struct vm_session *s = LIST_ENTRY(r.sessions.next, struct vm_session, node);

    assert_true(vm_session_drain_one(s));
    rig_run(&r);
    assert_true(vm->goaway);
    assert_int_equal(a->ended + b->ended, 1);
    assert_true(vm_session_drain_one(s));
    rig_run(&r);

    assert_status(a, "14", "xdsgate is stopping");
    assert_status(b, "14", "xdsgate is stopping");
    assert_null(vm->wire->conn);
    assert_int_equal(vm->wire->why, END_DRAIN);
    rig_stop(&r);
}

static void test_relay__drain_while_a_body_is_awaited__no_harm(void **state)
{
    static const char *const not_grpc[] = {":method", "POST",       ":scheme", "https", ":path",
                                           "/x",      ":authority", "a",       NULL};
    struct rig r;
    (void)state;
    start(&r);
    struct h2_peer *vm = rig_vm(&r, NULL);
    struct peer_stream *st = peer_request(vm, not_grpc, false);
    rig_run(&r);
    struct vm_session *s = LIST_ENTRY(r.sessions.next, struct vm_session, node);

    (void)vm_session_drain_one(s);
    peer_end(st, NULL);
    rig_run(&r);

    assert_text(peer_header(st, ":status"), "415");
    rig_stop(&r);
}

static void test_relay__connection_killed_with_streams__all_is_let_go(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    (void)rig_ads(&r, rig_vm(&r, NULL), 1);

    vm_session_kill(LIST_ENTRY(r.sessions.next, struct vm_session, node), END_RELOAD);
    rig_run(&r);

    assert_int_equal(counter_read(&r.worker->counters->conn_ends[END_RELOAD]), 1);
    assert_true(rig_up(&r, 0)->ended);
    assert_int_equal(r.over, 1);
    rig_stop(&r);
}

static void test_relay__message_in_tiny_pieces__is_a_flood(void **state)
{
    struct rig r;
    size_t len;
    uint8_t *m = peer_message(4000, 1, &len);
    (void)state;
    start(&r);

    struct peer_stream *down = peer_request(rig_vm(&r, NULL), rig_ads_request, false);
    for (size_t i = 0; i < len && r.over == 0; i++) {
        peer_send(down, m + i, 1);
        rig_run(&r);
    }

    assert_int_equal(r.over, 1);
    assert_int_equal(counter_read(&r.worker->counters->conn_ends[END_FLOOD]), 1);
    free(m);
    rig_stop(&r);
}

/* ---- what a source is blamed for ---- */

static void assert_blamed(const struct rig *r, double bad_connections)
{
    double per_second = 50; /* of the rig */
    assert_true(r->blame_s > (bad_connections - 0.01) / per_second &&
                r->blame_s < (bad_connections + 0.01) / per_second);
}

static void test_relay__handshake_fails_or_http2_breaks__source_is_blamed(void **state)
{
    struct rig r;
    (void)state;
    start(&r);

    wire_close(rig_vm(&r, NULL)->wire, END_HANDSHAKE);
    rig_run(&r);
    assert_blamed(&r, 1);
    wire_close(rig_vm(&r, NULL)->wire, END_PROTOCOL);
    rig_run(&r);
    assert_blamed(&r, 1 + 10);
    rig_stop(&r);
}

static void test_relay__flood__source_is_blamed_for_more(void **state)
{
    struct rig r;
    (void)state;
    start(&r);

    wire_close(rig_vm(&r, NULL)->wire, END_FLOOD);
    rig_run(&r);

    assert_blamed(&r, 50);
    rig_stop(&r);
}

static void test_relay__half_a_flood_and_gone__source_is_blamed_for_half(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    struct h2_peer *vm = rig_vm(&r, NULL);
    struct h2_session *s = LIST_ENTRY(r.sessions.next, struct vm_session, node)->h2;
    (void)peer_request(vm, rig_ads_request, false);
    rig_run(&r);

    h2_count_flood(s, 1000 - s->flood_count); /* of 2000 */
    wire_close(vm->wire, END_DOWN_CLOSED);
    rig_run(&r);

    assert_blamed(&r, 25);
    rig_stop(&r);
}

static void test_relay__handshake_and_gone__source_is_blamed(void **state)
{
    struct rig r;
    (void)state;
    start(&r);

    wire_close(rig_vm(&r, NULL)->wire, END_DOWN_CLOSED);
    rig_run(&r);

    assert_blamed(&r, 1);
    rig_stop(&r);
}

static void test_relay__vm_leaves_or_has_to__nobody_is_blamed(void **state)
{
    struct rig r;
    (void)state;
    start(&r);

    struct h2_peer *vm = rig_vm(&r, NULL);
    (void)peer_request(vm, rig_ads_request, false);
    rig_advance(&r, H2_FLOOD_WINDOW_S + 1); /* what the start cost is forgotten */
    wire_close(vm->wire, END_DOWN_CLOSED);
    (void)rig_vm(&r, NULL);
    vm_session_kill(LIST_ENTRY(r.sessions.next, struct vm_session, node), END_DRAIN);
    rig_run(&r);

    assert_true(r.over >= 1);
    assert_blamed(&r, 0);
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relay__request_and_answer__both_arrive),
        cmocka_unit_test(test_relay__incomplete_first_message__istiod_is_not_asked),
        cmocka_unit_test(test_relay__vm_half_closes__istiod_sees_it_and_its_trailers_come),
        cmocka_unit_test(test_relay__istiod_ends_first__vm_gets_trailers_then_no_error),
        cmocka_unit_test(test_relay__statuses_that_mean_something__pass_unchanged),
        cmocka_unit_test(test_relay__vm_resets__istiod_gets_the_end_and_then_cancel),
        cmocka_unit_test(test_relay__vm_disappears__each_of_its_streams_ends),
        cmocka_unit_test(test_relay__istiod_resets_after_its_answer__vm_gets_what_it_means),
        cmocka_unit_test(test_relay__connection_lost_after_an_answer__vm_gets_14_eof),
        cmocka_unit_test(test_relay__istiod_ends_without_a_status__vm_gets_2),
        cmocka_unit_test(test_relay__vm_half_closes_inside_a_message__malformed),
        cmocka_unit_test(test_relay__bad_compressed_flag__malformed),
        cmocka_unit_test(test_relay__message_over_the_limit__8_and_istiod_sees_nothing),
        cmocka_unit_test(test_relay__request_without_a_message__istiod_decides),
        cmocka_unit_test(test_relay__interim_response__is_not_passed),
        cmocka_unit_test(test_relay__first_message_does_not_come__deadline_exceeded),
        cmocka_unit_test(test_relay__drain__streams_end_one_by_one_then_the_connection),
        cmocka_unit_test(test_relay__drain_while_a_body_is_awaited__no_harm),
        cmocka_unit_test(test_relay__connection_killed_with_streams__all_is_let_go),
        cmocka_unit_test(test_relay__handshake_fails_or_http2_breaks__source_is_blamed),
        cmocka_unit_test(test_relay__flood__source_is_blamed_for_more),
        cmocka_unit_test(test_relay__half_a_flood_and_gone__source_is_blamed_for_half),
        cmocka_unit_test(test_relay__handshake_and_gone__source_is_blamed),
        cmocka_unit_test(test_relay__vm_leaves_or_has_to__nobody_is_blamed),
        cmocka_unit_test(test_relay__message_in_tiny_pieces__is_a_flood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
