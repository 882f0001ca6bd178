/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/bufq.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/** Three chunks and a bit. */
#define MANY_BYTES (3 * BUFQ_CHUNK_BYTES + 77)

struct fixture {
    struct bufq_pool pool;
    struct bufq q;
    uint8_t *bytes; /* owned, MANY_BYTES that repeat only after 251 */
    uint8_t *got;   /* owned, MANY_BYTES */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    bufq_pool_init(&f->pool, 2);
    bufq_init(&f->q, &f->pool, MANY_BYTES);
    f->bytes = malloc(MANY_BYTES);
    f->got = calloc(1, MANY_BYTES);
    for (size_t i = 0; i < MANY_BYTES; i++) {
        f->bytes[i] = (uint8_t)(i % 251);
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    bufq_clear(&f->q);
    assert_int_equal(f->pool.used_bytes, 0);
    bufq_pool_fini(&f->pool);
    free(f->bytes);
    free(f->got);
    free(f);
    return 0;
}

/* Take everything out through peek and drain, at most step bytes at a time. */
static size_t drain_all(struct bufq *q, uint8_t *dst, size_t step)
{
    size_t done = 0;
    size_t n;
    const uint8_t *p;

    while ((p = bufq_peek(q, &n)) != NULL) {
        n = n < step ? n : step;
        memcpy(dst + done, p, n);
        bufq_drain(q, n);
        done += n;
    }
    return done;
}

static void test_bufq__new_queue__is_empty(void **state)
{
    struct fixture *f = *state;
    size_t n = 99;

    const uint8_t *p = bufq_peek(&f->q, &n);

    assert_null(p);
    assert_int_equal(n, 0);
    assert_int_equal(f->q.len, 0);
    assert_int_equal(f->pool.used_bytes, 0);
}

static void test_bufq__bytes_over_several_chunks__come_out_as_they_went_in(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(bufq_append(&f->q, f->bytes, MANY_BYTES), RC_OK);
    assert_int_equal(f->q.len, MANY_BYTES);

    assert_int_equal(drain_all(&f->q, f->got, 1000), MANY_BYTES);
    assert_memory_equal(f->got, f->bytes, MANY_BYTES);
    assert_int_equal(f->q.len, 0);
}

static void test_bufq__appended_in_pieces_of_every_size__come_out_as_they_went_in(void **state)
{
    struct fixture *f = *state;

    for (size_t piece = 1; piece < 3000; piece += 97) {
        size_t total = 0;
        for (size_t n = piece; total + n <= MANY_BYTES; total += n) {
            assert_int_equal(bufq_append(&f->q, f->bytes + total, n), RC_OK);
        }
        assert_int_equal(f->q.len, total);

        memset(f->got, 0, MANY_BYTES);
        assert_int_equal(drain_all(&f->q, f->got, piece + 5), total);
        assert_memory_equal(f->got, f->bytes, total);
    }
}

static void test_bufq__append_and_drain_in_turns__order_is_kept(void **state)
{
    struct fixture *f = *state;
    size_t in = 0;
    size_t out = 0;

    while (out < MANY_BYTES) {
        size_t n = MANY_BYTES - in < 701 ? MANY_BYTES - in : 701;
        assert_int_equal(bufq_append(&f->q, f->bytes + in, n), RC_OK);
        in += n;
        n = f->q.len < 350 || in < MANY_BYTES / 2 ? f->q.len / 3 : f->q.len;
        n = in == MANY_BYTES ? f->q.len : n;
        bufq_copy(&f->q, 0, f->got + out, n);
        bufq_drain(&f->q, n);
        out += n;
    }

    assert_memory_equal(f->got, f->bytes, MANY_BYTES);
}

static void test_bufq__one_byte_over_the_cap__nothing_is_queued(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(bufq_append(&f->q, f->bytes, MANY_BYTES - 10), RC_OK);

    assert_int_equal(bufq_append(&f->q, f->bytes, 11), RC_FULL);
    assert_int_equal(f->q.len, MANY_BYTES - 10);
    assert_int_equal(bufq_append(&f->q, f->bytes, SIZE_MAX), RC_FULL);
    assert_int_equal(f->q.len, MANY_BYTES - 10);
    assert_int_equal(bufq_append(&f->q, f->bytes, 10), RC_OK);
    assert_int_equal(bufq_append(&f->q, f->bytes, 1), RC_FULL);
    assert_int_equal(bufq_append(&f->q, f->bytes, 0), RC_OK);
}

static void test_bufq__full_queue_drained_a_little__takes_as_much_again(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(bufq_append(&f->q, f->bytes, MANY_BYTES), RC_OK);
    bufq_drain(&f->q, 100);

    assert_int_equal(bufq_append(&f->q, f->bytes, 101), RC_FULL);
    assert_int_equal(bufq_append(&f->q, f->bytes, 100), RC_OK);
}

static void test_bufq__copy_at_every_offset_near_chunk_ends__bytes_are_right(void **state)
{
    struct fixture *f = *state;
    uint8_t got[8];

    assert_int_equal(bufq_append(&f->q, f->bytes, MANY_BYTES), RC_OK);
    bufq_drain(&f->q, 3);

    for (size_t at = BUFQ_CHUNK_BYTES - 16; at < BUFQ_CHUNK_BYTES + 16; at++) {
        bufq_copy(&f->q, at, got, sizeof(got));
        assert_memory_equal(got, f->bytes + 3 + at, sizeof(got));
    }
    bufq_copy(&f->q, f->q.len, got, 0);
    assert_int_equal(f->q.len, MANY_BYTES - 3);
}

static void test_bufq__small_payload__holds_a_small_chunk(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(bufq_append(&f->q, f->bytes, 100), RC_OK);
    assert_true(f->pool.used_bytes < 2048);

    assert_int_equal(bufq_append(&f->q, f->bytes, 2000), RC_OK);
    assert_true(f->pool.used_bytes >= BUFQ_CHUNK_BYTES);
}

static void test_bufq__pool__keeps_no_more_than_max_free(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(bufq_append(&f->q, f->bytes, MANY_BYTES), RC_OK);
    bufq_clear(&f->q);
    assert_int_equal(f->pool.n_free, 2);
    assert_int_equal(f->pool.used_bytes, 0);

    assert_int_equal(bufq_append(&f->q, f->bytes, BUFQ_CHUNK_BYTES), RC_OK);
    assert_int_equal(f->pool.n_free, 1);
}

static void test_bufq__cleared_queue__may_be_used_again(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(bufq_append(&f->q, f->bytes, 5000), RC_OK);
    bufq_clear(&f->q);
    bufq_clear(&f->q);

    assert_int_equal(bufq_append(&f->q, f->bytes, 50), RC_OK);
    assert_int_equal(drain_all(&f->q, f->got, 50), 50);
    assert_memory_equal(f->got, f->bytes, 50);
}

static void test_bufq__two_queues_of_one_pool__do_not_mix(void **state)
{
    struct fixture *f = *state;
    struct bufq other;

    bufq_init(&other, &f->pool, 4096);
    for (size_t i = 0; i < 40; i++) {
        assert_int_equal(bufq_append(&f->q, f->bytes + i, 1), RC_OK);
        assert_int_equal(bufq_append(&other, f->bytes + 100 + i, 1), RC_OK);
    }

    assert_int_equal(drain_all(&f->q, f->got, 7), 40);
    assert_memory_equal(f->got, f->bytes, 40);
    assert_int_equal(drain_all(&other, f->got, 7), 40);
    assert_memory_equal(f->got, f->bytes + 100, 40);
}

#define BUFQ_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUFQ_TEST(test_bufq__new_queue__is_empty),
        BUFQ_TEST(test_bufq__bytes_over_several_chunks__come_out_as_they_went_in),
        BUFQ_TEST(test_bufq__appended_in_pieces_of_every_size__come_out_as_they_went_in),
        BUFQ_TEST(test_bufq__append_and_drain_in_turns__order_is_kept),
        BUFQ_TEST(test_bufq__one_byte_over_the_cap__nothing_is_queued),
        BUFQ_TEST(test_bufq__full_queue_drained_a_little__takes_as_much_again),
        BUFQ_TEST(test_bufq__copy_at_every_offset_near_chunk_ends__bytes_are_right),
        BUFQ_TEST(test_bufq__small_payload__holds_a_small_chunk),
        BUFQ_TEST(test_bufq__pool__keeps_no_more_than_max_free),
        BUFQ_TEST(test_bufq__cleared_queue__may_be_used_again),
        BUFQ_TEST(test_bufq__two_queues_of_one_pool__do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
