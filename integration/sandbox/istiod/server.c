/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gRPC core server: keepalive, limits and TLS as istiod sets them, one outstanding
 * request_call, dispatch by path. Everything runs on the loop's thread.
 */
#include "integration/sandbox/istiod/server.h"

#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <stdlib.h>
#include <string.h>

#include "integration/sandbox/common/os.h"
#include "integration/sandbox/common/wire.h"

#define SWEEP_MS 50

static grpc_arg int_arg(const char *key, int64_t value)
{
    /* gRPC core takes a non-const key and does not write to it */
    union {
        const char *in;
        char *out;
    } k = {.in = key};

    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = k.out, .value = {.integer = (int)value}};
}

static grpc_server *make_server(const struct server_opts *opts)
{
    grpc_arg args[] = {
        int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, 30000),
        int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000),
        int_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        int_arg(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        int_arg(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 15000),
        int_arg(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 2),
        int_arg(GRPC_ARG_MAX_CONCURRENT_STREAMS, 100000),
        int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, 4 * 1024 * 1024),
        int_arg(GRPC_ARG_MAX_METADATA_SIZE, 64 * 1024),
        int_arg(GRPC_ARG_ALLOW_REUSEPORT, 0),
        int_arg(GRPC_ARG_MAX_CONNECTION_AGE_MS, opts->max_connection_age_ms),
        int_arg(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, 10000),
    };
    size_t n = sizeof(args) / sizeof(args[0]);
    grpc_channel_args all = {
        .num_args = opts->max_connection_age_ms > 0 ? n : n - 2,
        .args = args,
    };

    return grpc_server_create(&all, NULL);
}

static bool bind_port(struct server *s)
{
    grpc_ssl_pem_key_cert_pair pair = {
        .private_key = s->ca->serving_key,
        .cert_chain = s->ca->serving_cert,
    };
    grpc_server_credentials *creds = grpc_ssl_server_credentials_create_ex(
        s->ca->root_pem, &pair, 1, GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY, NULL);

    if (creds == NULL) {
        return false;
    }
    s->port = grpc_server_add_http2_port(s->grpc, s->opts->listen, creds);
    grpc_server_credentials_release(creds);
    return s->port > 0;
}

static void request_next(struct server *s);

static void dispatch(struct server *s, struct call *c)
{
    if (strcmp(c->method, METHOD_SOTW) == 0) {
        ads_accept(s, c, false);
    } else if (strcmp(c->method, METHOD_DELTA) == 0) {
        ads_accept(s, c, true);
    } else if (strcmp(c->method, METHOD_CSR) == 0) {
        csr_accept(s, c);
    } else {
        s->counters.unimplemented++;
        call_finish(c, GRPC_STATUS_UNIMPLEMENTED, "unknown service or method");
    }
}

static void on_call(struct tag *tag, bool ok)
{
    struct server *s = tag->user;
    grpc_metadata_array headers = s->new_headers;
    grpc_call *call = s->new_call;
    struct call *c;

    if (!ok) {
        grpc_metadata_array_destroy(&headers);
        grpc_call_details_destroy(&s->new_details);
        return;
    }
    c = call_new(call, headers, s->new_details.method);
    grpc_call_details_destroy(&s->new_details);
    request_next(s);
    dispatch(s, c);
}

static void request_next(struct server *s)
{
    s->new_call = NULL;
    grpc_call_details_init(&s->new_details);
    grpc_metadata_array_init(&s->new_headers);
    s->request_tag = (struct tag){.fn = on_call, .user = s};
    (void)grpc_server_request_call(s->grpc, &s->new_call, &s->new_details, &s->new_headers,
                                   s->loop->cq, s->loop->cq, &s->request_tag);
}

static void on_sweep(struct timer *t)
{
    struct server *s = t->user;
    uint64_t deleted = s->registry.deleted;

    registry_sweep(&s->registry, os_now_ms());
    if (s->registry.deleted != deleted) {
        log_info("deleted %llu WorkloadEntries after the grace",
                 (unsigned long long)(s->registry.deleted - deleted));
    }
    timer_arm(s->loop, t, SWEEP_MS, on_sweep, s);
}

bool server_open(struct server *s, struct loop *loop, const struct server_opts *opts, struct ca *ca,
                 int64_t grace_ms, int64_t rate)
{
    *s = (struct server){.loop = loop, .opts = opts, .ca = ca};
    registry_init(&s->registry, grace_ms);
    s->limiter.per_second = rate;
    resources_make(&s->resources, ++s->push_counter, opts->push_bytes);
    s->grpc = make_server(opts);
    grpc_server_register_completion_queue(s->grpc, loop->cq, NULL);
    if (!bind_port(s)) {
        log_info("cannot listen on %s", opts->listen);
        return false;
    }
    grpc_server_start(s->grpc);
    request_next(s);
    timer_arm(loop, &s->sweep_timer, SWEEP_MS, on_sweep, s);
    return true;
}

static void on_shut_down(struct tag *tag, bool ok)
{
    struct server *s = tag->user;

    (void)ok;
    s->shut_down = true;
}

void server_shutdown(struct server *s)
{
    timer_stop(&s->sweep_timer);
    s->shutdown_tag = (struct tag){.fn = on_shut_down, .user = s};
    grpc_server_shutdown_and_notify(s->grpc, s->loop->cq, &s->shutdown_tag);
    grpc_server_cancel_all_calls(s->grpc);
}

void server_close(struct server *s)
{
    if (s->grpc != NULL) {
        grpc_server_destroy(s->grpc);
    }
    registry_fini(&s->registry);
    resources_fini(&s->resources);
}

void server_push(struct server *s, size_t push_bytes)
{
    resources_fini(&s->resources);
    resources_make(&s->resources, ++s->push_counter, push_bytes);
    ads_push_all(s);
}

/* PEM of the client certificate; NULL without one. Owned by the caller. */
static char *client_cert(const struct call *c)
{
    grpc_auth_context *auth = grpc_call_auth_context(c->call);
    grpc_auth_property_iterator it =
        grpc_auth_context_find_properties_by_name(auth, GRPC_X509_PEM_CERT_PROPERTY_NAME);
    const grpc_auth_property *p = grpc_auth_property_iterator_next(&it);
    char *pem = p == NULL ? NULL : sbx_strndup(p->value, p->value_length);

    grpc_auth_context_release(auth);
    return pem;
}

enum auth_method server_authenticate(struct server *s, const struct call *c,
                                     struct names *identities, struct text *why)
{
    struct authn_rules rules = {
        .trust_domain = s->opts->trust_domain,
        .cluster_id = s->opts->cluster_id,
        .audience = s->opts->audience,
        .token_key = s->ca->token_key,
        .gateways = &s->opts->gateways,
    };
    char *cert = client_cert(c);
    char *authorization = wire_header(&c->headers, "authorization", 0);
    char *cluster = wire_header(&c->headers, "clusterid", 0);
    char *second = wire_header(&c->headers, "clusterid", 1);
    char *xfcc = wire_header(&c->headers, "x-forwarded-client-cert", 0);
    struct authn_input in = {
        .cert_pem = cert,
        .authorization = authorization,
        .cluster_id = second == NULL ? cluster : "",
        .xfcc = xfcc,
        .peer_address = c->peer_address,
    };
    enum auth_method method = authn_check(&rules, &in, os_wall_s(), identities, why);

    free(cert);
    free(authorization);
    free(cluster);
    free(second);
    free(xfcc);
    return method;
}
