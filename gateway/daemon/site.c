/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon/site.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"

#define SITE_MAGIC 0x517e0b0eu

/* An upstream of this worker: its pool for terminating routes, its balancer for passthrough. */
struct site_upstream {
    struct list node;
    uint32_t refs;
    struct upstream *upstream; /* shared (ref) */
    struct pool *pool;         /* owned; NULL without tls */
    struct balancer balancer;
};

enum rc site_upstreams_init(struct site_upstreams *u, struct worker *w, struct tokens *tokens,
                            struct registry *registry)
{
    list_init(&u->rows);
    u->registry = registry;
    relay_index_init(&u->index, w->index);
    return token_clerk_new(tokens, w, &u->tokens);
}

void site_upstreams_fini(struct site_upstreams *u)
{
    CHECK(list_empty(&u->rows));
    relay_index_fini(&u->index);
    token_clerk_free(&u->tokens);
}

void site_upstreams_kill(struct site_upstreams *u)
{
    for (struct list *n = u->rows.next; n != &u->rows; n = n->next) {
        struct site_upstream *row = LIST_ENTRY(n, struct site_upstream, node);
        if (row->pool != NULL) {
            pool_kill(row->pool);
        }
    }
}

static struct site_upstream *find_row(struct site_upstreams *u, const struct upstream *upstream)
{
    for (struct list *n = u->rows.next; n != &u->rows; n = n->next) {
        struct site_upstream *row = LIST_ENTRY(n, struct site_upstream, node);
        if (row->upstream == upstream) {
            return row;
        }
    }
    return NULL;
}

static enum rc hold_row(struct worker *w, struct site_upstreams *u, struct upstream *upstream,
                        struct site_upstream **out)
{
    struct site_upstream *row = find_row(u, upstream);

    if (row == NULL) {
        row = calloc(1, sizeof(*row));
        if (row == NULL) {
            return RC_NO_MEMORY;
        }
        if (upstream->opts.tls && pool_new(w, upstream, relay_retire, &row->pool) != RC_OK) {
            free(row);
            return RC_NO_MEMORY;
        }
        row->upstream = upstream_ref(upstream);
        balancer_init(&row->balancer, w, upstream, true);
        list_add_tail(&u->rows, &row->node);
    }
    row->refs++;
    *out = row;
    return RC_OK;
}

static void release_row(struct site_upstream *row)
{
    if (row == NULL || --row->refs > 0) {
        return;
    }
    list_del(&row->node);
    if (row->pool != NULL) {
        pool_free(&row->pool);
    }
    balancer_fini(&row->balancer);
    upstream_unref(&row->upstream);
    free(row);
}

static void hold_site(void *owner)
{
    (void)site_ref(owner);
}

static void release_site(void *owner)
{
    struct site *s = owner;
    site_unref(&s);
}

static void fill_route(struct site *s, struct site_listener *l, const struct config_route *config,
                       struct list *sessions, struct list *passes, struct site_route *out)
{
    struct site_upstream *row = s->held[config->upstream];

    out->config = config;
    out->relay = (struct relay_route){
        .listener = l->config->name,
        .opts = &config->relay,
        .limits = &l->config->limits,
        .pool = row->pool,
        .shared = &l->shared,
        .tap = s->generation->config->registry.enabled ? &l->tap : NULL,
        .tokens = s->upstreams->tokens,
        .sessions = sessions,
        .owner = s,
        .hold = hold_site,
        .release = release_site,
    };
    out->pass = (struct passthrough_route){
        .balancer = &row->balancer,
        .connections = passes,
        .owner = s,
        .hold = hold_site,
        .release = release_site,
    };
}

static enum rc fill_listener(struct worker *w, struct site *s, const struct config_listener *config,
                             struct list *sessions, struct list *passes, struct site_listener *out)
{
    out->config = config;
    out->tap = (struct relay_tap_env){
        .registry = s->upstreams->registry,
        .registration = &config->registration,
        .trust_domain = config->certs != NULL ? cert_set_trust_domain(config->certs) : "",
        .index = &s->upstreams->index,
        .tally = &s->upstreams->tally,
    };
    bucket_init(&out->shared.anonymous, config->limits.unauthenticated_streams_per_second,
                worker_now(w));
    out->routes = calloc(config->n_routes, sizeof(*out->routes));
    if (out->routes == NULL) {
        return RC_NO_MEMORY;
    }
    for (size_t i = 0; i < config->n_routes; i++) {
        fill_route(s, out, &config->routes[i], sessions, passes, &out->routes[i]);
    }
    return RC_OK;
}

