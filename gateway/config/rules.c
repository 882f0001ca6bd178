/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules between values of the file, except those on source_address (rules_source.c).
 *
 * A rule speaks only when all values it looks at were read without an error, so that one mistake is
 * one line.
 */
#include "gateway/config/config_internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"

/* ---- names ---- */

/* Element i of a list at the top; the struct's array has the same order. */
static struct node *element(const struct node *root, const char *list, size_t i)
{
    struct node *l = node_get(root, list);
    CHECK(l != NULL && i < l->n_items);
    return l->items[i];
}

static void check_unique_names(struct report *r, const struct node *root, const char *list,
                               size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct node *name = node_get(element(root, list, i), "name");
        for (size_t k = 0; name != NULL && !name->bad && k < i; k++) {
            const struct node *other = node_get(element(root, list, k), "name");
            if (other != NULL && !other->bad && strcmp(name->text, other->text) == 0) {
                node_error(r, name,
                           "the name \"%s\" is already used on line %u: names in `%s` must differ",
                           name->text, (unsigned)other->line, list);
            }
        }
    }
}

/* ---- addresses that are bound ---- */

struct bound {
    const struct addr *addr; /**< borrowed */
    struct node *node;       /**< borrowed */
};

/* Whatever the scope: a listener is found by the bound address alone. */
static bool same_socket(const struct addr *a, const struct addr *b)
{
    return addr_same_ip(a, b) && a->port == b->port;
}

static void add_bound(struct report *r, struct bound *all, size_t *n, const struct addr *a,
                      struct node *node)
{
    if (a->family == ADDR_NONE || node == NULL || node->bad) {
        return;
    }
    for (size_t i = 0; i < *n; i++) {
        if (same_socket(all[i].addr, a)) {
            node_error(r, node,
                       "the address is already used on line %u: each can be bound only once",
                       (unsigned)all[i].node->line);
            return;
        }
    }
    all[(*n)++] = (struct bound){a, node};
}

static void check_unique_binds(struct report *r, const struct node *root, const struct config *c)
{
    size_t n = 0;
    size_t max = 2;
    for (size_t i = 0; i < c->n_listeners; i++) {
        max += c->listeners[i].n_bind;
    }
    struct bound *all = calloc(max, sizeof(*all));
    if (all == NULL) {
        r->no_memory = true;
        return;
    }
    for (size_t i = 0; i < c->n_listeners; i++) {
        const struct node *list = node_get(element(root, "listeners", i), "bind");
        for (size_t k = 0; k < c->listeners[i].n_bind; k++) {
            add_bound(r, all, &n, &c->listeners[i].bind[k], list->items[k]);
        }
    }
    add_bound(r, all, &n, &c->admin.bind, node_get(node_get(root, "admin"), "bind"));
    add_bound(r, all, &n, &c->admin.metrics_bind, node_get(node_get(root, "metrics"), "bind"));
    free(all);
}

static bool is_any_address(const struct addr *a)
{
    static const uint8_t zero[16];
    return memcmp(a->ip, zero, a->family == ADDR_V4 ? 4 : 16) == 0;
}

static void check_admin(struct report *r, const struct node *root, const struct config *c)
{
    const struct node *admin = node_get(root, "admin");
    struct node *bind = node_get(admin, "bind");
    struct node *mode = node_get(admin, "socket_mode");
    const struct addr *a = &c->admin.bind;
    bool remote = a->family != ADDR_NONE && (!addr_is_loopback(a) || is_any_address(a));
    if (remote && !c->admin.allow_remote && !node_bad(node_get(admin, "allow_remote"))) {
        node_error(r, bind,
                   "`bind` of admin is no loopback address, so others could see every VM: write "
                   "127.0.0.1:PORT, or add "
                   "`allow_remote: true` when you mean it");
    }
    if (mode != NULL && !mode->bad && node_get(admin, "socket") == NULL) {
        node_error(r, mode,
                   "`socket_mode` without `socket`: add `socket: /run/xdsgate/admin.sock` or leave "
                   "it out");
    }
}

