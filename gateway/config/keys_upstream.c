/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of an upstream: endpoints, TLS, identity, source addresses. */
#include "gateway/config/config_internal.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/config/scalar.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

#define MAX_NEW_STREAMS 100000

/* ---- endpoints ---- */

/* "NAME:PORT" into *e. False: it is not that. */
static bool split_name(struct report *r, const char *text, struct upstream_endpoint_name *e)
{
    uint64_t port = 0;
    const char *colon = strrchr(text, ':');
    if (colon == NULL || !scalar_uint(colon + 1, &port) || port < 1 || port > 65535) {
        return false;
    }
    char *host = strndup(text, (size_t)(colon - text));
    if (host == NULL) {
        r->no_memory = true;
        return true;
    }
    size_t n = strlen(host);
    bool rooted =
        n > 1 && host[n - 1] == '.'; /* "istiod.example.": not looked up in the search domains */
    if (rooted) {
        host[n - 1] = '\0';
    }
    if (!scalar_is_host_name(host)) {
        free(host);
        return false;
    }
    if (rooted) {
        host[n - 1] = '.';
    }
    scalar_lower(host);
    e->host = host;
    e->port = (uint16_t)port;
    return true;
}

static void read_endpoint(struct report *r, struct node *n, const struct schema_key *key,
                          void *base)
{
    struct upstream_endpoint_name *e = base;
    char quoted[REPORT_QUOTE_BYTES];
    char ip[ADDR_TEXT_BYTES];
    struct addr a;
    const char *text = schema_text_of(r, n, key->name, "\"10.0.0.11:15012\"");
    if (text == NULL) {
        return;
    }
    if (addr_parse(text, &a) == RC_OK && a.port != 0) {
        e->host = schema_copy(r, addr_format_ip(&a, ip));
        e->port = a.port;
        return;
    }
    if (!split_name(r, text, e)) {
        node_error(
            r, n,
            "`%s`: %s is not HOST:PORT: write \"10.0.0.11:15012\", \"[2001:db8::11]:15012\" or "
            "\"istiod.example.internal:15012\"",
            key->name, report_quote(quoted, text, n->len));
    }
}

static const struct schema_list endpoints_list = {
    .item_bytes = sizeof(struct upstream_endpoint_name),
    .count_offset = offsetof(struct config_upstream, opts.n_endpoints),
    .max = 256,
    .item = {.name = "endpoints", .read = read_endpoint},
    .example = "[\"10.0.0.11:15012\"]",
};

/* ---- tls ---- */

static const char *check_server_name(char *text)
{
    scalar_lower(text);
    return scalar_is_host_name(text)
               ? NULL
               : "is no host name: write the name in istiod's certificate, istiod.istio-system.svc";
}

static const struct schema_text server_name_text = {.check = check_server_name,
                                                    .example = "istiod.istio-system.svc"};
static const struct schema_text roots_text = {
    .check = keys_check_path, .max = 1, .example = "[/etc/xdsgate/tls/root-cert.pem]"};

/* The list has one element for now: root_set_load() takes one file, which may hold any number of
 * roots. */
static void read_roots(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    struct config_upstream *u = base;
    if (!n->bad && n->kind == NODE_LIST && n->n_items > 1) {
        node_error(r, n, "`roots` takes one file: put all roots into one PEM file");
        return;
    }
    char **files = NULL;
    struct schema_key k = *key;
    k.offset = 0;
    schema_read_texts(r, n, &k, &files);
    if (files != NULL && files[0] != NULL) {
        u->opts.roots_file = files[0];
        files[0] = NULL;
    }
    schema_free_texts(&files);
}

static const struct schema_key tls_keys[] = {
    {"server_name", schema_read_text, offsetof(struct config_upstream, opts.server_name),
     .required = true, .more = &server_name_text},
    {"roots", read_roots, 0, .required = true, .more = &roots_text},
};
static const struct schema_map tls_map = {"`tls` of an upstream", tls_keys, COUNT_OF(tls_keys)};

static void read_tls(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    struct config_upstream *u = base;
    u->opts.tls = true;
    schema_read_map(r, n, key, base);
}

/* ---- source_address ---- */

/* An address that a socket of this host can have towards others; loopback for trials on one
 * machine. */
static bool is_usable_source(const struct addr *a)
{
    if (a->family == ADDR_V4) {
        return a->ip[0] != 0 && a->ip[0] < 224;
    }
    bool link_local = a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
    bool zero = true;
    for (size_t i = 0; i < sizeof(a->ip); i++) {
        zero = zero && a->ip[i] == 0;
    }
    return !zero && a->ip[0] != 0xff && (!link_local || a->scope != 0);
}

