/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Node of a simulated VM: the metadata that decides about identity and registration, and as
 * many extensions as it takes to make the first request as large as Envoy's.
 */
#include <stdlib.h>
#include <string.h>

#include "google/protobuf/struct.pb-c.h"
#include "integration/sandbox/vm/vm.h"

static Google__Protobuf__Value *value_str(const char *s)
{
    Google__Protobuf__Value *v = sbx_alloc(sizeof(*v));

    google__protobuf__value__init(v);
    v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    v->string_value = sbx_strdup(s);
    return v;
}

static Google__Protobuf__Value *value_number(double n)
{
    Google__Protobuf__Value *v = sbx_alloc(sizeof(*v));

    google__protobuf__value__init(v);
    v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
    v->number_value = n;
    return v;
}

static Google__Protobuf__Struct *struct_new(void)
{
    Google__Protobuf__Struct *s = sbx_alloc(sizeof(*s));

    google__protobuf__struct__init(s);
    return s;
}

static Google__Protobuf__Value *value_struct(Google__Protobuf__Struct *s)
{
    Google__Protobuf__Value *v = sbx_alloc(sizeof(*v));

    google__protobuf__value__init(v);
    v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
    v->struct_value = s;
    return v;
}

/* Add a member; one of the same name is replaced. */
static void put(Google__Protobuf__Struct *s, const char *key, Google__Protobuf__Value *value)
{
    Google__Protobuf__Struct__FieldsEntry *e;
    void *grown;

    for (size_t i = 0; i < s->n_fields; i++) {
        if (strcmp(s->fields[i]->key, key) == 0) {
            google__protobuf__value__free_unpacked(s->fields[i]->value, NULL);
            s->fields[i]->value = value;
            return;
        }
    }
    e = sbx_alloc(sizeof(*e));
    google__protobuf__struct__fields_entry__init(e);
    e->key = sbx_strdup(key);
    e->value = value;
    grown = realloc(s->fields, (s->n_fields + 1) * sizeof(s->fields[0]));
    if (grown == NULL) {
        abort();
    }
    s->fields = grown;
    s->fields[s->n_fields++] = e;
}

static void put_str(Google__Protobuf__Struct *s, const char *key, const char *value)
{
    put(s, key, value_str(value));
}

/* As the agent writes ProxyConfig: it marks a proxy, and the probe makes health count. */
static Google__Protobuf__Value *proxy_config(const struct vm *v)
{
    Google__Protobuf__Struct *config = struct_new();
    Google__Protobuf__Struct *probe = struct_new();
    Google__Protobuf__Struct *get = struct_new();

    put_str(config, "configPath", "./etc/istio/proxy");
    put_str(config, "serviceCluster", "istio-proxy");
    put_str(config, "discoveryAddress", "istiod.istio-system.svc:15012");
    if (!v->swarm->opts->no_health) {
        put_str(get, "path", "/healthz");
        put(get, "port", value_number(8080));
        put(probe, "httpGet", value_struct(get));
        put(probe, "periodSeconds", value_number(2));
        put(config, "readinessProbe", value_struct(probe));
    } else {
        free(get);
        free(probe);
    }
    return value_struct(config);
}

static void put_extra(Google__Protobuf__Struct *s, const struct names *metadata)
{
    for (size_t i = 0; i < metadata->n; i++) {
        char *key = sbx_strndup(metadata->v[i], strcspn(metadata->v[i], "="));
        const char *value = strchr(metadata->v[i], '=');

        put_str(s, key, value == NULL ? "" : value + 1);
        free(key);
    }
}

