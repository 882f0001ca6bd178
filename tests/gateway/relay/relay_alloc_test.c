/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of the data path fails once, and in other runs all do from one on. Whatever
 * fails: nothing is lost (the address sanitizer and rig_stop() count), and each stream of the VM
 * either works or ends. A stream that just stands still is the worst, for an agent waits for ever.
 */
#include "tests/gateway/relay/relay_fixture.h"
#include "tests/support/failing_malloc.h"
#include "tests/support/gateway_scope.h"
#include "tests/support/virtual_clock.h"

/* Longer than a stream waits for an upstream, shorter than stall_timeout: that is no way out of a
 * lack of memory. */
#define STEP_S 0.5
#define STEPS 90

#define FIRST 3000
#define ANSWER 100
#define LARGE 300000

/* What a run of a scenario does; failed allocations are possible anywhere in it. */
typedef void (*scenario)(struct rig *r);

static bool is_over(const struct peer_stream *st)
{
    return st->ended || st->closed || st->peer->wire->conn == NULL;
}

static bool is_alive(const struct h2_peer *p)
{
    return p->wire->conn != NULL && p->wire->opened;
}

static void say(struct peer_stream *st, size_t n, unsigned seed)
{
    size_t len;
    uint8_t *m = peer_message(n, seed, &len);

    peer_send(st, m, len);
    free(m);
}

static bool is_ads(const struct peer_stream *up)
{
    const char *path = peer_header(up, ":path");
    return path != NULL && strcmp(path, rig_ads_request[5]) == 0;
}

/* The istiods answer what came in whole: pushes stay open, all else ends. */
static void serve(struct rig *r)
{
    for (size_t i = 0; i < r->n_istiods; i++) {
        struct h2_peer *p = r->istiods[i];
        for (size_t k = 0; is_alive(p) && k < p->n_streams; k++) {
            struct peer_stream *up = &p->streams[k];
            if (up->closed || up->out_len > 0 || up->len < 105) {
                continue;
            }
            peer_respond(up, rig_response, false);
            say(up, ANSWER, 7);
            if (!is_ads(up)) {
                peer_end(up, ok_trailers);
            }
        }
    }
    rig_run(r);
}

/* The stream has n bytes, or has ended, or the deadlines of the gateway have passed in vain. */
static void expect_bytes(struct rig *r, const struct peer_stream *down, size_t n)
{
    rig_run(r);
    serve(r);
    for (int i = 0; i < STEPS && !is_over(down) && down->len < n; i++) {
        virtual_clock_advance(STEP_S);
        rig_run(r);
        serve(r);
    }
    assert_true(is_over(down) || down->len == n);
}

static void expect_over(struct rig *r, const struct peer_stream *down)
{
    expect_bytes(r, down, SIZE_MAX);
    assert_true(is_over(down));
}

/* The ADS stream that is open at an istiod; NULL: none. */
static struct peer_stream *open_push(struct rig *r)
{
    for (size_t i = 0; i < r->n_istiods; i++) {
        struct h2_peer *p = r->istiods[i];
        for (size_t k = 0; is_alive(p) && k < p->n_streams; k++) {
            if (!p->streams[k].closed && is_ads(&p->streams[k])) {
                return &p->streams[k];
            }
        }
    }
    return NULL;
}

static struct peer_stream *ask(struct h2_peer *vm, const char *const *request, size_t n)
{
    struct peer_stream *st = peer_request(vm, request, false);

    say(st, n, 1);
    return st;
}

/* All that VM streams count for is gone when the gateway has drained. */
static void drain(struct rig *r)
{
    for (int i = 0; i < STEPS && !list_empty(&r->sessions); i++) {
        gateway_enter();
        (void)vm_session_drain_one(LIST_ENTRY(r->sessions.next, struct vm_session, node));
        gateway_leave();
        rig_run(r);
        virtual_clock_advance(STEP_S);
    }
    assert_true(list_empty(&r->sessions));
}

/* ---- scenarios ---- */

static void large_bytes_both_ways(struct rig *r, struct peer_stream *ads)
{
    struct peer_stream *up = open_push(r);

    if (up != NULL && up->out_len > 0) {
        say(up, LARGE, 3);
        expect_bytes(r, ads, ANSWER + 5 + LARGE + 5);
    }
    up = open_push(r);
    if (up == NULL || is_over(ads)) {
        return;
    }
    say(ads, 2 * LARGE, 4);
    for (int i = 0; i < STEPS && !is_over(ads) && up->len < FIRST + 5 + 2 * LARGE + 5; i++) {
        rig_run(r);
        virtual_clock_advance(STEP_S);
    }
    assert_true(is_over(ads) || up->len == FIRST + 5 + 2 * LARGE + 5);
}

static void agent_until_drain(struct rig *r)
{
    struct h2_peer *vm = rig_vm(r, RIG_ID);

    if (vm == NULL) {
        return;
    }
    struct peer_stream *ads = ask(vm, rig_ads_request, FIRST);
    expect_bytes(r, ads, ANSWER + 5);
    large_bytes_both_ways(r, ads);

    struct peer_stream *csr = ask(vm, rig_ca_request, 2000);
    peer_end(csr, NULL);
    expect_over(r, csr);

    for (size_t i = 0; i < r->n_istiods; i++) {
        if (is_alive(r->istiods[i])) {
            peer_goaway(r->istiods[i], INT32_MAX, 0);
        }
    }
    expect_over(r, ads);
    struct peer_stream *again = ask(vm, rig_ads_request, FIRST);
    expect_bytes(r, again, ANSWER + 5);

    if (!failing_malloc_hit()) {
        assert_text(peer_header(ads, "grpc-status"), "14");
        assert_text(peer_header(csr, "grpc-status"), "0");
        assert_false(is_over(again));
    }
    drain(r);
    assert_true(is_over(again));
}

