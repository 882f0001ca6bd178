/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ADS streams, both variants. The order of checks is istiod's: ready, rate limit, authentication,
 * then with the first request identity, registration, configuration. One response is being sent
 * at a time; what else is due stays marked in the watches and follows in push order.
 */
#include "integration/sandbox/istiod/ads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "envoy/service/discovery/v3/discovery.pb-c.h"
#include "integration/sandbox/common/os.h"
#include "integration/sandbox/common/wire.h"

typedef Envoy__Service__Discovery__V3__DiscoveryRequest sotw_request;
typedef Envoy__Service__Discovery__V3__DiscoveryResponse sotw_response;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest delta_request;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryResponse delta_response;
typedef Envoy__Service__Discovery__V3__Resource delta_resource;

#define NONCE_CHARS 160

static void make_nonce(char *out, const char *version)
{
    (void)snprintf(out, NONCE_CHARS, "%s/%016llx", version,
                   (unsigned long long)os_random_below(UINT64_MAX));
}

/* The resources that a watch is due. Returns how many; `out` has room for all of the type. */
static size_t pick(const struct ads_stream *a, enum xds_type type, struct resource **out)
{
    const struct resource_set *set = &a->server->resources;
    size_t n = 0;

    for (size_t i = 0; i < set->n[type]; i++) {
        if (watch_wants(&a->watch[type], type, set->of[type][i].name)) {
            out[n++] = &set->of[type][i];
        }
    }
    return n;
}

static void fill_any(Google__Protobuf__Any *any, enum xds_type type, const struct resource *r,
                     char *url)
{
    (void)type;
    google__protobuf__any__init(any);
    any->type_url = url;
    any->value.len = r->n_bytes;
    any->value.data = r->bytes;
}

static void send_sotw(struct ads_stream *a, enum xds_type type, struct resource **picked, size_t n,
                      char *nonce, char *url)
{
    sotw_response rsp;
    Google__Protobuf__Any *anys = sbx_alloc(n * sizeof(*anys));
    Google__Protobuf__Any **list = sbx_alloc(n * sizeof(Google__Protobuf__Any *));

    envoy__service__discovery__v3__discovery_response__init(&rsp);
    for (size_t i = 0; i < n; i++) {
        fill_any(&anys[i], type, picked[i], url);
        list[i] = &anys[i];
    }
    rsp.version_info = a->server->resources.version;
    rsp.n_resources = n;
    rsp.resources = list;
    rsp.type_url = url;
    rsp.nonce = nonce;
    call_send(a->call, &rsp.base);
    free(anys);
    free(list);
}

static void send_delta(struct ads_stream *a, enum xds_type type, struct resource **picked, size_t n,
                       char *nonce, char *url)
{
    delta_response rsp;
    Google__Protobuf__Any *anys = sbx_alloc(n * sizeof(*anys));
    delta_resource *items = sbx_alloc(n * sizeof(*items));
    delta_resource **list = sbx_alloc(n * sizeof(delta_resource *));

    envoy__service__discovery__v3__delta_discovery_response__init(&rsp);
    for (size_t i = 0; i < n; i++) {
        fill_any(&anys[i], type, picked[i], url);
        envoy__service__discovery__v3__resource__init(&items[i]);
        items[i].name = picked[i]->name;
        items[i].resource = &anys[i];
        list[i] = &items[i];
    }
    rsp.system_version_info = a->server->resources.version;
    rsp.n_resources = n;
    rsp.resources = list;
    rsp.type_url = url;
    rsp.nonce = nonce;
    call_send(a->call, &rsp.base);
    free(anys);
    free(items);
    free(list);
}

static void send_type(struct ads_stream *a, enum xds_type type)
{
    struct resource **picked = sbx_alloc(a->server->resources.n[type] * sizeof(struct resource *));
    size_t n = pick(a, type, picked);
    char *url = sbx_strdup(xds_type_url(type));
    char nonce[NONCE_CHARS];

    make_nonce(nonce, a->server->resources.version);
    if (a->delta) {
        send_delta(a, type, picked, n, nonce, url);
    } else {
        send_sotw(a, type, picked, n, nonce, url);
    }
    watch_on_sent(&a->watch[type], a->server->resources.version, nonce, n);
    free(url);
    free(picked);
}

/* Send the next response that is due, in push order. */
static void send_due(struct ads_stream *a)
{
    for (int type = 0; type < XDS_TYPES; type++) {
        if (a->call->sending || a->call->status_due) {
            return;
        }
        if (a->watch[type].pending) {
            send_type(a, (enum xds_type)type);
        }
    }
}

static void refuse(struct ads_stream *a, int status, const char *text, uint64_t *counter)
{
    (*counter)++;
    log_info("ADS stream of %s from %s refused: %d %s", a->node.name == NULL ? "?" : a->node.name,
             a->call->peer, status, text);
    call_finish(a->call, status, text);
}

