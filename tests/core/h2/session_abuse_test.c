/* SPDX-License-Identifier: Apache-2.0 */
/* What a session does to a peer that breaks the rules, or keeps them at our cost. */
#include "tests/core/h2/h2_fixture.h"

#define FLOOD 50 /* of default_limits */

/* A frame of any kind behind the peer's nghttp2. */
static void raw_frame(struct bench *b, uint8_t type, uint8_t flags, uint32_t id,
                      const void *payload, size_t n)
{
    uint8_t f[9 + 256] = {0,          (uint8_t)(n >> 8),   (uint8_t)n,          type,
                          flags,      (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
                          (uint8_t)id};

    assert_true(n <= 256);
    if (n > 0) {
        memcpy(f + 9, payload, n);
    }
    peer_raw(b->peer, f, 9 + n);
}

/* A request by static table entries only. */
static void raw_request(struct bench *b, uint32_t id, bool end)
{
    static const char block[] = "\x83\x87\x84\x01\x01"
                                "a";
    raw_frame(b, NGHTTP2_HEADERS, (uint8_t)(NGHTTP2_FLAG_END_HEADERS | (end ? 1 : 0)), id, block,
              sizeof(block) - 1);
}

static void assert_ended(struct bench *b, enum end_reason why, uint32_t error)
{
    run(b);
    assert_null(b->s);
    assert_int_equal(b->why, why);
    assert_true(b->peer->goaway);
    assert_int_equal(b->peer->goaway_error, error);
}

/* ---- floods ---- */

struct kind {
    const char *name;
    uint8_t type;
    uint8_t flags;
    const char *payload;
    size_t n;
    bool on_stream; /* an open one, else the connection */
    bool idle;      /* no stream is open */
};

static const struct kind kinds[] = {
    {"PING", NGHTTP2_PING, 0, "12345678", 8, false, false},
    {"PING ACK", NGHTTP2_PING, NGHTTP2_FLAG_ACK, "12345678", 8, false, false},
    {"SETTINGS", NGHTTP2_SETTINGS, 0, "", 0, false, false},
    {"PRIORITY", NGHTTP2_PRIORITY, 0, "\0\0\0\0\1", 5, true, false},
    {"WINDOW_UPDATE", NGHTTP2_WINDOW_UPDATE, 0, "\0\0\0\1", 4, false, true},
    {"empty DATA", NGHTTP2_DATA, 0, "", 0, true, false},
};

static void send_kind(struct bench *b, const struct kind *k, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (k->type == NGHTTP2_SETTINGS && b->s != NULL) { /* the peer must expect our ACK */
            assert_int_equal(nghttp2_submit_settings(b->peer->ng, 0, NULL, 0), 0);
        } else {
            raw_frame(b, k->type, k->flags, k->on_stream ? 1 : 0, k->payload, k->n);
        }
        run(b);
    }
}

static struct bench *for_kind(const struct kind *k)
{
    struct bench *b = accepted();

    if (!k->idle) {
        (void)peer_request(b->peer, plain_request, false);
        run(b);
    }
    advance(b, H2_FLOOD_WINDOW_S + 1); /* what the start cost is forgotten */
    return b;
}

static void test_session__flood_of_any_kind__ends_it(void **state)
{
    (void)state;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct bench *b = for_kind(&kinds[i]);
        send_kind(b, &kinds[i], FLOOD);
        if (b->s == NULL) {
            fail_msg("%s: ended too early", kinds[i].name);
        }
        send_kind(b, &kinds[i], 1);
        if (b->s != NULL) {
            fail_msg("%s: not ended", kinds[i].name);
        }
        assert_ended(b, END_FLOOD, H2_ENHANCE_YOUR_CALM);
        assert_int_equal(b->limits[COUNTER_LIMIT_FRAME_FLOOD], 1);
        bench_free(b);
    }
}

/* The octets of one frame, each in a record of its own: its header's nine, and then so many. */
static void send_in_tiny_records(struct bench *b, size_t payload)
{
    uint8_t head[9] = {0, 0, (uint8_t)payload, NGHTTP2_DATA, 0, 0, 0, 0, 1};

    for (size_t i = 0; i < sizeof(head) + payload; i++) {
        const uint8_t *octet = i < sizeof(head) ? &head[i] : (const uint8_t *)"x";
        wire_feed(b->peer->wire, octet, 1);
        run(b);
    }
}

static void test_session__records_smaller_than_a_frame__are_a_flood(void **state)
{
    static const struct kind data = {"DATA", NGHTTP2_DATA, 0, "", 0, true, false};
    struct bench *b = for_kind(&data);
    (void)state;

    send_in_tiny_records(b, FLOOD - 9);
    assert_non_null(b->s);
    assert_int_equal(b->notes[0].bytes, FLOOD - 9);
    wire_feed(b->peer->wire, (const uint8_t *)"x", 1);

    assert_ended(b, END_FLOOD, H2_ENHANCE_YOUR_CALM);
    assert_int_equal(b->limits[COUNTER_LIMIT_FRAME_FLOOD], 1);
    bench_free(b);
}

