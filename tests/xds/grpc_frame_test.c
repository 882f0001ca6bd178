/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/grpc_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Four messages: 3 bytes, empty, 1 byte compressed, 300 bytes. */
#define N_MESSAGES 4
static const size_t ends[N_MESSAGES] = {8, 13, 19, 324};
#define STREAM_BYTES 324

static void put_message(uint8_t **p, uint8_t flag, uint32_t n)
{
    uint8_t *w = *p;

    *w++ = flag;
    *w++ = (uint8_t)(n >> 24);
    *w++ = (uint8_t)(n >> 16);
    *w++ = (uint8_t)(n >> 8);
    *w++ = (uint8_t)n;
    memset(w, 0xee, n); /* no valid flag: a scanner that loses its place notices */
    *p = w + n;
}

static void make_stream(uint8_t bytes[STREAM_BYTES])
{
    uint8_t *p = bytes;

    put_message(&p, 0, 3);
    put_message(&p, 0, 0);
    put_message(&p, 1, 1);
    put_message(&p, 0, 300);
    assert_int_equal(p - bytes, STREAM_BYTES);
}

/* Where the last message that ends at or before n ends. */
static size_t last_end(size_t n)
{
    size_t end = 0;
    for (size_t i = 0; i < N_MESSAGES && ends[i] <= n; i++) {
        end = ends[i];
    }
    return end;
}

static bool is_end(size_t n)
{
    return n == 0 || last_end(n) == n;
}

/* Step through n bytes. n_complete: how many of them belong to messages that are over. */
static enum rc feed(struct grpc_frame_scan *s, const uint8_t *data, size_t n, size_t *n_complete)
{
    size_t done = 0;

    for (size_t at = 0; at < n;) {
        size_t used = 0;
        bool complete = false;
        TRY(grpc_frame_step(s, data + at, n - at, &used, &complete));
        assert_true(used > 0 && used <= n - at);
        assert_true(complete || used == n - at);
        at += used;
        done = complete ? at : done;
    }
    *n_complete = done;
    return RC_OK;
}

/* An exact copy on the heap: a read behind its end is seen by the sanitizer. */
static enum rc feed_copy(struct grpc_frame_scan *s, const uint8_t *data, size_t n, size_t *complete)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);
    memcpy(copy, data, n);
    enum rc rc = feed(s, copy, n, complete);
    free(copy);
    return rc;
}

static void test_grpc_frame__several_messages_at_once__a_step_ends_at_each(void **state)
{
    uint8_t bytes[STREAM_BYTES];
    struct grpc_frame_scan s;
    size_t at = 0;

    (void)state;
    make_stream(bytes);
    grpc_frame_init(&s, 300);
    for (size_t i = 0; i < N_MESSAGES; i++) {
        size_t used = 0;
        bool complete = false;
        assert_int_equal(grpc_frame_step(&s, bytes + at, STREAM_BYTES - at, &used, &complete),
                         RC_OK);
        at += used;
        assert_true(complete);
        assert_int_equal(at, ends[i]);
        assert_int_equal(grpc_frame_is_compressed(&s), i == 2);
    }
}

static void test_grpc_frame__no_bytes__end_no_message(void **state)
{
    uint8_t bytes[STREAM_BYTES];
    struct grpc_frame_scan s;
    size_t used = 999;
    bool complete = true;

    (void)state;
    make_stream(bytes);
    grpc_frame_init(&s, 300);
    assert_int_equal(grpc_frame_step(&s, bytes, ends[0], &used, &complete), RC_OK);
    assert_true(complete);
    assert_int_equal(grpc_frame_step(&s, bytes, 0, &used, &complete), RC_OK);
    assert_int_equal(used, 0);
    assert_false(complete);
}

static void test_grpc_frame__whole_stream_at_once__all_messages_are_complete(void **state)
{
    uint8_t bytes[STREAM_BYTES];
    struct grpc_frame_scan s;
    size_t complete = 999;

    (void)state;
    make_stream(bytes);
    grpc_frame_init(&s, 300);
    assert_true(grpc_frame_at_boundary(&s));

    assert_int_equal(feed_copy(&s, bytes, STREAM_BYTES, &complete), RC_OK);

    assert_int_equal(complete, STREAM_BYTES);
    assert_int_equal(s.messages, N_MESSAGES);
    assert_true(grpc_frame_at_boundary(&s));
}

static void test_grpc_frame__split_at_every_byte__prefixes_add_up(void **state)
{
    uint8_t bytes[STREAM_BYTES];

    (void)state;
    make_stream(bytes);
    for (size_t cut = 0; cut <= STREAM_BYTES; cut++) {
        struct grpc_frame_scan s;
        size_t first = 999;
        size_t second = 999;
        grpc_frame_init(&s, 300);

        assert_int_equal(feed_copy(&s, bytes, cut, &first), RC_OK);
        assert_int_equal(first, last_end(cut));
        assert_int_equal(grpc_frame_at_boundary(&s), is_end(cut));
        assert_int_equal(feed_copy(&s, bytes + cut, STREAM_BYTES - cut, &second), RC_OK);

        assert_int_equal(second, STREAM_BYTES - cut);
        assert_int_equal(s.messages, N_MESSAGES);
        assert_true(grpc_frame_at_boundary(&s));
    }
}

