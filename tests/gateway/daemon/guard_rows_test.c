/* SPDX-License-Identifier: Apache-2.0 */
/* Whom the guard asks next, what is known of an upstream, and what a reload leaves of it. */
#include "gateway/daemon/guard_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1000.0
#define UPSTREAMS 4

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);

static bool short_of_memory;

void *__wrap_realloc(void *p, size_t size)
{
    return short_of_memory ? NULL : __real_realloc(p, size);
}

/* root_set_unref() is not ours to call: roots only have to be there. */
static char some_roots;

/* Upstreams 0 and 1 are passed on to, 2 and 3 ask. */
struct fixture {
    struct config_route routes[2];
    struct config_listener listener;
    struct config config;
    struct upstream *upstreams[UPSTREAMS];
    struct generation g;
    struct guard_rows rows;
};

static struct upstream *make_upstream(bool asks)
{
    struct upstream_opts o = {.identity = asks ? UPSTREAM_TOKEN : UPSTREAM_FORWARD};
    struct upstream *u = NULL;

    o.name = strdup("istiod");
    assert_int_equal(upstream_new(&o, NULL, &u), RC_OK);
    u->roots = asks ? (struct root_set *)(void *)&some_roots : NULL;
    return u;
}

static void drop(struct upstream **u)
{
    (*u)->roots = NULL;
    upstream_unref(u);
}

static void set_addresses(struct upstream *u, unsigned first, size_t n)
{
    struct addr *list = calloc(n + 1, sizeof(*list));

    assert_non_null(list);
    for (size_t i = 0; i < n; i++) {
        char text[40];
        (void)snprintf(text, sizeof(text), "10.0.0.%u:15012", first + (unsigned)i);
        assert_int_equal(addr_parse(text, &list[i]), RC_OK);
    }
    assert_int_equal(upstream_set_addresses(u, list, NULL, n), RC_OK);
    free(list);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    short_of_memory = false;
    f->routes[0] = (struct config_route){.mode = ROUTE_PASSTHROUGH, .upstream = 0};
    f->routes[1] = (struct config_route){.mode = ROUTE_PASSTHROUGH, .upstream = 1};
    f->listener = (struct config_listener){.routes = f->routes, .n_routes = 2};
    f->config =
        (struct config){.listeners = &f->listener, .n_listeners = 1, .n_upstreams = UPSTREAMS};
    for (size_t i = 0; i < UPSTREAMS; i++) {
        f->upstreams[i] = make_upstream(i >= 2);
    }
    f->g = (struct generation){.config = &f->config, .upstreams = f->upstreams};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    guard_rows_fini(&f->rows);
    for (size_t i = 0; i < UPSTREAMS; i++) {
        drop(&f->upstreams[i]);
    }
    free(f);
    return 0;
}

static void update(struct fixture *f)
{
    assert_int_equal(guard_rows_update(&f->rows, &f->g), RC_OK);
}

static enum guard_safety known(const struct fixture *f, size_t i)
{
    enum guard_safety all[UPSTREAMS];

    guard_rows_judge(&f->rows, all, f->config.n_upstreams);
    return all[i];
}

/* Who is asked, in a round of nothing but this answer. */
static size_t answer_all(struct fixture *f, enum guard_safety safety, double began)
{
    struct guard_row *row;
    size_t n = 0;

    while ((row = guard_rows_next(&f->rows, began)) != NULL) {
        guard_row_answer(row, safety, began + (double)++n / 1000);
        assert_true(n <= f->rows.n);
    }
    return n;
}

static void test_guard_rows__new__every_address_is_asked_by_each_who_asks(void **state)
{
    struct fixture *f = *state;
    set_addresses(f->upstreams[0], 1, 3);
    set_addresses(f->upstreams[1], 1, 1);

    update(f);

    assert_int_equal(f->rows.n, (3 + 1) * 2);
    assert_int_equal(known(f, 0), GUARD_UNASKED);
    assert_int_equal(answer_all(f, GUARD_SAFE, NOW), 8);
    assert_int_equal(known(f, 0), GUARD_SAFE);
    assert_int_equal(known(f, 1), GUARD_SAFE);
}

