/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/log.h"
#include "tests/support/fake_certs.h"
#include "tests/support/gateway_scope.h"
#include "tests/support/virtual_clock.h"

#define STEP_S 0.02
#define LONG_STEP_S 0.1
#define ROUNDS_MAX 20000

const char *const rig_ads_request[] = {
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
    "clusterid",
    "Kubernetes",
    NULL};

const char *const rig_sotw_request[] = {
    ":method",
    "POST",
    ":scheme",
    "https",
    ":path",
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
    ":authority",
    "istiod.istio-system.svc:15012",
    "content-type",
    "application/grpc",
    "te",
    "trailers",
    NULL};

const char *const rig_ca_request[] = {":method",
                                      "POST",
                                      ":scheme",
                                      "https",
                                      ":path",
                                      "/istio.v1.auth.IstioCertificateService/CreateCertificate",
                                      ":authority",
                                      "istiod.istio-system.svc:15012",
                                      "content-type",
                                      "application/grpc",
                                      "te",
                                      "trailers",
                                      NULL};

const char *const rig_response[] = {":status", "200", "content-type", "application/grpc", NULL};

static char *agent_methods[] = {
    (char *)(uintptr_t) "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
                        "StreamAggregatedResources",
    (char *)(uintptr_t) "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
                        "DeltaAggregatedResources",
    (char *)(uintptr_t) "/istio.v1.auth.IstioCertificateService/CreateCertificate",
    (char *)(uintptr_t) "/demo.Echo/Chat", NULL};

static const struct listener_limits default_limits = {
    .connections = 20000,
    .connections_per_source = 10000,
    .handshakes_in_flight = 64,
    .handshake_timeout = 10,
    .first_request_timeout = 30,
    .streams_per_connection = 16,
    .ads_streams_per_vm = 4,
    .new_streams_per_second = 20,
    .header_bytes = 16384,
    .headers = 64,
    .message_bytes = 4 * 1024 * 1024,
    .stall_timeout = 60,
    .unauthenticated_streams_per_second = 50,
    .bad_connections_per_second = 50,
    .frame_flood = 2000,
};

static void hold(void *owner)
{
    ((struct rig *)owner)->holds++;
}

static void release(void *owner)
{
    ((struct rig *)owner)->holds--;
}

static char *copy(const char *s)
{
    char *c = strdup(s);
    CHECK(c != NULL);
    return c;
}

static void make_upstream(struct rig *r, const struct rig_opts *o)
{
    static const char *const one[] = {"10.1.0.1", NULL};
    const char *const *hosts = o->endpoints != NULL ? o->endpoints : one;
    struct upstream_opts u = {.name = copy("mesh"),
                              .server_name = copy("istiod.istio-system.svc"),
                              .tls = true,
                              .identity = o->identity,
                              .cluster_id = o->cluster_id != NULL ? copy(o->cluster_id) : NULL};

    while (hosts[u.n_endpoints] != NULL) {
        u.n_endpoints++;
    }
    u.endpoints = calloc(u.n_endpoints, sizeof(*u.endpoints));
    u.token_audiences = calloc(2, sizeof(char *));
    CHECK(u.endpoints != NULL && u.token_audiences != NULL);
    for (size_t i = 0; i < u.n_endpoints; i++) {
        u.endpoints[i] = (struct upstream_endpoint_name){copy(hosts[i]), 15012};
    }
    u.token_audiences[0] = copy("istio-ca");
    u.streams_per_connection = o->streams_per_connection > 0 ? o->streams_per_connection : 50;
    u.max_new_streams_per_second = o->auto_pace ? 0
                                   : o->max_new_streams_per_second > 0
                                       ? o->max_new_streams_per_second
                                       : 100000;
    CHECK(upstream_new(&u, NULL, &r->upstream) == RC_OK);
    virtual_clock_advance(1); /* fills the pacer's bucket */
}

static void on_wake(void *arg)
{
    ((struct rig *)arg)->token_wakes++;
}

