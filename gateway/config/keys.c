/* SPDX-License-Identifier: Apache-2.0 */
/* The keys at the top of the file, and readers that several maps use. */
#include "gateway/config/config_internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "certs/spiffe.h"
#include "gateway/config/scalar.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* ---- shared readers ---- */

const char *keys_check_name(char *text)
{
    return scalar_is_name(text) ? NULL
                                : "is no name: write 1 to 63 letters, digits, '.', '_' or '-'";
}

const char *keys_check_path(char *text)
{
    return strlen(text) < 4096 ? NULL : "is too long for a path";
}

const char *keys_check_trust_domain(char *text)
{
    char uri[SPIFFE_URI_BYTES];
    struct spiffe_id id;
    int n = snprintf(uri, sizeof(uri), "spiffe://%s/ns/a/sa/a", text);
    bool ok = n > 0 && (size_t)n < sizeof(uri) && spiffe_parse(uri, (size_t)n, &id) == RC_OK;
    return ok ? NULL : "is no trust domain: write a name in lower case such as cluster.local";
}

const char *keys_check_vm_identity(char *text)
{
    if (strncmp(text, "ns/istio-system/", 16) == 0 || strncmp(text, "ns/kube-system/", 15) == 0) {
        return "is never allowed: VMs must not come in as a part of the mesh itself; give them a "
               "namespace of their own";
    }
    if (spiffe_pattern_check(text) != RC_OK) {
        return "is no identity: write \"ns/NAMESPACE/sa/SERVICE-ACCOUNT\", with * for a whole part";
    }
    return NULL;
}

void keys_read_bind(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    struct addr *field = (struct addr *)(void *)((char *)base + key->offset);
    char quoted[REPORT_QUOTE_BYTES];
    struct addr a;
    const char *text = schema_text_of(r, n, key->name, "\"0.0.0.0:15012\"");
    if (text == NULL) {
        return;
    }
    if (addr_parse(text, &a) != RC_OK || a.port == 0) {
        node_error(r, n, "`%s`: %s is not ADDRESS:PORT: write \"0.0.0.0:15012\" or \"[::]:15012\"",
                   key->name, report_quote(quoted, text, n->len));
        return;
    }
    *field = a;
}

void keys_read_net(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    struct addr_net *net = base;
    char quoted[REPORT_QUOTE_BYTES];
    const char *text = schema_text_of(r, n, key->name, "\"192.168.7.0/24\"");
    if (text != NULL && addr_net_parse(text, net) != RC_OK) {
        node_error(r, n,
                   "`%s`: %s is no network: write \"192.168.7.0/24\", \"fd00:7::/64\" or one "
                   "address; no bit behind the "
                   "prefix may be set",
                   key->name, report_quote(quoted, text, n->len));
    }
}

void keys_read_flag(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    int value = -1;
    struct schema_key k = *key;
    k.offset = 0;
    schema_read_enum(r, n, &k, &value);
    if (value >= 0) {
        bool *field = (bool *)((char *)base + key->offset);
        *field = value != 0;
    }
}

/* ---- admin, metrics, log ---- */

static const char *check_socket(char *text)
{
    struct sockaddr_un sun;
    return strlen(text) < sizeof(sun.sun_path) ? NULL
                                               : "is too long for a unix socket: at most 107 bytes";
}

static void read_socket_mode(struct report *r, struct node *n, const struct schema_key *key,
                             void *base)
{
    struct config_admin *a = base;
    uint32_t mode = 0;
    if (n->bad) {
        return;
    }
    bool quoted = n->kind == NODE_TEXT && !n->plain;
    if (!quoted || !scalar_octal_mode(n->text, &mode)) {
        node_error(r, n, "`%s` takes file permissions in octal and in quotes: write \"0660\"",
                   key->name);
        return;
    }
    a->socket_mode = mode;
}

static const struct schema_text socket_text = {.check = check_socket,
                                               .example = "/run/xdsgate/admin.sock"};
static const struct schema_key admin_keys[] = {
    {"socket", schema_read_text, offsetof(struct config_admin, socket), .more = &socket_text},
    {"socket_mode", read_socket_mode, 0, .required = false},
    {"bind", keys_read_bind, offsetof(struct config_admin, bind), .required = false},
    {"allow_remote", schema_read_bool, offsetof(struct config_admin, allow_remote),
     .required = false},
};
static const struct schema_map admin_map = {"`admin`", admin_keys, COUNT_OF(admin_keys)};

static const struct schema_key metrics_keys[] = {
    {"bind", keys_read_bind, offsetof(struct config, admin.metrics_bind), .required = true},
};
static const struct schema_map metrics_map = {"`metrics`", metrics_keys, COUNT_OF(metrics_keys)};

static const struct schema_word format_words[] = {
    {"text", LOG_TEXT}, {"json", LOG_JSON}, {NULL, 0}};
static const struct schema_word level_words[] = {{"debug", LOG_DEBUG},
                                                 {"info", LOG_INFO},
                                                 {"warning", LOG_WARNING},
                                                 {"error", LOG_ERROR},
                                                 {NULL, 0}};
static const struct schema_text file_text = {.check = keys_check_path,
                                             .example = "/var/log/xdsgate/log"};

static const struct schema_key log_keys[] = {
    {"format", schema_read_enum, offsetof(struct config, log.format), .more = format_words},
    {"level", schema_read_enum, offsetof(struct config, log.level), .more = level_words},
    {"file", schema_read_text, offsetof(struct config, log_file), .more = &file_text},
};
static const struct schema_map log_map = {"`log`", log_keys, COUNT_OF(log_keys)};

/* ---- kubernetes ---- */

