/* SPDX-License-Identifier: Apache-2.0 */
/* The arena: what was put in comes out, however it grows. */
#include "core/h2/headers.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- what is freed, is looked at ---- */

static const char *looked_for;
static unsigned n_seen;

void __real_free(void *p);
void *__real_realloc(void *p, size_t n);
void __wrap_free(void *p);
void *__wrap_realloc(void *p, size_t n);

static void look(const void *p)
{
    if (looked_for != NULL && p != NULL) {
        n_seen += memmem(p, malloc_usable_size((void *)(uintptr_t)p), looked_for,
                         strlen(looked_for)) != NULL;
    }
}

void __wrap_free(void *p)
{
    look(p);
    __real_free(p);
}

/* It may free, too. */
void *__wrap_realloc(void *p, size_t n)
{
    look(p);
    return __real_realloc(p, n);
}

/* ---- tests ---- */

static void add(struct h2_headers *h, const char *name, const char *value)
{
    assert_int_equal(h2_headers_add_str(h, name, value), RC_OK);
}

static void assert_item(const struct h2_headers *h, size_t i, const char *name, const char *value)
{
    assert_int_equal(h->items[i].name_len, strlen(name));
    assert_memory_equal(h2_header_name(h, i), name, strlen(name));
    assert_int_equal(h->items[i].value_len, strlen(value));
    assert_memory_equal(h2_header_value(h, i), value, strlen(value));
}

static void test_headers__hundreds_of_all_sizes__keep_their_order_and_bytes(void **state)
{
    static char value[5000];
    struct h2_headers h = {0};
    char name[32];
    (void)state;

    for (size_t i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "name-%zu", i);
        memset(value, 'a' + (int)(i % 26), sizeof(value));
        value[i * 7 % sizeof(value)] = '\0';
        add(&h, name, value);
    }

    assert_int_equal(h.n, 500);
    for (size_t i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "name-%zu", i);
        memset(value, 'a' + (int)(i % 26), sizeof(value));
        value[i * 7 % sizeof(value)] = '\0';
        assert_item(&h, i, name, value);
    }
    h2_headers_fini(&h);
}

static void test_headers__bytes_of_any_kind__are_kept(void **state)
{
    struct h2_headers h = {0};
    (void)state;

    assert_int_equal(h2_headers_add(&h, "a\0b", 3, "\0\xff", 2, true), RC_OK);
    assert_int_equal(h2_headers_add(&h, "", 0, "", 0, false), RC_OK);

    assert_int_equal(h.items[0].name_len, 3);
    assert_memory_equal(h2_header_name(&h, 0), "a\0b", 3);
    assert_memory_equal(h2_header_value(&h, 0), "\0\xff", 2);
    assert_true(h.items[0].never_index);
    assert_item(&h, 1, "", "");
    assert_false(h.items[1].never_index);
    h2_headers_fini(&h);
}

static void test_headers__find__the_first_of_exactly_this_name(void **state)
{
    struct h2_headers h = {0};
    size_t n = 77;
    (void)state;
    add(&h, "te", "trailers");
    add(&h, "tea", "green");
    add(&h, "te", "other");
    add(&h, "empty", "");

    assert_memory_equal(h2_headers_find(&h, "te", &n), "trailers", 8);
    assert_int_equal(n, 8);
    assert_non_null(h2_headers_find(&h, "empty", &n));
    assert_int_equal(n, 0);
    n = 77;
    assert_null(h2_headers_find(&h, "t", &n));
    assert_null(h2_headers_find(&h, "teas", &n));
    assert_int_equal(n, 77);
    assert_int_equal(h2_headers_count(&h, "te"), 2);
    assert_int_equal(h2_headers_count(&h, "none"), 0);
    assert_true(h2_header_is(&h, 1, "tea"));
    assert_false(h2_header_is(&h, 1, "te"));
    h2_headers_fini(&h);
}

static void test_headers__bytes__count_32_for_each(void **state)
{
    struct h2_headers h = {0};
    (void)state;
    assert_int_equal(h2_headers_bytes(&h), 0);

    add(&h, "abc", "de");
    assert_int_equal(h2_headers_bytes(&h), 37);
    add(&h, "", "");
    assert_int_equal(h2_headers_bytes(&h), 69);
    h2_headers_fini(&h);
    assert_int_equal(h2_headers_bytes(&h), 0);
}

static void test_headers__take__moves_all_and_forgets_the_old(void **state)
{
    struct h2_headers a = {0};
    struct h2_headers b = {0};
    (void)state;
    add(&a, "old", "1");
    add(&b, "new", "2");

    h2_headers_take(&a, &b);
    assert_int_equal(a.n, 1);
    assert_item(&a, 0, "new", "2");
    assert_int_equal(b.n, 0);
    add(&b, "again", "3");
    assert_item(&b, 0, "again", "3");
    assert_item(&a, 0, "new", "2");

    h2_headers_fini(&a);
    h2_headers_fini(&b);
}

static void test_headers__fini__may_be_used_again(void **state)
{
    struct h2_headers h = {0};
    (void)state;
    add(&h, "a", "1");

    h2_headers_fini(&h);
    h2_headers_fini(&h);
    assert_int_equal(h.n, 0);
    add(&h, "b", "2");

    assert_item(&h, 0, "b", "2");
    h2_headers_fini(&h);
}

/* Returns how many blocks held the value when they were freed. */
static unsigned seen_when_freed(bool never_index)
{
    static const char value[] = "Bearer eyJ-of-somebody";
    static char more[3000];
    struct h2_headers h = {0};

    memset(more, 'x', sizeof(more) - 1);
    add(&h, ":method", "POST");
    assert_int_equal(h2_headers_add(&h, "authorization", 13, value, strlen(value), never_index),
                     RC_OK);
    looked_for = value;
    n_seen = 0;
    add(&h, "more", more); /* grows */
    assert_item(&h, 1, "authorization", value);
    h2_headers_fini(&h);
    looked_for = NULL;
    return n_seen;
}

static void test_headers__credentials__wiped_before_they_are_freed(void **state)
{
    (void)state;

    assert_int_equal(seen_when_freed(true), 0);
    assert_int_equal(seen_when_freed(false), 2); /* so they would have been seen */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers__hundreds_of_all_sizes__keep_their_order_and_bytes),
        cmocka_unit_test(test_headers__bytes_of_any_kind__are_kept),
        cmocka_unit_test(test_headers__find__the_first_of_exactly_this_name),
        cmocka_unit_test(test_headers__bytes__count_32_for_each),
        cmocka_unit_test(test_headers__take__moves_all_and_forgets_the_old),
        cmocka_unit_test(test_headers__credentials__wiped_before_they_are_freed),
        cmocka_unit_test(test_headers__fini__may_be_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
