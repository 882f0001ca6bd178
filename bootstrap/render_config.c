/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mesh.yaml: the mesh's defaultConfig, over it the annotations of the group, over them what this VM
 * is. The order and each field are those of createMeshConfig() in istioctl's workload.go.
 */
#include <stdlib.h>
#include <string.h>

#include "bootstrap/proto_json.h"
#include "bootstrap/render_internal.h"
#include "bootstrap/variables.h"

#define ANNOTATION "proxy.istio.io/config"

/* The annotation's YAML as a ProxyConfig; *out NULL: it is empty. */
static enum rc read_annotation(const char *text, const struct why *w, json_t **out)
{
    struct doc_error err;
    json_t *all = NULL;
    enum rc rc = doc_parse_yaml_all(text, strlen(text), &err, &all);

    *out = NULL;
    if (rc == RC_INVALID) {
        return why_set(w, "WorkloadGroup: annotation " ANNOTATION ": line %u, column %u: %s",
                       err.line, err.column, err.text);
    }
    TRY(rc);
    if (json_array_size(all) > 1) {
        rc = why_set(w, "WorkloadGroup: annotation " ANNOTATION ": it holds two documents");
    } else if (json_array_size(all) == 1) {
        rc = proto_json_read("ProxyConfig", json_array_get(all, 0),
                             "WorkloadGroup: annotation " ANNOTATION ": ", w, out);
    }
    json_decref(all);
    return rc;
}

/* Who may edit a WorkloadGroup may say what the agent does, but is not root on the VM. */
static enum rc check_metadata(const json_t *metadata, const struct why *w)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)metadata, key, value)
    {
        if (variable_is_for_root(key)) {
            return why_set(w,
                           "WorkloadGroup: annotation " ANNOTATION ": proxyMetadata.%.60s: root on "
                           "the VM acts on it, so only the mesh config may set it",
                           key);
        }
    }
    return RC_OK;
}

/* Merges the annotation into config; its proxyMetadata goes beside what is there already, not in
 * its place. */
static enum rc apply_annotation(const json_t *annotations, const struct why *w, json_t *config,
                                json_t *metadata)
{
    json_t *from = NULL;
    const char *text = doc_text(annotations, ANNOTATION, NULL);

    if (text == NULL) {
        return RC_OK;
    }
    TRY(read_annotation(text, w, &from));
    if (from == NULL) {
        return RC_OK;
    }
    json_t *more = json_object_get(from, "proxyMetadata");
    enum rc rc = check_metadata(more, w);
    if (rc == RC_OK && more != NULL && json_object_update(metadata, more) != 0) {
        rc = RC_NO_MEMORY;
    }
    if (rc == RC_OK) {
        rc = proto_json_merge("ProxyConfig", config, from);
    }
    json_decref(from);
    return rc;
}

static enum rc set_text(json_t *map, const char *key, const char *text)
{
    return json_object_set_new(map, key, json_string(text != NULL ? text : "")) == 0 ? RC_OK
                                                                                     : RC_NO_MEMORY;
}

static const char *cluster_id(const struct bundle_opts *o)
{
    return o->cluster_id != NULL
               ? o->cluster_id
               : doc_text(o->injector_values, "global", "multiCluster", "clusterName", NULL);
}

/* A text that is made for one key, and freed. */
static enum rc set_owned(json_t *map, const char *key, char *text)
{
    if (text == NULL) {
        return RC_OK;
    }
    enum rc rc = set_text(map, key, text);
    free(text);
    return rc;
}

