/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ADS stream of a simulated VM. Envoy's order: CDS with the Node, EDS for the clusters that
 * want it, then LDS, then RDS for the routes that listeners name; an ACK for each response. The
 * agent's part: health after the first LDS request and on change. A stream that ends is opened
 * again on a new connection after a random wait below a bound that doubles up to 30 s and falls
 * back with the first response.
 */
#include <stdlib.h>
#include <string.h>

#include "envoy/service/discovery/v3/discovery.pb-c.h"
#include "integration/sandbox/common/os.h"
#include "integration/sandbox/vm/follow.h"
#include "integration/sandbox/vm/vm.h"

#define VERSION_ENTRY_INIT \
    envoy__service__discovery__v3__delta_discovery_request__initial_resource_versions_entry__init

#define BACKOFF_BASE_MS 500
#define BACKOFF_MAX_MS 30000

/*
 * How long a dial without any answer lasts. An agent's: 20 s, minConnectTimeout of grpc-go
 * (clientconn.go), which sets TCP_USER_TIMEOUT once it is connected (http2_client.go). gRPC core
 * sets it, to the 10 s of the PING's answer, before connect(): so a VM here dials twice.
 */
#define UNANSWERED_MIN_MS 9000

typedef Envoy__Service__Discovery__V3__DiscoveryRequest sotw_request;
typedef Envoy__Service__Discovery__V3__DiscoveryResponse sotw_response;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest delta_request;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryResponse delta_response;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest__InitialResourceVersionsEntry
    version_entry;

/** One request of either variant. All borrowed. */
struct request {
    const char *url;
    const char *nonce;         /* NULL for none */
    const char *version;       /* SotW only; NULL for none */
    const struct names *names; /* SotW: all; delta: subscribe; NULL for none */
    const struct names *gone;  /* delta: unsubscribe; NULL for none */
    const struct names *held;  /* delta, first of a type: known already; NULL for none */
    const char *error;         /* NULL for none */
    bool first;                /* carries Node */
};

static char *text_of(const char *s)
{
    return sbx_strdup(s);
}

static void send_sotw(struct vm *v, const struct request *r, Envoy__Config__Core__V3__Node *node,
                      Google__Rpc__Status *error)
{
    sotw_request rq;
    char *url = text_of(r->url);
    char *nonce = text_of(r->nonce);
    char *version = text_of(r->version);

    envoy__service__discovery__v3__discovery_request__init(&rq);
    rq.node = node;
    rq.type_url = url;
    rq.response_nonce = nonce;
    rq.version_info = version;
    rq.error_detail = error;
    if (r->names != NULL) {
        rq.n_resource_names = r->names->n;
        rq.resource_names = r->names->v;
    }
    dialled_send(v->ads, &rq.base);
    free(url);
    free(nonce);
    free(version);
}

/* Names with empty versions, as istiod gives none. Owned by the caller; NULL without names. */
static version_entry **versions_of(const struct names *held)
{
    version_entry **list;

    if (held == NULL || held->n == 0) {
        return NULL;
    }
    list = sbx_alloc(held->n * sizeof(version_entry *));
    for (size_t i = 0; i < held->n; i++) {
        list[i] = sbx_alloc(sizeof(version_entry));
        VERSION_ENTRY_INIT(list[i]);
        list[i]->key = held->v[i];
    }
    return list;
}

static void versions_free(version_entry **list, size_t n)
{
    for (size_t i = 0; list != NULL && i < n; i++) {
        free(list[i]);
    }
    free(list);
}

static void send_delta(struct vm *v, const struct request *r, Envoy__Config__Core__V3__Node *node,
                       Google__Rpc__Status *error)
{
    delta_request rq;
    char *url = text_of(r->url);
    char *nonce = text_of(r->nonce);
    version_entry **versions = versions_of(r->held);

    envoy__service__discovery__v3__delta_discovery_request__init(&rq);
    rq.node = node;
    rq.type_url = url;
    rq.response_nonce = nonce;
    rq.error_detail = error;
    if (r->names != NULL) {
        rq.n_resource_names_subscribe = r->names->n;
        rq.resource_names_subscribe = r->names->v;
    }
    if (r->gone != NULL) {
        rq.n_resource_names_unsubscribe = r->gone->n;
        rq.resource_names_unsubscribe = r->gone->v;
    }
    rq.initial_resource_versions = versions;
    rq.n_initial_resource_versions = versions == NULL || r->held == NULL ? 0 : r->held->n;
    dialled_send(v->ads, &rq.base);
    versions_free(versions, rq.n_initial_resource_versions);
    free(url);
    free(nonce);
}

static void send_request(struct vm *v, const struct request *r)
{
    Envoy__Config__Core__V3__Node *node = r->first ? vm_node_new(v) : NULL;
    Google__Rpc__Status error;
    char *message = text_of(r->error);

    google__rpc__status__init(&error);
    error.code = GRPC_STATUS_INTERNAL;
    error.message = message;
    if (v->swarm->opts->delta) {
        send_delta(v, r, node, r->error == NULL ? NULL : &error);
    } else {
        send_sotw(v, r, node, r->error == NULL ? NULL : &error);
    }
    if (node != NULL) {
        vm_node_free(node);
    }
    free(message);
}

