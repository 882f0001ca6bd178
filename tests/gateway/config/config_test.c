/* SPDX-License-Identifier: Apache-2.0 */
/* What good files become, and the ends of every range. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/config/scalar.h"
#include "tests/gateway/config/fixture.h"

static void assert_ip(const struct addr *a, const char *text)
{
    char buf[ADDR_TEXT_BYTES];
    assert_int_not_equal(a->family, ADDR_NONE);
    assert_string_equal(a->port != 0 ? addr_format(a, buf) : addr_format_ip(a, buf), text);
}

static bool same(double a, double b)
{
    return a >= b - 1e-9 && a <= b + 1e-9;
}

static void test_config__small_file__has_defaults(void **state)
{
    struct config *c = fixture_accept_example(*state, "small.yaml");

    assert_int_equal(c->n_listeners, 1);
    assert_string_equal(c->listeners[0].name, "istiod");
    assert_int_equal(c->listeners[0].n_bind, 2);
    assert_ip(&c->listeners[0].bind[0], "0.0.0.0:15012");
    assert_ip(&c->listeners[0].bind[1], "[::]:15012");
    assert_null(c->listeners[0].certs);
    assert_int_equal(c->listeners[0].n_routes, 1);
    assert_int_equal(c->listeners[0].routes[0].mode, ROUTE_PASSTHROUGH);
    assert_int_equal(c->listeners[0].routes[0].n_from, 0);
    assert_int_equal(c->listeners[0].routes[0].upstream, 0);
    ASSERT_TEXTS(c->listeners[0].routes[0].sni, "*");
#define PARAM_LIMIT(name, kind, def, min, max, text) \
    assert_true(same((double)c->listeners[0].limits.name, (def)));
#include "gateway/config/params.def"
    const struct upstream_opts *o = &c->upstreams[0].opts;
    assert_string_equal(o->endpoints[0].host, "10.0.0.11");
    assert_int_equal(o->endpoints[0].port, 31512);
    assert_false(o->tls);
    assert_int_equal(o->identity, UPSTREAM_FORWARD);
    assert_int_equal(o->source_v4.family, ADDR_NONE);
    assert_int_equal(o->source_v6.family, ADDR_NONE);
    assert_int_equal(o->streams_per_connection, 50);
    assert_int_equal(o->max_new_streams_per_second, 0);
    assert_false(o->proxy_protocol_v2);
    assert_false(o->sources_must_hold);
    ASSERT_TEXTS(o->token_audiences, "istio-ca");
    assert_int_equal(c->workers, 1);
    assert_true(same(c->drain_timeout, 60));
    assert_null(c->admin.socket);
    assert_int_equal(c->admin.socket_mode, 0660);
    assert_int_equal(c->admin.bind.family, ADDR_NONE);
    assert_int_equal(c->admin.metrics_bind.family, ADDR_NONE);
    assert_int_equal(c->log.format, LOG_TEXT);
    assert_int_equal(c->log.level, LOG_INFO);
    assert_null(c->log.file);
    assert_null(c->files[1]);
    config_free(&c);
    assert_null(c);
}

static void assert_full_limits(const struct listener_limits *l)
{
    assert_int_equal(l->connections, 1001);
    assert_int_equal(l->connections_per_source, 1002);
    assert_int_equal(l->handshakes_in_flight, 1003);
    assert_true(same(l->handshake_timeout, 0.25));
    assert_true(same(l->first_request_timeout, 300));
    assert_int_equal(l->streams_per_connection, 1004);
    assert_int_equal(l->ads_streams_per_vm, 1005);
    assert_int_equal(l->new_streams_per_second, 1006);
    assert_int_equal(l->header_bytes, 65536);
    assert_int_equal(l->headers, 100);
    assert_int_equal(l->message_bytes, 1048576);
    assert_true(same(l->stall_timeout, 3600));
    assert_int_equal(l->unauthenticated_streams_per_second, 1007);
    assert_int_equal(l->frame_flood, 1008);
    assert_int_equal(l->bad_connections_per_second, 1009);
}

static void test_config__full_file__listener_as_written(void **state)
{
    struct config *c = fixture_accept_example(*state, "full.yaml");

    assert_int_equal(c->n_listeners, 2);
    const struct config_listener *l = &c->listeners[0];
    assert_non_null(l->certs);
    assert_null(c->listeners[1].certs);
    assert_int_equal(l->n_routes, 3);
    const struct config_route *t = &l->routes[0];
    assert_int_equal(t->mode, ROUTE_TERMINATE);
    assert_int_equal(t->n_from, 2);
    assert_int_equal(t->from[0].prefix, 24);
    assert_ip(&t->from[0].base, "192.168.7.0");
    assert_int_equal(t->from[1].prefix, 64);
    ASSERT_TEXTS(t->sni, "istiod.istio-system.svc", "istiod.istio-system.svc.cluster.local");
    assert_int_equal(t->upstream, 0);
    assert_true(t->relay.anonymous_allow);
    assert_false(t->relay.all_methods);
    ASSERT_TEXTS(t->relay.methods, "/a.B/C");
    assert_false(t->relay.all_headers);
    ASSERT_TEXTS(t->relay.extra_headers, "x-extra");
    assert_int_equal(l->routes[1].upstream, 2);
    assert_int_equal(l->routes[2].upstream, 1);
    assert_int_equal(c->listeners[1].routes[0].upstream, 3);
    assert_full_limits(&l->limits);
    config_free(&c);
}

static void test_config__full_file__upstreams_as_written(void **state)
{
    struct config *c = fixture_accept_example(*state, "full.yaml");

    assert_int_equal(c->n_upstreams, 4);
    const struct upstream_opts *o = &c->upstreams[0].opts;
    assert_int_equal(o->n_endpoints, 2);
    assert_string_equal(o->endpoints[1].host, "istiod.example.internal");
    assert_int_equal(o->endpoints[1].port, 15012);
    assert_true(o->tls);
    assert_string_equal(o->server_name, "istiod.istio-system.svc");
    assert_non_null(strstr(o->roots_file, "/root.pem"));
    assert_non_null(c->upstreams[0].roots);
    assert_int_equal(o->identity, UPSTREAM_XFCC);
    assert_ip(&o->source_v4, "10.77.0.2");
    assert_ip(&o->source_v6, "fd00:77::2");
    assert_int_equal(o->streams_per_connection, 51);
    assert_int_equal(o->max_new_streams_per_second, 7);
    ASSERT_TEXTS(o->token_audiences, "istio-ca", "other");
    for (size_t i = 0; i < c->n_upstreams; i++) {
        assert_true(c->upstreams[i].opts.sources_must_hold);
    }
    assert_false(o->discovery.on);
    const struct upstream_discovery *d = &c->upstreams[2].opts.discovery;
    assert_null(c->upstreams[2].opts.endpoints);
    assert_true(d->on);
    assert_string_equal(d->service, "istiod-canary");
    assert_string_equal(d->ns, "mesh");
    assert_string_equal(d->port, "15112");
    assert_int_equal(d->addresses, UPSTREAM_NODES);
    assert_int_equal(d->node_address, UPSTREAM_EXTERNAL_IP);
    assert_true(c->upstreams[1].opts.proxy_protocol_v2);
    assert_null(c->upstreams[1].roots);
    assert_ip(&c->upstreams[1].opts.source_v4, "10.77.0.3");
    config_free(&c);
}

static void test_config__full_file__rest_as_written(void **state)
{
    struct fixture *f = *state;
    struct config *c = fixture_accept_example(f, "full.yaml");

    assert_int_equal(c->workers, 2);
    assert_true(same(c->drain_timeout, 90));
    assert_string_equal(c->admin.socket, "/run/xdsgate/admin.sock");
    assert_int_equal(c->admin.socket_mode, 0640);
    assert_ip(&c->admin.bind, "127.0.0.1:15094");
    assert_false(c->admin.allow_remote);
    assert_ip(&c->admin.metrics_bind, "0.0.0.0:15095");
    assert_int_equal(c->log.format, LOG_JSON);
    assert_int_equal(c->log.level, LOG_WARNING);
    assert_ptr_equal(c->log.file, c->log_file);
    assert_true(strncmp(c->log_file, f->dir, strlen(f->dir)) == 0);
    assert_string_equal(c->log_file + strlen(f->dir), "/xdsgate.log");
    assert_string_equal(c->path, f->path);
    assert_true(c->kubernetes.on);
    assert_non_null(strstr(c->kubernetes.kubeconfig, "/kubeconfig"));
    assert_string_equal(c->kubernetes.context, "mesh");
    assert_string_equal(c->kubernetes.cluster_id, "edge-1");
    assert_string_equal(c->kubernetes.istio_namespace, "istio-control");
    assert_true(c->kubernetes.follow_roots);
    static const char *const names[] = {"config.yaml", "kubeconfig", "tls.crt", "tls.key",
                                        "root.pem"};
    for (size_t i = 0; i < 5; i++) {
        assert_non_null(c->files[i]);
        assert_string_equal(c->files[i] + strlen(f->dir) + 1, names[i]);
    }
    assert_null(c->files[5]);
    config_free(&c);
}

/* ---- defaults and forms of a terminating route ---- */

