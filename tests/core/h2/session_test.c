/* SPDX-License-Identifier: Apache-2.0 */
/* A session that behaves: what it announces, PINGs, its end. */
#include "tests/core/h2/h2_fixture.h"

static const char *const response[] = {":status", "200", "content-type", "application/grpc", NULL};

/* ---- the preface ---- */

static void test_session__accepted__announces_its_limits(void **state)
{
    struct bench *b = accepted();
    nghttp2_session *ng = b->peer->ng;
    (void)state;

    assert_int_equal(b->opened, 1);
    assert_int_equal(
        nghttp2_session_get_remote_settings(ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS), 10);
    assert_int_equal(nghttp2_session_get_remote_settings(ng, NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE),
                     4096);
    assert_int_equal(nghttp2_session_get_remote_settings(ng, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE),
                     H2_STREAM_WINDOW_BYTES);
    assert_int_equal(peer_conn_window(b->peer), H2_DOWN_CONN_WINDOW_BYTES);
    bench_free(b);
}

static void test_session__dialled__allows_no_push(void **state)
{
    struct bench *b = dialled();
    nghttp2_session *ng = b->peer->ng;
    (void)state;

    assert_int_equal(nghttp2_session_get_remote_settings(ng, NGHTTP2_SETTINGS_ENABLE_PUSH), 0);
    assert_int_equal(peer_conn_window(b->peer), H2_UP_CONN_WINDOW_BYTES);
    bench_free(b);
}

static void test_session__no_h2_in_the_handshake__ends(void **state)
{
    (void)state;
    fake_alpn_is_h2 = false;

    struct bench *b = bench_new(H2_DIALLED, &default_limits, NULL, 0);
    fake_alpn_is_h2 = true;
    run(b);

    assert_null(b->s);
    assert_int_equal(b->why, END_HANDSHAKE);
    assert_int_equal(b->opened, 0);
    bench_free(b);
}

