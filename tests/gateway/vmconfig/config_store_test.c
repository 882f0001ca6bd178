/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gateway/vmconfig/config_fixture.h"

static int start(void **state)
{
    struct config_store *s;

    assert_int_equal(config_store_new(&s), RC_OK);
    assert_int_equal(config_store_set_budget(s, CONFIG_BUDGET), RC_OK);
    *state = s;
    return 0;
}

static int stop(void **state)
{
    struct config_store *s = *state;
    struct config_store_stats stats;

    assert_int_equal(config_store_set_budget(s, 0), RC_OK);
    config_store_stats(s, &stats);
    assert_int_equal(stats.bytes, 0);
    config_store_free(&s);
    return 0;
}

static enum rc try_make(struct config_store *s, enum xds_type type, const char *name,
                        const char *value, struct config_blob **out)
{
    const struct config_resource r = {.type = type,
                                      .name = name,
                                      .value = (const uint8_t *)value,
                                      .n_value = value != NULL ? strlen(value) : 0};

    return config_store_resource(s, &r, out);
}

static struct config_blob *make(struct config_store *s, enum xds_type type, const char *name,
                                const char *value)
{
    struct config_blob *b = NULL;

    assert_int_equal(try_make(s, type, name, value, &b), RC_OK);
    return b;
}

static uint64_t in_use(struct config_store *s)
{
    struct config_store_stats stats;

    config_store_stats(s, &stats);
    return stats.bytes;
}

static uint64_t blobs(struct config_store *s)
{
    struct config_store_stats stats;

    config_store_stats(s, &stats);
    return stats.blobs;
}

static void test_config_store__equal_resources__are_one(void **state)
{
    struct config_store *s = *state;
    uint64_t empty = in_use(s);
    size_t n;

    struct config_blob *a = make(s, XDS_CDS, "a", "value");
    uint64_t one = in_use(s);
    struct config_blob *b = make(s, XDS_CDS, "a", "value");

    assert_ptr_equal(a, b);
    assert_int_equal(in_use(s), one);
    assert_string_equal(config_blob_text(a), "a");
    assert_memory_equal(config_blob_value(a, &n), "value", 5);
    assert_int_equal(n, 5);
    config_blob_unref(&a);
    assert_null(a);
    assert_int_equal(in_use(s), one);
    config_blob_unref(&b);
    assert_int_equal(in_use(s), empty);
}

static void test_config_store__what_is_not_equal__is_not(void **state)
{
    struct config_store *s = *state;
    struct config_blob *b[7];
    size_t n;

    b[0] = make(s, XDS_CDS, "a", "bc");
    b[1] = make(s, XDS_LDS, "a", "bc");
    b[2] = make(s, XDS_CDS, "ab", "c");
    b[3] = make(s, XDS_CDS, "a", "bd");
    b[4] = make(s, XDS_CDS, "a", "");
    b[5] = make(s, XDS_CDS, "a", NULL);
    assert_int_equal(config_store_text(s, "a", &b[6]), RC_OK);
    assert_int_equal(blobs(s), 7);
    assert_null(config_blob_value(b[5], &n));
    assert_non_null(config_blob_value(b[4], &n));
    for (size_t i = 0; i < 7; i++) {
        config_blob_unref(&b[i]);
    }
    assert_int_equal(blobs(s), 0);
}

static struct config_blob *make_list(struct config_store *s, struct config_blob *a,
                                     struct config_blob *b)
{
    const struct config_pair pairs[] = {{config_blob_ref(a), NULL}, {NULL, config_blob_ref(b)}};
    struct config_blob *list = NULL;

    assert_int_equal(config_store_pairs(s, pairs, 2, &list), RC_OK);
    return list;
}

static void test_config_store__lists__shared_and_hold_what_is_in_them(void **state)
{
    struct config_store *s = *state;
    struct config_blob *a = make(s, XDS_CDS, "a", "1");
    struct config_blob *b = make(s, XDS_CDS, "b", "2");
    struct config_blob *first = make_list(s, a, b);
    struct config_blob *second = make_list(s, a, b);
    struct config_blob *other = make_list(s, b, a);
    size_t n;

    assert_ptr_equal(first, second);
    assert_ptr_not_equal(first, other);
    assert_int_equal(blobs(s), 4);
    config_blob_unref(&a);
    config_blob_unref(&b);
    config_blob_unref(&other);
    config_blob_unref(&first);
    assert_int_equal(blobs(s), 3);
    const struct config_pair *pairs = config_blob_pairs(second, &n);
    assert_int_equal(n, 2);
    assert_string_equal(config_blob_text(pairs[0].a), "a");
    assert_string_equal(config_blob_text(pairs[1].b), "b");
    config_blob_unref(&second);
    assert_int_equal(blobs(s), 0);
}

static void test_config_store__empty_text_and_list__are_nothing(void **state)
{
    struct config_blob *b = NULL;
    size_t n = 1;

    assert_int_equal(config_store_text(*state, "", &b), RC_OK);
    assert_null(b);
    assert_int_equal(config_store_pairs(*state, NULL, 0, &b), RC_OK);
    assert_null(b);
    assert_string_equal(config_blob_text(NULL), "");
    assert_non_null(config_blob_pairs(NULL, &n));
    assert_int_equal(n, 0);
}

