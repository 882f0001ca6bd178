/* SPDX-License-Identifier: Apache-2.0 */
/* What cluster.env, mesh.yaml and the hosts file say, and whether they say the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bootstrap/address.h"
#include "bootstrap/bundle.h"
#include "bootstrap/env_file.h"
#include "bootstrap/verify_internal.h"
#include "core/doc/doc.h"

#define DEFAULT_NAMESPACE "istio-system"
#define PORT "15012"

#define ANEW "make the bundle anew with xdsgate bundle create"

const char *verify_env(const struct verify *v, const char *key)
{
    return v->env != NULL ? doc_text(v->env, key, NULL) : NULL;
}

const char *verify_sourced(const struct verify *v, const char *key, enum vfile_id *source)
{
    const char *said = verify_env(v, key);
    const char *aside = said == NULL && v->sidecar != NULL ? doc_text(v->sidecar, key, NULL) : NULL;

    if (source != NULL) {
        *source = aside != NULL ? V_SIDECAR : V_ENV;
    }
    said = said != NULL ? said : aside;
    return said != NULL ? said : "";
}

/* ---- cluster.env and mesh.yaml ---- */

static enum rc read_env(struct verify *v)
{
    const struct vfile *f = &v->files[V_ENV];
    char why[200];
    const struct why w = {why, sizeof(why)};

    if (!f->there) {
        return RC_OK;
    }
    enum rc rc = env_file_read(f->data, f->n, &w, &v->env);
    if (rc == RC_INVALID) {
        verify_add(v->r, VERIFY_BAD, f->what, ANEW, "%s", why);
        return RC_OK;
    }
    return rc;
}

/* Any shell text may be in it; then what it sets is not known. */
static enum rc read_sidecar(struct verify *v)
{
    const struct vfile *f = &v->files[V_SIDECAR];
    char why[200];
    const struct why w = {why, sizeof(why)};

    if (!f->there) {
        return RC_OK;
    }
    enum rc rc = env_file_read(f->data, f->n, &w, &v->sidecar);
    if (rc == RC_INVALID) {
        verify_add(v->r, VERIFY_WARN, f->what, "write only KEY=VALUE there",
                   "what it sets is not looked at: %s", why);
        return RC_OK;
    }
    return rc;
}

static enum rc read_mesh(struct verify *v)
{
    const struct vfile *f = &v->files[V_MESH];
    struct doc_error err;

    if (!f->there) {
        return RC_OK;
    }
    enum rc rc = doc_parse_yaml(f->data, f->n, &err, &v->mesh);
    if (rc == RC_INVALID) {
        verify_add(v->r, VERIFY_BAD, f->what, ANEW, "line %u, column %u: %s", err.line, err.column,
                   err.text);
        return RC_OK;
    }
    if (rc == RC_OK && !json_is_object(doc_at(v->mesh, "defaultConfig", NULL))) {
        verify_add(v->r, VERIFY_BAD, f->what, ANEW, "has no defaultConfig");
    }
    return rc;
}

static void check_env_has(struct verify *v, const char *key)
{
    const char *value = verify_env(v, key);

    if (value == NULL || *value == '\0') {
        verify_add(v->r, VERIFY_BAD, v->files[V_ENV].what, ANEW, "does not set %s", key);
    }
}

