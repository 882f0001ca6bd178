/* SPDX-License-Identifier: Apache-2.0 */
/* Streams that an istiod refuses before any answer: offered again, unseen by the VM, and bounded.
 */
#include "tests/gateway/relay/relay_fixture.h"

static void start(struct rig *r)
{
    const struct rig_opts o = {.endpoints = two_endpoints};

    rig_start(r, &o);
    r->opts.anonymous_allow = true;
}

static void open_one(struct rig *r, struct peer_stream **down)
{
    start(r);
    *down = rig_ads(r, rig_vm(r, NULL), 30000);
    assert_message(rig_up(r, 0), 30000, 30000);
}

/* The second try: the same bytes, the VM saw nothing; then it goes on as if nothing had been. */
static void assert_second_try_works(struct rig *r, struct peer_stream *down)
{
    rig_advance(r, 3);
    struct peer_stream *again = rig_up(r, 1);
    for (size_t i = 2; rig_up(r, i) != NULL; i++) {
        again = rig_up(r, i);
    }
    assert_non_null(again);
    assert_message(again, 30000, 30000);
    assert_false(down->got_headers);
    rig_answer(r, again, 50);
    assert_message(down, 50, 7);
    assert_false(down->ended);
    send_message(r, down, 300, 5);
    assert_int_equal(again->len, 30005 + 305);
    assert_int_equal(rig_count(r, COUNTER_STREAMS_RETRIED), 1);
    assert_int_equal(rig_count(r, COUNTER_STREAMS_ADMITTED), 1);
}

static void test_relay__refused_stream__tried_again_unseen(void **state)
{
    struct rig r;
    struct peer_stream *down;
    (void)state;
    open_one(&r, &down);

    peer_reset(rig_up(&r, 0), H2_REFUSED_STREAM);
    rig_run(&r);

    assert_second_try_works(&r, down);
    rig_stop(&r);
}

static void test_relay__goaway_below_the_stream__tried_again_unseen(void **state)
{
    struct rig r;
    struct peer_stream *down;
    (void)state;
    open_one(&r, &down);

    peer_goaway(r.istiods[0], 0, 0);
    rig_run(&r);

    assert_second_try_works(&r, down);
    assert_int_equal(rig_count(&r, COUNTER_UP_GOAWAYS), 1);
    rig_stop(&r);
}

static void test_relay__refusing_statuses__tried_again_unseen(void **state)
{
    static const char *const rows[][2] = {{"8", "request rate limit exceeded"},
                                          {"14", "server is not ready to serve"},
                                          {"2", "server is not ready to serve discovery"}};
    (void)state;

    for (size_t i = 0; i < 3; i++) {
        struct rig r;
        struct peer_stream *down;
        open_one(&r, &down);
        answer_status(&r, rig_up(&r, 0), rows[i][0], rows[i][1]);
        assert_second_try_works(&r, down);
        rig_stop(&r);
    }
}

static void test_relay__refusal_in_trailers_after_headers__tried_again_unseen(void **state)
{
    static const char *const trailers[] = {"grpc-status", "14", "grpc-message", "x", NULL};
    struct rig r;
    struct peer_stream *down;
    (void)state;
    open_one(&r, &down);

    peer_respond(rig_up(&r, 0), rig_response, false);
    rig_run(&r);
    assert_false(down->got_headers);
    peer_end(rig_up(&r, 0), trailers);
    rig_run(&r);

    assert_second_try_works(&r, down);
    rig_stop(&r);
}

static void test_relay__connection_lost_before_an_answer__tried_again_unseen(void **state)
{
    struct rig r;
    struct peer_stream *down;
    (void)state;
    open_one(&r, &down);

    wire_close(r.istiods[0]->wire, END_IO);
    rig_run(&r);

    assert_second_try_works(&r, down);
    rig_stop(&r);
}

static void test_relay__other_unknown_error__passes_unchanged(void **state)
{
    struct rig r;
    struct peer_stream *down;
    (void)state;
    open_one(&r, &down);

    answer_status(&r, rig_up(&r, 0), "2", "something else");

    assert_status(down, "2", "something else");
    assert_int_equal(rig_count(&r, COUNTER_STREAMS_RETRIED), 0);
    rig_stop(&r);
}