static void make_tokens(struct rig *r)
{
    CHECK(tokens_new(on_wake, r, worker_now(r->worker), &r->tokens) == RC_OK);
    CHECK(token_clerk_new(r->tokens, r->worker, &r->clerk) == RC_OK);
    r->route.tokens = r->clerk;
}

bool rig_try_start(struct rig *r, const struct rig_opts *opts)
{
    static const struct rig_opts none = {0};
    struct log_opts quiet = {.level = LOG_ERROR};

    *r = (struct rig){.limits = default_limits};
    fake_dial_rc = RC_OK;
    fake_alpn_is_h2 = true;
    CHECK(getenv("RIG_LOG") != NULL || log_setup(&quiet) == RC_OK);
    CHECK(worker_new(0, &r->worker) == RC_OK);
    make_upstream(r, opts != NULL ? opts : &none);
    list_init(&r->sessions);
    r->opts.methods = agent_methods;
    bucket_init(&r->shared.anonymous, r->limits.unauthenticated_streams_per_second,
                worker_now(r->worker));
    gateway_enter();
    enum rc rc = pool_new(r->worker, r->upstream, relay_retire, &r->pool);
    gateway_leave();
    r->route = (struct relay_route){.opts = &r->opts,
                                    .limits = &r->limits,
                                    .pool = r->pool,
                                    .shared = &r->shared,
                                    .sessions = &r->sessions,
                                    .owner = r,
                                    .hold = hold,
                                    .release = release};
    if (r->upstream->opts.identity == UPSTREAM_TOKEN) {
        make_tokens(r);
    }
    if (rc != RC_OK) {
        upstream_unref(&r->upstream);
        worker_free(&r->worker);
    }
    return rc == RC_OK;
}

void rig_start(struct rig *r, const struct rig_opts *opts)
{
    CHECK(rig_try_start(r, opts));
}

void rig_turn(struct rig *r)
{
    gateway_enter();
    ev_run(r->worker->loop, EVRUN_NOWAIT);
    gateway_leave();
}

static struct h2_peer *new_istiod(const struct rig *r, struct wire *w)
{
    nghttp2_settings_entry iv[2];
    size_t n = 0;

    if (r->istiod_max_streams > 0 || r->istiod_takes_none) {
        iv[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
                                           r->istiod_takes_none ? 0 : r->istiod_max_streams};
    }
    if (r->istiod_window > 0) {
        iv[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, r->istiod_window};
    }
    struct h2_peer *p = peer_new(w, true, iv, n);
    if (r->istiod_window > 0) {
        CHECK(nghttp2_session_set_local_window_size(p->ng, 0, 0, (int32_t)r->istiod_window) == 0);
    }
    p->manual_credit = r->istiod_manual_credit;
    return p;
}

static void pick_up_dials(struct rig *r)
{
    for (struct wire *w; (w = fake_conn_next_wire()) != NULL;) {
        CHECK(w->dialled && r->n_istiods < RIG_PEERS_MAX);
        r->istiods[r->n_istiods++] = new_istiod(r, w);
        if (r->dials == RIG_DIAL_OPEN) {
            wire_open(w);
        } else if (r->dials == RIG_DIAL_FAIL) {
            wire_close(w, END_HANDSHAKE);
        }
    }
}

static bool has_work(const struct rig *r)
{
    return !list_empty(&r->worker->dirty) || !list_empty(&r->worker->dead) ||
           ev_pending_count(r->worker->loop) > 0;
}

void rig_run(struct rig *r)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        bool moved = false;
        rig_turn(r);
        pick_up_dials(r);
        for (size_t i = 0; i < r->n_vms; i++) {
            moved = peer_pump(r->vms[i]) || moved;
        }
        for (size_t i = 0; i < r->n_istiods; i++) {
            moved = peer_pump(r->istiods[i]) || moved;
        }
        if (!moved && !has_work(r)) {
            return;
        }
    }
    CHECK(false); /* it never comes to rest */
}

static void advance(struct rig *r, double seconds, double step)
{
    for (double done = 0; done < seconds; done += step) {
        virtual_clock_advance(step);
        rig_run(r);
    }
}

void rig_advance(struct rig *r, double seconds)
{
    advance(r, seconds, STEP_S);
}

