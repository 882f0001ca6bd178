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
    struct upstream *nodes;
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

#define SLICE_OF(ip, pod)                                                                \
    "{\"metadata\":{\"name\":\"s\",\"resourceVersion\":\"1\"},\"addressType\":\"IPv4\"," \
    "\"ports\":[{\"port\":15012}],\"endpoints\":[{\"addresses\":[\"" ip                  \
    "\"],\"targetRef\":{\"kind\":\"Pod\",\"name\":\"" pod "\"}}]}"

#define NODE(ip) "{\"status\":{\"addresses\":[{\"type\":\"InternalIP\",\"address\":\"" ip "\"}]}}"

/* Of what node ports need; else what is listed. */
static const char *items_of(const char *path)
{
    if (strstr(path, "/services?") != NULL) {
        return "{\"spec\":{\"ports\":[{\"port\":15012,\"nodePort\":31512}]}}";
    }
    if (strstr(path, "/nodes?") != NULL) {
        return strstr(path, "slow") != NULL ? NODE("10.0.0.2") : NODE("10.0.0.1");
    }
    return __atomic_load_n(&listed, __ATOMIC_ACQUIRE);
}

static void on_request(void *arg, const struct fake_api_request *r, struct fake_api_link *l)
{
    char body[1024];
    const char *items = items_of(r->path);

    (void)arg;
    if (strstr(r->path, "slow") != NULL && strstr(r->path, "watch=1") == NULL) {
        fake_api_wait(l, 1);
    }
    if (strstr(r->path, "watch=1") != NULL) {
        fake_api_begin(l, 200);
        fake_api_hang(l);
        return;
    }
    snprintf(body, sizeof(body), "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[%s]}",
             items);
    fake_api_answer(l, __atomic_load_n(&list_status, __ATOMIC_RELAXED), "", body);
}

static bool no_calls; /* can be started */

enum rc __real_kube_call_start(struct kube *k, const struct kube_request *r,
                               struct kube_call **out);
enum rc __wrap_kube_call_start(struct kube *k, const struct kube_request *r,
                               struct kube_call **out);

enum rc __wrap_kube_call_start(struct kube *k, const struct kube_request *r, struct kube_call **out)
{
    return no_calls ? RC_NO_MEMORY : __real_kube_call_start(k, r, out);
}

static void on_heard(void *arg, bool answered)
{
    struct fixture *f = arg;

    f->n_heard++;
    f->answered = answered;
}

static struct upstream *make_upstream(const char *name, const char *service, bool nodes)
{
    struct upstream_opts o = {.name = strdup(name)};
    struct upstream *u;

