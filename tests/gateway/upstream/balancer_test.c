/* SPDX-License-Identifier: Apache-2.0 */
/* Which endpoint gets the next stream, and how long one that failed is left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "gateway/upstream/balancer.h"
#include "tests/support/virtual_clock.h"

struct scene {
    struct worker *worker;
    struct upstream *upstream;
    struct balancer b;
};

static char *copy(const char *s)
{
    char *c = strdup(s);
    assert_non_null(c);
    return c;
}

static struct addr address(const char *text)
{
    struct addr a;

    assert_int_equal(addr_parse(text, &a), RC_OK);
    return a;
}

/* Replace the addresses; NULL-terminated. */
static void publish(struct scene *s, const char *const *list)
{
    struct addr addrs[8];
    size_t n = 0;

    for (; list[n] != NULL; n++) {
        addrs[n] = address(list[n]);
    }
    assert_int_equal(upstream_set_addresses(s->upstream, addrs, NULL, n), RC_OK);
}

static int setup(void **state)
{
    static const char *const three[] = {"10.0.0.1:15012", "10.0.0.2:15012", "10.0.0.3:15012", NULL};
    struct log_opts quiet = {.level = LOG_ERROR};
    struct scene *s = calloc(1, sizeof(*s));
    struct upstream_opts o = {.name = copy("mesh"),
                              .endpoints = calloc(1, sizeof(*o.endpoints)),
                              .n_endpoints = 1,
                              .token_audiences = calloc(1, sizeof(char *))};

    assert_int_equal(log_setup(&quiet), RC_OK);
    o.endpoints[0] = (struct upstream_endpoint_name){copy("istiod.test"), 15012};
    assert_int_equal(worker_new(0, &s->worker), RC_OK);
    assert_int_equal(upstream_new(&o, NULL, &s->upstream), RC_OK);
    balancer_init(&s->b, s->worker, s->upstream, false);
    publish(s, three);
    assert_true(balancer_refresh(&s->b));
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;

    balancer_fini(&s->b);
    assert_int_equal(s->upstream->refs, 1);
    upstream_unref(&s->upstream);
    worker_free(&s->worker);
    free(s);
    return 0;
}

/* The last number of the picked address; 0: none. */
static int picked(struct scene *s)
{
    struct endpoint *e = balancer_pick(&s->b);
    return e == NULL ? 0 : e->addr.ip[3];
}

static struct endpoint *get(struct scene *s, int last)
{
    for (struct list *n = s->b.endpoints.next; n != &s->b.endpoints; n = n->next) {
        struct endpoint *e = LIST_ENTRY(n, struct endpoint, node);
        if (e->addr.ip[3] == last) {
            return e;
        }
    }
    return NULL;
}

static void fail_all(struct scene *s)
{
    for (int i = 1; i <= 3; i++) {
        balancer_failed(&s->b, get(s, i));
    }
}

static void test_balancer__all_healthy__the_least_busy_is_picked(void **state)
{
    struct scene *s = *state;
    get(s, 1)->active = 2;
    get(s, 2)->active = 1;
    get(s, 3)->active = 3;

    assert_int_equal(picked(s), 2);
    get(s, 2)->dialling = 2;
    assert_int_equal(picked(s), 1);
}

static void test_balancer__failed_one__is_not_picked_while_others_are_left(void **state)
{
    struct scene *s = *state;
    get(s, 2)->active = 100;
    get(s, 3)->active = 100;
    balancer_failed(&s->b, get(s, 1));

    assert_int_equal(picked(s), 2);
    virtual_clock_advance(100);
    assert_int_equal(picked(s), 2); /* its pause is over, but others are healthy */
}

static void test_balancer__failed_one__is_probed_after_its_pause_by_one_only(void **state)
{
    struct scene *s = *state;
    struct endpoint *e = get(s, 1);
    assert_null(balancer_pick_probe(&s->b));
    balancer_failed(&s->b, e);

    assert_null(balancer_pick_probe(&s->b));
    virtual_clock_advance(BACKOFF_FIRST_S * 0.79);
    assert_null(balancer_pick_probe(&s->b));
    virtual_clock_advance(BACKOFF_FIRST_S * 0.42);
    assert_ptr_equal(balancer_pick_probe(&s->b), e);
    e->dialling = 1;
    assert_null(balancer_pick_probe(&s->b));
}

static void test_balancer__fails_again_and_again__pause_doubles_to_its_bound(void **state)
{
    struct scene *s = *state;
    struct endpoint *e = get(s, 1);
    double want = BACKOFF_FIRST_S;

    for (int i = 0; i < 100; i++) {
        balancer_failed(&s->b, e);
        double pause = e->not_before - worker_now(s->worker);
        assert_true(pause >= want * 0.79 && pause <= want * 1.21);
        want = want * 2 < BACKOFF_LAST_S ? want * 2 : BACKOFF_LAST_S;
    }
    virtual_clock_advance(2 * BACKOFF_ALL_FAILED_S); /* others are healthy: no hurry */
    assert_null(balancer_pick_probe(&s->b));
}