void rig_pass(struct rig *r, double seconds)
{
    advance(r, seconds, LONG_STEP_S);
}

static void on_opened(void *arg)
{
    ((struct rig *)arg)->opened++;
}

static void on_over(void *arg, void *place, bool opened, double blame_s)
{
    (void)place;
    (void)opened;
    ((struct rig *)arg)->over++;
    ((struct rig *)arg)->blame_s += blame_s;
}

struct h2_peer *rig_vm(struct rig *r, const char *identity)
{
    struct vm_session_owner owner = {on_opened, on_over, r, NULL};
    struct addr peer = {.family = ADDR_V4, .port = (uint16_t)(40000 + r->n_vms)};

    peer.ip[0] = 192;
    peer.ip[3] = (uint8_t)(1 + r->n_vms);
    fake_identity = identity;
    CHECK(r->n_vms < RIG_PEERS_MAX);
    gateway_enter();
    enum rc rc = vm_session_accept(r->worker, -1, &peer, NULL, 0, NULL, &r->route, &owner);
    gateway_leave();
    if (rc != RC_OK) {
        CHECK(rc == RC_NO_MEMORY);
        return NULL;
    }
    struct wire *w = fake_conn_next_wire();
    CHECK(w != NULL && !w->dialled);
    struct h2_peer *vm = peer_new(w, false, NULL, 0);
    r->vms[r->n_vms++] = vm;
    wire_open(w);
    return vm;
}

static void close_all(struct h2_peer *const *peers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        wire_close(peers[i]->wire, END_DOWN_CLOSED);
    }
}

static void free_all(struct h2_peer **peers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        peer_free(&peers[i]);
    }
}

void rig_stop(struct rig *r)
{
    const struct counters *c = r->worker->counters;

    close_all(r->vms, r->n_vms);
    rig_run(r);
    CHECK(list_empty(&r->sessions) && r->holds == 0);
    CHECK(counter_read(&c->v[COUNTER_CONNS_OPEN]) == 0);
    CHECK(counter_read(&c->v[COUNTER_STREAMS_OPEN]) == 0);
    CHECK(counter_read(&c->v[COUNTER_STREAMS_WAITING]) == 0);
    gateway_enter();
    pool_kill(r->pool);
    pool_free(&r->pool);
    gateway_leave();
    rig_run(r);
    CHECK(counter_read(&c->v[COUNTER_UP_CONNS_OPEN]) == 0);
    free_all(r->vms, r->n_vms);
    free_all(r->istiods, r->n_istiods);
    CHECK(r->upstream->refs == 1);
    upstream_unref(&r->upstream);
    token_clerk_free(&r->clerk);
    tokens_free(&r->tokens);
    worker_free(&r->worker);
}

struct peer_stream *rig_up(struct rig *r, size_t n)
{
    for (size_t i = 0; i < r->n_istiods; i++) {
        if (n < r->istiods[i]->n_streams) {
            return &r->istiods[i]->streams[n];
        }
        n -= r->istiods[i]->n_streams;
    }
    return NULL;
}

uint64_t rig_count(const struct rig *r, enum counter which)
{
    return counter_read(&r->worker->counters->v[which]);
}

size_t rig_open_istiods(const struct rig *r)
{
    size_t n = 0;

    for (size_t i = 0; i < r->n_istiods; i++) {
        n += r->istiods[i]->wire->conn != NULL;
    }
    return n;
}

struct peer_stream *rig_ads(struct rig *r, struct h2_peer *vm, size_t n)
{
    struct peer_stream *st = peer_request(vm, rig_ads_request, false);
    size_t len;
    uint8_t *m = peer_message(n, (unsigned)n, &len);

    peer_send(st, m, len);
    free(m);
    rig_run(r);
    return st;
}

void rig_answer(struct rig *r, struct peer_stream *up, size_t n)
{
    size_t len;
    uint8_t *m = peer_message(n, 7, &len);

    peer_respond(up, rig_response, false);
    peer_send(up, m, len);
    free(m);
    rig_run(r);
}
