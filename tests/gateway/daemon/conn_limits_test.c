/* SPDX-License-Identifier: Apache-2.0 */
/* Who is counted where, and that whoever leaves makes room. */
#include "gateway/daemon/conn_limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

void *__real_calloc(size_t n, size_t size);
char *__real_strdup(const char *s);
void *__wrap_calloc(size_t n, size_t size);
char *__wrap_strdup(const char *s);

/* Allocations until one fails; 0: none will. */
static unsigned countdown;

static bool fails(void)
{
    return countdown > 0 && --countdown == 0;
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

static struct addr source(const char *text)
{
    struct addr a;

    assert_int_equal(addr_parse(text, &a), RC_OK);
    return a;
}

static enum conn_admission enter(struct conn_limits *l, const char *listener, const char *from,
                                 struct conn_place **place)
{
    struct addr a = source(from);
    return conn_limits_enter(l, listener, &a, 3, 2, place);
}

static int setup(void **state)
{
    struct conn_limits *l;

    countdown = 0;
    assert_int_equal(conn_limits_new(&l), RC_OK);
    *state = l;
    return 0;
}

/* Freeing checks that nothing is counted any more. */
static int teardown(void **state)
{
    struct conn_limits *l = *state;

    conn_limits_free(&l);
    assert_null(l);
    return 0;
}

static void leave_all(struct conn_limits *l, struct conn_place **places, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        conn_limits_leave(l, &places[i]);
        assert_null(places[i]);
    }
}

static void test_conn_limits__one_source__stays_within_its_limit_whatever_its_port(void **state)
{
    struct conn_place *p[2];
    struct conn_place *none = NULL;

    assert_int_equal(enter(*state, "vms", "192.0.2.1:1", &p[0]), CONN_ADMITTED);
    assert_int_equal(enter(*state, "vms", "192.0.2.1:2", &p[1]), CONN_ADMITTED);
    assert_int_equal(enter(*state, "vms", "192.0.2.1:3", &none), CONN_OVER_SOURCE);
    assert_null(none);

    conn_limits_leave(*state, &p[0]);
    assert_int_equal(enter(*state, "vms", "192.0.2.1:3", &p[0]), CONN_ADMITTED);
    leave_all(*state, p, 2);
}

static void test_conn_limits__many_sources__stay_within_the_total(void **state)
{
    struct conn_place *p[3];
    struct conn_place *none = NULL;

    assert_int_equal(enter(*state, "vms", "192.0.2.1:1", &p[0]), CONN_ADMITTED);
    assert_int_equal(enter(*state, "vms", "192.0.2.2:1", &p[1]), CONN_ADMITTED);
    assert_int_equal(enter(*state, "vms", "[2001:db8::1]:1", &p[2]), CONN_ADMITTED);
    assert_int_equal(enter(*state, "vms", "192.0.2.4:1", &none), CONN_OVER_TOTAL);
    assert_null(none);

    conn_limits_leave(*state, &p[1]);
    assert_int_equal(enter(*state, "vms", "192.0.2.4:1", &p[1]), CONN_ADMITTED);
    leave_all(*state, p, 3);
}

static void test_conn_limits__listeners__count_apart(void **state)
{
    struct conn_place *p[4];

    assert_int_equal(enter(*state, "a", "192.0.2.1:1", &p[0]), CONN_ADMITTED);
    assert_int_equal(enter(*state, "a", "192.0.2.1:1", &p[1]), CONN_ADMITTED);
    assert_int_equal(enter(*state, "b", "192.0.2.1:1", &p[2]), CONN_ADMITTED);
    assert_int_equal(enter(*state, "b", "192.0.2.1:1", &p[3]), CONN_ADMITTED);

    leave_all(*state, p, 2);
    assert_int_equal(enter(*state, "b", "192.0.2.1:1", &p[0]), CONN_OVER_SOURCE);
    leave_all(*state, p + 2, 2);
}