static void test_session__suspicious_frames__cost_more_than_their_bytes(void **state)
{
    (void)state;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct bench *b = for_kind(&kinds[i]);
        size_t before = b->peer->wire->charged;
        send_kind(b, &kinds[i], FLOOD / 2);
        assert_true(b->peer->wire->charged - before >= FLOOD / 2 * H2_DEAR_FRAME_COST_BYTES);
        bench_free(b);
    }
}

static void test_session__new_stream_and_data__cost_by_the_frame(void **state)
{
    struct bench *b = accepted();
    char data[256] = "";
    size_t before = b->peer->wire->charged;
    (void)state;

    raw_request(b, 1, false);
    raw_frame(b, NGHTTP2_DATA, 0, 1, data, 1);
    raw_frame(b, NGHTTP2_DATA, 0, 1, data, sizeof(data));
    run(b);

    assert_int_equal(b->peer->wire->charged - before,
                     H2_DEAR_FRAME_COST_BYTES + 4 * H2_HEADER_COST_BYTES + 2 * H2_FRAME_COST_BYTES);
    bench_free(b);
}

static void test_session__many_frames_over_a_long_time__are_no_flood(void **state)
{
    (void)state;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct bench *b = for_kind(&kinds[i]);
        for (int k = 0; k < 4; k++) {
            send_kind(b, &kinds[i], FLOOD - 5);
            advance(b, H2_FLOOD_WINDOW_S + 0.5);
        }
        assert_non_null(b->s);
        assert_int_equal(b->limits[COUNTER_LIMIT_FRAME_FLOOD], 0);
        bench_free(b);
    }
}

static void test_session__data_of_a_stream_that_is_over__ends_it(void **state)
{
    struct bench *b = accepted();
    (void)state;
    struct peer_stream *st = peer_request(b->peer, plain_request, false);
    run(b);
    h2_stream_reset(b->notes[0].st, H2_CANCEL);
    run(b);
    assert_true(st->closed);

    const size_t frame_bytes = H2_FRAME_HEAD_BYTES + 1;
    size_t n = 0;
    for (; b->s != NULL && n < 2 * FLOOD * H2_IGNORED_BYTES / frame_bytes; n++) {
        raw_frame(b, NGHTTP2_DATA, 0, (uint32_t)st->id, "x", 1);
        run(b);
    }

    assert_true(n * frame_bytes > (FLOOD - 5) * H2_IGNORED_BYTES);
    assert_ended(b, END_FLOOD, H2_ENHANCE_YOUR_CALM);
    bench_free(b);
}

static void test_session__streams_opened_and_reset__end_it(void **state)
{
    struct bench *b = accepted();
    unsigned n = 0;
    (void)state;

    for (uint32_t id = 1; b->s != NULL && n < 2 * FLOOD && b->n_notes < NOTES; id += 2, n++) {
        raw_request(b, id, false);
        raw_frame(b, NGHTTP2_RST_STREAM, 0, id, "\0\0\0\10", 4);
        run(b);
    }

    assert_ended(b, END_FLOOD, H2_ENHANCE_YOUR_CALM);
    assert_true(n >= FLOOD - 5 && n <= FLOOD + 1);
    bench_free(b);
}

static void test_session__frames_that_make_us_reset__end_it(void **state)
{
    struct bench *b = accepted();
    unsigned n = 0;
    (void)state;

    for (; b->s != NULL && n < FLOOD + 5; n++) {
        struct peer_stream *st = peer_request(b->peer, plain_request, false);
        run(b);
        raw_frame(b, NGHTTP2_WINDOW_UPDATE, 0, (uint32_t)st->id, "\x7f\xff\xff\xff", 4);
        run(b);
        assert_true(st->closed || b->s == NULL);
    }

    assert_ended(b, END_FLOOD, H2_ENHANCE_YOUR_CALM);
    assert_true(n >= FLOOD - 5 && n <= FLOOD + 1);
    bench_free(b);
}

static void test_session__ordinary_stream__its_window_updates_are_no_flood(void **state)
{
    struct bench *b = accepted();
    (void)state;
    (void)peer_request(b->peer, plain_request, false);
    run(b);

    for (int i = 0; i < 4 * FLOOD; i++) {
        raw_frame(b, NGHTTP2_WINDOW_UPDATE, 0, i % 2 == 0, "\0\0\0\1", 4);
    }
    run(b);

    assert_non_null(b->s);
    bench_free(b);
}