static void test_relay__half_closed_before_the_retry__end_is_replayed(void **state)
{
    struct rig r;
    struct peer_stream *down;
    (void)state;
    open_one(&r, &down);
    peer_end(down, NULL);
    rig_run(&r);
    assert_true(rig_up(&r, 0)->ended);

    answer_status(&r, rig_up(&r, 0), "8", "busy");
    rig_advance(&r, 3);

    assert_message(rig_up(&r, 1), 30000, 30000);
    assert_true(rig_up(&r, 1)->ended);
    rig_stop(&r);
}

static void test_relay__bytes_that_come_while_waiting__are_in_the_replay(void **state)
{
    struct rig r;
    struct peer_stream *down;
    (void)state;
    open_one(&r, &down);

    peer_reset(rig_up(&r, 0), H2_REFUSED_STREAM);
    peer_pump(r.istiods[0]);
    send_message(&r, down, 1000, 4);
    rig_advance(&r, 3);

    struct peer_stream *again = rig_up(&r, 1);
    assert_int_equal(again->len, 30005 + 1005);
    size_t len;
    uint8_t *m = peer_message(1000, 4, &len);
    assert_memory_equal(again->data + 30005, m, len);
    free(m);
    rig_stop(&r);
}

/* Refuse every stream that is open anywhere; how many there were. */
static unsigned refuse_all(struct rig *r)
{
    unsigned n = 0;

    for (size_t i = 0; i < r->n_istiods; i++) {
        for (size_t k = 0; k < r->istiods[i]->n_streams; k++) {
            struct peer_stream *st = &r->istiods[i]->streams[k];
            if (!st->closed) {
                peer_reset(st, H2_REFUSED_STREAM);
                n++;
            }
        }
    }
    rig_run(r);
    return n;
}

static void test_relay__refused_for_ever__14_at_the_deadline(void **state)
{
    struct rig r;
    struct peer_stream *down;
    double passed = 0;
    unsigned tries = 0;
    (void)state;
    open_one(&r, &down);

    for (; passed < 40 && !down->ended; passed += 0.1) {
        tries += refuse_all(&r);
        rig_advance(&r, 0.1);
    }

    assert_status(down, "14", "");
    assert_true(passed > 25 && passed < 31);
    assert_true(tries >= 10 && tries <= 60);
    rig_stop(&r);
}

static void test_relay__dials_fail_for_ever__14_with_the_last_problem(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    r.dials = RIG_DIAL_FAIL;
    struct peer_stream *down = rig_ads(&r, rig_vm(&r, NULL), 10);

    rig_advance(&r, 29.8);
    assert_false(down->ended);
    assert_int_equal(rig_count(&r, COUNTER_STREAMS_WAITING), 1);
    rig_advance(&r, 0.6);

    assert_status(down, "14", "handshake failed");
    assert_true(r.n_istiods >= 6 && r.n_istiods <= 62);
    rig_stop(&r);
}

static void test_relay__vm_leaves_while_waiting__ticket_is_cancelled(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    r.dials = RIG_DIAL_HANG;
    struct peer_stream *down = rig_ads(&r, rig_vm(&r, NULL), 10);
    assert_int_equal(rig_count(&r, COUNTER_STREAMS_WAITING), 1);

    peer_reset(down, H2_CANCEL);
    rig_run(&r);

    assert_int_equal(rig_count(&r, COUNTER_STREAMS_WAITING), 0);
    rig_stop(&r);
}

static struct peer_stream *chat(struct rig *r, size_t n)
{
    struct peer_stream *down = peer_request(rig_vm(r, NULL), chat_request, false);

    send_message(r, down, n, 1);
    return down;
}

static void test_relay__other_method__refused_stream_only_is_tried_again(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    struct peer_stream *down = chat(&r, 100);
    assert_message(rig_up(&r, 0), 100, 1);

    peer_reset(rig_up(&r, 0), H2_REFUSED_STREAM);
    rig_run(&r);
    rig_advance(&r, 1);
    assert_message(rig_up(&r, 1), 100, 1);
    answer_status(&r, rig_up(&r, 1), "8", "busy");

    assert_status(down, "8", "busy");
    assert_null(rig_up(&r, 2));
    rig_stop(&r);
}

