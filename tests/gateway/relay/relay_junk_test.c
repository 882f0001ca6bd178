/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens that look right and are none, from many addresses, beside VMs that are known. */
#include "tests/gateway/relay/relay_fixture.h"

#define JUNK_VMS 40
#define GOOD_VMS 10
#define RATE 25

static const char *const junk_request[] = {
    ":method", "POST", ":scheme", "https", ":path",
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources", ":authority",
    "istiod.istio-system.svc:15012", "content-type", "application/grpc", "te", "trailers",
    "authorization",
    /* {"alg":"RS256"} . {"aud":["istio-ca"],"exp":4102444800} . junk */
    "Bearer eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOlsiaXN0aW8tY2EiXSwiZXhwIjo0MTAyNDQ0ODAwfQ.anVuaw", NULL};

static void junk_stream(struct h2_peer *vm)
{
    struct peer_stream *st = peer_request(vm, junk_request, false);
    size_t len;
    uint8_t *m = peer_message(10, 1, &len);

    peer_send(st, m, len);
    free(m);
}

/* istiod knows the junk by its token and refuses it; the others are welcome. */
static void answer_all(struct rig *r, size_t *answered)
{
    static const char *const no[] = {
        ":status", "200", "content-type", "application/grpc", "grpc-status", "16", NULL};

    for (struct peer_stream *up; (up = rig_up(r, *answered)) != NULL; (*answered)++) {
        if (peer_header(up, "x-forwarded-client-cert") == NULL) {
            peer_respond(up, no, true);
        } else {
            rig_answer(r, up, 10);
        }
    }
    rig_run(r);
}

static void let_pass(struct rig *r, struct h2_peer *const *junk, size_t *answered)
{
    for (size_t i = 0; i < JUNK_VMS; i++) {
        junk_stream(junk[i]);
    }
    rig_advance(r, 0.04);
    answer_all(r, answered);
}

static void test_junk__flood_from_many_addresses__known_vms_do_not_wait(void **state)
{
    struct rig r;
    struct h2_peer *junk[JUNK_VMS];
    size_t answered = 0;
    struct rig_opts o = {.identity = UPSTREAM_XFCC, .max_new_streams_per_second = RATE};
    (void)state;
    rig_start(&r, &o);
    rig_run(&r);
    for (size_t i = 0; i < JUNK_VMS; i++) {
        junk[i] = rig_vm(&r, NULL);
    }
    for (int i = 0; i < 75; i++) { /* three seconds of it */
        let_pass(&r, junk, &answered);
    }
    assert_true(rig_count(&r, COUNTER_STREAMS_WAITING) > RATE);
    assert_true(rig_count(&r, COUNTER_LIMIT_UNAUTHENTICATED) > 0);

    for (size_t i = 0; i < GOOD_VMS; i++) {
        struct peer_stream *down = rig_ads(&r, rig_vm(&r, RIG_ID), 10);
        int steps = 0;
        while (down->len == 0) {
            let_pass(&r, junk, &answered);
            assert_true(++steps <= 4); /* 0.16 s */
        }
    }
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_junk__flood_from_many_addresses__known_vms_do_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