/* The agent gets both: cluster.env as its environment, mesh.yaml as its configuration. */
static void check_same(struct verify *v)
{
    json_t *metadata = json_object_get(json_object_get(v->mesh, "defaultConfig"), "proxyMetadata");

    for (void *i = json_object_iter(metadata); i != NULL; i = json_object_iter_next(metadata, i)) {
        const char *key = json_object_iter_key(i);
        const char *in_mesh = json_string_value(json_object_iter_value(i));
        const char *in_env = verify_env(v, key);
        if (in_mesh != NULL && in_env != NULL && strcmp(in_mesh, in_env) != 0) {
            verify_add(v->r, VERIFY_BAD, v->files[V_ENV].what, ANEW, "%.80s is not what %s says",
                       key, v->files[V_MESH].what);
        }
    }
    const char *ns = verify_env(v, "ISTIO_NAMESPACE");
    const char *pod_ns = verify_env(v, "POD_NAMESPACE");
    if (ns != NULL && pod_ns != NULL && strcmp(ns, pod_ns) != 0) {
        verify_add(v->r, VERIFY_BAD, v->files[V_ENV].what, ANEW,
                   "ISTIO_NAMESPACE and POD_NAMESPACE differ");
    }
}

enum rc verify_settings(struct verify *v)
{
    TRY(read_env(v));
    TRY(read_sidecar(v));
    TRY(read_mesh(v));
    if (v->env != NULL) {
        check_env_has(v, "ISTIO_NAMESPACE");
        check_env_has(v, "SERVICE_ACCOUNT");
    }
    if (v->env != NULL && v->mesh != NULL) {
        check_same(v);
    }
    return RC_OK;
}

/* ---- the control planes that it calls ---- */

/* "host:port" or "[v6]:port"; the port may be left out. */
static bool split_address(const char *text, struct verify_server *out)
{
    bool brackets = *text == '[';
    const char *host = brackets ? text + 1 : text;
    const char *end = brackets ? strchr(host, ']') : strrchr(host, ':');
    size_t n = end != NULL ? (size_t)(end - host) : strlen(host);
    const char *port = end != NULL ? strchr(end, ':') : NULL;
    port = port != NULL ? port + 1 : PORT;

    *out = (struct verify_server){0};
    if (n == 0 || n >= sizeof(out->host) || *port == '\0' || strlen(port) > 5 ||
        strspn(port, "0123456789") != strlen(port) || (brackets && end == NULL)) {
        return false;
    }
    memcpy(out->host, host, n);
    (void)snprintf(out->port, sizeof(out->port), "%s", port);
    return true;
}

/* A control plane that is judged by these roots; NULL: there are none to use. */
static void add_server(struct verify *v, const char *address, enum vfile_id source,
                       const char *roots)
{
    struct verify_report *r = v->r;
    struct verify_server s;

    if (!split_address(address, &s)) {
        verify_add(r, VERIFY_BAD, v->files[source].what, ANEW,
                   "names a control plane that is no HOST:PORT: %.100s", address);
        return;
    }
    (void)snprintf(s.roots, sizeof(s.roots), "%s", roots != NULL ? roots : "");
    s.own_roots = verify_is_gateway_root(v, roots);
    for (size_t i = 0; i < r->n_servers; i++) {
        const struct verify_server *other = &r->servers[i];
        if (strcmp(other->host, s.host) == 0 && strcmp(other->port, s.port) == 0 &&
            strcmp(other->roots, s.roots) == 0) {
            return;
        }
    }
    if (r->n_servers < VERIFY_SERVERS_MAX) {
        r->servers[r->n_servers++] = s;
    }
}

/* The address that both are asked at when the environment says so; "": it does not. Borrowed from
 * the environment or from buf. */
static const char *pilot_address(const struct verify *v, const char *system, char *buf, size_t n,
                                 enum vfile_id *source)
{
    const char *address = verify_sourced(v, "PILOT_ADDRESS", source);

    if (*address != '\0') {
        return address;
    }
    const char *port = verify_sourced(v, "ISTIO_PILOT_PORT", source);
    if (*port == '\0') {
        return "";
    }
    (void)snprintf(buf, n, "istiod.%.200s.svc:%.60s", system, port);
    return buf;
}

/* CA_ADDR > PILOT_ADDRESS > ISTIO_PILOT_PORT > the default for certificates; PILOT_ADDRESS >
 * ISTIO_PILOT_PORT > mesh.yaml > the default for configuration (Istio:
 * tools/packaging/common/istio-start.sh). */
