/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon/generation.h"

#include <stdlib.h>

#include "core/base/check.h"

#define GENERATION_MAGIC 0x9e4e7a70u

static struct upstream *find_same(const struct generation *g, const struct upstream_opts *opts,
                                  const struct root_set *roots)
{
    for (size_t i = 0; g != NULL && i < g->config->n_upstreams; i++) {
        if (upstream_same(g->upstreams[i], opts, roots)) {
            return g->upstreams[i];
        }
    }
    return NULL;
}

/* One that follows the same service begins where that one is; the others know what they know. */
static enum rc take_addresses(struct upstream *u, const struct generation *before)
{
    for (size_t i = 0; before != NULL && i < before->config->n_upstreams; i++) {
        struct upstream *old = before->upstreams[i];
        if (u->opts.discovery.on &&
            upstream_same_discovery(&u->opts.discovery, &old->opts.discovery)) {
            struct address_set *s = upstream_addresses(old);
            enum rc rc = upstream_set_addresses(u, s->addrs, (const char *const *)s->pods, s->n);
            address_set_unref(&s);
            return rc;
        }
    }
    return RC_OK;
}

static enum rc make_upstream(struct config_upstream *cu, const struct generation *before,
                             struct upstream **out)
{
    struct upstream *same = find_same(before, &cu->opts, cu->roots);

    if (same != NULL) {
        *out = upstream_ref(same);
        return RC_OK;
    }
    TRY(upstream_new(&cu->opts, cu->roots, out));
    return take_addresses(*out, before);
}

enum rc generation_new(struct config **config, const struct generation *before,
                       struct generation **out)
{
    struct generation *g = calloc(1, sizeof(*g));

    if (g == NULL) {
        config_free(config);
        return RC_NO_MEMORY;
    }
    g->magic = GENERATION_MAGIC;
    g->refs = 1;
    g->number = before != NULL ? before->number + 1 : 1;
    g->config = *config;
    *config = NULL;
    size_t n = g->config->n_upstreams;
    g->upstreams = calloc(n > 0 ? n : 1, sizeof(struct upstream *));
    enum rc rc = g->upstreams != NULL ? RC_OK : RC_NO_MEMORY;
    for (size_t i = 0; i < n && rc == RC_OK; i++) {
        rc = make_upstream(&g->config->upstreams[i], before, &g->upstreams[i]);
    }
    if (rc != RC_OK) {
        generation_unref(&g);
        return rc;
    }
    *out = g;
    return RC_OK;
}

struct generation *generation_ref(struct generation *g)
{
    CHECK_MAGIC(g, GENERATION_MAGIC);
    __atomic_add_fetch(&g->refs, 1, __ATOMIC_RELAXED);
    return g;
}

void generation_unref(struct generation **pg)
{
    struct generation *g = *pg;

    *pg = NULL;
    if (g == NULL || __atomic_sub_fetch(&g->refs, 1, __ATOMIC_ACQ_REL) != 0) {
        return;
    }
    CHECK_MAGIC(g, GENERATION_MAGIC);
    for (size_t i = 0; g->upstreams != NULL && i < g->config->n_upstreams; i++) {
        upstream_unref(&g->upstreams[i]);
    }
    free(g->upstreams);
    config_free(&g->config);
    g->magic = 0;
    free(g);
}

bool generation_trusts_source(const struct generation *g, const struct addr *source)
{
    for (size_t i = 0; i < g->config->n_upstreams; i++) {
        const struct upstream_opts *o = &g->upstreams[i]->opts;
        if (o->identity != UPSTREAM_XFCC) {
            continue;
        }
        const struct addr *trusted = source->family == ADDR_V6 ? &o->source_v6 : &o->source_v4;
        if (trusted->family != ADDR_NONE && addr_same_ip(trusted, source)) {
            return true;
        }
    }
    return false;
}
