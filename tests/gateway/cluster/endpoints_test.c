/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upstreams that follow services, against a server that follows the test: what it lists is set by
 * listing(), a watch goes on in silence until its time has come.
 */
#include "gateway/cluster/endpoints.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "tests/kube/api_fixture.h"

#define NO_CLIENT "there is no way to Kubernetes"

struct fixture {
    struct api_fixture *api;
    struct endpoints *e;
    struct upstream *a; /* of service istiod */
    struct upstream *b; /* the same */
    struct upstream *c; /* of service canary */
    struct upstream *d; /* without discovery */
    unsigned n_heard;
    bool answered;
};

/* Read by the server's threads. */
static const char *listed;
static int list_status;

static void listing(int status, const char *items)
{
    __atomic_store_n(&list_status, status, __ATOMIC_RELAXED);
    __atomic_store_n(&listed, items, __ATOMIC_RELEASE);
}

#define SLICE(ip)                                                                        \
    "{\"metadata\":{\"name\":\"s\",\"resourceVersion\":\"1\"},\"addressType\":\"IPv4\"," \
    "\"ports\":[{\"port\":15012}],\"endpoints\":[{\"addresses\":[\"" ip "\"]}]}"

static void on_request(void *arg, const struct fake_api_request *r, struct fake_api_link *l)
{
    char body[1024];
    const char *items = __atomic_load_n(&listed, __ATOMIC_ACQUIRE);

    (void)arg;
    if (strstr(r->path, "watch=1") != NULL) {
        fake_api_begin(l, 200);
        fake_api_hang(l);
        return;
    }
    snprintf(body, sizeof(body), "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[%s]}",
             items);
    fake_api_answer(l, __atomic_load_n(&list_status, __ATOMIC_RELAXED), "", body);
}

static void on_heard(void *arg, bool answered)
{
    struct fixture *f = arg;

    f->n_heard++;
    f->answered = answered;
}

static struct upstream *make_upstream(const char *name, const char *service)
{
    struct upstream_opts o = {.name = strdup(name)};
    struct upstream *u;

    if (service != NULL) {
        o.discovery = (struct upstream_discovery){.on = true,
                                                  .service = strdup(service),
                                                  .ns = strdup("istio-system"),
                                                  .port = strdup("15012")};
    }
    o.token_audiences = calloc(1, sizeof(char *));
    assert_int_equal(upstream_new(&o, NULL, &u), RC_OK);
    return u;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    listing(200, SLICE("10.0.0.1"));
    f->api = api_fixture_new(on_request);
    assert_int_equal(endpoints_new(on_heard, f, &f->e), RC_OK);
    f->a = make_upstream("a", "istiod");
    f->b = make_upstream("b", "istiod");
    f->c = make_upstream("c", "canary");
    f->d = make_upstream("d", NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    kube_free(&f->api->k);
    endpoints_free(&f->e);
    upstream_unref(&f->a);
    upstream_unref(&f->b);
    upstream_unref(&f->c);
    upstream_unref(&f->d);
    api_fixture_free(f->api);
    free(f);
    return 0;
}

static void follow(struct fixture *f, struct upstream *u, struct upstream *v)
{
    struct upstream *const list[] = {u, v};

    assert_int_equal(endpoints_set(f->e, list, u == NULL ? 0 : v == NULL ? 1 : 2), RC_OK);
}

static void turn(struct fixture *f)
{
    double pause = endpoints_turn(f->e, f->api->k, NO_CLIENT, clock_mono());

    assert_true(pause >= 0 && pause <= 1);
    if (f->api->k != NULL) {
        kube_turn(f->api->k, 10);
    }
}

static bool has(struct upstream *u, const char *address)
{
    struct address_set *s = upstream_addresses(u);
    char text[ADDR_TEXT_BYTES] = "";

    if (s->n == 1) {
        addr_format(&s->addrs[0], text);
    }
    bool same = s->n <= 1 && strcmp(text, address) == 0;
    address_set_unref(&s);
    return same;
}

static void await_address(struct fixture *f, struct upstream *u, const char *address)
{
    for (int i = 0; i < 3000 && !has(u, address); i++) {
        turn(f);
    }
    assert_true(has(u, address));
}

/* ---- tests ---- */

static void test_endpoints__two_upstreams_of_a_service__one_watch_for_both(void **state)
{
    struct fixture *f = *state;
    struct endpoints_state s;

    follow(f, f->a, f->b);
    assert_true(endpoints_look(f->e, f->a, &s));
    assert_false(s.known);
    await_address(f, f->b, "10.0.0.1:15012");

    assert_true(has(f->a, "10.0.0.1:15012"));
    assert_true(endpoints_look(f->e, f->a, &s));
    assert_true(s.known && s.current);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.why, "");
    assert_int_equal(strncmp(fake_api_request(f->api->api, 1).path,
                             "/apis/discovery.k8s.io/v1/namespaces/istio-system/endpointslices?",
                             65),
                     0);
    while (fake_api_requests(f->api->api) < 2) {
        turn(f);
    }
    assert_non_null(strstr(fake_api_request(f->api->api, 2).path, "watch=1"));
    assert_true(f->n_heard > 0 && f->answered);
}

