/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/registry/config_json.h"

#include <stdlib.h>
#include <string.h>

#include "core/doc/doc.h"
#include "gateway/registry/json_value.h"
#include "gateway/registry/vm_id.h"
#include "xds/pb_json.h"

#define ANY_PREFIX "type.googleapis.com/"

/* A body that is being written. */
struct body {
    struct pb_types *types; /* owned */
    char *text;             /* owned */
    size_t n_text;
    FILE *out; /* writes into text */
    enum rc rc;
};

/* ---- pieces ---- */

static void put(struct body *b, const char *text)
{
    (void)fputs(text, b->out);
}

/* A value of jansson's, which is taken. */
static void put_value(struct body *b, json_t *v)
{
    char *text = NULL;
    size_t n = 0;
    enum rc rc = v != NULL ? doc_write_json_as_set(v, &text, &n) : RC_NO_MEMORY;

    json_decref(v);
    if (rc != RC_OK) {
        b->rc = rc;
        return;
    }
    (void)fwrite(text, 1, n, b->out);
    free(text);
}

/* A name or a version, also when it is empty. */
static json_t *text_of(const char *text)
{
    return json_value_kept(text, strlen(text));
}

static json_t *text_or_null(const char *text)
{
    return json_value_text(text, strlen(text));
}

static void put_text(struct body *b, const char *key, const char *text)
{
    (void)fprintf(b->out, "\"%s\":", key);
    put_value(b, text_of(text));
}

/* A resource as what its Any holds. */
static void put_resource(struct body *b, enum xds_type type, const struct vm_config_resource *res)
{
    long long written = ftello(b->out);

    if (written < 0 || written >= (long long)CONFIG_JSON_MAX_BYTES) {
        b->rc = RC_FULL;
    }
    if (b->rc != RC_OK) {
        return;
    }
    b->rc = pb_json_write_any(b->types, xds_type_url(type), res->value, res->n_value,
                              CONFIG_JSON_MAX_BYTES - (size_t)written, b->out);
}

static bool begin(struct body *b)
{
    *b = (struct body){.rc = RC_OK};
    if (pb_types_envoy(&b->types) != RC_OK) {
        return false;
    }
    b->out = open_memstream(&b->text, &b->n_text);
    if (b->out == NULL) {
        pb_types_free(&b->types);
    }
    return b->out != NULL;
}

static enum rc finish(struct body *b, char **out, size_t *n)
{
    bool failed = ferror(b->out) != 0;

    failed = fclose(b->out) != 0 || failed;
    pb_types_free(&b->types);
    if (failed || b->rc != RC_OK) {
        free(b->text);
        return failed ? RC_NO_MEMORY : b->rc;
    }
    *out = b->text;
    *n = b->n_text;
    return RC_OK;
}

/* ---- what is known of it all ---- */

static uint64_t bytes_of(const struct vm_config_type_view *t)
{
    struct vm_config_resource res;
    uint64_t n = 0;

    for (size_t i = 0; i < t->n_resources; i++) {
        vm_config_view_resource(t, i, &res);
        n += res.n_value;
    }
    return n;
}

static json_t *describe_type(enum xds_type type, const struct vm_config_type_view *t)
{
    json_t *v = json_object();
    bool ok = doc_set(v, "type", json_string(xds_type_name(type))) &&
              doc_set(v, "state", json_string(vm_config_state_name(t->state))) &&
              doc_set(v, "version", text_or_null(t->version)) &&
              doc_set(v, "acked", json_value_time(t->acked_ms)) &&
              doc_set(v, "resources", json_integer((json_int_t)t->n_resources)) &&
              doc_set(v, "bytes", json_integer((json_int_t)bytes_of(t))) &&
              doc_set(v, "changed", json_value_time(t->changed_ms)) &&
              doc_set(v, "rejected", json_value_time(t->rejected_ms)) &&
              doc_set(v, "partly_rejected", json_boolean(t->partly_rejected));

    if (!ok) {
        json_decref(v);
        return NULL;
    }
    return v;
}

