/* SPDX-License-Identifier: Apache-2.0 */
/* Keys take turns, entries of a key keep their order, and the bound holds. */
#include "gateway/upstream/fair_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define N 16

struct entry {
    struct list node;
    uint32_t key;
};

static struct fair_queue q;
static struct entry entries[N];

static void put(size_t i, uint32_t key)
{
    entries[i].key = key;
    list_init(&entries[i].node);
    assert_int_equal(fair_queue_put(&q, key, &entries[i].node), RC_OK);
}

/* The index of what is taken next; N: nothing. */
static size_t take(void)
{
    struct list *n = fair_queue_take(&q);
    return n == NULL ? N : (size_t)(LIST_ENTRY(n, struct entry, node) - entries);
}

static void test_fair_queue__empty__gives_nothing(void **state)
{
    (void)state;
    fair_queue_init(&q, N);

    assert_int_equal(take(), N);
    put(0, 7);
    assert_int_equal(take(), 0);
    assert_int_equal(take(), N);
    assert_int_equal(q.n, 0);
}

static void test_fair_queue__one_key__keeps_its_order(void **state)
{
    (void)state;
    fair_queue_init(&q, N);
    for (size_t i = 0; i < 5; i++) {
        put(i, 300);
    }

    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(take(), i);
    }
}

static void test_fair_queue__greedy_key__others_have_every_other_turn(void **state)
{
    (void)state;
    fair_queue_init(&q, N);
    for (size_t i = 0; i < 8; i++) {
        put(i, 1);
    }
    put(8, 2);
    put(9, 2);

    assert_int_equal(take(), 0);
    assert_int_equal(take(), 8);
    assert_int_equal(take(), 1);
    assert_int_equal(take(), 9);
    assert_int_equal(take(), 2);
}

static void test_fair_queue__key_that_comes_later__waits_one_turn_at_most(void **state)
{
    (void)state;
    fair_queue_init(&q, N);
    for (size_t i = 0; i < 6; i++) {
        put(i, (uint32_t)(i % 2) * 255); /* the first and the last bucket */
    }

    assert_int_equal(take(), 0);
    put(6, 128);
    assert_int_equal(take(), 6);
    assert_int_equal(take(), 1);
    assert_int_equal(take(), 2);
}

static void test_fair_queue__keys_beyond_the_buckets__are_all_served(void **state)
{
    (void)state;
    fair_queue_init(&q, N);
    put(0, UINT32_MAX);
    put(1, FAIR_QUEUE_BUCKETS);
    put(2, 0);
    bool seen[N] = {false};

    for (size_t i = 0; i < 3; i++) {
        seen[take()] = true;
    }
    assert_true(seen[0] && seen[1] && seen[2]);
}

static void test_fair_queue__at_its_bound__is_full_until_one_leaves(void **state)
{
    struct entry late = {.key = 9};
    (void)state;
    fair_queue_init(&q, 2);
    list_init(&late.node);
    put(0, 1);
    put(1, 2);

    assert_int_equal(fair_queue_put(&q, 9, &late.node), RC_FULL);
    assert_true(list_empty(&late.node));
    assert_int_equal(q.n, 2);
    (void)take();
    assert_int_equal(fair_queue_put(&q, 9, &late.node), RC_OK);
    assert_int_equal(fair_queue_put(&q, 9, &late.node), RC_FULL);
}

static void test_fair_queue__removed_entry__is_not_given_and_makes_room(void **state)
{
    (void)state;
    fair_queue_init(&q, 3);
    put(0, 1);
    put(1, 1);
    put(2, 1);

    fair_queue_remove(&q, &entries[1].node);
    assert_true(list_empty(&entries[1].node));
    assert_int_equal(q.n, 2);
    put(3, 1);

    assert_int_equal(take(), 0);
    assert_int_equal(take(), 2);
    assert_int_equal(take(), 3);
    assert_int_equal(take(), N);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fair_queue__empty__gives_nothing),
        cmocka_unit_test(test_fair_queue__one_key__keeps_its_order),
        cmocka_unit_test(test_fair_queue__greedy_key__others_have_every_other_turn),
        cmocka_unit_test(test_fair_queue__key_that_comes_later__waits_one_turn_at_most),
        cmocka_unit_test(test_fair_queue__keys_beyond_the_buckets__are_all_served),
        cmocka_unit_test(test_fair_queue__at_its_bound__is_full_until_one_leaves),
        cmocka_unit_test(test_fair_queue__removed_entry__is_not_given_and_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
