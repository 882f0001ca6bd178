/* SPDX-License-Identifier: Apache-2.0 */
/* Which headers cross the gateway, and the ones it writes itself. */
#include "gateway/relay/relay_internal.h"

#include <stddef.h>
#include <stdio.h>

#include "certs/spiffe.h"
#include "core/base/check.h"

/* What agents send (wire facts 1.4, 1.5) and gRPC needs. */
static const char *const agent_request[] = {
    "content-type",         "te",        "user-agent",    "grpc-timeout",   "grpc-encoding",
    "grpc-accept-encoding", "clusterid", "grpc-tags-bin", "grpc-trace-bin", "traceparent",
    "tracestate",           NULL,
};

static const char *const agent_response[] = {
    "content-type", "grpc-encoding", "grpc-accept-encoding",
    "grpc-status",  "grpc-message",  "grpc-status-details-bin",
    NULL,
};

/* Never relayed, whatever the route says: hop-by-hop fields, and identity that only xdsgate may
 * assert. */
static const char *const never[] = {
    "x-forwarded-client-cert",
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "host",
    "http2-settings",
    "expect",
    NULL,
};

static bool in_list(const char *const *list, const struct h2_headers *h, size_t i)
{
    for (; *list != NULL; list++) {
        if (h2_header_is(h, i, *list)) {
            return true;
        }
    }
    return false;
}

static bool in_extra(const struct relay *r, const struct h2_headers *h, size_t i)
{
    char *const *extra = r->vm->route->opts->extra_headers;

    for (; extra != NULL && *extra != NULL; extra++) {
        if (h2_header_is(h, i, *extra)) {
            return true;
        }
    }
    return false;
}

static bool is_pseudo(const struct h2_headers *h, size_t i)
{
    return h->items[i].name_len > 0 && h2_header_name(h, i)[0] == ':';
}

static enum rc copy(struct h2_headers *out, const struct h2_headers *h, size_t i, bool never_index)
{
    return h2_headers_add(out, h2_header_name(h, i), h->items[i].name_len, h2_header_value(h, i),
                          h->items[i].value_len, never_index || h->items[i].never_index);
}

static bool passes_up(const struct relay *r, const struct h2_headers *h, size_t i)
{
    if (is_pseudo(h, i) || in_list(never, h, i)) {
        return false;
    }
    return r->vm->route->opts->all_headers || in_list(agent_request, h, i) || in_extra(r, h, i);
}

/* One element, one URI=, no other key, no blank: istiod takes every identity of every element
 * (xfcc_authenticator.go). */
static enum rc add_xfcc(struct h2_headers *out, const char *id)
{
    char value[4 + SPIFFE_URI_BYTES];
    int n = snprintf(value, sizeof(value), "URI=%s", id);

    CHECK(n > 0 && (size_t)n < sizeof(value));
    return h2_headers_add(out, "x-forwarded-client-cert", 23, value, (size_t)n, true);
}

static enum rc add_pseudo(struct relay *r, const struct h2_headers *h, struct h2_headers *out)
{
    const struct upstream_opts *up = &pool_upstream(r->vm->route->pool)->opts;
    size_t n = 0;
    const char *path = h2_headers_find(h, ":path", &n);

    TRY(h2_headers_add_str(out, ":method", "POST"));
    TRY(h2_headers_add_str(out, ":scheme", "https"));
    TRY(h2_headers_add(out, ":path", 5, path, n, false));
    /* What the upstream is called for us, not what the VM called it: no VM chooses a virtual host
     * behind it. */
    return h2_headers_add_str(out, ":authority", up->server_name);
}

enum rc relay_request_headers(struct relay *r, const struct h2_headers *h, struct h2_headers *out)
{
    const struct upstream_opts *up = &pool_upstream(r->vm->route->pool)->opts;
    bool speaks = r->vm->cert != NULL && up->identity != UPSTREAM_FORWARD;
    bool names_cluster = up->identity == UPSTREAM_TOKEN;

    TRY(add_pseudo(r, h, out));
    for (size_t i = 0; i < h->n; i++) {
        if (h2_header_is(h, i, "authorization")) {
            if (!speaks) {
                TRY(copy(out, h, i, true));
            }
            continue;
        }
        if (h2_header_is(h, i, "x-forwarded-client-cert")) {
            counter_add(&r->worker->counters->v[COUNTER_XFCC_STRIPPED], 1);
        }
        if (passes_up(r, h, i) && !(names_cluster && h2_header_is(h, i, "clusterid"))) {
            TRY(copy(out, h, i, false));
        }
    }
    if (names_cluster && up->cluster_id != NULL) {
        TRY(h2_headers_add_str(out, "clusterid", up->cluster_id));
    }
    return speaks && up->identity == UPSTREAM_XFCC ? add_xfcc(out, cert_peer_identity(r->vm->cert))
                                                   : RC_OK;
}

enum rc relay_response_headers(const struct relay *r, const struct h2_headers *h,
                               struct h2_headers *out)
{
    for (size_t i = 0; i < h->n; i++) {
        bool pseudo = is_pseudo(h, i);
        bool through =
            pseudo ? h2_header_is(h, i, ":status")
                   : !in_list(never, h, i) && (r->vm->route->opts->all_headers ||
                                               in_list(agent_response, h, i) || in_extra(r, h, i));
        if (through) {
            TRY(copy(out, h, i, false));
        }
    }
    return RC_OK;
}