static void test_session__nothing_is_read_after_the_end__not_even_in_the_same_bytes(void **state)
{
    struct bench *b = accepted();
    uint8_t pings[17 * 4 * FLOOD];
    (void)state;

    for (size_t i = 0; i < 4 * FLOOD; i++) {
        memcpy(pings + 17 * i, "\0\0\10\6\0\0\0\0\0pingpong", 17);
    }
    peer_raw(b->peer, pings, sizeof(pings));
    raw_request(b, 1, true);
    run(b);

    assert_null(b->s);
    assert_int_equal(b->limits[COUNTER_LIMIT_FRAME_FLOOD], 1);
    assert_int_equal(b->n_notes, 0);
    bench_free(b);
}

/* ---- stream identifiers, RFC 9113 5.1.1 ---- */

static void test_session__identifier_below_one_that_was_used__ends_it(void **state)
{
    static const uint32_t rows[][2] = {{5, 3}, {5, 1}, {127, 1}, {9, 7}, {3, 1}};
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bench *b = accepted();
        raw_request(b, rows[i][0], false);
        run(b);
        assert_non_null(b->s);
        raw_request(b, rows[i][1], false);
        assert_ended(b, END_PROTOCOL, H2_PROTOCOL_ERROR);
        assert_int_equal(b->n_notes, 1);
        bench_free(b);
    }
}

static void test_session__identifiers_with_gaps__are_fine_while_they_rise(void **state)
{
    struct bench *b = accepted();
    (void)state;

    for (uint32_t id = 1; id < 2000; id = id * 2 + 1) {
        raw_request(b, id, false);
    }
    run(b);

    assert_non_null(b->s);
    assert_int_equal(b->n_notes, 10);
    bench_free(b);
}

static void test_session__late_block_of_a_stream_that_was_reset__is_ignored(void **state)
{
    struct bench *b = accepted();
    (void)state;
    for (int i = 0; i < 3; i++) {
        (void)peer_request(b->peer, plain_request, false);
    }
    run(b);
    h2_stream_reset(b->notes[0].st, H2_CANCEL);
    run(b);
    assert_int_equal(b->notes[0].closed, 1);

    raw_request(b, 1, true);
    run(b);

    assert_non_null(b->s);
    assert_int_equal(b->n_notes, 3);
    bench_free(b);
}

static void test_session__even_identifier__ends_it(void **state)
{
    struct bench *b = accepted();
    (void)state;

    raw_request(b, 2, true);

    run(b);
    assert_null(b->s);
    assert_int_equal(b->why, END_PROTOCOL);
    assert_int_equal(b->n_notes, 0);
    bench_free(b);
}

/* ---- limits ---- */

static void test_session__one_stream_too_many__is_refused_and_the_others_stay(void **state)
{
    struct bench *b = bench_new(H2_ACCEPTED, &default_limits, NULL, 0);
    struct peer_stream *st = NULL;
    (void)state;

    for (int i = 0; i < 11; i++) { /* before it has our SETTINGS */
        st = peer_request(b->peer, plain_request, false);
    }
    peer_write(b->peer);
    run(b);

    assert_non_null(b->s);
    assert_int_equal(b->n_notes, 10);
    assert_int_equal(b->limits[COUNTER_LIMIT_STREAMS], 1);
    assert_true(st->closed);
    assert_int_equal(st->error, H2_REFUSED_STREAM);
    bench_free(b);
}

/* plain_request and n more headers. */
static void send_block(struct bench *b, size_t n, size_t value_len)
{
    static char value[5000];
    const char *nv[2 * 100 + 1];
    size_t at = 0;

    memset(value, 'v', sizeof(value));
    value[value_len] = '\0';
    for (; plain_request[at] != NULL; at++) {
        nv[at] = plain_request[at];
    }
    for (size_t i = 0; i < n; i++) {
        nv[at++] = "x-a";
        nv[at++] = value;
    }
    nv[at] = NULL;
    (void)peer_request(b->peer, nv, true);
    run(b);
}

static void test_session__header_limits__hold_to_the_byte_and_to_the_header(void **state)
{
    /* :method POST, :scheme https, :path /, :authority a and 32 bytes each */
    const size_t plain = 7 + 4 + 7 + 5 + 5 + 1 + 10 + 1 + 4 * 32;
    const size_t rest = 4096 - plain - 3 - 32;
    (void)state;

    struct bench *b = accepted();
    send_block(b, 16, 1);
    send_block(b, 17, 1);
    send_block(b, 1, rest);
    send_block(b, 1, rest + 1);

    assert_int_equal(b->n_notes, 4);
    assert_false(b->notes[0].over_limit);
    assert_int_equal(b->notes[0].first.n, 20);
    assert_true(b->notes[1].over_limit);
    assert_true(b->notes[1].first.n <= 20);
    assert_false(b->notes[2].over_limit);
    assert_true(b->notes[3].over_limit);
    assert_int_equal(b->limits[COUNTER_LIMIT_HEADERS], 1);
    assert_int_equal(b->limits[COUNTER_LIMIT_HEADER_BYTES], 1);
    bench_free(b);
}

