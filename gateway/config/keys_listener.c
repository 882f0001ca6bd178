/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a listener: addresses, TLS, routes, limits. */
#include "gateway/config/config_internal.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/config/scalar.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* ---- tls: only checked here; files.c reads it from the tree ---- */

static const struct schema_text path_text = {
    .check = keys_check_path, .max = 64, .example = "/etc/xdsgate/tls/tls.crt"};

static const struct schema_key certificate_keys[] = {
    {"certificate", schema_read_text, SCHEMA_NO_STORE, .required = true, .more = &path_text},
    {"private_key", schema_read_text, SCHEMA_NO_STORE, .required = true, .more = &path_text},
};
static const struct schema_map certificate_map = {"a certificate", certificate_keys,
                                                  COUNT_OF(certificate_keys)};

static void read_certificates(struct report *r, struct node *n, const struct schema_key *key,
                              void *base)
{
    (void)base;
    if (!schema_is_list(r, n, key->name, 64, "- {certificate: tls.crt, private_key: tls.key}")) {
        return;
    }
    for (size_t i = 0; i < n->n_items; i++) {
        schema_read_root(r, n->items[i], &certificate_map, NULL);
    }
}

static const struct schema_text roots_text = {
    .check = keys_check_path, .max = 64, .example = "[/etc/xdsgate/tls/root-cert.pem]"};

static const struct schema_key tls_keys[] = {
    {"certificates", read_certificates, SCHEMA_NO_STORE, .required = true},
    {"client_roots", schema_read_texts, SCHEMA_NO_STORE, .required = true, .more = &roots_text},
};
static const struct schema_map tls_map = {"`tls` of a listener", tls_keys, COUNT_OF(tls_keys)};

static const struct schema_text identities_text = {
    .check = keys_check_vm_identity, .max = CONFIG_MAX_ITEMS, .example = "[\"ns/vms/sa/*\"]"};
static const struct schema_text trust_domain_text = {.check = keys_check_trust_domain,
                                                     .example = "cluster.local"};

/* ---- routes ---- */

static const char *check_sni(char *text)
{
    static const char complaint[] = "is no host name: write an exact name such as "
                                    "\"istiod.istio-system.svc\", \"*.SUFFIX\", or \"*\"";
    scalar_lower(text);
    if (strcmp(text, "*") == 0) {
        return NULL;
    }
    const char *name = strncmp(text, "*.", 2) == 0 ? text + 2 : text;
    return scalar_is_host_name(name) ? NULL : complaint;
}

static const struct schema_list from_list = {
    .item_bytes = sizeof(struct addr_net),
    .count_offset = offsetof(struct config_route, n_from),
    .max = CONFIG_MAX_ITEMS,
    .item = {.name = "from", .read = keys_read_net},
    .example = "[\"192.168.7.0/24\"]",
};

static const struct schema_text sni_text = {
    .check = check_sni, .max = CONFIG_MAX_ITEMS, .example = "[\"istiod.istio-system.svc\"]"};

static const struct schema_word mode_words[] = {
    {"passthrough", ROUTE_PASSTHROUGH}, {"terminate", ROUTE_TERMINATE}, {NULL, 0}};
static const struct schema_word anonymous_words[] = {{"refuse", 0}, {"allow", 1}, {NULL, 0}};

static const struct schema_text upstream_text = {.check = keys_check_name, .example = "istiod"};

static const char *check_method(char *text)
{
    if (strcmp(text, "*") == 0) {
        return "stands for all methods: write [\"*\"] alone";
    }
    return scalar_is_grpc_path(text) ? NULL
                                     : "is no gRPC method: write \"/package.Service/Method\"";
}

static const struct schema_text methods_text = {
    .check = check_method,
    .max = CONFIG_MAX_ITEMS,
    .example =
        "[\"/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources\"]"};

static void read_methods(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    struct config_route *route = base;
    bool one = !n->bad && n->kind == NODE_LIST && n->n_items == 1;
    if (one && !n->items[0]->bad && n->items[0]->kind == NODE_TEXT &&
        strcmp(n->items[0]->text, "*") == 0) {
        route->relay.all_methods = true;
        return;
    }
    schema_read_texts(r, n, key, base);
}

/* Headers that the relay writes itself, that belong to one connection (RFC 9113 8.2.2), or that
 * carry an identity. */
static const char *check_extra_header(char *text)
{
    static const char *const hop[] = {
        "connection", "host",    "http2-settings",    "keep-alive", "proxy-connection",
        "te",         "trailer", "transfer-encoding", "upgrade",    NULL};
    static const char *const identity[] = {"authorization", "x-forwarded-client-cert", NULL};
    for (const char *const *h = identity; *h != NULL; h++) {
        if (strcmp(text, *h) == 0) {
            return "carries an identity: xdsgate decides about it, see `identity`; leave it out";
        }
    }
    for (const char *const *h = hop; *h != NULL; h++) {
        if (strcmp(text, *h) == 0) {
            return "belongs to one connection and is never relayed: leave it out";
        }
    }
    if (strcmp(text, "all") == 0) {
        return "is not an element: write `headers: all`";
    }
    return scalar_is_header_name(text) ? NULL : "is no header: write its name in lower case";
}

static const struct schema_text headers_text = {.check = check_extra_header,
                                                .max = CONFIG_MAX_ITEMS,
                                                .example = "agent, all or [agent, x-extra]"};
