/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of an upstream's `discovery`: the service of Kubernetes whose endpoints are followed. */
#include "gateway/config/config_internal.h"

#include <string.h>

#include "core/base/name.h"
#include "gateway/config/scalar.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* A port of Istio's own istiod service, and of its pods. */
#define DEFAULT_PORT "15012"

/* Of a name (RFC 6335 5.1). */
#define PORT_NAME_MAX_BYTES 15

static const char *check_service(char *text)
{
    return name_is_label(text) ? NULL : "is no name of a service: write for example istiod";
}

const char *keys_check_namespace(char *text)
{
    return name_is_label(text) ? NULL : "is no namespace: write for example istio-system";
}

/* A name begins with a letter here, so that a number that was misspelt is not taken for one. */
static bool is_port_name(const char *text)
{
    bool letter = text[0] >= 'a' && text[0] <= 'z';

    return letter && name_is_label(text) && strlen(text) <= PORT_NAME_MAX_BYTES;
}

static void read_port(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    char **field = (char **)(void *)((char *)base + key->offset);
    uint64_t number = 0;
    if (n->bad) {
        return;
    }
    bool is_text = n->kind == NODE_TEXT && strlen(n->text) == n->len;
    bool is_number = is_text && n->plain && scalar_uint(n->text, &number);
    bool good = is_number ? number >= 1 && number <= 65535 : is_text && is_port_name(n->text);
    if (!good || (!is_number && n->plain && scalar_type_of(n->text) != SCALAR_TEXT)) {
        node_error(r, n,
                   "`%s` takes the name of a port or its number, 1 to 65535, without quotes: "
                   "write 15012 or https-dns",
                   key->name);
        return;
    }
    *field = schema_copy(r, n->text);
}

static const struct schema_word addresses_words[] = {
    {"pods", UPSTREAM_PODS}, {"nodes", UPSTREAM_NODES}, {NULL, 0}};
static const struct schema_word node_words[] = {
    {"InternalIP", UPSTREAM_INTERNAL_IP}, {"ExternalIP", UPSTREAM_EXTERNAL_IP}, {NULL, 0}};
static const struct schema_text service_text = {.check = check_service, .example = "istiod"};
static const struct schema_text namespace_text = {.check = keys_check_namespace,
                                                  .example = "istio-system"};

#define AT(field) offsetof(struct upstream_discovery, field)

static const struct schema_key service_keys[] = {
    {"service", schema_read_text, AT(service), .more = &service_text},
    {"namespace", schema_read_text, AT(ns), .more = &namespace_text},
    {"port", read_port, AT(port), .required = false},
    {"addresses", schema_read_enum, AT(addresses), .more = addresses_words},
    {"node_address", schema_read_enum, AT(node_address), .more = node_words},
};
static const struct schema_map service_map = {"`kubernetes` of `discovery`", service_keys,
                                              COUNT_OF(service_keys)};

static const struct schema_key discovery_keys[] = {
    {"kubernetes", schema_read_map, 0, .required = true, .more = &service_map},
};
static const struct schema_map discovery_map = {"`discovery`", discovery_keys,
                                                COUNT_OF(discovery_keys)};

void keys_read_discovery(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    struct upstream_discovery *d = (void *)((char *)base + key->offset);
    d->on = true;
    schema_read_root(r, n, &discovery_map, d);
}

void keys_finish_discovery(struct report *r, struct upstream_discovery *d)
{
    if (!d->on) {
        return;
    }
    d->service = d->service != NULL ? d->service : schema_copy(r, "istiod");
    d->ns = d->ns != NULL ? d->ns : schema_copy(r, "istio-system");
    d->port = d->port != NULL ? d->port : schema_copy(r, DEFAULT_PORT);
}