static void read_source(struct report *r, struct node *n, const struct schema_key *key,
                        struct upstream_opts *o)
{
    char quoted[REPORT_QUOTE_BYTES];
    struct addr a;
    const char *text = schema_text_of(r, n, key->name, "\"10.77.0.2\"");
    if (text == NULL) {
        return;
    }
    report_quote(quoted, text, n->len);
    if (addr_parse_ip(text, &a) != RC_OK) {
        node_error(r, n,
                   "`%s`: %s is no address: write \"10.77.0.2\" or \"2001:db8::2\", without a port",
                   key->name, quoted);
        return;
    }
    if (!is_usable_source(&a)) {
        node_error(r, n,
                   "`%s`: %s is not an address that a host can have: write one of this host's own",
                   key->name, quoted);
        return;
    }
    struct addr *place = a.family == ADDR_V4 ? &o->source_v4 : &o->source_v6;
    if (place->family != ADDR_NONE) {
        node_error(r, n, "`%s` has a second IPv%d address: give at most one of each family",
                   key->name, (int)a.family);
        return;
    }
    *place = a;
}

static void read_sources(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    struct config_upstream *u = base;
    if (!schema_is_list(r, n, key->name, CONFIG_MAX_ITEMS, "[\"10.77.0.2\"]")) {
        return;
    }
    for (size_t i = 0; i < n->n_items; i++) {
        read_source(r, n->items[i], key, &u->opts);
    }
}

/* ---- the rest ---- */

static void read_pace(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    struct config_upstream *u = base;
    if (!n->bad && n->kind == NODE_TEXT && strcmp(n->text, "auto") == 0) {
        u->opts.max_new_streams_per_second = 0;
        return;
    }
    if (!n->bad && (n->kind != NODE_TEXT || !n->plain || scalar_type_of(n->text) != SCALAR_INT)) {
        node_error(r, n, "`%s` takes auto or a whole number, %.0f to %.0f", key->name, key->min,
                   key->max);
        return;
    }
    schema_read_count(r, n, key, base);
}

static const char *check_audience(char *text)
{
    return strlen(text) <= 253 ? NULL : "is too long: at most 253 characters";
}

static const struct schema_word identity_words[] = {
    {"forward", UPSTREAM_FORWARD}, {"xfcc", UPSTREAM_XFCC}, {"token", UPSTREAM_TOKEN}, {NULL, 0}};
static const struct schema_word proxy_words[] = {{"off", 0}, {"v2", 1}, {NULL, 0}};
static const struct schema_text name_text = {.check = keys_check_name, .example = "istiod"};
static const struct schema_text audiences_text = {
    .check = check_audience, .max = 16, .example = "[istio-ca]"};

#define AT(field) offsetof(struct config_upstream, opts.field)
#define READ_COUNT schema_read_count

static const struct schema_key upstream_keys[] = {
    {"name", schema_read_text, AT(name), .required = true, .more = &name_text},
    {"endpoints", schema_read_list, AT(endpoints), .more = &endpoints_list},
    {"discovery", keys_read_discovery, AT(discovery), .required = false},
    {"tls", read_tls, 0, .more = &tls_map},
    {"identity", schema_read_enum, AT(identity), .more = identity_words},
    {"source_address", read_sources, 0, .required = false},
#define PARAM_UPSTREAM(name, kind, def, low, high, text) \
    {#name, READ_##kind, AT(name), .min = (low), .max = (high)},
#include "gateway/config/params.def"
    {"max_new_streams_per_second", read_pace, AT(max_new_streams_per_second), .min = 1,
     .max = MAX_NEW_STREAMS},
    {"proxy_protocol", keys_read_flag, AT(proxy_protocol_v2), .more = proxy_words},
    {"token_audiences", schema_read_texts, AT(token_audiences), .more = &audiences_text},
};
const struct schema_map keys_upstream = {"an upstream", upstream_keys, COUNT_OF(upstream_keys)};

void keys_init_upstream(void *upstream)
{
    struct config_upstream *u = upstream;
#define PARAM_UPSTREAM(name, kind, def, low, high, text) u->opts.name = (def);
#include "gateway/config/params.def"
}

void keys_finish_upstream(struct report *r, struct config_upstream *upstream)
{
    struct upstream_opts *o = &upstream->opts;
    keys_finish_discovery(r, &o->discovery);
    if (o->token_audiences != NULL) {
        return;
    }
    o->token_audiences = calloc(2, sizeof(char *));
    if (o->token_audiences == NULL) {
        r->no_memory = true;
        return;
    }
    o->token_audiences[0] = schema_copy(r, "istio-ca");
}