static void test_session__peer_says_nothing__ends_after_settings_timeout(void **state)
{
    struct bench *b = bench_new(H2_ACCEPTED, &default_limits, NULL, 0);
    (void)state;
    b->peer->frozen = true;

    advance(b, 4.8);
    assert_non_null(b->s);
    peer_raw(b->peer, (const uint8_t *)NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
    advance(b, 0.4); /* the preface's text is no frame */

    assert_null(b->s);
    assert_int_equal(b->why, END_HANDSHAKE_TIMEOUT);
    assert_int_equal(b->limits[COUNTER_LIMIT_HANDSHAKE_TIMEOUT], 1);
    bench_free(b);
}

static void test_session__silent_upstream__ends_and_is_no_limit_of_a_vm(void **state)
{
    struct bench *b = bench_new(H2_DIALLED, &default_limits, NULL, 0);
    (void)state;
    b->peer->frozen = true;

    advance(b, 5.2);

    assert_null(b->s);
    assert_int_equal(b->why, END_HANDSHAKE_TIMEOUT);
    assert_int_equal(b->limits[COUNTER_LIMIT_HANDSHAKE_TIMEOUT], 0);
    bench_free(b);
}

/* ---- PING ---- */

static void test_session__quiet_vm__is_pinged_every_thirty_seconds(void **state)
{
    struct bench *b = accepted();
    (void)state;

    advance(b, 29.5);
    assert_int_equal(b->peer->pings, 0);
    advance(b, 1);
    assert_int_equal(b->peer->pings, 1);
    advance(b, 29);
    assert_int_equal(b->peer->pings, 1);
    advance(b, 2);

    assert_int_equal(b->peer->pings, 2);
    assert_non_null(b->s);
    bench_free(b);
}

static void test_session__ping_without_an_answer__ends_after_ten_seconds(void **state)
{
    struct bench *b = accepted();
    (void)state;
    b->peer->no_ping_ack = true;

    advance(b, 39.5);
    assert_non_null(b->s);
    assert_int_equal(b->peer->pings, 1);
    advance(b, 1);

    assert_null(b->s);
    assert_int_equal(b->why, END_PING_TIMEOUT);
    bench_free(b);
}

static void test_session__answer_waits_behind_other_bytes__lives_on(void **state)
{
    struct bench *b = accepted();
    (void)state;
    b->peer->no_ping_ack = true;
    struct peer_stream *st = peer_request(b->peer, plain_request, false);

    for (int i = 0; i < 60; i++) {
        peer_send(st, "x", 1);
        advance(b, 1);
    }
    assert_non_null(b->s);
    advance(b, 21);

    assert_null(b->s);
    assert_int_equal(b->why, END_PING_TIMEOUT);
    bench_free(b);
}

static void test_session__upstream_without_streams__is_never_pinged(void **state)
{
    struct bench *b = dialled();
    struct h2_headers h = {0};
    (void)state;

    advance(b, 100);
    assert_int_equal(b->peer->pings, 0);
    fill(&h, plain_request);
    (void)request(b, &h);
    advance(b, 31);

    assert_int_equal(b->peer->pings, 1);
    h2_headers_fini(&h);
    bench_free(b);
}

static void test_session__vm_pings__is_answered(void **state)
{
    struct bench *b = accepted();
    (void)state;

    assert_int_equal(nghttp2_submit_ping(b->peer->ng, 0, NULL), 0);
    run(b);

    assert_int_equal(b->peer->ping_acks, 1);
    bench_free(b);
}

/* ---- the end ---- */

static void test_session__takes_no_more_streams__the_open_one_goes_on_and_is_the_last(void **state)
{
    struct bench *b = accepted();
    struct h2_headers h = {0};
    (void)state;
    struct peer_stream *st = peer_request(b->peer, plain_request, true);
    run(b);
    fill(&h, response);

    h2_session_refuse_new(b->s, END_DRAIN);
    run(b);
    assert_true(b->peer->goaway);
    assert_non_null(b->s);
    assert_int_equal(h2_stream_respond(b->notes[0].st, &h, true), RC_OK);
    run(b);

    assert_true(st->ended);
    assert_null(b->s);
    assert_int_equal(b->why, END_DRAIN);
    h2_headers_fini(&h);
    bench_free(b);
}

static void test_session__ended__what_is_queued_leaves_before_goaway(void **state)
{
    struct bench *b = accepted();
    struct h2_headers h = {0};
    (void)state;
    struct peer_stream *st = peer_request(b->peer, plain_request, false);
    run(b);
    fill(&h, response);
    assert_int_equal(h2_stream_respond(b->notes[0].st, &h, false), RC_OK);
    run(b);

    h2_session_end(b->s, H2_ENHANCE_YOUR_CALM, END_LIMIT);
    h2_session_end(b->s, H2_NO_ERROR, END_DRAIN); /* the first reason stays */
    run(b);

    assert_true(st->got_headers);
    assert_int_equal(b->peer->goaway_error, H2_ENHANCE_YOUR_CALM);
    assert_int_equal(b->why, END_LIMIT);
    assert_int_equal(b->notes[0].closed, 1);
    h2_headers_fini(&h);
    bench_free(b);
}

static void test_session__upstream_says_goaway__takes_no_request_any_more(void **state)
{
    struct bench *b = dialled();
    struct h2_headers h = {0};
    struct h2_stream *st = NULL;
    (void)state;
    fill(&h, plain_request);
    (void)request(b, &h);
    run(b);
    assert_true(h2_session_has_room(b->s));

    peer_goaway(b->peer, INT32_MAX, 0);
    run(b);

    assert_int_equal(b->goaways, 1);
    assert_false(h2_session_has_room(b->s));
    assert_int_equal(h2_session_request(b->s, &h, &note_ops, NULL, &st), RC_BUSY);
    assert_null(st);
    assert_non_null(b->notes[0].st);
    h2_headers_fini(&h);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session__accepted__announces_its_limits),
        cmocka_unit_test(test_session__dialled__allows_no_push),
        cmocka_unit_test(test_session__no_h2_in_the_handshake__ends),
        cmocka_unit_test(test_session__peer_says_nothing__ends_after_settings_timeout),
        cmocka_unit_test(test_session__silent_upstream__ends_and_is_no_limit_of_a_vm),
        cmocka_unit_test(test_session__quiet_vm__is_pinged_every_thirty_seconds),
        cmocka_unit_test(test_session__ping_without_an_answer__ends_after_ten_seconds),
        cmocka_unit_test(test_session__answer_waits_behind_other_bytes__lives_on),
        cmocka_unit_test(test_session__upstream_without_streams__is_never_pinged),
        cmocka_unit_test(test_session__vm_pings__is_answered),
        cmocka_unit_test(test_session__takes_no_more_streams__the_open_one_goes_on_and_is_the_last),
        cmocka_unit_test(test_session__ended__what_is_queued_leaves_before_goaway),
        cmocka_unit_test(test_session__upstream_says_goaway__takes_no_request_any_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