static Google__Protobuf__Struct *metadata_new(const struct vm *v)
{
    const struct swarm_opts *o = v->swarm->opts;
    Google__Protobuf__Struct *m = struct_new();
    Google__Protobuf__Struct *labels = struct_new();

    put_str(labels, "app", o->group[0] == '\0' ? "sandbox" : o->group);
    put_str(labels, "service.istio.io/canonical-name", o->group[0] == '\0' ? "sandbox" : o->group);
    put_str(labels, "service.istio.io/canonical-revision", "latest");
    put(m, "LABELS", value_struct(labels));
    put(m, "PROXY_CONFIG", proxy_config(v));
    put_str(m, "NAME", v->name);
    put_str(m, "NAMESPACE", o->name_space);
    put_str(m, "SERVICE_ACCOUNT", o->service_account);
    put_str(m, "INSTANCE_IPS", v->address);
    put_str(m, "CLUSTER_ID", o->cluster_id);
    put_str(m, "ISTIO_VERSION", o->istio_version);
    put_str(m, "MESH_ID", o->trust_domain);
    put_str(m, "WORKLOAD_NAME", o->group);
    put_str(m, "POD_PORTS", "[]");
    put(m, "ENVOY_STATUS_PORT", value_number(15021));
    put(m, "ENVOY_PROMETHEUS_PORT", value_number(15090));
    if (o->group[0] != '\0') {
        put_str(m, "AUTO_REGISTER_GROUP", o->group);
    }
    if (o->workload_entry[0] != '\0') {
        put_str(m, "WORKLOAD_ENTRY", o->workload_entry);
    }
    if (o->network[0] != '\0') {
        put_str(m, "NETWORK", o->network);
    }
    put_extra(m, &o->metadata);
    return m;
}

Envoy__Config__Core__V3__Node *vm_node_new(const struct vm *v)
{
    const char *name_space = v->swarm->opts->name_space;
    Envoy__Config__Core__V3__Node *node = sbx_alloc(sizeof(*node));
    struct text id = {0};

    envoy__config__core__v3__node__init(node);
    text_addf(&id, "sidecar~%s~%s.%s~%s.svc.cluster.local", v->address, v->name, name_space,
              name_space);
    node->id = text_take(&id);
    node->cluster = sbx_strdup("istio-proxy");
    node->user_agent_name = sbx_strdup("xdsgate-sandbox-vm");
    node->metadata = metadata_new(v);
    node->n_extensions = v->swarm->n_extensions;
    node->extensions = v->swarm->extensions;
    return node;
}

void vm_node_free(Envoy__Config__Core__V3__Node *node)
{
    node->n_extensions = 0; /* the swarm's */
    node->extensions = NULL;
    envoy__config__core__v3__node__free_unpacked(node, NULL);
}

static Envoy__Config__Core__V3__Extension *extension_new(size_t i)
{
    Envoy__Config__Core__V3__Extension *e = sbx_alloc(sizeof(*e));
    struct text name = {0};
    struct text url = {0};

    envoy__config__core__v3__extension__init(e);
    text_addf(&name, "envoy.filters.http.sandbox_%04zu", i);
    text_addf(&url, "envoy.extensions.filters.http.sandbox_%04zu.v3.Sandbox", i);
    e->name = text_take(&name);
    e->category = sbx_strdup("envoy.filters.http");
    e->n_type_urls = 1;
    e->type_urls = sbx_alloc(sizeof(char *));
    e->type_urls[0] = text_take(&url);
    return e;
}

void swarm_pad(struct swarm *s)
{
    Envoy__Config__Core__V3__Extension *probe = extension_new(0);
    size_t each = envoy__config__core__v3__extension__get_packed_size(probe) + 2;
    size_t n = (size_t)s->opts->node_bytes / each;

    envoy__config__core__v3__extension__free_unpacked(probe, NULL);
    s->extensions = sbx_alloc(n * sizeof(Envoy__Config__Core__V3__Extension *));
    for (size_t i = 0; i < n; i++) {
        s->extensions[i] = extension_new(i);
    }
    s->n_extensions = n;
}

void swarm_unpad(struct swarm *s)
{
    for (size_t i = 0; i < s->n_extensions; i++) {
        envoy__config__core__v3__extension__free_unpacked(s->extensions[i], NULL);
    }
    free(s->extensions);
    s->extensions = NULL;
    s->n_extensions = 0;
}
