/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One configuration in force: the checked file and the upstreams made from it. Immutable; shared by
 * reference count among the workers, whose connections keep the generation they came with.
 */
#pragma once

#include "core/base/rc.h"
#include "gateway/config/config.h"
#include "gateway/upstream/upstream.h"

struct generation {
    uint32_t magic;
    uint32_t refs;               /**< atomic */
    uint32_t number;             /**< 1 for the first, for logs */
    struct config *config;       /**< owned; the upstreams' options have moved to `upstreams` */
    struct upstream **upstreams; /**< shared (ref), in the order of config->upstreams */
};

/**
 * Make a generation of a config, which is taken (and freed on failure). An upstream that is the
 * same as one of `before` (may be NULL) is kept, with its connections. out: owned reference.
 * RC_NO_MEMORY.
 */
enum rc generation_new(struct config **config, const struct generation *before,
                       struct generation **out) MUST_USE;

/** Another reference to g. */
struct generation *generation_ref(struct generation *g);
/** Drop a reference and null the pointer; NULL is allowed. */
void generation_unref(struct generation **g);

/** Is an IP the source of an xfcc upstream, from which no VM may send a byte of its own? */
bool generation_trusts_source(const struct generation *g, const struct addr *source);
