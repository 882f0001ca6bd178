/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules on source_address, which keep `identity: xfcc` safe.
 *
 * istiod believes an x-forwarded-client-cert header of whoever connects from the address it was
 * told to trust (TRUSTED_GATEWAY_CIDR) or from loopback. Bytes of a passthrough route are written
 * by the VM. So in a file with an xfcc upstream no passthrough connection may leave from an address
 * of an xfcc upstream, nor arrive over loopback:
 *
 *  - an xfcc upstream says which address it has;
 *  - an upstream of a passthrough route says which other address it has;
 *  - both reach no endpoint of a family for which they say nothing, because there the kernel would
 * choose;
 *  - no passthrough endpoint is on loopback, and no passthrough connection leaves from there: with
 * a source on loopback, a connection to any other address of this host arrives as loopback.
 *
 * A host name resolves to anything, any time: `sources_must_hold` tells the connector to hold the
 * same rules then.
 */
#include "gateway/config/config_internal.h"

#include "gateway/config/scalar.h"

static bool has_source(const struct upstream_opts *o)
{
    return o->source_v4.family != ADDR_NONE || o->source_v6.family != ADDR_NONE;
}

static bool is_xfcc(const struct config *c, size_t i)
{
    return c->upstreams[i].opts.identity == UPSTREAM_XFCC;
}

/* Endpoints whose family has no source. */
static void check_families(struct report *r, const struct node *n, const struct upstream_opts *o)
{
    const struct node *list = node_get(n, "endpoints");
    for (size_t i = 0; i < o->n_endpoints; i++) {
        struct addr a;
        if (o->endpoints[i].host == NULL || addr_parse_ip(o->endpoints[i].host, &a) != RC_OK) {
            continue;
        }
        const struct addr *source = a.family == ADDR_V4 ? &o->source_v4 : &o->source_v6;
        if (source->family == ADDR_NONE) {
            node_error(r, list->items[i],
                       "this endpoint is an IPv%d address, but the upstream's `source_address` has "
                       "none: add one, or leave "
                       "the endpoint out",
                       (int)a.family);
        }
    }
}

static void check_loopback(struct report *r, const struct node *n, const struct upstream_opts *o)
{
    const struct node *list = node_get(n, "endpoints");
    for (size_t i = 0; i < o->n_endpoints; i++) {
        const char *host = o->endpoints[i].host;
        struct addr a;
        if (host == NULL) {
            continue;
        }
        bool loopback =
            addr_parse_ip(host, &a) == RC_OK ? addr_is_loopback(&a) : scalar_is_localhost(host);
        if (loopback) {
            node_error(r, list->items[i],
                       "a passthrough route must not reach loopback in a file with `identity: "
                       "xfcc`, because istiod trusts "
                       "loopback: write an address that others use, or use `identity: forward`");
        }
    }
}

/* The node of the element of source_address that is a. */
static struct node *source_node(const struct node *n, const struct addr *a)
{
    const struct node *list = node_get(n, "source_address");
    for (size_t i = 0; i < list->n_items; i++) {
        struct addr b;
        if (list->items[i]->kind == NODE_TEXT && addr_parse_ip(list->items[i]->text, &b) == RC_OK &&
            addr_same_ip(a, &b)) {
            return list->items[i];
        }
    }
    return list->items[0];
}

static void check_differs(struct report *r, const struct node *n, const struct addr *a,
                          const struct upstream_opts *xfcc)
{
    const struct addr *b = a->family == ADDR_V4 ? &xfcc->source_v4 : &xfcc->source_v6;
    if (a->family == ADDR_NONE || b->family == ADDR_NONE || !addr_same_ip(a, b)) {
        return;
    }
    struct node *culprit = source_node(n, a);
    if (!culprit->bad) {
        node_error(r, culprit,
                   "a passthrough route would leave from the address of the xfcc upstream \"%s\", "
                   "so any VM could write the "
                   "header itself: give the two different addresses",
                   xfcc->name != NULL ? xfcc->name : "?");
    }
}

static void check_source_is_no_loopback(struct report *r, const struct node *n,
                                        const struct addr *a)
{
    struct node *culprit = a->family != ADDR_NONE ? source_node(n, a) : NULL;
    if (culprit != NULL && addr_is_loopback(a)) {
        node_error(r, culprit,
                   "a passthrough route must not leave from loopback in a file with `identity: "
                   "xfcc`, because istiod trusts "
                   "loopback: write another address of this host");
    }
}

static void check_passthrough(struct report *r, struct node *n, const struct config *c, size_t i)
{
    const struct upstream_opts *o = &c->upstreams[i].opts;
    struct node *sources = node_get(n, "source_address");
    check_loopback(r, n, o);
    if (node_bad(sources)) {
        return;
    }
    if (!has_source(o)) {
        node_error(r, n,
                   "a file with `identity: xfcc` needs an explicit `source_address` for every "
                   "upstream of a passthrough route: "
                   "add an address that is not the xfcc upstream's to this one");
        return;
    }
    check_source_is_no_loopback(r, n, &o->source_v4);
    check_source_is_no_loopback(r, n, &o->source_v6);
    for (size_t k = 0; k < c->n_upstreams; k++) {
        if (k != i && is_xfcc(c, k)) {
            check_differs(r, n, &o->source_v4, &c->upstreams[k].opts);
            check_differs(r, n, &o->source_v6, &c->upstreams[k].opts);
        }
    }
    check_families(r, n, o);
}

static void check_xfcc(struct report *r, const struct node *n, const struct upstream_opts *o)
{
    struct node *identity = node_get(n, "identity");
    if (node_bad(node_get(n, "source_address"))) {
        return;
    }
    if (!has_source(o)) {
        node_error(r, identity,
                   "`identity: xfcc` needs an explicit `source_address`, the one that istiod is "
                   "told to trust "
                   "(TRUSTED_GATEWAY_CIDR): add `source_address: [\"10.77.0.2\"]`");
        return;
    }
    check_families(r, n, o);
}

/* Every passthrough route to an xfcc upstream is a mistake of its own. */
static void check_routes(struct report *r, const struct node *root, const struct config *c)
{
    const struct node *listeners = node_get(root, "listeners");
    for (size_t i = 0; i < c->n_listeners; i++) {
        const struct node *routes = node_get(listeners->items[i], "routes");
        for (size_t k = 0; k < c->listeners[i].n_routes; k++) {
            const struct config_route *route = &c->listeners[i].routes[k];
            if (route->mode == ROUTE_PASSTHROUGH && route->upstream != SIZE_MAX &&
                is_xfcc(c, route->upstream)) {
                node_error(r, node_get(routes->items[k], "upstream"),
                           "passthrough to \"%s\" with `identity: xfcc` would let any VM write the "
                           "header itself: use another "
                           "upstream with another `source_address`",
                           c->upstreams[route->upstream].opts.name);
            }
        }
    }
}

void rules_check_sources(struct report *r, const struct node *root, struct config *c)
{
    const struct node *list = node_get(root, "upstreams");
    bool any = false;
    for (size_t i = 0; i < c->n_upstreams; i++) {
        any = any || is_xfcc(c, i);
    }
    if (!any) {
        return;
    }
    check_routes(r, root, c);
    for (size_t i = 0; i < c->n_upstreams; i++) {
        c->upstreams[i].opts.sources_must_hold = true;
        if (is_xfcc(c, i)) {
            check_xfcc(r, list->items[i], &c->upstreams[i].opts);
        } else if (config_has_route(c, i, ROUTE_PASSTHROUGH)) {
            check_passthrough(r, list->items[i], c, i);
        }
    }
}