/* ---- upstreams ---- */

static void check_endpoints(struct report *r, const struct node *n, const struct upstream_opts *o)
{
    const struct node *list = node_get(n, "endpoints");
    for (size_t i = 1; i < o->n_endpoints; i++) {
        for (size_t k = 0; o->endpoints[i].host != NULL && k < i; k++) {
            const struct upstream_endpoint_name *e = &o->endpoints[k];
            if (e->host != NULL && e->port == o->endpoints[i].port &&
                strcmp(e->host, o->endpoints[i].host) == 0) {
                node_error(r, list->items[i], "`endpoints` has this element twice: leave one out");
                break;
            }
        }
    }
}

/* Where the endpoints come from: one of two. */
static void check_way(struct report *r, const struct node *root, struct node *n)
{
    const struct node *endpoints = node_get(n, "endpoints");
    struct node *discovery = node_get(n, "discovery");
    if (endpoints == NULL && discovery == NULL && n->kind == NODE_MAP && !n->bad) {
        node_error(r, n,
                   "an upstream needs the key `endpoints`, such as [\"10.0.0.11:15012\"], or "
                   "`discovery`, such as {kubernetes: {}}");
    }
    if (discovery == NULL || discovery->bad) {
        return;
    }
    if (endpoints != NULL) {
        node_error(r, discovery,
                   "`discovery` finds the endpoints, but `endpoints` on line %u names them: leave "
                   "one of the two out",
                   (unsigned)endpoints->line);
    } else if (node_get(root, "kubernetes") == NULL) {
        node_error(r, discovery,
                   "`discovery` needs `kubernetes` at the top of the file, where it is told: write "
                   "`kubernetes: {kubeconfig: /etc/xdsgate/kubeconfig}`, or `kubernetes: {}` in a "
                   "pod");
    }
}

static void check_discovery(struct report *r, const struct node *n, const struct upstream_opts *o)
{
    const struct node *kubernetes = node_get(node_get(n, "discovery"), "kubernetes");
    struct node *which = node_get(kubernetes, "node_address");
    if (which != NULL && !which->bad && o->discovery.addresses != UPSTREAM_NODES &&
        !node_bad(node_get(kubernetes, "addresses"))) {
        node_error(r, which,
                   "`node_address` chooses among addresses of nodes: add `addresses: nodes`, or "
                   "leave it out");
    }
}

static void check_upstream(struct report *r, const struct node *root, struct node *n,
                           const struct upstream_opts *o)
{
    struct node *identity = node_get(n, "identity");
    const char *word = o->identity == UPSTREAM_XFCC ? "xfcc" : "token";
    check_endpoints(r, n, o);
    check_way(r, root, n);
    check_discovery(r, n, o);
    if (o->identity != UPSTREAM_FORWARD && node_get(n, "tls") == NULL) {
        node_error(r, identity,
                   "`identity: %s` needs the upstream's `tls` with server_name and roots", word);
    }
    if (o->identity == UPSTREAM_TOKEN && node_get(root, "kubernetes") == NULL) {
        node_error(r, identity,
                   "`identity: token` needs `kubernetes` at the top of the file, where the tokens "
                   "come from: write `kubernetes: {kubeconfig: /etc/xdsgate/kubeconfig}`, or "
                   "`kubernetes: {}` in a pod");
    }
}

/* The header goes with the tokens. */
static void give_cluster_id(struct report *r, const struct config *c, struct upstream_opts *o)
{
    if (o->identity == UPSTREAM_TOKEN && c->kubernetes.cluster_id != NULL) {
        o->cluster_id = schema_copy(r, c->kubernetes.cluster_id);
    }
}

static void check_kubernetes(struct report *r, const struct node *root)
{
    const struct node *n = node_get(root, "kubernetes");
    struct node *context = node_get(n, "context");
    if (context != NULL && !context->bad && node_get(n, "kubeconfig") == NULL) {
        node_error(r, context,
                   "`context` names an entry of a kubeconfig: add `kubeconfig`, or leave it out");
    }
}