#define TERMINATE(route, upstream)                                                             \
    "version: 1\n"                                                                             \
    "listeners:\n"                                                                             \
    "- name: a\n"                                                                              \
    "  bind: [127.0.0.1:1]\n"                                                                  \
    "  tls: {certificates: [{certificate: @/tls.crt, private_key: @/tls.key}], client_roots: " \
    "[@/root.pem]}\n"                                                                          \
    "  vm_identities: [ns/vms/sa/*, ns/*/sa/default]\n"                                        \
    "  trust_domain: cluster.local\n"                                                          \
    "  routes:\n"                                                                              \
    "  - {sni: [\"*.example.com\"], mode: terminate, upstream: u" route "}\n"                  \
    "upstreams:\n"                                                                             \
    "- {name: u, endpoints: [localhost:1], tls: {server_name: istiod, roots: "                 \
    "[@/root.pem]}" upstream "}\n"

static void test_config__terminate__agent_by_default(void **state)
{
    struct config *c = fixture_accept(*state, TERMINATE("", ""));

    const struct relay_opts *o = &c->listeners[0].routes[0].relay;
    assert_false(o->anonymous_allow);
    assert_false(o->all_methods);
    assert_false(o->all_headers);
    ASSERT_TEXTS(o->methods,
                 "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
                 "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
                 "/istio.v1.auth.IstioCertificateService/CreateCertificate");
    assert_non_null(o->extra_headers);
    assert_null(o->extra_headers[0]);
    assert_false(c->upstreams[0].opts.sources_must_hold);
    config_free(&c);
}

