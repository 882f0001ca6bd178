/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon/root_watch.h"

#include <string.h>

#include "core/base/hash.h"
#include "core/base/log.h"

static void keep(struct root_list **slot, struct root_list *list)
{
    struct root_list *old = *slot;

    *slot = root_list_ref(list);
    root_list_unref(&old);
}

bool root_watch_is_quiet(struct root_watch *w, struct root_list *now)
{
    bool quiet = now == w->last;

    keep(&w->last, now);
    return quiet;
}

/* What is missing somewhere, as one number; another owner gives another one. */
static uint64_t add(uint64_t sum, const char *kind, const char *name, const struct root_gap *gap)
{
    uint32_t h = hash_bytes(hash_bytes(HASH_START, kind, strlen(kind)), name, strlen(name));

    return gap->n > 0 ? sum + (gap->print ^ h) + 1 : sum;
}

/* fn for each who believes roots. */
static void each(const struct generation *g, const struct root_list *published,
                 void (*fn)(void *arg, const char *kind, const char *name,
                            const struct root_gap *gap),
                 void *arg)
{
    struct root_gap gap;

    for (size_t i = 0; i < g->config->n_listeners; i++) {
        const struct config_listener *l = &g->config->listeners[i];
        if (l->certs != NULL) {
            cert_set_missing(l->certs, published, &gap);
            fn(arg, "listener", l->name, &gap);
        }
    }
    for (size_t i = 0; i < g->config->n_upstreams; i++) {
        const struct upstream *u = g->upstreams[i];
        if (u->roots != NULL) {
            root_set_missing(u->roots, published, &gap);
            fn(arg, "upstream", u->opts.name, &gap);
        }
    }
}

static void sum_up(void *arg, const char *kind, const char *name, const struct root_gap *gap)
{
    uint64_t *sum = arg;

    *sum = add(*sum, kind, name, gap);
}

/* 0: nothing. */
static uint64_t missing_of(const struct generation *g, const struct root_list *published)
{
    uint64_t sum = 0;

    each(g, published, sum_up, &sum);
    return sum;
}

bool root_watch_try(struct root_watch *w, const struct generation *g, struct root_list *now)
{
    const struct root_list *in_force = g->config->roots;
    bool nothing_new = in_force == NULL && now != NULL && missing_of(g, now) == 0;

    if (nothing_new || root_list_same(now, in_force)) {
        w->has_tried = false;
        return false;
    }
    if (w->has_tried && now == w->tried) {
        return false;
    }
    w->has_tried = true;
    keep(&w->tried, now);
    return true;
}

static void tell_one(void *arg, const char *kind, const char *name, const struct root_gap *gap)
{
    (void)arg;
    if (gap->n > 0) {
        log_event(LOG_WARNING, "a root that the mesh publishes is not believed", LOG_S("by", kind),
                  LOG_S("name", name), LOG_S("root", gap->subject), LOG_S("sha256", gap->sha256),
                  LOG_I("missing", gap->n),
                  LOG_S("do", "add it to the file, or set kubernetes.follow_roots: "
                              "docs/certificates.md"));
    }
}

void root_watch_tell(struct root_watch *w, const struct generation *g,
                     const struct root_list *published)
{
    uint64_t missing = published != NULL ? missing_of(g, published) : w->told;

    if (missing == w->told) {
        return;
    }
    w->told = missing;
    if (missing == 0) {
        log_event(LOG_INFO, "every root that the mesh publishes is believed");
    }
    each(g, published, tell_one, NULL);
}

void root_watch_fini(struct root_watch *w)
{
    root_list_unref(&w->last);
    root_list_unref(&w->tried);
}