static void blame(struct conn_limits *l, const char *from, double seconds, double now)
{
    struct conn_place *p;

    assert_int_equal(enter(l, "vms", from, &p), CONN_ADMITTED);
    conn_limits_blame(l, p, seconds, now);
    conn_limits_leave(l, &p);
}

static bool bars(struct conn_limits *l, const char *from, double now)
{
    struct addr a = source(from);
    return conn_limits_bars(l, &a, now);
}

static void test_conn_limits__blamed_for_too_much__barred_until_it_has_passed(void **state)
{
    for (double s = 1; s <= CONN_BLAME_MAX_S; s++) {
        blame(*state, "192.0.2.1:1", 1, 100);
        assert_false(bars(*state, "192.0.2.1:2", 100));
    }
    blame(*state, "192.0.2.1:1", 1, 100);

    assert_true(bars(*state, "192.0.2.1:2", 100));
    assert_false(bars(*state, "192.0.2.2:2", 100));
    assert_true(bars(*state, "192.0.2.1:2", 100.9));
    assert_false(bars(*state, "192.0.2.1:2", 101.1));
    blame(*state, "192.0.2.1:1", 1, 101.1); /* the rest still counts */
    assert_true(bars(*state, "192.0.2.1:2", 101.1));
}

static void test_conn_limits__blamed_now_and_then__never_barred(void **state)
{
    for (int i = 0; i < 1000; i++) {
        blame(*state, "192.0.2.1:1", 1, 100 + i);
        assert_false(bars(*state, "192.0.2.1:1", 100 + i));
    }
}

static void test_conn_limits__blamed_for_ever__forgiven_after_a_minute(void **state)
{
    for (int i = 0; i < 1000; i++) {
        blame(*state, "192.0.2.1:1", 10, 100);
    }

    assert_true(bars(*state, "192.0.2.1:1", 100 + CONN_BLAME_END_S - CONN_BLAME_MAX_S - 1));
    assert_false(bars(*state, "192.0.2.1:1", 100 + CONN_BLAME_END_S - CONN_BLAME_MAX_S + 1));
}

static void test_conn_limits__blame__is_of_an_ipv6_network(void **state)
{
    blame(*state, "[2001:db8::1]:1", 11, 100);

    assert_true(bars(*state, "[2001:db8::ffff:2]:1", 100));
    assert_false(bars(*state, "[2001:db8:0:1::1]:1", 100));
}

static void test_conn_limits__more_to_blame_than_are_remembered__the_worst_stays(void **state)
{
    char text[32];
    unsigned barred = 0;

    blame(*state, "192.0.2.1:1", 60, 100);
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(text, sizeof(text), "10.0.%u.%u:1", i / 250, i % 250);
        blame(*state, text, 11, 100);
        barred += bars(*state, text, 100);
    }

    assert_true(barred > 15000); /* the newest of equals is remembered */
    assert_true(bars(*state, "192.0.2.1:1", 100));
}

static void test_conn_limits__name_is_copied__same_text_is_the_same_listener(void **state)
{
    char name[] = "vms";
    struct conn_place *p[2];
    struct conn_place *none = NULL;

    assert_int_equal(enter(*state, name, "192.0.2.1:1", &p[0]), CONN_ADMITTED);
    name[0] = 'x';
    assert_int_equal(enter(*state, "vms", "192.0.2.1:1", &p[1]), CONN_ADMITTED);
    assert_int_equal(enter(*state, "vms", "192.0.2.1:1", &none), CONN_OVER_SOURCE);
    leave_all(*state, p, 2);
}

static void test_conn_limits__limit_lowered_by_a_reload__holds_for_the_next(void **state)
{
    struct addr a = source("192.0.2.1:1");
    struct conn_place *p[2];
    struct conn_place *none = NULL;

    assert_int_equal(conn_limits_enter(*state, "vms", &a, 10, 10, &p[0]), CONN_ADMITTED);
    assert_int_equal(conn_limits_enter(*state, "vms", &a, 10, 10, &p[1]), CONN_ADMITTED);
    assert_int_equal(conn_limits_enter(*state, "vms", &a, 10, 1, &none), CONN_OVER_SOURCE);
    assert_int_equal(conn_limits_enter(*state, "vms", &a, 1, 10, &none), CONN_OVER_TOTAL);
    leave_all(*state, p, 2);
}