    if (service != NULL) {
        o.discovery = (struct upstream_discovery){.on = true,
                                                  .service = strdup(service),
                                                  .ns = strdup("istio-system"),
                                                  .port = strdup("15012")};
        o.discovery.addresses = nodes ? UPSTREAM_NODES : UPSTREAM_PODS;
    }
    o.token_audiences = calloc(1, sizeof(char *));
    assert_int_equal(upstream_new(&o, NULL, &u), RC_OK);
    return u;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    listing(200, SLICE("10.0.0.1"));
    no_calls = false;
    f->api = api_fixture_new(on_request);
    assert_int_equal(endpoints_new(on_heard, f, &f->e), RC_OK);
    f->a = make_upstream("a", "istiod", false);
    f->b = make_upstream("b", "istiod", false);
    f->c = make_upstream("c", "canary", false);
    f->d = make_upstream("d", NULL, false);
    f->nodes = make_upstream("nodes", "istiod", true);
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
    upstream_unref(&f->nodes);
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

/* The pod of an address, where nothing else is said. */
static bool has_pod(struct upstream *u, const char *address, const char *pod)
{
    struct address_set *s = upstream_addresses(u);
    struct addr a;

    assert_int_equal(addr_parse(address, &a), RC_OK);
    bool same = strcmp(address_set_pod(s, &a), pod) == 0;
    address_set_unref(&s);
    return same;
}

/* Far more turns than it takes. */
#define TURNS_MAX 3000

static void await_address(struct fixture *f, struct upstream *u, const char *address)
{
    for (int i = 0; i < TURNS_MAX && !has(u, address); i++) {
        turn(f);
    }
    assert_true(has(u, address));
}

/* Until this is said of the upstream's service. */
static struct endpoints_state await_state(struct fixture *f, struct upstream *u, bool current,
                                          const char *why)
{
    struct endpoints_state s = {0};

    for (int i = 0; i < TURNS_MAX; i++) {
        assert_true(endpoints_look(f->e, u, &s));
        if (s.current == current && strstr(s.why, why) != NULL) {
            return s;
        }
        turn(f);
    }
    fail_msg("current: %d, \"%s\" instead of \"%s\"", (int)s.current, s.why, why);
    return s;
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
    for (int i = 0; i < TURNS_MAX && fake_api_requests(f->api->api) < 2; i++) {
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

/* As when it runs on the network of its node. */
static void test_endpoints__another_pod_at_the_same_address__is_known_by_its_name(void **state)
{
    struct fixture *f = *state;
    listing(200, SLICE_OF("10.0.0.1", "istiod-1"));
    follow(f, f->a, NULL);
    await_address(f, f->a, "10.0.0.1:15012");
    assert_true(has_pod(f->a, "10.0.0.1:15012", "istiod-1"));
    assert_true(has_pod(f->a, "10.0.0.2:15012", ""));
    kube_free(&f->api->k);
    endpoints_forget_client(f->e);

    listing(200, SLICE_OF("10.0.0.1", "istiod-2"));
    f->api->k = api_fixture_connect(f->api, "server: '%s', certificate-authority: ca.crt",
                                    "tokenFile: token", NULL);
    for (int i = 0; i < TURNS_MAX && !has_pod(f->a, "10.0.0.1:15012", "istiod-2"); i++) {
        turn(f);
    }
    assert_true(has_pod(f->a, "10.0.0.1:15012", "istiod-2"));
}

static void test_endpoints__another_cluster__not_known_until_it_has_spoken(void **state)
{
    struct fixture *f = *state;
    struct endpoints_state s;
    follow(f, f->a, NULL);
    await_address(f, f->a, "10.0.0.1:15012");
    kube_free(&f->api->k);
    endpoints_forget_client(f->e);
    endpoints_forget_cluster(f->e);
    listing(403, "");

    f->api->k = api_fixture_connect(f->api, "server: '%s', certificate-authority: ca.crt",
                                    "tokenFile: token", NULL);
    assert_true(endpoints_look(f->e, f->a, &s));
    assert_false(s.known || s.current);
    assert_int_equal(s.n, 0);
    s = await_state(f, f->a, false, "403");
    assert_false(s.known);
    assert_true(has(f->a, "10.0.0.1:15012"));
    listing(200, SLICE("10.0.0.2"));

    await_address(f, f->a, "10.0.0.2:15012");
    assert_true(endpoints_look(f->e, f->a, &s));
    assert_true(s.known);
}

static void test_endpoints__reload__what_is_known_is_known_at_once(void **state)
{
    struct fixture *f = *state;
    struct endpoints_state s;
    follow(f, f->a, NULL);
    await_address(f, f->a, "10.0.0.1:15012");

    follow(f, f->a, f->b); /* no turn yet */
    assert_true(endpoints_look(f->e, f->a, &s));
    assert_true(s.known);
    assert_int_equal(s.n, 1);
    assert_true(endpoints_look(f->e, f->b, &s)); /* the same service */
    assert_true(s.known);
    follow(f, f->b, f->c);

    assert_false(endpoints_look(f->e, f->a, &s));
    assert_true(endpoints_look(f->e, f->c, &s));
    assert_false(s.known);
}

#define TWO_NODES                                                                         \
    "{\"metadata\":{\"name\":\"s\"},\"addressType\":\"IPv4\",\"endpoints\":["             \
    "{\"addresses\":[\"10.1.0.1\"],\"nodeName\":\"fast\"},{\"addresses\":[\"10.1.0.2\"]," \
    "\"nodeName\":\"slow\"}]}"

static size_t count(struct upstream *u)
{
    struct address_set *s = upstream_addresses(u);
    size_t n = s->n;

    address_set_unref(&s);
    return n;
}

/* Until one of two nodes is known, and whoever follows it has looked. */
static void await_one_node(struct fixture *f)
{
    listing(200, TWO_NODES);
    follow(f, f->nodes, NULL);
    for (int i = 0; i < TURNS_MAX && fake_api_requests(f->api->api) < 7; i++) {
        turn(f); /* four lists, and watches of all but the slow one */
    }
    assert_int_equal(fake_api_requests(f->api->api), 7);
    turn(f);
    assert_int_equal(count(f->nodes), 0);
}

static void test_endpoints__first_nodes__given_together(void **state)
{
    struct fixture *f = *state;
    await_one_node(f);

    fake_api_step(f->api->api, 1);
    for (int i = 0; i < TURNS_MAX && count(f->nodes) == 0; i++) {
        turn(f);
    }

    assert_int_equal(count(f->nodes), 2);
}

static void test_endpoints__a_first_node_says_nothing__the_others_do_not_wait_for_ever(void **state)
{
    struct fixture *f = *state;
    await_one_node(f);

    (void)endpoints_turn(f->e, f->api->k, "", clock_mono() + ENDPOINTS_NODES_S);

    assert_true(has(f->nodes, "10.0.0.1:31512"));
    assert_int_equal(count(f->nodes), 1);
}

static void test_endpoints__list_is_empty__none_and_unusable(void **state)
{
    struct fixture *f = *state;
    listing(200, "");
    follow(f, f->a, NULL);

    for (int i = 0; i < TURNS_MAX && upstream_get_health(f->a) == UPSTREAM_UNKNOWN; i++) {
        turn(f);
    }

    assert_int_equal(upstream_get_health(f->a), UPSTREAM_UNUSABLE);
    struct endpoints_state s =
        await_state(f, f->a, true, "there is no service istio-system/istiod with endpoints");
    assert_true(s.known);
}

static void test_endpoints__refused__not_known_and_says_why(void **state)
{
    struct fixture *f = *state;
    char why[SERVICE_WHY_BYTES];
    listing(403, "");
    follow(f, f->a, NULL);
    assert_false(endpoints_await(f->e, 0, why));

    struct endpoints_state s = await_state(f, f->a, false, "403");

    assert_false(s.known);
    assert_int_equal(upstream_get_health(f->a), UPSTREAM_UNKNOWN);
    assert_false(endpoints_await(f->e, 0, why));
    assert_non_null(strstr(why, "403"));
    assert_true(f->answered);
}

static void test_endpoints__no_memory_to_go_on__begun_again_later(void **state)
{
    struct fixture *f = *state;
    listing(403, "");
    follow(f, f->a, NULL);
    (void)await_state(f, f->a, false, "403"); /* it does not work already */
    no_calls = true;
    (void)await_state(f, f->a, false, "out of memory");

    no_calls = false;
    listing(200, SLICE("10.0.0.1"));
    for (int i = 0; i < TURNS_MAX && !has(f->a, "10.0.0.1:15012"); i++) {
        (void)endpoints_turn(f->e, f->api->k, "", clock_mono() + 3600);
        kube_turn(f->api->k, 10);
    }

    assert_true(has(f->a, "10.0.0.1:15012"));
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
        TEST(test_endpoints__another_pod_at_the_same_address__is_known_by_its_name),
        TEST(test_endpoints__another_cluster__not_known_until_it_has_spoken),
        TEST(test_endpoints__reload__what_is_known_is_known_at_once),
        TEST(test_endpoints__first_nodes__given_together),
        TEST(test_endpoints__a_first_node_says_nothing__the_others_do_not_wait_for_ever),
        TEST(test_endpoints__list_is_empty__none_and_unusable),
        TEST(test_endpoints__refused__not_known_and_says_why),
        TEST(test_endpoints__no_memory_to_go_on__begun_again_later),
        TEST(test_endpoints__no_client__says_why),
        TEST(test_endpoints__set_again_before_a_turn__the_last_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