static json_t *describe_types(const struct vm_config_view *c)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < XDS_TYPES; i++) {
        const struct vm_config_type_view *t = &c->types[i];
        if (t->state != VM_CONFIG_NONE && t->state != VM_CONFIG_NEVER &&
            !doc_append(list, describe_type((enum xds_type)i, t))) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static void put_vm(struct body *b, const struct registry_config *c)
{
    char id[VM_ID_BYTES];

    (void)fprintf(b->out, "\"id\":\"%s\",", vm_id_text(c->id, id));
    put_text(b, "name", c->name);
    (void)fprintf(b->out, ",\"state\":\"%s\"", vm_state_name(c->state));
}

/* ---- as Envoy dumps it (envoy/admin/v3/config_dump.proto) ---- */

static const struct dump {
    enum xds_type type;
    const char *message;
    const char *list;
    const char *item;
} dumps[] = {
    {XDS_CDS, "ClustersConfigDump", "dynamic_active_clusters", "cluster"},
    {XDS_EDS, "EndpointsConfigDump", "dynamic_endpoint_configs", "endpoint_config"},
    {XDS_ECDS, "EcdsConfigDump", "ecds_filters", "ecds_filter"},
    {XDS_LDS, "ListenersConfigDump", "dynamic_listeners", "listener"},
    {XDS_RDS, "RoutesConfigDump", "dynamic_route_configs", "route_config"},
};

static void put_item(struct body *b, const struct dump *d, const struct vm_config_type_view *t,
                     const struct vm_config_resource *res)
{
    bool is_listener = d->type == XDS_LDS;

    put(b, "{");
    if (is_listener) {
        put_text(b, "name", res->name);
        put(b, ",\"active_state\":{");
    }
    put_text(b, "version_info", res->version[0] != '\0' ? res->version : t->version);
    (void)fprintf(b->out, ",\"%s\":", d->item);
    put_resource(b, d->type, res);
    put(b, is_listener ? "}}" : "}");
}

/* Has it a version of the type as a whole? The others have one for each resource. */
static bool has_version(enum xds_type type)
{
    return type == XDS_CDS || type == XDS_LDS;
}

static void put_dump(struct body *b, const struct dump *d, const struct vm_config_type_view *t)
{
    struct vm_config_resource res;

    (void)fprintf(b->out, "{\"@type\":\"" ANY_PREFIX "envoy.admin.v3.%s\"", d->message);
    if (has_version(d->type)) {
        put(b, ",");
        put_text(b, "version_info", t->version);
    }
    (void)fprintf(b->out, ",\"%s\":[", d->list);
    for (size_t i = 0; i < t->n_resources && b->rc == RC_OK; i++) {
        put(b, i > 0 ? "," : "");
        vm_config_view_resource(t, i, &res);
        put_item(b, d, t, &res);
    }
    put(b, "]}");
}

static void put_dumps(struct body *b, const struct vm_config_view *c)
{
    const char *comma = "";

    put(b, "\"configs\":[");
    for (size_t i = 0; i < sizeof(dumps) / sizeof(*dumps); i++) {
        const struct vm_config_type_view *t = &c->types[dumps[i].type];
        if (t->state == VM_CONFIG_KEPT) {
            put(b, comma);
            put_dump(b, &dumps[i], t);
            comma = ",";
        }
    }
    put(b, "]");
}

/* What the agent's DNS proxy knows; no Envoy has it. */
static void put_names(struct body *b, const struct vm_config_type_view *t)
{
    struct vm_config_resource res;

    put(b, ",\"name_table\":");
    if (t->state == VM_CONFIG_KEPT && t->n_resources == 1) {
        vm_config_view_resource(t, 0, &res);
        put_resource(b, XDS_NDS, &res);
    } else {
        put(b, "null");
    }
}

enum rc config_json_dump(const struct registry_config *c, char **out, size_t *n)
{
    struct body b;

    if (!begin(&b)) {
        return RC_NO_MEMORY;
    }
    put(&b, "{");
    put_dumps(&b, &c->config);
    put(&b, ",\"xdsgate\":{");
    put_vm(&b, c);
    put(&b, ",\"types\":");
    put_value(&b, describe_types(&c->config));
    put_names(&b, &c->config.types[XDS_NDS]);
    put(&b, "}}\n");
    return finish(&b, out, n);
}

/* ---- the last change ---- */

static const char *what_name(enum vm_config_what what)
{
    static const char *const names[] = {[VM_CONFIG_ADDED] = "added",
                                        [VM_CONFIG_CHANGED] = "changed",
                                        [VM_CONFIG_REMOVED] = "removed"};
    return names[what];
}

static void put_change(struct body *b, enum xds_type type, const struct vm_config_change *change)
{
    put(b, "{");
    put_text(b, "name", change->name);
    (void)fprintf(b->out, ",\"what\":\"%s\",\"before\":", what_name(change->what));
    if (change->what == VM_CONFIG_ADDED) {
        put(b, "null");
    } else {
        put_resource(b, type, &change->before);
    }
    put(b, ",\"after\":");
    if (change->what == VM_CONFIG_REMOVED) {
        put(b, "null");
    } else {
        put_resource(b, type, &change->after);
    }
    put(b, "}");
}

static void put_changes(struct body *b, enum xds_type type, const struct vm_config_type_view *t)
{
    struct vm_config_change change;

    (void)fprintf(b->out, "{\"type\":\"%s\",\"changed\":", xds_type_name(type));
    put_value(b, json_value_time(t->changed_ms));
    put(b, ",\"version\":");
    put_value(b, text_or_null(t->changed_version));
    (void)fprintf(b->out, ",\"lost\":%s,\"resources\":[", t->change_lost ? "true" : "false");
    for (size_t i = 0; i < t->n_changes && b->rc == RC_OK; i++) {
        put(b, i > 0 ? "," : "");
        vm_config_view_change(t, i, &change);
        put_change(b, type, &change);
    }
    put(b, "]}");
}

/* The type whose change is the newest of those that are not done, which have no bit set; of the
 * same time the first one comes first. XDS_TYPES: there is none. */
static unsigned find_next(const struct vm_config_view *c, uint32_t done)
{
    unsigned best = XDS_TYPES;

    for (unsigned i = 0; i < XDS_TYPES; i++) {
        int64_t at = c->types[i].changed_ms;
        if (at > 0 && (done >> i & 1U) == 0 &&
            (best == XDS_TYPES || at > c->types[best].changed_ms)) {
            best = i;
        }
    }
    return best;
}

enum rc config_json_changes(const struct registry_config *c, char **out, size_t *n)
{
    const char *comma = "";
    uint32_t done = 0;
    struct body b;

    if (!begin(&b)) {
        return RC_NO_MEMORY;
    }
    put(&b, "{");
    put_vm(&b, c);
    put(&b, ",\"changes\":[");
    for (unsigned i = find_next(&c->config, done); i < XDS_TYPES; i = find_next(&c->config, done)) {
        put(&b, comma);
        put_changes(&b, (enum xds_type)i, &c->config.types[i]);
        comma = ",";
        done |= 1U << i;
    }
    put(&b, "],\"types\":");
    put_value(&b, describe_types(&c->config));
    put(&b, "}\n");
    return finish(&b, out, n);
}