/* First request: who is it, may it be that, and is it known? Returns false when refused. */
static bool admit(struct ads_stream *a, const Envoy__Config__Core__V3__Node *from)
{
    struct server *s = a->server;
    const char *bad = node_read(&a->node, from);
    struct text why = {0};
    enum register_code code;

    if (bad != NULL) {
        refuse(a, GRPC_STATUS_INVALID_ARGUMENT, bad, &s->counters.registration_failed);
        return false;
    }
    a->node_bytes = protobuf_c_message_get_packed_size(&from->base);
    if (!authn_matches_node(&a->identities, a->node.name_space, a->node.service_account)) {
        text_addf(&why, "authorization failed: no identities ([%s]) matched %s/%s",
                  a->identities.n > 0 ? a->identities.v[0] : "", a->node.name_space,
                  a->node.service_account);
        refuse(a, GRPC_STATUS_PERMISSION_DENIED, text_str(&why), &s->counters.permission_denied);
        text_fini(&why);
        return false;
    }
    code = registry_connect(&s->registry, &a->node, &a->entry, &why);
    if (code != REGISTER_OK) {
        refuse(a, (int)code, text_str(&why), &s->counters.registration_failed);
        text_fini(&why);
        return false;
    }
    s->counters.admitted++;
    log_debug("ADS stream of %s from %s, by %s, entry %s", a->node.name, a->call->peer,
              auth_method_name(a->auth), a->entry == NULL ? "none" : a->entry->name);
    return true;
}

static void take_health(struct ads_stream *a, bool is_nack, const char *message)
{
    a->health_reports++;
    if (a->entry != NULL) {
        entry_set_health(a->entry, !is_nack, message);
        log_debug("%s reports %s", a->node.name, is_nack ? "unhealthy" : "healthy");
    }
}

static void take_request(struct ads_stream *a, const char *url, const struct watch_request *rq)
{
    enum xds_type type = xds_type_find(url);

    if (strcmp(url, TYPE_HEALTH) == 0) {
        take_health(a, rq->is_nack, rq->error);
    } else if (type == XDS_TYPES) {
        log_debug("%s asks for %s: not served", a->node.name, url);
    } else if (a->delta) {
        watch_on_delta(&a->watch[type], type, rq);
    } else {
        watch_on_sotw(&a->watch[type], type, rq);
    }
    if (rq->is_nack && type != XDS_TYPES) {
        log_info("%s: ACK ERROR %s %s", xds_type_name(type), a->node.name, rq->error);
    }
    send_due(a);
}

/* Is this the first message of the stream, and may the stream go on? */
static bool first_or_known(struct ads_stream *a, const char *url,
                           const Envoy__Config__Core__V3__Node *node)
{
    if (a->node.id != NULL) {
        return true;
    }
    if (strcmp(url, TYPE_HEALTH) == 0) {
        a->server->counters.early_health++;
        return false;
    }
    return admit(a, node);
}

static void fill_error(struct watch_request *rq, const Google__Rpc__Status *error)
{
    rq->is_nack = error != NULL;
    rq->error = error == NULL ? "" : error->message;
    rq->error_code = error == NULL ? 0 : error->code;
}

static bool on_sotw_request(struct ads_stream *a, grpc_byte_buffer *buffer)
{
    ProtobufCMessage *m =
        wire_unpack(&envoy__service__discovery__v3__discovery_request__descriptor, buffer);
    sotw_request *rq = (sotw_request *)m;
    struct watch_request w = {0};

    if (rq == NULL) {
        return false;
    }
    if (first_or_known(a, rq->type_url, rq->node)) {
        w.nonce = rq->response_nonce;
        w.subscribe = rq->resource_names;
        w.n_subscribe = rq->n_resource_names;
        fill_error(&w, rq->error_detail);
        take_request(a, rq->type_url, &w);
    }
    protobuf_c_message_free_unpacked(m, NULL);
    return true;
}

/* Subscribed names and the keys of initial_resource_versions. */
static void delta_names(struct names *out, const delta_request *rq)
{
    for (size_t i = 0; i < rq->n_resource_names_subscribe; i++) {
        names_add(out, rq->resource_names_subscribe[i]);
    }
    for (size_t i = 0; i < rq->n_initial_resource_versions; i++) {
        names_add(out, rq->initial_resource_versions[i]->key);
    }
}