static void test_config__terminate__everything_relayed(void **state)
{
    struct config *c = fixture_accept(
        *state, TERMINATE(", anonymous: refuse, methods: [\"*\"], headers: all", ""));

    const struct relay_opts *o = &c->listeners[0].routes[0].relay;
    assert_false(o->anonymous_allow);
    assert_true(o->all_methods);
    assert_true(o->all_headers);
    config_free(&c);
}

static void test_config__forms_of_values__accepted(void **state)
{
    static const char *const upstreams[] = {
        ", identity: forward",
        ", max_new_streams_per_second: auto",
        ", max_new_streams_per_second: \"auto\"",
        ", proxy_protocol: off",
        ", identity: xfcc, source_address: [127.0.0.2]",
        ", identity: xfcc, source_address: [\"::ffff:127.0.0.2\", \"::1\"]",
    };
    for (size_t i = 0; i < sizeof(upstreams) / sizeof(upstreams[0]); i++) {
        char text[2048];
        (void)snprintf(text, sizeof(text), TERMINATE("%s", "%s"), ", headers: agent", upstreams[i]);
        struct config *c = fixture_accept(*state, text);
        config_free(&c);
    }
}

static void test_config__reserved_looking_endpoints__read_as_names(void **state)
{
    struct config *c = fixture_accept(
        *state, "version: 1\n"
                "listeners:\n"
                "- {name: a, bind: [\"[::1]:1\"], routes: [{sni: [\"*\"], mode: passthrough, "
                "upstream: u}]}\n"
                "upstreams:\n"
                "- {name: u, endpoints: [\"a.b.:1\", \"[::ffff:10.0.0.1]:2\", "
                "\"[2001:DB8::1]:65535\", a1.2b:3]}\n");

    const struct upstream_endpoint_name *e = c->upstreams[0].opts.endpoints;
    assert_string_equal(e[0].host, "a.b.");
    assert_string_equal(e[1].host, "10.0.0.1");
    assert_string_equal(e[2].host, "2001:db8::1");
    assert_int_equal(e[2].port, 65535);
    assert_string_equal(e[3].host, "a1.2b");
    config_free(&c);
}