static void test_conn_limits__more_sources_than_buckets__are_told_apart(void **state)
{
    enum { N = 6000 };
    static struct conn_place *p[N];
    char text[32];

    for (unsigned i = 0; i < N; i++) {
        snprintf(text, sizeof(text), "10.0.%u.%u:1", i / 256, i % 256);
        struct addr a = source(text);
        assert_int_equal(conn_limits_enter(*state, "vms", &a, N, 1, &p[i]), CONN_ADMITTED);
    }
    struct addr first = source("10.0.0.0:1");
    struct addr fresh = source("10.9.9.9:1");
    struct conn_place *none = NULL;
    assert_int_equal(conn_limits_enter(*state, "vms", &first, N + 1, 1, &none), CONN_OVER_SOURCE);
    assert_int_equal(conn_limits_enter(*state, "vms", &fresh, N, 1, &none), CONN_OVER_TOTAL);
    leave_all(*state, p, N);
}

static void test_conn_limits__no_memory_for_the_first__says_so_and_keeps_nothing(void **state)
{
    (void)state;

    for (unsigned n = 1; n <= 3; n++) {
        struct conn_limits *l;
        struct conn_place *none = NULL;
        assert_int_equal(conn_limits_new(&l), RC_OK);
        countdown = n;
        assert_int_equal(enter(l, "vms", "192.0.2.1:1", &none), CONN_NO_MEMORY);
        assert_int_equal(countdown, 0);
        assert_null(none);
        conn_limits_free(&l); /* checks that nothing is left */
    }
}

static void test_conn_limits__no_memory_for_another_source__the_others_stay(void **state)
{
    struct conn_place *p[3];
    struct conn_place *none = NULL;

    assert_int_equal(enter(*state, "vms", "192.0.2.1:1", &p[0]), CONN_ADMITTED);
    countdown = 1;
    assert_int_equal(enter(*state, "vms", "192.0.2.2:1", &none), CONN_NO_MEMORY);
    assert_null(none);

    assert_int_equal(enter(*state, "vms", "192.0.2.1:1", &p[1]), CONN_ADMITTED);
    assert_int_equal(enter(*state, "vms", "192.0.2.2:1", &p[2]), CONN_ADMITTED);
    leave_all(*state, p, 3);
}

static void test_conn_limits__new_without_memory__says_so(void **state)
{
    struct conn_limits *l = NULL;
    (void)state;
    countdown = 1;

    assert_int_equal(conn_limits_new(&l), RC_NO_MEMORY);
    assert_null(l);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_conn_limits__one_source__stays_within_its_limit_whatever_its_port),
        TEST(test_conn_limits__many_sources__stay_within_the_total),
        TEST(test_conn_limits__listeners__count_apart),
        TEST(test_conn_limits__blamed_for_too_much__barred_until_it_has_passed),
        TEST(test_conn_limits__blamed_now_and_then__never_barred),
        TEST(test_conn_limits__blamed_for_ever__forgiven_after_a_minute),
        TEST(test_conn_limits__blame__is_of_an_ipv6_network),
        TEST(test_conn_limits__more_to_blame_than_are_remembered__the_worst_stays),
        TEST(test_conn_limits__name_is_copied__same_text_is_the_same_listener),
        TEST(test_conn_limits__limit_lowered_by_a_reload__holds_for_the_next),
        TEST(test_conn_limits__more_sources_than_buckets__are_told_apart),
        TEST(test_conn_limits__no_memory_for_the_first__says_so_and_keeps_nothing),
        TEST(test_conn_limits__no_memory_for_another_source__the_others_stay),
        TEST(test_conn_limits__new_without_memory__says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
