/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one worker makes of a generation: routes with their connection pools and balancers.
 * Connections hold the site they came with; upstreams that stay the same over a reload keep their
 * pool. Worker-local.
 */
#pragma once

#include "core/base/list.h"
#include "core/net/worker.h"
#include "gateway/daemon/generation.h"
#include "gateway/passthrough/passthrough.h"
#include "gateway/relay/relay.h"
#include "gateway/relay/relay_tap.h"

struct site;

/** A route of a site: one of the two, by the mode of its config_route. */
struct site_route {
    const struct config_route *config; /**< borrowed from the generation */
    struct relay_route relay;
    struct passthrough_route pass;
};

struct site_listener {
    const struct config_listener *config; /**< borrowed from the generation */
    struct relay_shared shared;
    struct relay_tap_env tap;
    struct site_route *routes; /**< owned, config->n_routes */
};

/** A worker's pools and balancers, by upstream, who it gets tokens from, and what its relays know
 * and count; survives sites. Embedded in the worker's state. */
struct site_upstreams {
    struct list rows;
    struct token_clerk *tokens; /**< owned */
    struct registry *registry;  /**< borrowed */
    struct relay_index index;
    struct tally tally;
};

struct site {
    uint32_t magic;
    uint32_t refs;
    struct generation *generation;    /**< shared (ref) */
    struct site_listener *listeners;  /**< owned, in the order of the config */
    struct site_upstreams *upstreams; /**< borrowed */
    struct site_upstream **held;      /**< owned array, one for each upstream of the config */
};

/** Make an empty table. RC_NO_MEMORY. */
enum rc site_upstreams_init(struct site_upstreams *u, struct worker *w, struct tokens *tokens,
                            struct registry *registry) MUST_USE;

/** Free what an empty table has. */
void site_upstreams_fini(struct site_upstreams *u);

/** End every upstream connection now: the process ends. */
void site_upstreams_kill(struct site_upstreams *u);

/**
 * Make the site of a generation. sessions and passes: the worker's lists. out: owned reference.
 * RC_NO_MEMORY: nothing has changed.
 */
enum rc site_new(struct worker *w, struct generation *g, struct site_upstreams *upstreams,
                 struct list *sessions, struct list *passes, struct site **out) MUST_USE;

/** Another reference to s. */
struct site *site_ref(struct site *s);
/** Drop a reference and null the pointer; NULL is allowed. */
void site_unref(struct site **s);

/** The listener bound to this address, or NULL when the configuration has none any more. */
struct site_listener *site_find_listener(struct site *s, const struct addr *bound);

/** The listener of this name, or NULL when the configuration has none any more. */
struct site_listener *site_find_named(struct site *s, const char *name);

/** The first route that matches who comes and what it asks for (sni "": none); NULL: no route. */
struct site_route *site_find_route(struct site_listener *l, const struct addr *peer,
                                   const char *sni);