static void test_config__tls_without_terminate__files_checked_but_not_used(void **state)
{
    struct config *c = fixture_accept(
        *state, "version: 1\n"
                "listeners:\n"
                "- name: a\n"
                "  bind: [127.0.0.1:1]\n"
                "  tls: {certificates: [{certificate: @/tls.crt, private_key: @/tls.key}], "
                "client_roots: [@/root.pem]}\n"
                "  routes: [{sni: [\"*\"], mode: passthrough, upstream: u}]\n"
                "upstreams:\n"
                "- {name: u, endpoints: [localhost:1]}\n");

    assert_null(c->listeners[0].certs);
    assert_non_null(c->files[3]);
    config_free(&c);
}

/* ---- ranges ---- */

enum kind { COUNT, BYTES, TIME };

struct param {
    const char *section; /**< where the line goes: "" the top, "upstream", "registry" or "limits" */
    const char *name;
    enum kind kind;
    double min;
    double max;
    double def;
};

static const struct param params[] = {
#define PARAM_TOP(name, kind, def, min, max, text) {"", #name, kind, min, max, def},
#define PARAM_UPSTREAM(name, kind, def, min, max, text) {"upstream", #name, kind, min, max, def},
#define PARAM_LIMIT(name, kind, def, min, max, text) {"limits", #name, kind, min, max, def},
#define PARAM_REGISTRY(name, kind, def, min, max, text) {"registry", #name, kind, min, max, def},
#include "gateway/config/params.def"
    {"upstream", "max_new_streams_per_second", COUNT, 1, 100000, 0},
};

/* A small file with one more line in the section. */
static void file_with(char *text, size_t n, const struct param *p, const char *value)
{
    char line[128];
    bool registry = strcmp(p->section, "registry") == 0;
    (void)snprintf(line, sizeof(line), registry ? "registry: {%s: %s}" : "%s: %s", p->name, value);
    bool limits = strcmp(p->section, "limits") == 0;
    bool upstream = strcmp(p->section, "upstream") == 0;
    (void)snprintf(text, n,
                   "version: 1\n"
                   "listeners:\n"
                   "- {name: a, bind: [127.0.0.1:1], routes: [{sni: [\"*\"], mode: passthrough, "
                   "upstream: u}]%s%s%s}\n"
                   "upstreams:\n"
                   "- {name: u, endpoints: [localhost:1]%s%s}\n%s\n",
                   limits ? ", limits: {" : "", limits ? line : "", limits ? "}" : "",
                   upstream ? ", " : "", upstream ? line : "", limits || upstream ? "" : line);
}

