/* SPDX-License-Identifier: Apache-2.0 */
/* A session that was ended, but whose last words do not get out. */
#include "tests/core/h2/h2_fixture.h"

static const char *const response[] = {":status", "200", "content-type", "application/grpc", NULL};

static void test_session__ended_and_the_peer_does_not_read__is_cut_off_though_it_talks(void **state)
{
    static uint8_t body[H2_STREAM_WINDOW_BYTES];
    const nghttp2_settings_entry iv[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 24}};
    struct bench *b = bench_new(H2_ACCEPTED, &default_limits, iv, 1);
    struct h2_headers h = {0};
    (void)state;
    assert_int_equal(nghttp2_session_set_local_window_size(b->peer->ng, 0, 0, 1 << 24), 0);
    (void)peer_request(b->peer, plain_request, false);
    run(b);
    fill(&h, response);
    b->peer->wire->socket_bytes = 0;
    b->peer->frozen = true;
    assert_int_equal(h2_stream_respond(b->notes[0].st, &h, false), RC_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(h2_stream_send(b->notes[0].st, body, sizeof(body)), RC_OK);
        run(b);
    }

    h2_session_end(b->s, H2_ENHANCE_YOUR_CALM, END_FLOOD);
    for (int i = 0; i < 60 && b->s != NULL; i++) {
        peer_raw(b->peer, (const uint8_t *)"x", 1);
        advance(b, 2);
    }

    assert_null(b->s);
    assert_int_equal(b->why, END_FLOOD);
    h2_headers_fini(&h);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_session__ended_and_the_peer_does_not_read__is_cut_off_though_it_talks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