static void test_config_store__budget__is_never_exceeded(void **state)
{
    struct config_store *s = *state;
    struct config_blob *b[64] = {NULL};
    char name[16];
    char value[1000];
    enum rc rc = RC_OK;
    size_t n = 0;

    assert_int_equal(config_store_set_budget(s, 20000), RC_OK);
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    while (rc == RC_OK && n < 64) {
        snprintf(name, sizeof(name), "%zu", n);
        rc = try_make(s, XDS_CDS, name, value, &b[n]);
        n += rc == RC_OK;
        assert_true(in_use(s) <= 20000);
    }
    assert_int_equal(rc, RC_FULL);
    assert_in_range(n, 15, 19);
    assert_ptr_equal(b[0], make(s, XDS_CDS, "0", value)); /* what is there costs nothing */
    config_blob_unref(&(struct config_blob *){b[0]});

    config_blob_unref(&b[--n]);
    b[n] = make(s, XDS_CDS, "again", value);
    for (size_t i = 0; i <= n; i++) {
        config_blob_unref(&b[i]);
    }
}

static void test_config_store__take__up_to_the_budget(void **state)
{
    struct config_store *s = *state;
    uint64_t left = CONFIG_BUDGET - in_use(s);

    assert_true(config_store_take(s, left));
    assert_false(config_store_take(s, 1));
    assert_false(config_store_take(s, SIZE_MAX));
    config_store_take_anyway(s, 10);
    assert_int_equal(config_store_bytes(s), CONFIG_BUDGET + 10);
    config_store_give(s, left + 10);
    assert_int_equal(config_store_bytes(s), CONFIG_BUDGET - left);
}

static void test_config_store__another_budget__finds_what_is_there(void **state)
{
    struct config_store *s = *state;
    struct config_blob *b[200];
    char name[16];

    for (size_t i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "%zu", i);
        b[i] = make(s, XDS_CDS, name, "1");
    }
    for (uint64_t budget = UINT64_C(1) << 28; budget >= 1 << 16; budget /= 64) {
        assert_int_equal(config_store_set_budget(s, budget), RC_OK);
        for (size_t i = 0; i < 200; i++) {
            snprintf(name, sizeof(name), "%zu", i);
            struct config_blob *again = make(s, XDS_CDS, name, "1");
            assert_ptr_equal(again, b[i]);
            config_blob_unref(&again);
        }
    }
    assert_int_equal(config_store_set_budget(s, 0), RC_OK);
    assert_false(config_store_is_on(s));
    assert_int_equal(try_make(s, XDS_CDS, "new", "1", &(struct config_blob *){NULL}), RC_FULL);
    for (size_t i = 0; i < 200; i++) {
        config_blob_unref(&b[i]);
    }
    assert_int_equal(in_use(s), 0);
}

/* ---- threads ---- */

#define ROUNDS 3000

/* All make, look at and give back the same few blocks; some at the edge of the budget. */
static void *work(void *arg)
{
    struct config_store *s = arg;
    unsigned seed = (unsigned)(uintptr_t)&seed;
    char name[16];
    size_t n;

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct config_blob *a = NULL;
        struct config_blob *list = NULL;
        seed = seed * 1103515245 + 12345;
        snprintf(name, sizeof(name), "%u", seed / 65536 % 8);
        enum rc rc = try_make(s, XDS_CDS, name, name, &a);
        assert_true(rc == RC_OK || rc == RC_FULL);
        if (rc != RC_OK) {
            continue;
        }
        const uint8_t *value = config_blob_value(a, &n);
        assert_int_equal(n, strlen(name));
        assert_memory_equal(value, name, n);
        const struct config_pair pair = {config_blob_ref(a), NULL};
        if (config_store_pairs(s, &pair, 1, &list) == RC_OK) {
            assert_ptr_equal(config_blob_pairs(list, &n)[0].a, a);
        }
        config_blob_unref(&list);
        config_blob_unref(&a);
    }
    return NULL;
}

static void *reload(void *arg)
{
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(config_store_set_budget(arg, i % 3 == 0   ? 0
                                                      : i % 3 == 1 ? 4096
                                                                   : CONFIG_BUDGET * (1 + i % 7)),
                         RC_OK);
    }
    return NULL;
}

static void test_config_store__threads__nothing_is_left(void **state)
{
    pthread_t threads[4];

    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, i < 3 ? work : reload, *state), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(blobs(*state), 0);
}

/* Another thread makes the same while this one asks for memory for it: they get the same, because
 * what is there once is compared by its address. */
static _Thread_local struct {
    struct config_store *s; /* NULL: nobody else does anything */
    const char *name;
    struct config_blob *made;
} other;

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);

void *__wrap_malloc(size_t n)
{
    struct config_store *s = other.s;

    other.s = NULL;
    if (s != NULL) {
        other.made = make(s, XDS_CDS, other.name, "1");
    }
    return __real_malloc(n);
}

static void test_config_store__two_make_the_same__it_is_one(void **state)
{
    uint64_t empty = in_use(*state);

    other.s = *state;
    other.name = "a";
    struct config_blob *b = make(*state, XDS_CDS, "a", "1");

    assert_null(other.s);
    assert_ptr_equal(b, other.made);
    assert_int_equal(blobs(*state), 1);
    config_blob_unref(&b);
    config_blob_unref(&other.made);
    assert_int_equal(in_use(*state), empty);
}

#define T(name) cmocka_unit_test_setup_teardown(test_config_store__##name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(equal_resources__are_one),
        T(what_is_not_equal__is_not),
        T(lists__shared_and_hold_what_is_in_them),
        T(empty_text_and_list__are_nothing),
        T(budget__is_never_exceeded),
        T(take__up_to_the_budget),
        T(another_budget__finds_what_is_there),
        T(threads__nothing_is_left),
        T(two_make_the_same__it_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