static void test_relay__other_method_loses_its_connection__14_at_once(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    struct peer_stream *down = chat(&r, 100);

    wire_close(r.istiods[0]->wire, END_IO);
    rig_run(&r);

    assert_status(down, "14", "EOF");
    rig_stop(&r);
}

static void test_relay__other_method__headers_alone_pass_and_commit(void **state)
{
    struct rig r;
    (void)state;
    start(&r);
    struct peer_stream *down = chat(&r, 100);

    peer_respond(rig_up(&r, 0), rig_response, false);
    rig_run(&r);
    assert_true(down->got_headers);
    peer_reset(rig_up(&r, 0), H2_REFUSED_STREAM);
    rig_run(&r);

    assert_status(down, "14", "reset");
    rig_stop(&r);
}

static void test_relay__other_method_sends_much_while_waiting__it_is_all_delivered(void **state)
{
    const size_t n = 3 * H2_STREAM_WINDOW_BYTES;
    struct rig r;
    (void)state;
    start(&r);
    r.dials = RIG_DIAL_HANG;
    struct peer_stream *down = chat(&r, n);

    wire_open(r.istiods[0]->wire);
    rig_run(&r);

    assert_message(rig_up(&r, 0), n, 1);
    assert_false(down->ended);
    rig_stop(&r);
}

static void test_relay__goaway_before_the_request_left__tried_again_unseen(void **state)
{
    struct rig r;
    (void)state;
    rig_start(&r, NULL);
    r.opts.anonymous_allow = true;
    r.istiod_window = 1000000;
    struct h2_peer *vm = rig_vm(&r, NULL);
    (void)rig_ads(&r, vm, 10);
    rig_answer(&r, rig_up(&r, 0), 10);
    struct h2_peer *istiod = r.istiods[0];

    /* the second request waits behind the first one's body when GOAWAY arrives */
    istiod->wire->socket_bytes = 0;
    istiod->frozen = true;
    struct peer_stream *big = rig_ads(&r, vm, 200000);
    struct peer_stream *down = rig_ads(&r, vm, 20);
    peer_goaway(istiod, 1, 0);
    peer_write(istiod);
    istiod->frozen = false;
    rig_run(&r);
    rig_advance(&r, 3);

    assert_false(big->ended);
    assert_false(down->ended);
    assert_int_equal(rig_count(&r, COUNTER_STREAMS_RETRIED), 2);
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relay__refused_stream__tried_again_unseen),
        cmocka_unit_test(test_relay__goaway_below_the_stream__tried_again_unseen),
        cmocka_unit_test(test_relay__refusing_statuses__tried_again_unseen),
        cmocka_unit_test(test_relay__refusal_in_trailers_after_headers__tried_again_unseen),
        cmocka_unit_test(test_relay__connection_lost_before_an_answer__tried_again_unseen),
        cmocka_unit_test(test_relay__other_unknown_error__passes_unchanged),
        cmocka_unit_test(test_relay__half_closed_before_the_retry__end_is_replayed),
        cmocka_unit_test(test_relay__bytes_that_come_while_waiting__are_in_the_replay),
        cmocka_unit_test(test_relay__refused_for_ever__14_at_the_deadline),
        cmocka_unit_test(test_relay__dials_fail_for_ever__14_with_the_last_problem),
        cmocka_unit_test(test_relay__vm_leaves_while_waiting__ticket_is_cancelled),
        cmocka_unit_test(test_relay__other_method__refused_stream_only_is_tried_again),
        cmocka_unit_test(test_relay__other_method_loses_its_connection__14_at_once),
        cmocka_unit_test(test_relay__other_method__headers_alone_pass_and_commit),
        cmocka_unit_test(test_relay__other_method_sends_much_while_waiting__it_is_all_delivered),
        cmocka_unit_test(test_relay__goaway_before_the_request_left__tried_again_unseen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