static enum rc describe_vm(const struct bundle_opts *o, const struct group *g, const json_t *mesh,
                           const json_t *config, json_t *metadata)
{
    char *ports = NULL;
    char *labels = NULL;

    TRY(set_text(metadata, "CANONICAL_SERVICE", group_canonical_name(g)));
    TRY(set_text(metadata, "CANONICAL_REVISION", group_canonical_revision(g)));
    TRY(set_text(metadata, "POD_NAMESPACE", g->name_space));
    TRY(set_text(metadata, "SERVICE_ACCOUNT", g->account));
    TRY(set_text(metadata, "TRUST_DOMAIN", doc_text(mesh, "trustDomain", NULL)));
    TRY(set_text(metadata, "ISTIO_META_CLUSTER_ID", cluster_id(o)));
    TRY(set_text(metadata, "ISTIO_META_MESH_ID", doc_text(config, "meshId", NULL)));
    TRY(set_text(metadata, "ISTIO_META_NETWORK", g->network));
    TRY(set_text(metadata, "ISTIO_META_WORKLOAD_NAME", g->name));
    TRY(group_ports_json(g, &ports));
    TRY(set_owned(metadata, "ISTIO_META_POD_PORTS", ports));
    TRY(doc_write_json(g->labels, &labels, NULL));
    TRY(set_owned(metadata, "ISTIO_METAJSON_LABELS", labels));
    if (o->dns_capture) {
        TRY(set_text(metadata, "ISTIO_META_DNS_CAPTURE", "true"));
    }
    if (o->autoregister) {
        TRY(set_text(metadata, "ISTIO_META_AUTO_REGISTER_GROUP", g->name));
    }
    return RC_OK;
}

static enum rc set_probe(const struct group *g, json_t *config)
{
    json_t *probe = json_object_get(g->spec, "probe");

    if (probe == NULL) {
        (void)json_object_del(config, "readinessProbe");
        return RC_OK;
    }
    return json_object_set(config, "readinessProbe", probe) == 0 ? RC_OK : RC_NO_MEMORY;
}

static enum rc set_discovery_address(const struct bundle_opts *o, json_t *config)
{
    char name[ISTIOD_NAME_BYTES];
    const char *said = doc_text(config, "discoveryAddress", NULL);

    if (!render_has_revision(o) || (said != NULL && *said != '\0')) {
        return RC_OK;
    }
    return set_text(config, "discoveryAddress", render_istiod(o, true, name));
}

static enum rc fill(const struct bundle_opts *o, const struct group *g, const json_t *mesh,
                    const struct why *w, json_t *config, json_t *metadata)
{
    TRY(set_discovery_address(o, config));
    TRY(apply_annotation(doc_at(g->object, "metadata", "annotations", NULL), w, config, metadata));
    TRY(apply_annotation(doc_at(g->spec, "metadata", "annotations", NULL), w, config, metadata));
    TRY(set_probe(g, config));
    TRY(describe_vm(o, g, mesh, config, metadata));
    TRY(render_gateway(o, w, config, metadata));
    if (json_object_set(config, "proxyMetadata", metadata) != 0) {
        return RC_NO_MEMORY;
    }
    proto_json_trim("ProxyConfig", config);
    return RC_OK;
}

/* The metadata that the mesh gives to every proxy; owned by the caller. */
static enum rc copy_metadata(const json_t *config, json_t **out)
{
    const json_t *said = json_object_get(config, "proxyMetadata");

    if (said != NULL) {
        return doc_copy(said, out);
    }
    *out = json_object();
    return *out != NULL ? RC_OK : RC_NO_MEMORY;
}

static enum rc make(const struct bundle_opts *o, const struct group *g, json_t *mesh,
                    const struct why *w, json_t **out)
{
    json_t *said = json_object_get(mesh, "defaultConfig");
    json_t *config = said != NULL ? json_incref(said) : json_object();
    json_t *metadata = NULL;

    if (config == NULL) {
        return RC_NO_MEMORY;
    }
    enum rc rc = copy_metadata(config, &metadata);
    if (rc == RC_OK) {
        rc = fill(o, g, mesh, w, config, metadata);
    }
    json_decref(metadata);
    if (rc != RC_OK) {
        json_decref(config);
        return rc;
    }
    *out = config;
    return RC_OK;
}

enum rc render_proxy_config(const struct bundle_opts *o, const struct group *g, const struct why *w,
                            json_t **out)
{
    json_t *mesh = NULL;

    TRY(proto_json_read("MeshConfig", o->mesh_config, "mesh config: ", w, &mesh));
    enum rc rc = make(o, g, mesh, w, out);
    json_decref(mesh);
    return rc;
}
