/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passthrough: the bytes of one VM connection to one upstream endpoint and back, TLS untouched.
 *
 * Each direction ends by itself (half-close), an error on one side resets the other. There is no
 * idle limit. Until the first byte was sent up, another endpoint may be tried. Worker-local;
 * nothing is freed inside a callback.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/end_reason.h"
#include "core/net/addr.h"
#include "core/net/worker.h"
#include "gateway/upstream/balancer.h"

/** What a passthrough route is for one worker; held by its connections. */
struct passthrough_route {
    struct balancer *balancer; /**< borrowed */
    struct list *connections;  /**< passthrough list of the worker; borrowed */
    void *owner;
    void (*hold)(void *owner);
    void (*release)(void *owner);
};

struct passthrough;

/** Who is told once when a connection is over. */
struct passthrough_owner {
    void (*over)(void *arg, void *place);
    void *arg;
    void *place; /**< what the connection occupies, for the owner */
};

/**
 * Relay an accepted connection whose ClientHello was read.
 *
 * fd          owned, also on failure. prefix, n: the bytes read so far, copied.
 * owner       copied; nothing is called when this call fails.
 * Returns RC_OK (also when no endpoint takes it: then it is over soon); RC_NO_MEMORY.
 */
enum rc passthrough_start(struct worker *w, int fd, const struct addr *peer, const uint8_t *prefix,
                          size_t n, struct passthrough_route *route,
                          const struct passthrough_owner *owner) MUST_USE;

/** End it now, with a reset to both sides. */
void passthrough_kill(struct passthrough *p, enum end_reason why);

/** From a node of route->connections. */
struct passthrough *passthrough_of(struct list *node);

/** The address it left from; family ADDR_NONE while connecting. */
const struct addr *passthrough_source(const struct passthrough *p);

/** Where it goes. Borrowed. */
const struct upstream *passthrough_upstream(const struct passthrough *p);
