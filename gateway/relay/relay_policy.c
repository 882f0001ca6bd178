/* SPDX-License-Identifier: Apache-2.0 */
/* Which requests are relayed, and who speaks for the VM. Decided once, on the request's headers. */
#include "gateway/relay/relay_internal.h"

#include <string.h>

#include "certs/jwt.h"
#include "core/base/clock.h"

static const char ADS_SOTW[] =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
static const char ADS_DELTA[] =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
static const char CA[] = "/istio.v1.auth.IstioCertificateService/CreateCertificate";

static const struct relay_verdict pass = {200, GRPC_OK, "", COUNTER_COUNT, false};

static struct relay_verdict no(enum grpc_status status, const char *message, enum counter counter)
{
    return (struct relay_verdict){200, status, message, counter, false};
}

static bool is_text(const char *a, size_t n, const char *b)
{
    return strlen(b) == n && memcmp(a, b, n) == 0;
}

static bool method_allowed(const struct relay *r, const char *path, size_t n)
{
    const struct relay_opts *o = r->vm->route->opts;

    if (o->all_methods) {
        return true;
    }
    for (char **m = o->methods; m != NULL && *m != NULL; m++) {
        if (is_text(path, n, *m)) {
            return true;
        }
    }
    return false;
}

static struct relay_verdict judge_method(struct relay *r, const struct h2_headers *h)
{
    size_t n = 0;
    const char *type = h2_headers_find(h, "content-type", &n);

    if (type == NULL || !grpc_is_content_type(type, n)) {
        return (struct relay_verdict){415, GRPC_OK, "", COUNTER_COUNT, false};
    }
    const char *method = h2_headers_find(h, ":method", &n);
    if (method == NULL || !is_text(method, n, "POST")) {
        return (struct relay_verdict){405, GRPC_OK, "", COUNTER_COUNT, false};
    }
    const char *path = h2_headers_find(h, ":path", &n);
    if (path == NULL || !method_allowed(r, path, n)) {
        return no(GRPC_UNIMPLEMENTED, "xdsgate does not relay this method", COUNTER_COUNT);
    }
    r->is_delta = is_text(path, n, ADS_DELTA);
    r->is_ads = r->is_delta || is_text(path, n, ADS_SOTW);
    r->is_agent = r->is_ads || is_text(path, n, CA);
    return pass;
}

static struct relay_verdict judge_anonymous(struct relay *r)
{
    if (r->vm->cert != NULL ||
        bucket_take(&r->vm->route->shared->anonymous, worker_now(r->worker))) {
        return pass;
    }
    return no(GRPC_UNAVAILABLE,
              "xdsgate: too many streams without a client certificate, try again later",
              COUNTER_LIMIT_UNAUTHENTICATED);
}

static struct relay_verdict judge_token(struct relay *r, const struct h2_headers *h)
{
    const struct upstream_opts *up = &pool_upstream(r->vm->route->pool)->opts;
    const char *why = "";
    size_t n = 0;
    const char *value = h2_headers_find(h, "authorization", &n);

    if (h2_headers_count(h, "authorization") > 1) {
        return no(GRPC_UNAUTHENTICATED, "xdsgate: more than one authorization header",
                  COUNTER_TOKENS_REFUSED);
    }
    if (jwt_look(value, n, (const char *const *)up->token_audiences, clock_wall(), &why) != RC_OK) {
        return no(GRPC_UNAUTHENTICATED, why, COUNTER_TOKENS_REFUSED);
    }
    return judge_anonymous(r);
}

static struct relay_verdict judge_identity(struct relay *r, const struct h2_headers *h)
{
    const struct upstream_opts *up = &pool_upstream(r->vm->route->pool)->opts;

    if (r->vm->cert != NULL && clock_wall() >= cert_peer_expiry(r->vm->cert)) {
        h2_session_refuse_new(r->vm->h2, END_EXPIRED); /* the agent makes a new connection */
        return no(GRPC_UNAVAILABLE, "transport is closing: the VM's certificate has expired",
                  COUNTER_COUNT);
    }
    if (r->vm->cert != NULL && up->identity != UPSTREAM_FORWARD) {
        return pass; /* the certificate speaks */
    }
    if (r->vm->route->opts->anonymous_allow) {
        return judge_anonymous(r); /* the rest is the upstream's to decide */
    }
    if (h2_headers_count(h, "authorization") > 0) {
        return judge_token(r, h);
    }
    if (r->vm->cert != NULL) {
        return no(GRPC_UNAUTHENTICATED,
                  "xdsgate: this route forwards tokens only (identity: forward); the VM shows a "
                  "certificate but no token",
                  COUNTER_COUNT);
    }
    return no(GRPC_UNAUTHENTICATED, "xdsgate: neither a client certificate nor a token",
              COUNTER_COUNT);
}

static struct relay_verdict judge_limits(struct relay *r)
{
    if (!bucket_take(&r->vm->new_streams, worker_now(r->worker))) {
        return no(GRPC_RESOURCE_EXHAUSTED, "xdsgate: too many new streams on this connection",
                  COUNTER_LIMIT_NEW_STREAMS);
    }
    if (r->vm->left.n >= r->vm->route->limits->streams_per_connection) {
        return no(GRPC_RESOURCE_EXHAUSTED, "xdsgate: too many streams of this connection still end",
                  COUNTER_LIMIT_STREAMS);
    }
    if (r->is_ads && r->vm->n_ads >= r->vm->route->limits->ads_streams_per_vm) {
        return no(GRPC_RESOURCE_EXHAUSTED, "xdsgate: too many ADS streams on this connection",
                  COUNTER_LIMIT_ADS_STREAMS);
    }
    return pass;
}

struct relay_verdict relay_judge(struct relay *r, const struct h2_headers *h)
{
    struct relay_verdict v = judge_method(r, h);

    if (v.http_status == 200 && v.status == GRPC_OK) {
        v = judge_limits(r);
    }
    if (v.http_status == 200 && v.status == GRPC_OK) {
        v = judge_identity(r, h);
    }
    return v;
}