static void subscribe(struct vm *v, enum xds_type type)
{
    struct vm_type *t = &v->types[type];
    struct request r = {
        .url = xds_type_url(type),
        .names = &t->names,
        .held = &t->held,
        .first = type == XDS_CDS,
    };

    t->subscribed = true;
    send_request(v, &r);
    if (type == XDS_LDS) {
        v->lds_requested = true;
        vm_health_send(v);
    }
}

void vm_health_send(struct vm *v)
{
    struct request r = {.url = TYPE_HEALTH};

    if (v->ads == NULL || !v->lds_requested || v->health_stored < 0) {
        return;
    }
    if (v->health_stored == 0) {
        r.error = v->app_healthy ? "sandbox: proxy is not ready" : "sandbox: application is down";
    }
    send_request(v, &r);
    v->health_sent++;
}

void vm_health_update(struct vm *v)
{
    int now = v->app_healthy && v->proxy_ready ? 1 : 0;

    if (v->swarm->opts->no_health || v->health_stored == now) {
        return;
    }
    v->health_stored = now;
    vm_health_send(v);
}

void vm_ads_answer(struct vm *v, enum xds_type type)
{
    struct vm_type *t = &v->types[type];
    struct request r = {
        .url = xds_type_url(type),
        .nonce = t->nonce,
        .version = t->nack ? NULL : t->version,
        .names = v->swarm->opts->delta ? NULL : &t->names,
        .error = t->nack ? "sandbox: rejected on command" : NULL,
    };

    if (v->ads == NULL || t->nonce == NULL) {
        return;
    }
    send_request(v, &r);
    if (t->nack) {
        t->nacks++;
        return;
    }
    t->acks++;
    free(t->nonce_acked);
    t->nonce_acked = sbx_strdup(t->nonce);
}

/* Ask for what a type refers to: all of it the first time, changes later. */
static void follow(struct vm *v, enum xds_type type, struct names *wanted)
{
    struct vm_type *t = &v->types[type];
    struct names added = {0};
    struct names gone = {0};

    names_diff(wanted, &t->names, &added);
    names_diff(&t->names, wanted, &gone);
    if (added.n > 0 || gone.n > 0) {
        struct names old = t->names;

        t->names = *wanted;
        *wanted = (struct names){0};
        names_fini(&old);
    }
    if (!t->subscribed && t->names.n > 0) {
        subscribe(v, type);
    } else if (t->subscribed && (added.n > 0 || gone.n > 0)) {
        struct request r = {.url = xds_type_url(type), .names = &added, .gone = &gone};

        if (!v->swarm->opts->delta) {
            r = (struct request){.url = xds_type_url(type),
                                 .nonce = t->nonce,
                                 .version = t->version,
                                 .names = &t->names};
        }
        send_request(v, &r);
    }
    names_fini(&added);
    names_fini(&gone);
    names_fini(wanted);
}

/* What Envoy does after a response of this type was taken in. */
static void go_on(struct vm *v, enum xds_type type, struct names *refers_to)
{
    if (type == XDS_CDS) {
        follow(v, XDS_EDS, refers_to);
    } else if (type == XDS_LDS) {
        follow(v, XDS_RDS, refers_to);
        v->proxy_ready = true;
    }
    names_fini(refers_to);
    if (!v->types[XDS_LDS].subscribed && (type == XDS_EDS || !v->types[XDS_EDS].subscribed)) {
        subscribe(v, XDS_LDS);
    }
    vm_health_update(v);
    if (v->synced_after_ms < 0 && vm_synced(v)) {
        v->synced_after_ms = os_now_ms() - v->started_ms;
    }
}

static void set_str(char **slot, const char *s)
{
    free(*slot);
    *slot = s == NULL ? NULL : sbx_strdup(s);
}

/* The first response of a stream: it stands, the backoff falls back. */
static void establish(struct vm *v)
{
    if (v->established) {
        return;
    }
    v->established = true;
    v->established_ms = os_now_ms();
    v->ads_established++;
    v->backoff_ms = BACKOFF_BASE_MS;
}

static void take(struct vm *v, const char *url, const char *version, const char *nonce,
                 struct follower *f)
{
    enum xds_type type = xds_type_find(url);
    struct vm_type *t;

    if (type == XDS_TYPES) {
        names_fini(&f->refers_to);
        return;
    }
    t = &v->types[type];
    set_str(&t->version, version);
    set_str(&t->nonce, nonce);
    t->received++;
    t->n_resources = f->n_resources;
    t->bytes += f->n_bytes;
    t->malformed += f->malformed;
    vm_ads_answer(v, type);
    if (t->nack) {
        names_fini(&f->refers_to);
        return;
    }
    go_on(v, type, &f->refers_to);
}