static double value_of(const struct config *c, const char *name, bool limits)
{
#define PARAM_TOP(field, kind, def, min, max, text) \
    if (strcmp(name, #field) == 0) {                \
        return (double)c->field;                    \
    }
#define PARAM_UPSTREAM(field, kind, def, min, max, text) \
    if (!limits && strcmp(name, #field) == 0) {          \
        return (double)c->upstreams[0].opts.field;       \
    }
#define PARAM_REGISTRY(field, kind, def, min, max, text) \
    if (strcmp(name, #field) == 0) {                     \
        return (double)c->registry.field;                \
    }
#define PARAM_LIMIT(field, kind, def, min, max, text) \
    if (limits && strcmp(name, #field) == 0) {        \
        return (double)c->listeners[0].limits.field;  \
    }
#include "gateway/config/params.def"
    assert_string_equal(name, "max_new_streams_per_second");
    return (double)c->upstreams[0].opts.max_new_streams_per_second;
}

/* The value in the unit of its kind, moved by `step` of the smallest step. */
static const char *write_value(char *buf, size_t n, const struct param *p, double value, int step)
{
    if (p->kind == TIME) {
        (void)snprintf(buf, n, "%s%.0fms", "", value * 1000 + step);
    } else {
        (void)snprintf(buf, n, "%.0f", value + step);
    }
    return buf;
}

static void accept_value(struct fixture *f, const struct param *p, double value)
{
    char text[1024];
    char word[64];
    file_with(text, sizeof(text), p, write_value(word, sizeof(word), p, value, 0));
    struct config *c = fixture_accept(f, text);
    double got = value_of(c, p->name, strcmp(p->section, "limits") == 0);
    if (!same(got, value)) {
        print_error("%s: %f is not %f\n", p->name, got, value);
    }
    assert_true(same(got, value));
    config_free(&c);
}

static void refuse_value(struct fixture *f, const struct param *p, const char *word,
                         const char *what)
{
    char text[1024];
    char marked[80];
    (void)snprintf(marked, sizeof(marked), "^%s", word);
    file_with(text, sizeof(text), p, marked);
    fixture_refuse(f, text, what);
}

static void test_config__every_range__ends_hold(void **state)
{
    for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
        const struct param *p = &params[i];
        char word[64];
        accept_value(*state, p, p->min);
        accept_value(*state, p, p->max);
        refuse_value(*state, p, write_value(word, sizeof(word), p, p->min, -1), "must be");
        refuse_value(*state, p, write_value(word, sizeof(word), p, p->max, 1), "must be");
        assert_true(p->def >= p->min || p->def < 0.5);
        assert_true(p->def <= p->max);
    }
}

static void test_config__every_number__odd_forms_refused(void **state)
{
    static const char *const counts[] = {"\"5\"", "5.5", "0x10",   "05", "1e3",  "true",
                                         "~",     "[5]", "{a: 5}", "5s", "\"\"", NULL};
    static const char *const times[] = {"5",  "\"5\"", "5.5s", "05s",  "5 s",  "-5s",
                                        "5S", "5d",    "ms",   "true", "[5s]", NULL};
    static const char *const sizes[] = {"\"4096\"", "4.5KiB", "4KB",    "4k", "04KiB",
                                        "-4KiB",    "true",   "[4KiB]", "~",  NULL};
    for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
        const char *const *words = params[i].kind == COUNT  ? counts
                                   : params[i].kind == TIME ? times
                                                            : sizes;
        for (; *words != NULL; words++) {
            refuse_value(*state, &params[i], *words, params[i].name);
        }
    }
}

static void test_config__negative_and_huge_numbers__named_as_out_of_range(void **state)
{
    const struct param workers = {"", "workers", COUNT, 1, 64, 1};
    refuse_value(*state, &workers, "-1", "must be 1 to 64");
    refuse_value(*state, &workers, "99999999999999999999999999", "must be 1 to 64");
    refuse_value(*state, &workers, "4294967297", "must be 1 to 64");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config__small_file__has_defaults),
        cmocka_unit_test(test_config__full_file__listener_as_written),
        cmocka_unit_test(test_config__full_file__upstreams_as_written),
        cmocka_unit_test(test_config__full_file__rest_as_written),
        cmocka_unit_test(test_config__terminate__agent_by_default),
        cmocka_unit_test(test_config__terminate__everything_relayed),
        cmocka_unit_test(test_config__forms_of_values__accepted),
        cmocka_unit_test(test_config__reserved_looking_endpoints__read_as_names),
        cmocka_unit_test(test_config__tls_without_terminate__files_checked_but_not_used),
        cmocka_unit_test(test_config__every_range__ends_hold),
        cmocka_unit_test(test_config__every_number__odd_forms_refused),
        cmocka_unit_test(test_config__negative_and_huge_numbers__named_as_out_of_range),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
