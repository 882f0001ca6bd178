/* SPDX-License-Identifier: Apache-2.0 */
/* identity: token: who gets one, when it is asked for, and what becomes of a VM while it is not
 * there. */
#include "tests/gateway/relay/relay_fixture.h"

#define LIFE_S 3600.0

static const struct rig_opts wants_tokens = {.identity = UPSTREAM_TOKEN, .cluster_id = "edge-1"};

static const char *const with_token[] = {
    ":method",
    "POST",
    ":scheme",
    "https",
    ":path",
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
    ":authority",
    "istiod.istio-system.svc:15012",
    "content-type",
    "application/grpc",
    "te",
    "trailers",
    "authorization",
    "Bearer of-the-vm",
    "clusterid",
    "wrong",
    NULL};

static void start(struct rig *r)
{
    rig_start(r, &wants_tokens);
}

static struct token_account *take(struct rig *r)
{
    return tokens_take(r->tokens, worker_now(r->worker));
}

static void put(struct rig *r, const char *token)
{
    struct token_account *a = take(r);

    assert_non_null(a);
    tokens_put(r->tokens, a, token, strlen(token), LIFE_S, worker_now(r->worker));
    rig_run(r);
}

static void put_failure(struct rig *r, enum tokens_outcome outcome, const char *why)
{
    struct token_account *a = take(r);

    assert_non_null(a);
    const struct tokens_failure f = {.outcome = outcome, .why = why};
    (void)tokens_put_failure(r->tokens, a, &f, worker_now(r->worker));
    rig_run(r);
}

static size_t count_headers(const struct peer_stream *st, const char *name)
{
    return h2_headers_count(&st->headers, name);
}

static void test_relay_token__no_token_yet__stream_waits_for_it(void **state)
{
    struct rig r;
    (void)state;
    start(&r);

    (void)rig_ads(&r, rig_vm(&r, RIG_ID), 100);
    rig_run(&r);
    assert_null(rig_up(&r, 0));
    assert_int_equal(rig_count(&r, COUNTER_STREAMS_WAITING), 1);
    put(&r, "made-for-web");

    struct peer_stream *up = rig_up(&r, 0);
    assert_non_null(up);
    assert_text(peer_header(up, "authorization"), "Bearer made-for-web");
    assert_null(peer_header(up, "x-forwarded-client-cert"));
    assert_int_equal(up->len, 105);
    rig_stop(&r);
}

static void test_relay_token__a_token_of_the_vm__replaced_and_its_cluster_too(void **state)
{
    struct rig r;
    (void)state;
    start(&r);

    struct peer_stream *down = peer_request(rig_vm(&r, RIG_ID), with_token, false);
    send_message(&r, down, 10, 1);
    put(&r, "made-for-web");

    struct peer_stream *up = rig_up(&r, 0);
    assert_text(peer_header(up, "authorization"), "Bearer made-for-web");
    assert_int_equal(count_headers(up, "authorization"), 1);
    assert_text(peer_header(up, "clusterid"), "edge-1");
    assert_int_equal(count_headers(up, "clusterid"), 1);
    rig_stop(&r);
}

static void test_relay_token__no_cluster_id_configured__none_is_sent(void **state)
{
    static const struct rig_opts no_cluster = {.identity = UPSTREAM_TOKEN};
    struct rig r;
    (void)state;
    rig_start(&r, &no_cluster);

    (void)rig_ads(&r, rig_vm(&r, RIG_ID), 10);
    put(&r, "t");

    assert_null(peer_header(rig_up(&r, 0), "clusterid"));
    rig_stop(&r);
}

static void test_relay_token__vms_of_one_account__one_request(void **state)
{
    struct rig r;
    (void)state;
    start(&r);

    for (size_t i = 0; i < 10; i++) {
        (void)rig_ads(&r, rig_vm(&r, RIG_ID), 10);
    }
    rig_run(&r);
    assert_int_equal(r.token_wakes, 1);
    put(&r, "t");

    for (size_t i = 0; i < 10; i++) {
        assert_text(peer_header(rig_up(&r, i), "authorization"), "Bearer t");
    }
    (void)rig_ads(&r, rig_vm(&r, RIG_ID), 10);
    rig_run(&r);
    assert_text(peer_header(rig_up(&r, 10), "authorization"), "Bearer t");
    assert_int_equal(r.token_wakes, 1);
    rig_stop(&r);
}

static void test_relay_token__kubernetes_refuses__7_with_the_reason(void **state)
{
    struct rig r;
    (void)state;
    start(&r);

    struct peer_stream *down = rig_ads(&r, rig_vm(&r, RIG_ID), 10);
    rig_run(&r);
    put_failure(&r, TOKENS_REFUSED, "there is no such account");

    assert_status(down, "7", "no token for service account vms/web: there is no");
    down = rig_ads(&r, rig_vm(&r, RIG_ID), 10);
    rig_run(&r);
    assert_status(down, "7", "there is no such account");
    assert_null(rig_up(&r, 0));
    rig_stop(&r);
}