static const char *check_cluster_id(char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~') {
            return "is no cluster ID: write the name that istiod calls the cluster by, Kubernetes";
        }
    }
    return strlen(text) <= 253 ? NULL : "is too long: at most 253 characters";
}

static const struct schema_text kubeconfig_text = {.check = keys_check_path,
                                                   .example = "/etc/xdsgate/kubeconfig"};
static const struct schema_text context_text = {.check = keys_check_path, .example = "mesh"};
static const struct schema_text cluster_id_text = {.check = check_cluster_id,
                                                   .example = "Kubernetes"};

static const struct schema_text istio_namespace_text = {.check = keys_check_namespace,
                                                        .example = "istio-system"};

static const struct schema_key kubernetes_keys[] = {
    {"kubeconfig", schema_read_text, offsetof(struct config_kubernetes, kubeconfig),
     .more = &kubeconfig_text},
    {"context", schema_read_text, offsetof(struct config_kubernetes, context),
     .more = &context_text},
    {"cluster_id", schema_read_text, offsetof(struct config_kubernetes, cluster_id),
     .more = &cluster_id_text},
    {"istio_namespace", schema_read_text, offsetof(struct config_kubernetes, istio_namespace),
     .more = &istio_namespace_text},
    {"follow_roots", schema_read_bool, offsetof(struct config_kubernetes, follow_roots),
     .required = false},
};
static const struct schema_map kubernetes_map = {"`kubernetes`", kubernetes_keys,
                                                 COUNT_OF(kubernetes_keys)};

static void read_kubernetes(struct report *r, struct node *n, const struct schema_key *key,
                            void *base)
{
    struct config_kubernetes *k = (void *)((char *)base + key->offset);
    k->on = true;
    schema_read_map(r, n, key, base);
}

/* The namespace of istiod: by its name, or where the endpoints are found. */
static void finish_kubernetes(struct report *r, struct config *c)
{
    struct config_kubernetes *k = &c->kubernetes;

    for (size_t i = 0; k->on && k->istio_namespace == NULL && i < c->n_upstreams; i++) {
        const char *ns = c->upstreams[i].opts.discovery.ns;
        k->istio_namespace = ns != NULL ? schema_copy(r, ns) : NULL;
    }
    if (k->on && k->istio_namespace == NULL) {
        k->istio_namespace = schema_copy(r, "istio-system");
    }
}

/* ---- the top ---- */

static void read_version(struct report *r, struct node *n, const struct schema_key *key, void *base)
{
    (void)base;
    if (!n->bad && (n->kind != NODE_TEXT || !n->plain || strcmp(n->text, "1") != 0)) {
        node_error(r, n, "`%s` must be the number 1: no other format of this file exists",
                   key->name);
    }
}

static const struct schema_text trust_domain_text = {.check = keys_check_trust_domain,
                                                     .example = "cluster.local"};

static const struct schema_list listeners_list = {
    .item_bytes = sizeof(struct config_listener),
    .count_offset = offsetof(struct config, n_listeners),
    .max = 64,
    .item = {.name = "listeners", .read = schema_read_map, .more = &keys_listener},
    .init = keys_init_listener,
    .example = "- {name: istiod, bind: [\"0.0.0.0:15012\"], routes: [...]}",
};

static const struct schema_list upstreams_list = {
    .item_bytes = sizeof(struct config_upstream),
    .count_offset = offsetof(struct config, n_upstreams),
    .max = CONFIG_MAX_ITEMS,
    .item = {.name = "upstreams", .read = schema_read_map, .more = &keys_upstream},
    .init = keys_init_upstream,
    .example = "- {name: istiod, endpoints: [\"10.0.0.11:15012\"]}",
};

#define READ_COUNT schema_read_count
#define READ_TIME schema_read_time

static const struct schema_key top_keys[] = {
    {"version", read_version, SCHEMA_NO_STORE, .required = true},
    {"trust_domain", schema_read_text, SCHEMA_NO_STORE, .more = &trust_domain_text},
    {"listeners", schema_read_list, offsetof(struct config, listeners), .required = true,
     .more = &listeners_list},
    {"upstreams", schema_read_list, offsetof(struct config, upstreams), .required = true,
     .more = &upstreams_list},
#define PARAM_TOP(name, kind, def, low, high, text) \
    {#name, READ_##kind, offsetof(struct config, name), .min = (low), .max = (high)},
#include "gateway/config/params.def"
    {"kubernetes", read_kubernetes, offsetof(struct config, kubernetes), .more = &kubernetes_map},
    {"registry", schema_read_map, offsetof(struct config, registry), .more = &keys_registry},
    {"admin", schema_read_map, offsetof(struct config, admin), .more = &admin_map},
    {"metrics", schema_read_map, 0, .more = &metrics_map},
    {"log", schema_read_map, 0, .more = &log_map},
};
static const struct schema_map top_map = {"the file", top_keys, COUNT_OF(top_keys)};

void keys_read(struct report *r, struct node *root, struct config *c)
{
#define PARAM_TOP(name, kind, def, low, high, text) c->name = (def);
#include "gateway/config/params.def"
    keys_init_registry(&c->registry);
    c->admin.socket_mode = 0660;
    c->log = (struct log_opts){.format = LOG_TEXT, .level = LOG_INFO};
    schema_read_root(r, root, &top_map, c);
    c->log.file = c->log_file;
    for (size_t i = 0; i < c->n_upstreams; i++) {
        keys_finish_upstream(r, &c->upstreams[i]);
    }
    finish_kubernetes(r, c);
    for (size_t i = 0; i < c->n_listeners; i++) {
        for (size_t k = 0; k < c->listeners[i].n_routes; k++) {
            keys_finish_route(r, &c->listeners[i].routes[k]);
        }
    }
}