static enum rc fill(struct worker *w, struct site *s, struct list *sessions, struct list *passes)
{
    const struct config *c = s->generation->config;

    s->held = calloc(c->n_upstreams, sizeof(struct site_upstream *));
    s->listeners = calloc(c->n_listeners, sizeof(*s->listeners));
    if (s->held == NULL || s->listeners == NULL) {
        return RC_NO_MEMORY;
    }
    for (size_t i = 0; i < c->n_upstreams; i++) {
        TRY(hold_row(w, s->upstreams, s->generation->upstreams[i], &s->held[i]));
    }
    for (size_t i = 0; i < c->n_listeners; i++) {
        TRY(fill_listener(w, s, &c->listeners[i], sessions, passes, &s->listeners[i]));
    }
    return RC_OK;
}

enum rc site_new(struct worker *w, struct generation *g, struct site_upstreams *upstreams,
                 struct list *sessions, struct list *passes, struct site **out)
{
    struct site *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        return RC_NO_MEMORY;
    }
    s->magic = SITE_MAGIC;
    s->refs = 1;
    s->generation = generation_ref(g);
    s->upstreams = upstreams;
    if (fill(w, s, sessions, passes) != RC_OK) {
        site_unref(&s);
        return RC_NO_MEMORY;
    }
    *out = s;
    return RC_OK;
}

struct site *site_ref(struct site *s)
{
    CHECK_MAGIC(s, SITE_MAGIC);
    s->refs++;
    return s;
}

void site_unref(struct site **ps)
{
    struct site *s = *ps;

    *ps = NULL;
    if (s == NULL) {
        return;
    }
    CHECK_MAGIC(s, SITE_MAGIC);
    if (--s->refs > 0) {
        return;
    }
    const struct config *c = s->generation->config;
    for (size_t i = 0; s->listeners != NULL && i < c->n_listeners; i++) {
        free(s->listeners[i].routes);
    }
    for (size_t i = 0; s->held != NULL && i < c->n_upstreams; i++) {
        release_row(s->held[i]);
    }
    free(s->listeners);
    free(s->held);
    generation_unref(&s->generation);
    s->magic = 0;
    free(s);
}

struct site_listener *site_find_listener(struct site *s, const struct addr *bound)
{
    const struct config *c = s->generation->config;

    for (size_t i = 0; i < c->n_listeners; i++) {
        for (size_t k = 0; k < c->listeners[i].n_bind; k++) {
            const struct addr *a = &c->listeners[i].bind[k];
            if (addr_same_ip(a, bound) && a->port == bound->port) {
                return &s->listeners[i];
            }
        }
    }
    return NULL;
}

static bool source_matches(const struct config_route *r, const struct addr *peer)
{
    if (r->n_from == 0) {
        return true;
    }
    for (size_t i = 0; i < r->n_from; i++) {
        if (addr_in_net(peer, &r->from[i])) {
            return true;
        }
    }
    return false;
}

static bool name_matches(const char *pattern, const char *sni)
{
    if (strcmp(pattern, "*") == 0) {
        return true;
    }
    if (pattern[0] != '*') {
        return strcmp(pattern, sni) == 0;
    }
    size_t n = strlen(sni);
    size_t suffix = strlen(pattern + 1);
    return n > suffix && strcmp(sni + n - suffix, pattern + 1) == 0;
}

struct site_listener *site_find_named(struct site *s, const char *name)
{
    for (size_t i = 0; i < s->generation->config->n_listeners; i++) {
        if (strcmp(s->listeners[i].config->name, name) == 0) {
            return &s->listeners[i];
        }
    }
    return NULL;
}

struct site_route *site_find_route(struct site_listener *l, const struct addr *peer,
                                   const char *sni)
{
    for (size_t i = 0; i < l->config->n_routes; i++) {
        const struct config_route *r = &l->config->routes[i];
        if (!source_matches(r, peer)) {
            continue;
        }
        for (char **p = r->sni; *p != NULL; p++) {
            if (name_matches(*p, sni)) {
                return &l->routes[i];
            }
        }
    }
    return NULL;
}