static void refused_then_taken(struct rig *r)
{
    static const char *const busy[] = {
        ":status", "200", "content-type", "application/grpc", "grpc-status", "8", NULL};
    struct h2_peer *vm = rig_vm(r, RIG_ID);

    if (vm == NULL) {
        return;
    }
    struct peer_stream *ads = ask(vm, rig_ads_request, LARGE);
    for (int i = 0; i < 2; i++) {
        rig_run(r);
        struct peer_stream *up = open_push(r);
        if (up != NULL && i == 0) {
            peer_reset(up, H2_REFUSED_STREAM);
        } else if (up != NULL && up->len == LARGE + 5) {
            peer_respond(up, busy, true);
        }
        rig_advance(r, 1);
    }
    expect_bytes(r, ads, ANSWER + 5);
    if (!failing_malloc_hit()) {
        assert_int_equal(rig_count(r, COUNTER_STREAMS_RETRIED), 2);
        assert_false(is_over(ads));
    }
    if (!is_over(ads)) {
        peer_reset(ads, H2_CANCEL);
        rig_run(r);
    }
}

static void streams_that_are_no_agents(struct rig *r)
{
    static const char *const other[] = {
        ":method",    "POST",       ":scheme", "https",    ":path",        "/a.B/C",
        ":authority", "a",          "te",      "trailers", "content-type", "application/grpc",
        "x-a",        "not passed", NULL};
    static const char *const curl[] = {":method", "POST",       ":scheme", "https", ":path",
                                       "/",       ":authority", "a",       NULL};
    struct h2_peer *vm = rig_vm(r, RIG_ID);

    if (vm == NULL) {
        return;
    }
    struct peer_stream *streams[] = {ask(vm, chat_request, ANSWER), ask(vm, other, ANSWER),
                                     ask(vm, curl, ANSWER)};
    for (size_t i = 0; i < 3; i++) {
        peer_end(streams[i], NULL);
        expect_over(r, streams[i]);
    }
    struct peer_stream *chat = ask(vm, chat_request, 2 * LARGE);
    expect_bytes(r, chat, ANSWER + 5);
    expect_over(r, chat);
    if (!failing_malloc_hit()) {
        assert_text(peer_header(streams[0], "grpc-status"), "0");
        assert_text(peer_header(streams[1], "grpc-status"), "12");
        assert_text(peer_header(streams[2], ":status"), "415");
        assert_text(peer_header(chat, "grpc-status"), "0");
    }
}

/* ---- all of them ---- */

/* When the VMs are gone, no istiod works for them any more. */
static void expect_nothing_open(struct rig *r)
{
    for (size_t i = 0; i < r->n_vms; i++) {
        wire_close(r->vms[i]->wire, END_DOWN_CLOSED);
    }
    rig_advance(r, 3); /* what istiod does not end is reset then */
    for (size_t i = 0; i < r->n_istiods; i++) {
        for (size_t k = 0; is_alive(r->istiods[i]) && k < r->istiods[i]->n_streams; k++) {
            assert_true(r->istiods[i]->streams[k].closed);
        }
    }
}

/* true: no allocation failed. */
static bool run_once(scenario play, void (*arm)(uint64_t n), uint64_t n)
{
    static const struct rig_opts opts = {.identity = UPSTREAM_XFCC};
    struct rig r;

    arm(n);
    if (!rig_try_start(&r, &opts)) {
        return false;
    }
    play(&r);
    expect_nothing_open(&r);
    rig_stop(&r);
    bool none = !failing_malloc_hit();
    failing_malloc_arm(0);
    return none;
}

static void fail_each(scenario play, void (*arm)(uint64_t n))
{
    uint64_t n = 1;

    while (!run_once(play, arm, n)) {
        n++;
    }
    assert_true(n > 100);
}

static void test_alloc__agent_fails_once__streams_work_or_end(void **state)
{
    (void)state;
    fail_each(agent_until_drain, failing_malloc_arm);
}

static void test_alloc__agent_all_fail_from_then__streams_end(void **state)
{
    (void)state;
    fail_each(agent_until_drain, failing_malloc_arm_from);
}

static void test_alloc__retry_fails_once__streams_work_or_end(void **state)
{
    (void)state;
    fail_each(refused_then_taken, failing_malloc_arm);
}

static void test_alloc__retry_all_fail_from_then__streams_end(void **state)
{
    (void)state;
    fail_each(refused_then_taken, failing_malloc_arm_from);
}

static void test_alloc__other_methods_fail_once__streams_work_or_end(void **state)
{
    (void)state;
    fail_each(streams_that_are_no_agents, failing_malloc_arm);
}

static void test_alloc__other_methods_all_fail_from_then__streams_end(void **state)
{
    (void)state;
    fail_each(streams_that_are_no_agents, failing_malloc_arm_from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc__agent_fails_once__streams_work_or_end),
        cmocka_unit_test(test_alloc__agent_all_fail_from_then__streams_end),
        cmocka_unit_test(test_alloc__retry_fails_once__streams_work_or_end),
        cmocka_unit_test(test_alloc__retry_all_fail_from_then__streams_end),
        cmocka_unit_test(test_alloc__other_methods_fail_once__streams_work_or_end),
        cmocka_unit_test(test_alloc__other_methods_all_fail_from_then__streams_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