static void test_endpoints__without_discovery__left_alone(void **state)
{
    struct fixture *f = *state;
    struct endpoints_state s;
    char why[SERVICE_WHY_BYTES];

    follow(f, f->d, NULL);
    turn(f);

    assert_false(endpoints_look(f->e, f->d, &s));
    assert_true(endpoints_await(f->e, 0, why));
    assert_int_equal(fake_api_requests(f->api->api), 0);
}

static void
test_endpoints__another_upstream_of_a_known_service__gets_it_without_asking(void **state)
{
    struct fixture *f = *state;
    follow(f, f->a, NULL);
    await_address(f, f->a, "10.0.0.1:15012");
    unsigned n = fake_api_requests(f->api->api);
    kube_free(&f->api->k);
    endpoints_forget_client(f->e);

    follow(f, f->b, NULL);
    await_address(f, f->b, "10.0.0.1:15012");

    struct endpoints_state s;
    assert_false(endpoints_look(f->e, f->a, &s));
    assert_true(endpoints_look(f->e, f->b, &s));
    assert_true(s.known && !s.current);
    assert_string_equal(s.why, NO_CLIENT);
    assert_true(fake_api_requests(f->api->api) <= n + 1); /* the watch may have come meanwhile */
}

static void test_endpoints__another_client__listed_anew_and_known_until_then(void **state)
{
    struct fixture *f = *state;
    follow(f, f->a, NULL);
    await_address(f, f->a, "10.0.0.1:15012");
    kube_free(&f->api->k);
    endpoints_forget_client(f->e);
    turn(f);
    assert_true(has(f->a, "10.0.0.1:15012"));

    listing(200, SLICE("10.0.0.2"));
    f->api->k = api_fixture_connect(f->api, "server: '%s', certificate-authority: ca.crt",
                                    "tokenFile: token", NULL);
    await_address(f, f->a, "10.0.0.2:15012");
}

static void test_endpoints__list_is_empty__none_and_unusable(void **state)
{
    struct fixture *f = *state;
    struct endpoints_state s;
    listing(200, "");
    follow(f, f->a, NULL);

    for (int i = 0; i < 3000 && upstream_get_health(f->a) == UPSTREAM_UNKNOWN; i++) {
        turn(f);
    }

    assert_int_equal(upstream_get_health(f->a), UPSTREAM_UNUSABLE);
    while (endpoints_look(f->e, f->a, &s) && !s.current) {
        turn(f);
    }
    assert_true(s.known);
    assert_string_equal(s.why, "there is no service istio-system/istiod with endpoints");
}

static void test_endpoints__refused__not_known_and_says_why(void **state)
{
    struct fixture *f = *state;
    struct endpoints_state s;
    char why[SERVICE_WHY_BYTES];
    listing(403, "");
    follow(f, f->a, NULL);
    assert_false(endpoints_await(f->e, 0, why));

    do {
        turn(f);
        assert_true(endpoints_look(f->e, f->a, &s));
    } while (strstr(s.why, "403") == NULL);

    assert_false(s.known || s.current);
    assert_int_equal(upstream_get_health(f->a), UPSTREAM_UNKNOWN);
    assert_false(endpoints_await(f->e, 0, why));
    assert_non_null(strstr(why, "403"));
    assert_true(f->answered);
}

static void test_endpoints__no_client__says_why(void **state)
{
    struct fixture *f = *state;
    struct endpoints_state s;
    kube_free(&f->api->k);
    follow(f, f->a, f->c);

    turn(f);

    assert_true(endpoints_look(f->e, f->c, &s));
    assert_false(s.known);
    assert_string_equal(s.why, NO_CLIENT);
}

static void test_endpoints__set_again_before_a_turn__the_last_counts(void **state)
{
    struct fixture *f = *state;
    struct endpoints_state s;

    follow(f, f->a, f->c);
    follow(f, f->b, NULL);
    await_address(f, f->b, "10.0.0.1:15012");
    follow(f, NULL, NULL);
    turn(f);

    assert_true(has(f->a, "") && has(f->c, ""));
    assert_false(endpoints_look(f->e, f->b, &s));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_endpoints__two_upstreams_of_a_service__one_watch_for_both),
        TEST(test_endpoints__without_discovery__left_alone),
        TEST(test_endpoints__another_upstream_of_a_known_service__gets_it_without_asking),
        TEST(test_endpoints__another_client__listed_anew_and_known_until_then),
        TEST(test_endpoints__list_is_empty__none_and_unusable),
        TEST(test_endpoints__refused__not_known_and_says_why),
        TEST(test_endpoints__no_client__says_why),
        TEST(test_endpoints__set_again_before_a_turn__the_last_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