static void test_balancer__works_again__the_pause_starts_anew(void **state)
{
    struct scene *s = *state;
    struct endpoint *e = get(s, 1);
    for (int i = 0; i < 6; i++) {
        balancer_failed(&s->b, e);
    }

    balancer_ok(&s->b, e);
    get(s, 2)->active = 1;
    get(s, 3)->active = 1;
    assert_int_equal(picked(s), 1);
    assert_int_equal(upstream_get_health(s->upstream), UPSTREAM_USABLE);
    balancer_failed(&s->b, e);

    assert_true(e->not_before - worker_now(s->worker) <= BACKOFF_FIRST_S * 1.21);
}

static void test_balancer__all_failed__each_is_tried_soon_whatever_its_pause(void **state)
{
    struct scene *s = *state;
    for (int i = 0; i < 6; i++) {
        fail_all(s);
    }
    assert_int_equal(upstream_get_health(s->upstream), UPSTREAM_UNUSABLE);
    assert_int_equal(s->upstream->resolve_soon, 1);

    assert_int_equal(picked(s), 0);
    virtual_clock_advance(BACKOFF_ALL_FAILED_S * 1.25);
    assert_int_not_equal(picked(s), 0);
    for (int i = 1; i <= 3; i++) {
        get(s, i)->dialling = 1;
    }
    assert_int_equal(picked(s), 0); /* somebody tries each of them */
}

static void test_balancer__one_is_left__says_nothing_about_health(void **state)
{
    struct scene *s = *state;

    balancer_failed(&s->b, get(s, 1));
    balancer_failed(&s->b, get(s, 2));

    assert_int_equal(upstream_get_health(s->upstream), UPSTREAM_UNKNOWN);
}

static void test_balancer__cooled_one__gets_nothing_for_so_long(void **state)
{
    struct scene *s = *state;
    get(s, 2)->active = 9;
    get(s, 3)->active = 9;

    balancer_cool(&s->b, get(s, 1), 2);
    balancer_cool(&s->b, get(s, 1), 0.5); /* a shorter one does not end it */
    virtual_clock_advance(1.9);
    assert_int_equal(picked(s), 2);
    virtual_clock_advance(0.2);

    assert_int_equal(picked(s), 1);
}

static void test_balancer__has_other__means_a_healthy_one_that_is_not_cooled(void **state)
{
    struct scene *s = *state;
    struct endpoint *e = get(s, 1);
    balancer_failed(&s->b, get(s, 2));

    assert_true(balancer_has_other(&s->b, e));
    balancer_cool(&s->b, get(s, 3), 1);
    assert_false(balancer_has_other(&s->b, e));
    virtual_clock_advance(1.1);

    assert_true(balancer_has_other(&s->b, e));
}

static void test_balancer__refresh__keeps_known_ones_with_their_past(void **state)
{
    static const char *const changed[] = {"10.0.0.3:15012", "10.0.0.4:15012", NULL};
    struct scene *s = *state;
    struct endpoint *kept = get(s, 3);
    struct endpoint *held = endpoint_ref(get(s, 1));
    assert_false(balancer_refresh(&s->b));
    kept->active = 5;
    balancer_failed(&s->b, kept);

    publish(s, changed);
    assert_true(balancer_refresh(&s->b));

    assert_ptr_equal(get(s, 3), kept);
    assert_int_equal(kept->active, 5);
    assert_int_equal(kept->failures, 1);
    assert_null(get(s, 1));
    assert_false(held->listed);
    assert_int_equal(held->refs, 1);
    assert_int_equal(picked(s), 4);
    endpoint_unref(&held);
}

static void test_balancer__address_with_another_port__is_another_endpoint(void **state)
{
    static const char *const ports[] = {"10.0.0.1:15012", "10.0.0.1:15013", NULL};
    struct scene *s = *state;
    struct endpoint *first = get(s, 1);

    publish(s, ports);
    assert_true(balancer_refresh(&s->b));
    first->active = 1;

    assert_int_equal(balancer_pick(&s->b)->addr.port, 15013);
}

static void test_balancer__no_addresses__nothing_to_pick(void **state)
{
    static const char *const none[] = {NULL};
    struct scene *s = *state;

    publish(s, none);
    assert_true(balancer_refresh(&s->b));

    assert_null(balancer_pick(&s->b));
    assert_null(balancer_pick_probe(&s->b));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_balancer__all_healthy__the_least_busy_is_picked),
        TEST(test_balancer__failed_one__is_not_picked_while_others_are_left),
        TEST(test_balancer__failed_one__is_probed_after_its_pause_by_one_only),
        TEST(test_balancer__fails_again_and_again__pause_doubles_to_its_bound),
        TEST(test_balancer__works_again__the_pause_starts_anew),
        TEST(test_balancer__all_failed__each_is_tried_soon_whatever_its_pause),
        TEST(test_balancer__one_is_left__says_nothing_about_health),
        TEST(test_balancer__cooled_one__gets_nothing_for_so_long),
        TEST(test_balancer__has_other__means_a_healthy_one_that_is_not_cooled),
        TEST(test_balancer__refresh__keeps_known_ones_with_their_past),
        TEST(test_balancer__address_with_another_port__is_another_endpoint),
        TEST(test_balancer__no_addresses__nothing_to_pick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