static const struct schema_word headers_words[] = {{"agent", 0}, {"all", 1}, {NULL, 0}};

/* Take "agent", which stands for the built-in list, out of the extra headers. False: it is not
 * there. */
static bool take_agent(char **names)
{
    for (char **n = names; *n != NULL; n++) {
        if (strcmp(*n, "agent") == 0) {
            free(*n);
            for (; *n != NULL; n++) {
                n[0] = n[1];
            }
            return true;
        }
    }
    return false;
}

static void read_headers(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    struct config_route *route = base;
    struct schema_key k = *key;
    if (!n->bad && n->kind != NODE_LIST) {
        k.more = headers_words;
        k.offset = offsetof(struct config_route, relay.all_headers);
        keys_read_flag(r, n, &k, base);
        return;
    }
    k.more = &headers_text;
    k.offset = offsetof(struct config_route, relay.extra_headers);
    schema_read_texts(r, n, &k, base);
    if (route->relay.extra_headers != NULL && !take_agent(route->relay.extra_headers) &&
        !node_bad(n)) {
        node_error(r, n, "`headers` adds to the agent's own headers: write [agent, x-extra]");
    }
}

static const struct schema_key route_keys[] = {
    {"from", schema_read_list, offsetof(struct config_route, from), .more = &from_list},
    {"sni", schema_read_texts, offsetof(struct config_route, sni), .required = true,
     .more = &sni_text},
    {"mode", schema_read_enum, offsetof(struct config_route, mode), .required = true,
     .more = mode_words},
    {"upstream", schema_read_text, SCHEMA_NO_STORE, .required = true, .more = &upstream_text},
    {"anonymous", keys_read_flag, offsetof(struct config_route, relay.anonymous_allow),
     .more = anonymous_words},
    {"methods", read_methods, offsetof(struct config_route, relay.methods), .more = &methods_text},
    {"headers", read_headers, 0, .required = false},
};
static const struct schema_map route_map = {"a route", route_keys, COUNT_OF(route_keys)};

static const struct schema_list routes_list = {
    .item_bytes = sizeof(struct config_route),
    .count_offset = offsetof(struct config_listener, n_routes),
    .max = 256,
    .item = {.name = "routes", .read = schema_read_map, .more = &route_map},
    .example = "- {sni: [\"*\"], mode: passthrough, upstream: istiod}",
};

static char *const agent_methods[] = {
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
    "/istio.v1.auth.IstioCertificateService/CreateCertificate",
};

void keys_finish_route(struct report *r, struct config_route *route)
{
    struct relay_opts *o = &route->relay;
    if (route->mode != ROUTE_TERMINATE) {
        return;
    }
    if (o->extra_headers == NULL) {
        o->extra_headers = calloc(1, sizeof(char *));
        r->no_memory |= o->extra_headers == NULL;
    }
    if (o->methods != NULL) {
        return;
    }
    o->methods = calloc(COUNT_OF(agent_methods) + 1, sizeof(char *));
    if (o->methods == NULL) {
        r->no_memory = true;
        return;
    }
    for (size_t i = 0; i < COUNT_OF(agent_methods) && !r->no_memory; i++) {
        o->methods[i] = schema_copy(r, agent_methods[i]);
    }
}

/* ---- limits ---- */

#define READ_COUNT schema_read_count
#define READ_BYTES schema_read_bytes
#define READ_TIME schema_read_time

static const struct schema_key limit_keys[] = {
#define PARAM_LIMIT(name, kind, def, low, high, text) \
    {#name, READ_##kind, offsetof(struct listener_limits, name), .min = (low), .max = (high)},
#include "gateway/config/params.def"
};
static const struct schema_map limits_map = {"`limits`", limit_keys, COUNT_OF(limit_keys)};

void keys_init_listener(void *listener)
{
    struct config_listener *l = listener;
    l->limits = (struct listener_limits){
#define PARAM_LIMIT(name, kind, def, low, high, text) .name = (def),
#include "gateway/config/params.def"
    };
}

/* ---- the listener ---- */

static const struct schema_list bind_list = {
    .item_bytes = sizeof(struct addr),
    .count_offset = offsetof(struct config_listener, n_bind),
    .max = 64,
    .item = {.name = "bind", .read = keys_read_bind},
    .example = "[\"0.0.0.0:15012\", \"[::]:15012\"]",
};

static const struct schema_text name_text = {.check = keys_check_name, .example = "istiod"};

static const struct schema_key listener_keys[] = {
    {"name", schema_read_text, offsetof(struct config_listener, name), .required = true,
     .more = &name_text},
    {"bind", schema_read_list, offsetof(struct config_listener, bind), .required = true,
     .more = &bind_list},
    {"tls", schema_read_map, SCHEMA_NO_STORE, .more = &tls_map},
    {"trust_domain", schema_read_text, SCHEMA_NO_STORE, .more = &trust_domain_text},
    {"vm_identities", schema_read_texts, SCHEMA_NO_STORE, .more = &identities_text},
    {"routes", schema_read_list, offsetof(struct config_listener, routes), .required = true,
     .more = &routes_list},
    {"registration", schema_read_map, offsetof(struct config_listener, registration),
     .more = &keys_registration},
    {"limits", schema_read_map, offsetof(struct config_listener, limits), .more = &limits_map},
};
const struct schema_map keys_listener = {"a listener", listener_keys, COUNT_OF(listener_keys)};