static void test_guard_rows__nobody_asks_or_nobody_is_passed_on__no_rows(void **state)
{
    struct fixture *f = *state;
    set_addresses(f->upstreams[0], 1, 3);
    update(f);
    assert_true(f->rows.n > 0);

    f->upstreams[2]->roots = f->upstreams[3]->roots = NULL;
    update(f);
    assert_int_equal(f->rows.n, 0);
    assert_false(guard_watches(&f->g, 0));

    f->upstreams[2]->roots = (struct root_set *)(void *)&some_roots;
    f->listener.n_routes = 0;
    update(f);
    assert_int_equal(f->rows.n, 0);
    assert_null(guard_rows_next(&f->rows, NOW));
}

static void test_guard_rows__one_has_not_been_asked__nothing_is_said_but_unsafe(void **state)
{
    struct fixture *f = *state;
    set_addresses(f->upstreams[0], 1, 2);
    update(f);

    guard_row_answer(&f->rows.rows[0], GUARD_SAFE, NOW);
    assert_int_equal(known(f, 0), GUARD_UNASKED);
    guard_row_answer(&f->rows.rows[1], GUARD_UNSAFE, NOW);
    assert_int_equal(known(f, 0), GUARD_UNSAFE);
    assert_int_equal(known(f, 1), GUARD_UNKNOWN);
}

static void test_guard_rows__unsafe_one_is_away__it_stays_unsafe(void **state)
{
    struct fixture *f = *state;
    set_addresses(f->upstreams[0], 1, 2);
    update(f);
    answer_all(f, GUARD_SAFE, NOW);
    guard_row_answer(&f->rows.rows[0], GUARD_UNSAFE, NOW);

    guard_row_answer(&f->rows.rows[0], GUARD_UNKNOWN, NOW + 3);
    assert_int_equal(known(f, 0), GUARD_UNSAFE);
    guard_row_answer(&f->rows.rows[0], GUARD_SAFE, NOW + 6);
    assert_int_equal(known(f, 0), GUARD_SAFE);
}

static void test_guard_rows__reload__answers_stay_with_upstreams_wherever_they_are(void **state)
{
    struct fixture *f = *state;
    set_addresses(f->upstreams[0], 1, 2);
    set_addresses(f->upstreams[1], 1, 1);
    update(f);
    answer_all(f, GUARD_SAFE, NOW);
    guard_row_answer(&f->rows.rows[1], GUARD_UNSAFE, NOW);

    struct upstream *moved[UPSTREAMS] = {f->upstreams[3], f->upstreams[1], f->upstreams[2],
                                         f->upstreams[0]};
    f->g.upstreams = moved;
    f->routes[0].upstream = 3;
    update(f);

    assert_int_equal(known(f, 3), GUARD_UNSAFE);
    assert_int_equal(known(f, 1), GUARD_SAFE);
    assert_null(guard_rows_next(&f->rows, NOW + 1));
}

static void
test_guard_rows__reload_replaces_the_one_who_asked__unsafe_until_others_know(void **state)
{
    struct fixture *f = *state;
    set_addresses(f->upstreams[0], 1, 2);
    update(f);
    answer_all(f, GUARD_OTHER, NOW);
    guard_row_answer(&f->rows.rows[0], GUARD_UNSAFE, NOW);
    assert_ptr_equal(f->rows.rows[0].like, f->upstreams[2]);

    struct upstream *fresh = make_upstream(true);
    struct upstream *old = f->upstreams[2];
    f->upstreams[2] = fresh;
    update(f);
    drop(&old);

    assert_int_equal(f->rows.rows[0].safety, GUARD_UNSAFE);
    assert_int_equal(f->rows.rows[1].safety, GUARD_OTHER); /* its own answer */
    assert_int_equal(f->rows.rows[2].safety, GUARD_UNASKED);
    answer_all(f, GUARD_UNKNOWN, NOW + 3);
    assert_int_equal(known(f, 0), GUARD_UNSAFE);
    guard_row_answer(&f->rows.rows[0], GUARD_SAFE, NOW + 6);
    assert_int_equal(known(f, 0), GUARD_SAFE);
}

