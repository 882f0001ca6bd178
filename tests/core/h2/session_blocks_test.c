/* SPDX-License-Identifier: Apache-2.0 */
/* Header blocks of any size, trailers, and window that is given back once. */
#include "tests/core/h2/h2_fixture.h"

#include <stdio.h>

static const char *const response[] = {":status", "200", "content-type", "application/grpc", NULL};
static const char *const trailers[] = {"grpc-status", "0", "grpc-message", "", NULL};

/* ---- blocks ---- */

static void add_many(struct h2_headers *h, size_t n)
{
    char name[32];

    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "x-%zu", i);
        assert_int_equal(h2_headers_add_str(h, name, name + 2), RC_OK);
    }
}

static void assert_many(const struct h2_headers *h, size_t before, size_t n)
{
    char name[32];

    assert_int_equal(h->n, before + n);
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "x-%zu", i);
        assert_true(h2_header_is(h, before + i, name));
        assert_int_equal(h->items[before + i].value_len, strlen(name + 2));
    }
}

static void test_session__two_hundred_headers_up__all_arrive(void **state)
{
    struct bench *b = dialled();
    struct h2_headers h = {0};
    (void)state;
    fill(&h, plain_request);
    add_many(&h, 200);

    (void)request(b, &h);
    run(b);

    assert_many(&b->peer->streams[0].headers, 4, 200);
    h2_headers_fini(&h);
    bench_free(b);
}

static void test_session__two_hundred_headers_and_trailers_down__all_arrive(void **state)
{
    struct bench *b = accepted();
    struct h2_headers h = {0};
    struct h2_headers t = {0};
    (void)state;
    struct peer_stream *st = peer_request(b->peer, plain_request, true);
    run(b);
    fill(&h, response);
    add_many(&h, 200);
    add_many(&t, 201);

    assert_int_equal(h2_stream_respond(b->notes[0].st, &h, false), RC_OK);
    assert_int_equal(h2_stream_send(b->notes[0].st, (const uint8_t *)"abc", 3), RC_OK);
    h2_stream_end(b->notes[0].st, &t);
    assert_int_equal(t.n, 0);
    run(b);

    assert_many(&st->headers, 2, 200);
    assert_int_equal(st->len, 3);
    assert_many(&st->trailers, 0, 201);
    assert_true(st->ended && st->closed);
    h2_headers_fini(&h);
    bench_free(b);
}

static void test_session__identity__is_never_indexed(void **state)
{
    struct bench *b = dialled();
    struct h2_headers h = {0};
    (void)state;
    fill(&h, plain_request);
    assert_int_equal(h2_headers_add(&h, "x-forwarded-client-cert", 23, "URI=x", 5, true), RC_OK);
    assert_int_equal(h2_headers_add(&h, "x-a", 3, "y", 1, false), RC_OK);

    (void)request(b, &h);
    run(b);

    assert_true(b->peer->streams[0].headers.items[4].never_index);
    assert_false(b->peer->streams[0].headers.items[5].never_index);
    h2_headers_fini(&h);
    bench_free(b);
}

static void test_session__request_trailers__come_as_headers_with_the_end(void **state)
{
    struct bench *b = accepted();
    (void)state;
    struct peer_stream *st = peer_request(b->peer, plain_request, false);
    peer_send(st, "abc", 3);

    peer_end(st, trailers);
    run(b);

    assert_int_equal(b->notes[0].bytes, 3);
    assert_int_equal(b->notes[0].headers, 2);
    assert_int_equal(b->notes[0].ends, 1);
    assert_int_equal(h2_headers_count(&b->notes[0].trailers, "grpc-status"), 1);
    bench_free(b);
}

static void test_session__body_ends_without_trailers__said_once(void **state)
{
    struct bench *b = accepted();
    (void)state;
    struct peer_stream *st = peer_request(b->peer, plain_request, false);
    peer_send(st, "abc", 3);
    run(b);
    assert_int_equal(b->notes[0].ends, 0);

    peer_end(st, NULL);
    run(b);

    assert_int_equal(b->notes[0].ends, 1);
    assert_int_equal(b->notes[0].headers, 1);
    bench_free(b);
}