static void test_grpc_frame__one_byte_at_a_time__each_end_is_seen_once(void **state)
{
    uint8_t bytes[STREAM_BYTES];
    struct grpc_frame_scan s;

    (void)state;
    make_stream(bytes);
    grpc_frame_init(&s, 300);
    for (size_t i = 0; i < STREAM_BYTES; i++) {
        size_t complete = 999;
        assert_int_equal(feed_copy(&s, bytes + i, 1, &complete), RC_OK);
        assert_int_equal(complete, is_end(i + 1) ? 1 : 0);
        assert_int_equal(grpc_frame_at_boundary(&s), is_end(i + 1));
    }
    assert_int_equal(s.messages, N_MESSAGES);
}

static void test_grpc_frame__truncated_stream__is_not_at_a_boundary(void **state)
{
    uint8_t bytes[STREAM_BYTES];

    (void)state;
    make_stream(bytes);
    for (size_t n = 1; n < STREAM_BYTES; n++) {
        struct grpc_frame_scan s;
        size_t complete;
        grpc_frame_init(&s, 300);
        assert_int_equal(feed_copy(&s, bytes, n, &complete), RC_OK);
        assert_int_equal(grpc_frame_at_boundary(&s), is_end(n));
    }
}

static void test_grpc_frame__message_over_the_limit__is_refused_with_its_header(void **state)
{
    const uint8_t header[] = {0, 0, 0, 1, 45}; /* 301 */
    struct grpc_frame_scan s;
    size_t complete = 999;

    (void)state;
    grpc_frame_init(&s, 300);
    assert_int_equal(feed_copy(&s, header, 4, &complete), RC_OK);
    complete = 999;
    assert_int_equal(feed_copy(&s, header + 4, 1, &complete), RC_PEER_LIMIT);
    assert_int_equal(complete, 999); /* untouched */

    grpc_frame_init(&s, 301);
    assert_int_equal(feed_copy(&s, header, 5, &complete), RC_OK);
}

static void test_grpc_frame__longest_length__is_read_unsigned(void **state)
{
    const uint8_t header[] = {0, 0xff, 0xff, 0xff, 0xff};
    struct grpc_frame_scan s;
    size_t complete;

    (void)state;
    grpc_frame_init(&s, 4 * 1024 * 1024);
    assert_int_equal(feed_copy(&s, header, 5, &complete), RC_PEER_LIMIT);

    grpc_frame_init(&s, UINT32_MAX);
    assert_int_equal(feed_copy(&s, header, 5, &complete), RC_OK);
    assert_int_equal(s.left, UINT32_MAX);
}

static void test_grpc_frame__flag_is_neither_0_nor_1__is_malformed_at_once(void **state)
{
    uint8_t bytes[STREAM_BYTES];

    (void)state;
    for (unsigned flag = 2; flag < 256; flag++) {
        struct grpc_frame_scan s;
        size_t complete;
        uint8_t byte = (uint8_t)flag;
        grpc_frame_init(&s, 300);
        assert_int_equal(feed_copy(&s, &byte, 1, &complete), RC_PEER_MALFORMED);
    }
    for (size_t i = 0; i < N_MESSAGES - 1; i++) {
        struct grpc_frame_scan s;
        size_t complete;
        make_stream(bytes);
        bytes[ends[i]] = 2;
        grpc_frame_init(&s, 300);
        assert_int_equal(feed_copy(&s, bytes, STREAM_BYTES, &complete), RC_PEER_MALFORMED);
        grpc_frame_init(&s, 300);
        assert_int_equal(feed_copy(&s, bytes, ends[i], &complete), RC_OK);
    }
}

static void test_grpc_frame__limit_zero__takes_empty_messages_only(void **state)
{
    const uint8_t empty[] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 0};
    const uint8_t one[] = {0, 0, 0, 0, 1};
    struct grpc_frame_scan s;
    size_t complete;

    (void)state;
    grpc_frame_init(&s, 0);
    assert_int_equal(feed_copy(&s, empty, sizeof(empty), &complete), RC_OK);
    assert_int_equal(complete, sizeof(empty));
    assert_int_equal(s.messages, 2);
    assert_int_equal(feed_copy(&s, one, sizeof(one), &complete), RC_PEER_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grpc_frame__several_messages_at_once__a_step_ends_at_each),
        cmocka_unit_test(test_grpc_frame__no_bytes__end_no_message),
        cmocka_unit_test(test_grpc_frame__whole_stream_at_once__all_messages_are_complete),
        cmocka_unit_test(test_grpc_frame__split_at_every_byte__prefixes_add_up),
        cmocka_unit_test(test_grpc_frame__one_byte_at_a_time__each_end_is_seen_once),
        cmocka_unit_test(test_grpc_frame__truncated_stream__is_not_at_a_boundary),
        cmocka_unit_test(test_grpc_frame__message_over_the_limit__is_refused_with_its_header),
        cmocka_unit_test(test_grpc_frame__longest_length__is_read_unsigned),
        cmocka_unit_test(test_grpc_frame__flag_is_neither_0_nor_1__is_malformed_at_once),
        cmocka_unit_test(test_grpc_frame__limit_zero__takes_empty_messages_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
