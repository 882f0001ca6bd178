/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One worker's view of an upstream's endpoints: who is how busy, who failed and until when it is
 * left alone. Worker-local. Endpoints that the directory dropped live on while somebody holds them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/list.h"
#include "core/net/worker.h"
#include "gateway/upstream/upstream.h"

/** First pause after a failure, doubled up to the last, with jitter. */
#define BACKOFF_FIRST_S 0.5
#define BACKOFF_LAST_S 30.0

/** When every endpoint has failed and somebody waits, each is tried this often: istiod's grace for
 * a lost VM is ten seconds, so a long pause must not outlive the last healthy endpoint. */
#define BACKOFF_ALL_FAILED_S 1.0

struct endpoint {
    uint32_t magic;
    uint32_t refs;    /**< the balancer's and one for each user */
    struct list node; /**< on balancer->endpoints */
    struct addr addr;
    uint32_t active;   /**< streams or connections of this worker */
    uint32_t dialling; /**< connections being made */
    uint32_t failures; /**< in a row; 0: healthy as far as we know */
    double not_before; /**< failed: not dialled until then, monotonic */
    double cool_until; /**< refused streams: gets no new ones until then, monotonic */
    double failed_at;  /**< the last failure, monotonic */
    bool listed;       /**< the directory still has it */
};

struct balancer {
    struct worker *worker;     /**< borrowed */
    struct upstream *upstream; /**< shared (ref) */
    struct address_set *seen;  /**< shared (ref): what endpoints was made from */
    struct list endpoints;     /**< endpoint, owned */
    bool passthrough;
};

/** RC_NO_MEMORY cannot happen: endpoints are made by balancer_refresh(). */
void balancer_init(struct balancer *b, struct worker *w, struct upstream *u, bool passthrough);
void balancer_fini(struct balancer *b);

/** Follow the directory. true: the endpoints have changed. Out of memory: they stay as they are
 * until the next call. */
bool balancer_refresh(struct balancer *b);

/**
 * The endpoint with the fewest active users that may be used now: healthy ones first, then one
 * whose pause is over and that nobody is trying at the moment. NULL: none. Borrowed; take
 * endpoint_ref() to keep it.
 */
struct endpoint *balancer_pick(struct balancer *b);

/** One whose pause after failures is over and that nobody tries: to be probed. NULL: none. */
struct endpoint *balancer_pick_probe(struct balancer *b);

/** The result of connecting, or of using it. */
void balancer_ok(struct balancer *b, struct endpoint *e);
void balancer_failed(struct balancer *b, struct endpoint *e);

/** Is there another endpoint that may be used now? */
bool balancer_has_other(struct balancer *b, const struct endpoint *e);

/** Leave it alone for a moment without calling it failed (it said RESOURCE_EXHAUSTED or not ready).
 */
void balancer_cool(struct balancer *b, struct endpoint *e, double seconds);

/** Another reference to e. */
struct endpoint *endpoint_ref(struct endpoint *e);
/** Drop a reference and null the pointer; NULL is allowed. */
void endpoint_unref(struct endpoint **e);