static bool on_sotw(struct vm *v, grpc_byte_buffer *buffer)
{
    ProtobufCMessage *m =
        wire_unpack(&envoy__service__discovery__v3__discovery_response__descriptor, buffer);
    const sotw_response *rsp = (const sotw_response *)m;
    struct follower f = {0};

    if (rsp == NULL) {
        return false;
    }
    for (size_t i = 0; i < rsp->n_resources; i++) {
        follow_resource(&f, rsp->resources[i]);
    }
    take(v, rsp->type_url, rsp->version_info, rsp->nonce, &f);
    protobuf_c_message_free_unpacked(m, NULL);
    return true;
}

static void hold(struct vm_type *t, const delta_response *rsp)
{
    for (size_t i = 0; i < rsp->n_removed_resources; i++) {
        (void)names_remove(&t->held, rsp->removed_resources[i]);
    }
    for (size_t i = 0; i < rsp->n_resources; i++) {
        if (!names_has(&t->held, rsp->resources[i]->name)) {
            names_add(&t->held, rsp->resources[i]->name);
        }
    }
}

static bool on_delta(struct vm *v, grpc_byte_buffer *buffer)
{
    ProtobufCMessage *m =
        wire_unpack(&envoy__service__discovery__v3__delta_discovery_response__descriptor, buffer);
    const delta_response *rsp = (const delta_response *)m;
    struct follower f = {0};
    enum xds_type type;

    if (rsp == NULL) {
        return false;
    }
    type = xds_type_find(rsp->type_url);
    if (type == XDS_CDS || type == XDS_LDS) {
        /* a delta adds to what is known and says what is gone */
        names_copy(&f.refers_to, &v->types[type == XDS_CDS ? XDS_EDS : XDS_RDS].names);
    }
    for (size_t i = 0; i < rsp->n_removed_resources && type == XDS_CDS; i++) {
        (void)names_remove(&f.refers_to, rsp->removed_resources[i]);
    }
    for (size_t i = 0; i < rsp->n_resources; i++) {
        follow_resource(&f, rsp->resources[i]->resource);
    }
    if (type != XDS_TYPES) {
        hold(&v->types[type], rsp);
    }
    take(v, rsp->type_url, rsp->system_version_info, rsp->nonce, &f);
    protobuf_c_message_free_unpacked(m, NULL);
    return true;
}

static void on_message(void *user, grpc_byte_buffer *buffer)
{
    struct vm *v = user;

    establish(v);
    if (!(v->swarm->opts->delta ? on_delta(v, buffer) : on_sotw(v, buffer))) {
        log_info("%s: malformed response", v->name);
    }
}

static void on_reopen(struct timer *t)
{
    vm_ads_open(t->user);
}

static void begin(struct vm *v);

/* The dial got no answer, but an agent's would go on. */
static bool still_dialling(const struct vm *v)
{
    return !v->redialled && !dialled_connected(v->ads) &&
           os_now_ms() - v->dialled_ms >= UNANSWERED_MIN_MS;
}

static void on_end(void *user, int status, const char *text)
{
    struct vm *v = user;
    int64_t bound = v->backoff_ms;
    bool again = still_dialling(v);

    v->ads = NULL;
    grpc_channel_destroy(v->ads_channel);
    v->ads_channel = NULL;
    outcome_set(&v->ads_outcome, status, text);
    log_debug("%s: ADS ended: %d %s", v->name, status, text);
    v->established = false;
    if (again) {
        v->redialled = true;
        begin(v);
        return;
    }
    v->backoff_ms = bound * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : bound * 2;
    timer_arm(v->swarm->loop, &v->ads_timer, (int64_t)os_random_below((uint64_t)bound), on_reopen,
              v);
}

static const struct dialled_ops ops = {.on_message = on_message, .on_end = on_end};

/* Forget what belongs to the stream; names stay, as Envoy keeps its resources. */
static void forget_stream(struct vm *v)
{
    for (int i = 0; i < XDS_TYPES; i++) {
        struct vm_type *t = &v->types[i];

        t->subscribed = false;
        set_str(&t->version, NULL);
        set_str(&t->nonce, NULL);
        set_str(&t->nonce_acked, NULL);
    }
    v->established = false;
    v->lds_requested = false;
}

static void begin(struct vm *v)
{
    struct dial d = vm_dial(v);
    struct dialled_header headers[8];
    char *bearer = NULL;
    size_t n;

    forget_stream(v);
    if (v->backoff_ms == 0) {
        v->backoff_ms = BACKOFF_BASE_MS;
    }
    v->ads_channel = dial_channel(&d);
    if (v->ads_channel == NULL) {
        outcome_set(&v->ads_outcome, GRPC_STATUS_INTERNAL, "cannot make a channel");
        timer_arm(v->swarm->loop, &v->ads_timer, v->backoff_ms, on_reopen, v);
        return;
    }
    n = vm_headers(v, headers, 8, &bearer);
    v->ads = dialled_open(v->swarm->loop, v->ads_channel,
                          v->swarm->opts->delta ? METHOD_DELTA : METHOD_SOTW, headers, n, &ops, v);
    free(bearer);
    v->ads_opened++;
    dialled_pause(v->ads, v->paused);
    subscribe(v, XDS_CDS);
}

void vm_ads_open(struct vm *v)
{
    if (v->ads == NULL) {
        v->dialled_ms = os_now_ms();
        v->redialled = false;
        begin(v);
    }
}