static void test_relay_token__kubernetes_is_away__14_with_the_reason(void **state)
{
    struct rig r;
    (void)state;
    start(&r);

    struct peer_stream *ads = rig_ads(&r, rig_vm(&r, RIG_ID), 10);
    struct peer_stream *csr = peer_request(rig_vm(&r, RIG_ID), rig_ca_request, false);
    send_message(&r, csr, 10, 1);
    put_failure(&r, TOKENS_UNAVAILABLE, "Kubernetes gives none now");

    assert_status(ads, "14", "no token for service account vms/web: Kubernetes gives none now");
    assert_status(csr, "14", "no token for service account vms/web: Kubernetes gives none now");
    rig_stop(&r);
}

static void test_relay_token__vm_leaves_while_it_waits__nothing_is_left(void **state)
{
    struct rig r;
    (void)state;
    start(&r);

    struct h2_peer *vm = rig_vm(&r, RIG_ID);
    (void)rig_ads(&r, vm, 10);
    rig_run(&r);
    wire_close(vm->wire, END_DOWN_CLOSED);
    rig_run(&r);
    assert_int_equal(rig_count(&r, COUNTER_STREAMS_WAITING), 0);
    put(&r, "t");

    assert_null(rig_up(&r, 0));
    rig_stop(&r);
}

static void test_relay_token__half_closed_without_a_message__asks_too(void **state)
{
    struct rig r;
    (void)state;
    start(&r);

    (void)peer_request(rig_vm(&r, RIG_ID), rig_ads_request, true);
    rig_run(&r);
    put(&r, "t");

    assert_text(peer_header(rig_up(&r, 0), "authorization"), "Bearer t");
    assert_true(rig_up(&r, 0)->ended);
    rig_stop(&r);
}

static void test_relay_token__istiod_does_not_take_it__the_next_stream_gets_another(void **state)
{
    struct rig r;
    (void)state;
    start(&r);

    (void)rig_ads(&r, rig_vm(&r, RIG_ID), 10);
    put(&r, "stale");
    rig_advance(&r, 6);
    struct peer_stream *down = rig_ads(&r, rig_vm(&r, RIG_ID), 10);
    rig_run(&r);
    answer_status(&r, rig_up(&r, 1), "16", "authentication failure");
    assert_status(down, "16", "authentication failure");

    (void)rig_ads(&r, rig_vm(&r, RIG_ID), 10);
    rig_run(&r);
    put(&r, "fresh");

    assert_text(peer_header(rig_up(&r, 2), "authorization"), "Bearer fresh");
    rig_stop(&r);
}

static void test_relay_token__another_try__same_token_once(void **state)
{
    struct rig r;
    (void)state;
    start(&r);

    (void)rig_ads(&r, rig_vm(&r, RIG_ID), 10);
    put(&r, "t");
    answer_status(&r, rig_up(&r, 0), "8", "request rate limit exceeded");
    rig_advance(&r, 1);

    struct peer_stream *second = rig_up(&r, 1);
    assert_non_null(second);
    assert_text(peer_header(second, "authorization"), "Bearer t");
    assert_int_equal(count_headers(second, "authorization"), 1);
    rig_stop(&r);
}

static void test_relay_token__vm_without_a_certificate__needs_its_own(void **state)
{
    struct rig r;
    (void)state;
    start(&r);

    struct peer_stream *down = rig_ads(&r, rig_vm(&r, NULL), 10);
    rig_run(&r);

    assert_status(down, "16", "neither a client certificate nor a token");
    assert_null(take(&r));
    rig_stop(&r);
}

static void test_relay_token__drained_while_it_waits__14(void **state)
{
    struct rig r;
    (void)state;
    start(&r);

    struct peer_stream *down = rig_ads(&r, rig_vm(&r, RIG_ID), 10);
    rig_run(&r);
    (void)vm_session_drain_one(LIST_ENTRY(r.sessions.next, struct vm_session, node));
    rig_run(&r);

    assert_status(down, "14", "");
    put(&r, "t");
    assert_null(rig_up(&r, 0));
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relay_token__no_token_yet__stream_waits_for_it),
        cmocka_unit_test(test_relay_token__a_token_of_the_vm__replaced_and_its_cluster_too),
        cmocka_unit_test(test_relay_token__no_cluster_id_configured__none_is_sent),
        cmocka_unit_test(test_relay_token__vms_of_one_account__one_request),
        cmocka_unit_test(test_relay_token__kubernetes_refuses__7_with_the_reason),
        cmocka_unit_test(test_relay_token__kubernetes_is_away__14_with_the_reason),
        cmocka_unit_test(test_relay_token__vm_leaves_while_it_waits__nothing_is_left),
        cmocka_unit_test(test_relay_token__half_closed_without_a_message__asks_too),
        cmocka_unit_test(test_relay_token__istiod_does_not_take_it__the_next_stream_gets_another),
        cmocka_unit_test(test_relay_token__another_try__same_token_once),
        cmocka_unit_test(test_relay_token__vm_without_a_certificate__needs_its_own),
        cmocka_unit_test(test_relay_token__drained_while_it_waits__14),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