static void test_guard_rows__address_vanishes__nothing_of_it_stays(void **state)
{
    struct fixture *f = *state;
    f->upstreams[3]->roots = NULL;
    set_addresses(f->upstreams[0], 1, 2);
    update(f);
    guard_row_answer(&f->rows.rows[0], GUARD_UNSAFE, NOW);
    guard_row_answer(&f->rows.rows[1], GUARD_SAFE, NOW);

    set_addresses(f->upstreams[0], 2, 1);
    update(f);
    assert_int_equal(known(f, 0), GUARD_SAFE);
    for (unsigned i = 0; i < 1000; i++) {
        set_addresses(f->upstreams[0], i % 200, 3);
        update(f);
        assert_int_equal(f->rows.n, 3);
    }
}

static void test_guard_rows__many_silent_addresses__each_has_its_turn(void **state)
{
    struct fixture *f = *state;
    size_t asked[200] = {0};
    f->upstreams[3]->roots = NULL;
    set_addresses(f->upstreams[0], 1, 200);
    update(f);
    double now = NOW;

    for (size_t i = 0; i < 600; i++, now += 1.5) { /* as rounds that are never over */
        struct guard_row *row = guard_rows_next(&f->rows, now);
        assert_non_null(row);
        asked[row - f->rows.rows]++;
        guard_row_answer(row, GUARD_UNKNOWN, now);
        update(f);
    }

    for (size_t i = 0; i < 200; i++) {
        assert_int_equal(asked[i], 3);
    }
}

static void test_guard_rows__round__asks_nobody_twice_and_ends(void **state)
{
    struct fixture *f = *state;
    set_addresses(f->upstreams[0], 1, 5);
    update(f);

    assert_int_equal(answer_all(f, GUARD_UNKNOWN, NOW), 10);
    assert_int_equal(answer_all(f, GUARD_UNSAFE, NOW + 3), 10);
    assert_int_equal(answer_all(f, GUARD_OTHER, NOW + 6), 10);
    assert_int_equal(answer_all(f, GUARD_OTHER, NOW + 9), 0);
    assert_int_equal(answer_all(f, GUARD_SAFE, NOW + 67), 10);
    assert_int_equal(answer_all(f, GUARD_SAFE, NOW + 300), 0);
}

static void test_guard_rows__no_memory__rows_stay(void **state)
{
    struct fixture *f = *state;
    set_addresses(f->upstreams[0], 1, 1);
    update(f);
    guard_row_answer(&f->rows.rows[0], GUARD_UNSAFE, NOW);
    set_addresses(f->upstreams[0], 1, 2);

    short_of_memory = true;
    assert_int_equal(guard_rows_update(&f->rows, &f->g), RC_NO_MEMORY);

    assert_int_equal(f->rows.n, 2);
    assert_int_equal(known(f, 0), GUARD_UNSAFE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_guard_rows__new__every_address_is_asked_by_each_who_asks),
        TEST(test_guard_rows__nobody_asks_or_nobody_is_passed_on__no_rows),
        TEST(test_guard_rows__one_has_not_been_asked__nothing_is_said_but_unsafe),
        TEST(test_guard_rows__unsafe_one_is_away__it_stays_unsafe),
        TEST(test_guard_rows__reload__answers_stay_with_upstreams_wherever_they_are),
        TEST(test_guard_rows__reload_replaces_the_one_who_asked__unsafe_until_others_know),
        TEST(test_guard_rows__address_vanishes__nothing_of_it_stays),
        TEST(test_guard_rows__many_silent_addresses__each_has_its_turn),
        TEST(test_guard_rows__round__asks_nobody_twice_and_ends),
        TEST(test_guard_rows__no_memory__rows_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