static void find_servers(struct verify *v)
{
    char fallback[300];
    char by_port[300];
    enum vfile_id pilot_source = V_ENV;
    enum vfile_id ca_source = V_ENV;
    const char *system = verify_sourced(v, "ISTIO_SYSTEM_NAMESPACE", NULL);
    const char *ca = verify_sourced(v, "CA_ADDR", &ca_source);
    const char *xds = doc_text(v->mesh, "defaultConfig", "discoveryAddress", NULL);

    system = *system != '\0' ? system : DEFAULT_NAMESPACE;
    const char *pilot = pilot_address(v, system, by_port, sizeof(by_port), &pilot_source);
    (void)snprintf(fallback, sizeof(fallback), "istiod.%.200s.svc:" PORT, system);
    if (*pilot != '\0') {
        add_server(v, pilot, pilot_source, v->xds_roots);
    } else if (xds != NULL && *xds != '\0') {
        add_server(v, xds, V_MESH, v->xds_roots);
    } else {
        add_server(v, BUNDLE_ISTIOD_ADDRESS, V_MESH, v->xds_roots);
    }
    if (*ca != '\0') {
        add_server(v, ca, ca_source, v->ca_roots);
    } else if (*pilot == '\0') {
        add_server(v, fallback, V_ENV, v->ca_roots);
    } else if (v->ca_roots != v->xds_roots) {
        add_server(v, pilot, pilot_source, v->ca_roots);
    }
}

/* ---- hosts ---- */

/* An address of a hosts file for one of the servers. */
static void add_address(struct verify *v, struct verify_server *s, const char *address)
{
    const char *what = v->files[V_HOSTS].what;
    char why[200];
    char usual[INET6_ADDRSTRLEN];
    const struct why w = {why, sizeof(why)};

    if (address_read(s->host, address, &w, usual) != RC_OK) {
        verify_add(v->r, VERIFY_BAD, what, "write the address of an xdsgate", "%s", why);
        return;
    }
    if (s->n_addresses < VERIFY_ADDRESSES_MAX) {
        (void)snprintf(s->addresses[s->n_addresses++], sizeof(s->addresses[0]), "%s", usual);
    }
}

/* One line: an address, then names. Cuts it. */
static void read_line(struct verify *v, char *line)
{
    char *rest = NULL;
    line[strcspn(line, "#")] = '\0';
    const char *address = strtok_r(line, " \t\r", &rest);

    if (address == NULL) {
        return;
    }
    for (const char *name = strtok_r(NULL, " \t\r", &rest); name != NULL;
         name = strtok_r(NULL, " \t\r", &rest)) {
        for (size_t i = 0; i < v->r->n_servers; i++) {
            if (strcasecmp(name, v->r->servers[i].host) == 0) {
                add_address(v, &v->r->servers[i], address);
            }
        }
    }
}

static bool is_ip(const char *host)
{
    char usual[INET6_ADDRSTRLEN];
    char why[200];
    const struct why w = {why, sizeof(why)};

    return address_read(host, host, &w, usual) == RC_OK;
}

void verify_hosts(struct verify *v)
{
    const struct vfile *f = &v->files[V_HOSTS];
    char *rest = NULL;

    if (v->env == NULL || v->mesh == NULL) {
        return;
    }
    find_servers(v);
    if (!f->there) {
        return;
    }
    for (char *line = strtok_r(f->data, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        read_line(v, line);
    }
    for (size_t i = 0; i < v->r->n_servers; i++) {
        const struct verify_server *s = &v->r->servers[i];
        if (s->n_addresses == 0 && !is_ip(s->host)) {
            verify_add(v->r, VERIFY_WARN, f->what, "add a line: ADDRESS-OF-XDSGATE NAME",
                       "has no line for %s, so the VM's DNS has to know it", s->host);
        }
    }
}