/* ---- routes ---- */

/* The index of the upstream that a route names; SIZE_MAX when there is none (reported). */
static size_t find_upstream(struct report *r, const struct node *root, const struct config *c,
                            struct node *name)
{
    bool all_known = c->n_upstreams > 0;
    if (name == NULL || name->bad) {
        return SIZE_MAX;
    }
    for (size_t i = 0; i < c->n_upstreams; i++) {
        if (c->upstreams[i].opts.name == NULL) {
            all_known = false;
        } else if (strcmp(c->upstreams[i].opts.name, name->text) == 0) {
            return i;
        }
    }
    if (all_known) {
        node_error(r, name, "there is no upstream \"%s\": write a name from `upstreams` (line %u)",
                   name->text, (unsigned)node_get(root, "upstreams")->line);
    }
    return SIZE_MAX;
}

static void check_passthrough(struct report *r, const struct node *n)
{
    static const char *const keys[] = {"anonymous", "methods", "headers", NULL};
    for (const char *const *k = keys; *k != NULL; k++) {
        struct node *value = node_get(n, *k);
        if (value != NULL && !value->bad) {
            node_error(r, value,
                       "`%s` has no meaning with `mode: passthrough`: leave it out, or terminate",
                       *k);
        }
    }
}

static void check_terminate(struct report *r, const struct config *c, const struct node *n,
                            size_t upstream)
{
    struct node *name = node_get(n, "upstream");
    if (upstream == SIZE_MAX) {
        return;
    }
    const struct upstream_opts *o = &c->upstreams[upstream].opts;
    if (!o->tls) {
        node_error(r, name,
                   "a route that terminates needs TLS to its upstream: give \"%s\" a `tls` with "
                   "server_name and roots",
                   o->name);
    }
    if (o->proxy_protocol_v2) {
        node_error(r, name,
                   "`proxy_protocol: v2` of \"%s\" works with passthrough only: use an upstream "
                   "without it",
                   o->name);
    }
}

/* What the listener must say when one of its routes terminates; complaints go to that route's mode.
 */
static void check_terminating_listener(struct report *r, const struct node *root,
                                       const struct node *l, struct node *mode)
{
    if (node_get(l, "tls") == NULL) {
        node_error(
            r, mode,
            "`mode: terminate` needs the listener's `tls` with certificates and client_roots");
    }
    if (node_get(l, "vm_identities") == NULL) {
        node_error(r, mode,
                   "`mode: terminate` needs the listener's `vm_identities`: write for example "
                   "[\"ns/vms/sa/*\"]");
    }
    if (node_get(l, "trust_domain") == NULL && node_get(root, "trust_domain") == NULL) {
        node_error(r, mode,
                   "`mode: terminate` needs `trust_domain`, of the listener or at the top: write "
                   "for example "
                   "cluster.local");
    }
}

static void check_route(struct report *r, const struct node *root, const struct config *c,
                        const struct node *n, struct config_route *route)
{
    const struct node *mode = node_get(n, "mode");
    size_t upstream = find_upstream(r, root, c, node_get(n, "upstream"));
    route->upstream = SIZE_MAX;
    if (mode == NULL || mode->bad) {
        return;
    }
    route->upstream = upstream;
    if (route->mode == ROUTE_TERMINATE) {
        check_terminate(r, c, n, upstream);
    } else {
        check_passthrough(r, n);
    }
}

/* ---- routes that can never match ---- */

/* Does pattern a match every name that b matches? "*.x" is any number of labels, at least one, in
 * front of ".x". */
static bool sni_covers(const char *a, const char *b)
{
    if (strcmp(a, "*") == 0 || strcmp(a, b) == 0) {
        return true;
    }
    if (strncmp(a, "*.", 2) != 0) {
        return false;
    }
    size_t na = strlen(a + 1);
    size_t nb = strlen(b);
    return nb > na && strcmp(b + nb - na, a + 1) == 0;
}