/* One header of 2 KB, and n times a byte that repeats it. */
static void send_bomb(struct bench *b, uint32_t id, size_t n)
{
    uint8_t f[9 + 4 + 2048 + 16384] = {0, 0, 0, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS};
    static const uint8_t head[] = {0x40, 1, 'x', 0x7f, 0x81, 0x0f}; /* 127 + 1 + 15 * 128 */
    const size_t size = sizeof(head) + 2048;

    f[8] = (uint8_t)id;
    memcpy(f + 9, head, sizeof(head));
    memset(f + 9 + sizeof(head), 'y', 2048);
    memset(f + 9 + size, 0x80 | 62, n);
    f[1] = (uint8_t)((size + n) >> 8);
    f[2] = (uint8_t)(size + n);
    peer_raw(b->peer, f, 9 + size + n);
}

static void test_session__header_bomb__ends_it_early(void **state)
{
    struct h2_limits patient = default_limits;
    patient.frame_flood = 1000;
    struct bench *b = bench_new(H2_ACCEPTED, &patient, NULL, 0);
    (void)state;
    run(b);

    send_block(b, 9, 4000); /* is only too large */
    assert_non_null(b->s);
    assert_true(b->notes[0].over_limit);
    send_bomb(b, 3, 10000);

    assert_ended(b, END_LIMIT, H2_ENHANCE_YOUR_CALM);
    bench_free(b);
}

static void test_session__response_over_the_limit__resets_the_stream(void **state)
{
    struct bench *b = dialled();
    struct h2_headers h = {0};
    char value[4200];
    const char *const bomb[] = {":status", "200", "x-a", value, NULL};
    (void)state;
    memset(value, 'v', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    fill(&h, plain_request);
    (void)request(b, &h);
    run(b);

    peer_respond(&b->peer->streams[0], bomb, false);
    run(b);

    assert_int_equal(b->notes[0].closed, 1);
    assert_int_equal(b->notes[0].headers, 0);
    assert_int_equal(b->peer->streams[0].error, H2_INTERNAL_ERROR);
    assert_non_null(b->s);
    h2_headers_fini(&h);
    bench_free(b);
}

static void test_session__more_than_the_window__ends_it_there(void **state)
{
    struct bench *b = accepted();
    uint8_t piece[256];
    (void)state;
    b->keeps_data = true;
    memset(piece, 'x', sizeof(piece));
    raw_request(b, 1, false);

    for (size_t i = 0; i < H2_STREAM_WINDOW_BYTES / sizeof(piece) + 100; i++) {
        raw_frame(b, NGHTTP2_DATA, 0, 1, piece, sizeof(piece));
    }
    run(b);

    assert_int_equal(b->notes[0].closed, 1);
    assert_true(b->notes[0].bytes <= H2_STREAM_WINDOW_BYTES + sizeof(piece));
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session__flood_of_any_kind__ends_it),
        cmocka_unit_test(test_session__records_smaller_than_a_frame__are_a_flood),
        cmocka_unit_test(test_session__suspicious_frames__cost_more_than_their_bytes),
        cmocka_unit_test(test_session__new_stream_and_data__cost_by_the_frame),
        cmocka_unit_test(test_session__many_frames_over_a_long_time__are_no_flood),
        cmocka_unit_test(test_session__data_of_a_stream_that_is_over__ends_it),
        cmocka_unit_test(test_session__streams_opened_and_reset__end_it),
        cmocka_unit_test(test_session__frames_that_make_us_reset__end_it),
        cmocka_unit_test(test_session__ordinary_stream__its_window_updates_are_no_flood),
        cmocka_unit_test(test_session__nothing_is_read_after_the_end__not_even_in_the_same_bytes),
        cmocka_unit_test(test_session__identifier_below_one_that_was_used__ends_it),
        cmocka_unit_test(test_session__identifiers_with_gaps__are_fine_while_they_rise),
        cmocka_unit_test(test_session__late_block_of_a_stream_that_was_reset__is_ignored),
        cmocka_unit_test(test_session__even_identifier__ends_it),
        cmocka_unit_test(test_session__one_stream_too_many__is_refused_and_the_others_stay),
        cmocka_unit_test(test_session__header_limits__hold_to_the_byte_and_to_the_header),
        cmocka_unit_test(test_session__header_bomb__ends_it_early),
        cmocka_unit_test(test_session__response_over_the_limit__resets_the_stream),
        cmocka_unit_test(test_session__more_than_the_window__ends_it_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