static bool on_delta_request(struct ads_stream *a, grpc_byte_buffer *buffer)
{
    ProtobufCMessage *m =
        wire_unpack(&envoy__service__discovery__v3__delta_discovery_request__descriptor, buffer);
    delta_request *rq = (delta_request *)m;
    struct watch_request w = {0};
    struct names names = {0};

    if (rq == NULL) {
        return false;
    }
    if (first_or_known(a, rq->type_url, rq->node)) {
        delta_names(&names, rq);
        a->held += rq->n_initial_resource_versions;
        w.nonce = rq->response_nonce;
        w.subscribe = names.v;
        w.n_subscribe = names.n;
        w.unsubscribe = rq->resource_names_unsubscribe;
        w.n_unsubscribe = rq->n_resource_names_unsubscribe;
        fill_error(&w, rq->error_detail);
        take_request(a, rq->type_url, &w);
        names_fini(&names);
    }
    protobuf_c_message_free_unpacked(m, NULL);
    return true;
}

static void on_message(struct call *c, grpc_byte_buffer *buffer)
{
    struct ads_stream *a = c->user;
    bool ok;

    if (buffer == NULL) {
        call_finish(c, GRPC_STATUS_OK, "");
        return;
    }
    a->requests++;
    ok = a->delta ? on_delta_request(a, buffer) : on_sotw_request(a, buffer);
    if (!ok) {
        call_finish(c, GRPC_STATUS_INTERNAL, "request cannot be unmarshalled");
        return;
    }
    if (!c->status_due) {
        call_recv(c);
    }
}

static void on_sent(struct call *c)
{
    send_due(c->user);
}

static void on_end(struct call *c)
{
    struct ads_stream *a = c->user;

    timer_stop(&a->wait_timer);
    registry_disconnect(&a->server->registry, a->entry, os_now_ms());
    log_debug("ADS stream of %s ended", a->node.name == NULL ? "?" : a->node.name);
    if (a->prev != NULL) {
        a->prev->next = a->next;
    } else {
        a->server->streams = a->next;
    }
    if (a->next != NULL) {
        a->next->prev = a->prev;
    }
    for (int type = 0; type < XDS_TYPES; type++) {
        watch_fini(&a->watch[type]);
    }
    node_fini(&a->node);
    names_fini(&a->identities);
    free(a);
}

static const struct call_ops ops = {
    .on_message = on_message,
    .on_sent = on_sent,
    .on_end = on_end,
};

static void authenticate(struct ads_stream *a)
{
    struct text why = {0};

    a->auth = server_authenticate(a->server, a->call, &a->identities, &why);
    if (a->auth == AUTH_NONE) {
        log_info("ADS stream from %s: %s", a->call->peer, text_str(&why));
        refuse(a, GRPC_STATUS_UNAUTHENTICATED, "authentication failure",
               &a->server->counters.unauthenticated);
    } else {
        call_recv(a->call);
    }
    text_fini(&why);
}

static void on_turn(struct timer *t)
{
    authenticate(t->user);
}

/* Faults and the rate limit, before anybody is asked who he is. */
static void gate(struct ads_stream *a)
{
    struct server *s = a->server;
    int64_t wait_ms = 0;

    if (s->not_ready) {
        refuse(a, a->delta ? GRPC_STATUS_UNKNOWN : GRPC_STATUS_UNAVAILABLE, "server is not ready",
               &s->counters.not_ready);
    } else if (s->refuse_left > 0) {
        s->refuse_left--;
        refuse(a, s->refuse_code, "refused by the sandbox", &s->counters.refused);
    } else if (!limiter_reserve(&s->limiter, os_now_ms(), &wait_ms)) {
        refuse(a, GRPC_STATUS_RESOURCE_EXHAUSTED, "request rate limit exceeded",
               &s->counters.rate_limited);
    } else if (wait_ms > 0) {
        timer_arm(s->loop, &a->wait_timer, wait_ms, on_turn, a);
    } else {
        authenticate(a);
    }
}

void ads_accept(struct server *s, struct call *c, bool delta)
{
    struct ads_stream *a = sbx_alloc(sizeof(*a));

    a->server = s;
    a->call = c;
    a->delta = delta;
    a->since_ms = os_now_ms();
    a->next = s->streams;
    if (a->next != NULL) {
        a->next->prev = a;
    }
    s->streams = a;
    s->counters.streams++;
    call_begin(c, &ops, a);
    gate(a);
}

void ads_push_all(struct server *s)
{
    for (struct ads_stream *a = s->streams; a != NULL; a = a->next) {
        for (int type = 0; type < XDS_TYPES; type++) {
            struct watch *w = &a->watch[type];

            if (w->subscribed) {
                w->pending = true;
                w->pending_all = true;
            }
        }
        send_due(a);
    }
}

void ads_drop_all(struct server *s, int status, const char *text)
{
    for (struct ads_stream *a = s->streams; a != NULL; a = a->next) {
        timer_stop(&a->wait_timer);
        call_finish(a->call, status, text);
    }
}
