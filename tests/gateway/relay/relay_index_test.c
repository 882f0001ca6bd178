/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of relays: each finds its own, and none finds another's after it is gone. */
#include "gateway/relay/relay_index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gateway/relay/relay_internal.h"

/* More than an index begins with, several times. */
#define MANY 1000

static void test_relay_index__empty__finds_nothing(void **state)
{
    struct relay_index x;
    (void)state;
    relay_index_init(&x, 3);

    assert_null(relay_index_find(&x, 0));
    assert_null(relay_index_find(&x, 1));
    assert_null(relay_index_find(&x, UINT64_MAX));
    relay_index_end(&x, 0, END_REVOKED);
    relay_index_end(&x, UINT64_MAX, END_REPLACED);
    relay_index_fini(&x);
}

static void test_relay_index__many__each_number_its_own(void **state)
{
    struct relay *relays = calloc(MANY, sizeof(*relays));
    uint64_t ids[MANY];
    struct relay_index x;
    (void)state;
    relay_index_init(&x, 255);

    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(relay_index_add(&x, &relays[i], &ids[i]), RC_OK);
        assert_true(ids[i] != 0);
    }
    for (size_t i = 0; i < MANY; i++) {
        assert_ptr_equal(relay_index_find(&x, ids[i]), &relays[i]);
    }
    for (size_t i = 0; i < MANY; i += 2) {
        relay_index_remove(&x, ids[i]);
    }
    for (size_t i = 0; i < MANY; i++) {
        assert_ptr_equal(relay_index_find(&x, ids[i]), i % 2 == 0 ? NULL : &relays[i]);
    }
    for (size_t i = 1; i < MANY; i += 2) {
        relay_index_remove(&x, ids[i]);
    }
    relay_index_fini(&x);
    free(relays);
}

static void test_relay_index__slot_used_again__old_numbers_find_nothing(void **state)
{
    struct relay *r = calloc(1, sizeof(*r));
    uint64_t ids[MANY];
    struct relay_index x;
    (void)state;
    relay_index_init(&x, 0);

    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(relay_index_add(&x, r, &ids[i]), RC_OK);
        assert_true(ids[i] != 0);
        for (size_t k = 0; k < i; k++) {
            assert_true(ids[k] != ids[i]);
            assert_null(relay_index_find(&x, ids[k]));
        }
        relay_index_remove(&x, ids[i]);
    }
    relay_index_end(&x, ids[0], END_REVOKED); /* it is too late: nothing is touched */
    relay_index_fini(&x);
    free(r);
}

static void test_relay_index__number_of_another_worker__finds_nothing(void **state)
{
    struct relay *r = calloc(1, sizeof(*r));
    struct relay_index one;
    struct relay_index two;
    uint64_t of_one = 0;
    uint64_t of_two = 0;
    (void)state;
    relay_index_init(&one, 1);
    relay_index_init(&two, 2);

    assert_int_equal(relay_index_add(&one, r, &of_one), RC_OK);
    assert_int_equal(relay_index_add(&two, r, &of_two), RC_OK);
    assert_true(of_one != of_two);
    assert_null(relay_index_find(&one, of_two));
    assert_null(relay_index_find(&two, of_one));
    relay_index_remove(&one, of_one);
    relay_index_remove(&two, of_two);
    relay_index_fini(&one);
    relay_index_fini(&two);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relay_index__empty__finds_nothing),
        cmocka_unit_test(test_relay_index__many__each_number_its_own),
        cmocka_unit_test(test_relay_index__slot_used_again__old_numbers_find_nothing),
        cmocka_unit_test(test_relay_index__number_of_another_worker__finds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
