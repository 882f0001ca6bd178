/* SPDX-License-Identifier: Apache-2.0 */
/* From a file to a config, or to a list of errors. See config.h and, for the steps,
 * config_internal.h. */
#include "gateway/config/config.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/file_stamp.h"
#include "gateway/config/config_internal.h"

#define CONFIG_MAGIC 0x3c0f1690U

/* ---- freeing ---- */

static void free_route(struct config_route *route)
{
    free(route->from);
    schema_free_texts(&route->sni);
    schema_free_texts(&route->relay.methods);
    schema_free_texts(&route->relay.extra_headers);
}

static void free_listener(struct config_listener *l)
{
    for (size_t i = 0; i < l->n_routes; i++) {
        free_route(&l->routes[i]);
    }
    free(l->routes);
    free(l->bind);
    free(l->name);
    keys_fini_registration(&l->registration);
    cert_set_unref(&l->certs);
}

static void free_upstream(struct config_upstream *u)
{
    struct upstream_opts *o = &u->opts;
    for (size_t i = 0; i < o->n_endpoints; i++) {
        free(o->endpoints[i].host);
    }
    free(o->endpoints);
    free(o->discovery.service);
    free(o->discovery.ns);
    free(o->discovery.port);
    free(o->name);
    free(o->server_name);
    free(o->roots_file);
    free(o->cluster_id);
    schema_free_texts(&o->token_audiences);
    root_set_unref(&u->roots);
}

void config_free(struct config **c)
{
    struct config *config = *c;
    *c = NULL;
    if (config == NULL) {
        return;
    }
    CHECK_MAGIC(config, CONFIG_MAGIC);
    for (size_t i = 0; i < config->n_listeners; i++) {
        free_listener(&config->listeners[i]);
    }
    for (size_t i = 0; i < config->n_upstreams; i++) {
        free_upstream(&config->upstreams[i]);
    }
    free(config->listeners);
    free(config->upstreams);
    free(config->kubernetes.kubeconfig);
    free(config->kubernetes.context);
    free(config->kubernetes.cluster_id);
    free(config->kubernetes.istio_namespace);
    root_list_unref(&config->roots);
    free(config->registry.deny_list);
    free(config->admin.socket);
    free(config->log_file);
    free(config->path);
    schema_free_texts(&config->files);
    config->magic = 0;
    free(config);
}

bool config_has_route(const struct config *c, size_t upstream, enum route_mode mode)
{
    for (size_t i = 0; i < c->n_listeners; i++) {
        for (size_t k = 0; k < c->listeners[i].n_routes; k++) {
            const struct config_route *route = &c->listeners[i].routes[k];
            if (route->upstream == upstream && route->mode == mode) {
                return true;
            }
        }
    }
    return false;
}

bool config_has_roots(const struct config *c)
{
    for (size_t i = 0; i < c->n_listeners; i++) {
        if (c->listeners[i].certs != NULL) {
            return true;
        }
    }
    for (size_t i = 0; i < c->n_upstreams; i++) {
        if (c->upstreams[i].roots != NULL) {
            return true;
        }
    }
    return false;
}

/* ---- loading ---- */

/* All steps; errors go to r. */
static void read_steps(struct report *r, const char *text, size_t n, struct root_list *published,
                       struct config *c)
{
    struct node *root = NULL;
    enum rc rc = tree_parse(text, n, r, &root);
    r->no_memory |= rc == RC_NO_MEMORY;
    if (rc == RC_OK && root == NULL) {
        report_add(r, 1, 1, "the file is empty: it needs version, listeners and upstreams");
    }
    if (root != NULL) {
        keys_read(r, root, c);
        rules_check(r, root, c);
        c->roots = c->kubernetes.follow_roots ? root_list_ref(published) : NULL;
        files_load(r, root, c);
    }
    tree_free(&root);
}

static void read_config(struct report *r, struct root_list *published, struct config *c)
{
    char *text = NULL;
    size_t n = 0;
    const char *why = NULL;
    enum rc rc = files_read(c->path, &text, &n, &why);
    r->no_memory |= rc == RC_NO_MEMORY;
    if (rc == RC_INVALID) {
        report_add(r, 1, 1, "the file cannot be read: %s", why);
    }
    if (rc == RC_OK) {
        read_steps(r, text, n, published, c);
    }
    free(text);
}

enum rc config_load_with(const char *path, struct root_list *published, FILE *errors,
                         struct config **out)
{
    struct report r;
    struct config *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return RC_NO_MEMORY;
    }
    c->magic = CONFIG_MAGIC;
    report_init(&r, path);
    c->path = schema_copy(&r, path);
    c->files_stamp = FILE_STAMP_NONE;
    if (c->path != NULL) {
        files_note(&r, c, c->path);
        read_config(&r, published, c);
    }
    enum rc rc = RC_OK;
    if (r.no_memory) {
        rc = RC_NO_MEMORY;
    } else if (report_any(&r)) {
        report_write(&r, errors);
        rc = RC_INVALID;
    }
    report_fini(&r);
    if (rc != RC_OK) {
        config_free(&c);
        return rc;
    }
    *out = c;
    return RC_OK;
}

enum rc config_load(const char *path, FILE *errors, struct config **out)
{
    return config_load_with(path, NULL, errors, out);
}