static bool any_sni_covers(char *const *patterns, const char *b)
{
    for (; *patterns != NULL; patterns++) {
        if (sni_covers(*patterns, b)) {
            return true;
        }
    }
    return false;
}

static bool any_net_covers(const struct config_route *route, const struct addr_net *b)
{
    for (size_t i = 0; i < route->n_from; i++) {
        if (route->from[i].prefix <= b->prefix && addr_in_net(&b->base, &route->from[i])) {
            return true;
        }
    }
    return route->n_from == 0;
}

/* Do the sources of a take in all of b's? */
static bool from_covers(const struct config_route *a, const struct config_route *b)
{
    static const struct addr_net all[] = {{.base = {.family = ADDR_V4}},
                                          {.base = {.family = ADDR_V6}}};
    bool any = b->n_from == 0;
    const struct addr_net *nets = any ? all : b->from;
    size_t n = any ? 2 : b->n_from;
    for (size_t i = 0; i < n; i++) {
        if (!any_net_covers(a, &nets[i])) {
            return false;
        }
    }
    return true;
}

static bool usable_for_order(const struct node *n, const struct config_route *route)
{
    return route->sni != NULL && !node_bad(node_get(n, "sni")) && !node_bad(node_get(n, "from"));
}

/* The earlier route that takes everything that pattern could bring to route i, or SIZE_MAX. */
static size_t taken_by(const struct node *list, const struct config_listener *l, size_t i,
                       const char *pattern)
{
    for (size_t k = 0; k < i; k++) {
        const struct config_route *earlier = &l->routes[k];
        if (usable_for_order(list->items[k], earlier) && any_sni_covers(earlier->sni, pattern) &&
            from_covers(earlier, &l->routes[i])) {
            return k;
        }
    }
    return SIZE_MAX;
}

static void check_reachable(struct report *r, const struct node *list,
                            const struct config_listener *l, size_t i)
{
    size_t k = SIZE_MAX;
    if (!usable_for_order(list->items[i], &l->routes[i])) {
        return;
    }
    for (char **pattern = l->routes[i].sni; *pattern != NULL; pattern++) {
        k = taken_by(list, l, i, *pattern);
        if (k == SIZE_MAX) {
            return;
        }
    }
    if (k == SIZE_MAX) { /* no pattern was read, for want of memory */
        return;
    }
    node_error(r, list->items[i],
               "this route can never match: the route on line %u already takes all of it; put this "
               "one first",
               (unsigned)list->items[k]->line);
}

static void check_listener(struct report *r, const struct node *root, const struct config *c,
                           size_t i)
{
    const struct config_listener *l = &c->listeners[i];
    const struct node *n = element(root, "listeners", i);
    const struct node *list = node_get(n, "routes");
    bool terminates = false;
    for (size_t k = 0; k < l->n_routes; k++) {
        struct config_route *route = &l->routes[k];
        struct node *mode = node_get(list->items[k], "mode");
        check_route(r, root, c, list->items[k], route);
        if (mode != NULL && !mode->bad && route->mode == ROUTE_TERMINATE && !terminates) {
            terminates = true;
            check_terminating_listener(r, root, n, mode);
        }
    }
    for (size_t k = 1; k < l->n_routes; k++) {
        check_reachable(r, list, l, k);
    }
}

void rules_check(struct report *r, const struct node *root, struct config *c)
{
    check_unique_names(r, root, "listeners", c->n_listeners);
    check_unique_names(r, root, "upstreams", c->n_upstreams);
    check_unique_binds(r, root, c);
    check_admin(r, root, c);
    check_kubernetes(r, root);
    for (size_t i = 0; i < c->n_upstreams; i++) {
        check_upstream(r, root, element(root, "upstreams", i), &c->upstreams[i].opts);
        give_cluster_id(r, c, &c->upstreams[i].opts);
    }
    for (size_t i = 0; i < c->n_listeners; i++) {
        check_listener(r, root, c, i);
    }
    rules_check_registration(r, root, c);
    rules_check_sources(r, root, c);
}
