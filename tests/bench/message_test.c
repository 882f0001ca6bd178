/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/** Longer than the pattern, so that it begins again inside of a message. */
#define LONG_BYTES (MESSAGE_PATTERN_BYTES * 2 + 1000)

static struct message_pattern *pattern;

static int setup(void **state)
{
    (void)state;
    pattern = malloc(sizeof(*pattern));
    message_pattern_init(pattern);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(pattern);
    return 0;
}

/* Everything that o has to say, read in steps. Owned by the caller. */
static uint8_t *read_all(struct outbox *o, size_t step, size_t *n)
{
    size_t total = (size_t)o->bytes;
    uint8_t *out = malloc(total + step);

    *n = 0;
    for (size_t got = 1; got > 0; *n += got) {
        got = outbox_read(o, out + *n, step);
    }
    assert_int_equal(*n, total);
    assert_int_equal(o->bytes, 0);
    return out;
}

static void test_outbox__three_messages__are_framed_with_their_pattern(void **state)
{
    struct outbox o;
    size_t n;

    (void)state;
    outbox_init(&o, pattern);
    assert_true(outbox_add(&o, MESSAGE_PUSH, 3));
    assert_true(outbox_add(&o, MESSAGE_PUSH, 3));
    assert_true(outbox_add(&o, MESSAGE_ACK, 1));
    uint8_t *bytes = read_all(&o, 100, &n);

    const uint8_t expected[] = {0, 0, 0,   0, 3, 'P', 1, 2, 0, 0, 0,
                                0, 3, 'P', 1, 2, 0,   0, 0, 0, 1, 'A'};
    assert_int_equal(n, sizeof(expected));
    assert_memory_equal(bytes, expected, n);
    free(bytes);
}

static void test_outbox__read_in_any_steps__is_the_same(void **state)
{
    (void)state;
    for (size_t step = 1; step < 40; step++) {
        struct outbox o;
        struct inbox in;
        size_t n;

        outbox_init(&o, pattern);
        assert_true(outbox_add(&o, MESSAGE_ECHO, 600));
        assert_true(outbox_add(&o, MESSAGE_ACK, 20));
        uint8_t *bytes = read_all(&o, step, &n);

        const uint8_t *data = bytes;
        inbox_init(&in, pattern);
        assert_int_equal(inbox_feed(&in, &data, &n), INBOX_COMPLETE);
        assert_int_equal(inbox_kind(&in), MESSAGE_ECHO);
        assert_int_equal(in.bytes, 600);
        assert_int_equal(inbox_feed(&in, &data, &n), INBOX_COMPLETE);
        assert_int_equal(inbox_kind(&in), MESSAGE_ACK);
        assert_int_equal(inbox_feed(&in, &data, &n), INBOX_MORE);
        assert_int_equal(n, 0);
        free(bytes);
    }
}

static void test_outbox__too_many_different__says_so_and_keeps_the_rest(void **state)
{
    struct outbox o;

    (void)state;
    outbox_init(&o, pattern);
    for (uint32_t i = 1; i <= OUTBOX_RUNS; i++) {
        assert_true(outbox_add(&o, MESSAGE_PUSH, i));
    }
    uint64_t bytes = o.bytes;

    assert_false(outbox_add(&o, MESSAGE_PUSH, 1));
    assert_true(outbox_add(&o, MESSAGE_PUSH, OUTBOX_RUNS));

    assert_int_equal(o.bytes, bytes + OUTBOX_RUNS + MESSAGE_FRAMING_BYTES);
}

static void test_outbox__dropped__ends_with_the_message_that_has_begun(void **state)
{
    struct outbox o;
    uint8_t bytes[64];

    (void)state;
    for (size_t read = 0; read <= 30; read++) {
        outbox_init(&o, pattern);
        assert_true(outbox_add(&o, MESSAGE_PUSH, 10));
        assert_true(outbox_add(&o, MESSAGE_PUSH, 10));
        assert_true(outbox_add(&o, MESSAGE_ACK, 5));
        assert_int_equal(outbox_read(&o, bytes, read), read);

        outbox_drop(&o);

        size_t left = (15 - read % 15) % 15;
        assert_int_equal(o.bytes, left);
        assert_int_equal(outbox_read(&o, bytes, sizeof(bytes)), left);
        assert_int_equal(outbox_read(&o, bytes, sizeof(bytes)), 0);
    }
}