/* ---- credit ---- */

static void test_session__bytes_kept__stream_stands_still_and_the_connection_does_not(void **state)
{
    static uint8_t body[H2_STREAM_WINDOW_BYTES + 1000];
    struct bench *b = accepted();
    (void)state;
    b->keeps_data = true;
    struct peer_stream *st = peer_request(b->peer, plain_request, false);

    peer_send(st, body, sizeof(body));
    run(b);
    assert_int_equal(b->notes[0].bytes, H2_STREAM_WINDOW_BYTES);
    assert_int_equal(peer_stream_window(st), 0);
    assert_int_equal(b->notes[0].st->unconsumed, H2_STREAM_WINDOW_BYTES);
    assert_true(peer_conn_window(b->peer) >= H2_DOWN_CONN_WINDOW_BYTES / 2);
    h2_stream_credit(b->notes[0].st, H2_STREAM_WINDOW_BYTES);
    run(b);

    assert_int_equal(b->notes[0].bytes, sizeof(body));
    assert_int_equal(peer_stream_window(st), H2_STREAM_WINDOW_BYTES - 1000);
    bench_free(b);
}

static void test_session__many_streams_stand_still__the_connection_does_not(void **state)
{
    static uint8_t body[H2_STREAM_WINDOW_BYTES];
    struct bench *b = accepted();
    (void)state;
    b->keeps_data = true;

    for (size_t i = 0; i < 9; i++) { /* more than half of the connection's window */
        peer_send(peer_request(b->peer, plain_request, false), body, sizeof(body));
        run(b);
        assert_int_equal(b->notes[i].bytes, sizeof(body));
    }

    assert_true(peer_conn_window(b->peer) >= H2_DOWN_CONN_WINDOW_BYTES / 2);
    assert_true(peer_conn_window(b->peer) <= H2_DOWN_CONN_WINDOW_BYTES);
    bench_free(b);
}

static void test_session__credited_in_pieces_then_detached__never_more_than_came(void **state)
{
    static uint8_t body[200000];
    struct bench *b = accepted();
    (void)state;
    b->keeps_data = true;
    struct peer_stream *st = peer_request(b->peer, plain_request, false);
    peer_send(st, body, sizeof(body));
    run(b);

    for (int i = 0; i < 15; i++) {
        h2_stream_credit(b->notes[0].st, 10000);
        run(b);
        assert_true(peer_stream_window(st) <= H2_STREAM_WINDOW_BYTES);
    }
    assert_int_equal(b->notes[0].st->unconsumed, 50000);
    b->notes[0].closed = 1; /* nobody is told any more */
    h2_stream_detach(b->notes[0].st);
    assert_int_equal(b->notes[0].st->unconsumed, 0);
    peer_send(st, body, sizeof(body));
    run(b);

    assert_int_equal(b->notes[0].bytes, sizeof(body));
    assert_int_equal(st->out_at, 2 * sizeof(body));
    assert_true(peer_stream_window(st) <= H2_STREAM_WINDOW_BYTES);
    assert_true(peer_stream_window(st) > H2_STREAM_WINDOW_BYTES / 2);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session__two_hundred_headers_up__all_arrive),
        cmocka_unit_test(test_session__two_hundred_headers_and_trailers_down__all_arrive),
        cmocka_unit_test(test_session__identity__is_never_indexed),
        cmocka_unit_test(test_session__request_trailers__come_as_headers_with_the_end),
        cmocka_unit_test(test_session__body_ends_without_trailers__said_once),
        cmocka_unit_test(test_session__bytes_kept__stream_stands_still_and_the_connection_does_not),
        cmocka_unit_test(test_session__many_streams_stand_still__the_connection_does_not),
        cmocka_unit_test(test_session__credited_in_pieces_then_detached__never_more_than_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