/* A message of these bytes in the memory of the caller. */
static uint8_t *make(uint32_t bytes, size_t *n)
{
    struct outbox o;

    outbox_init(&o, pattern);
    assert_true(outbox_add(&o, MESSAGE_PUSH, bytes));
    return read_all(&o, 16384, n);
}

static void test_inbox__cut_anywhere__is_complete_with_the_last_byte(void **state)
{
    size_t n;
    uint8_t *bytes = make(300, &n);

    (void)state;
    for (size_t cut = 0; cut < n; cut++) {
        struct inbox in;
        const uint8_t *data = bytes;
        size_t first = cut;
        size_t second = n - cut;

        inbox_init(&in, pattern);
        assert_int_equal(inbox_feed(&in, &data, &first), INBOX_MORE);
        assert_int_equal(inbox_feed(&in, &data, &second), INBOX_COMPLETE);
        assert_int_equal(second, 0);
        assert_int_equal(in.bytes, 300);
    }
    free(bytes);
}

static void test_inbox__long_message__passes_the_end_of_the_pattern(void **state)
{
    size_t n;
    uint8_t *bytes = make(LONG_BYTES, &n);
    const uint8_t *data = bytes;
    struct inbox in;

    (void)state;
    inbox_init(&in, pattern);
    assert_int_equal(inbox_feed(&in, &data, &n), INBOX_COMPLETE);
    assert_int_equal(in.bytes, LONG_BYTES);
    free(bytes);
}

static void test_inbox__one_byte_wrong_missing_or_twice__is_noticed(void **state)
{
    size_t n;
    uint8_t *bytes = make(1000, &n);
    uint8_t *bad = malloc(n);

    (void)state;
    for (size_t at = MESSAGE_HEAD_BYTES; at < n - 1; at++) {
        for (unsigned kind = 0; kind < 3; kind++) {
            struct inbox in;
            const uint8_t *data = bad;
            size_t left = n;

            memcpy(bad, bytes, n);
            if (kind == 0) {
                bad[at] ^= 1;
            } else if (kind == 1) {
                memmove(bad + at, bytes + at + 1, n - at - 1);
            } else {
                memmove(bad + at + 1, bytes + at, n - at - 1);
            }
            inbox_init(&in, pattern);
            assert_int_equal(inbox_feed(&in, &data, &left), INBOX_WRONG);
        }
    }
    free(bad);
    free(bytes);
}

static void test_inbox__bad_framing__is_wrong(void **state)
{
    static const uint8_t heads[][MESSAGE_HEAD_BYTES] = {
        {1, 0, 0, 0, 5, 'P'}, {0, 0, 0, 0, 0, 'P'}, {0, 0x40, 0, 0, 1, 'P'}};

    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct inbox in;
        const uint8_t *data = heads[i];
        size_t n = MESSAGE_HEAD_BYTES;

        inbox_init(&in, pattern);
        assert_int_equal(inbox_feed(&in, &data, &n), INBOX_WRONG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outbox__three_messages__are_framed_with_their_pattern),
        cmocka_unit_test(test_outbox__read_in_any_steps__is_the_same),
        cmocka_unit_test(test_outbox__too_many_different__says_so_and_keeps_the_rest),
        cmocka_unit_test(test_outbox__dropped__ends_with_the_message_that_has_begun),
        cmocka_unit_test(test_inbox__cut_anywhere__is_complete_with_the_last_byte),
        cmocka_unit_test(test_inbox__long_message__passes_the_end_of_the_pattern),
        cmocka_unit_test(test_inbox__one_byte_wrong_missing_or_twice__is_noticed),
        cmocka_unit_test(test_inbox__bad_framing__is_wrong),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
