/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does istiod believe x-forwarded-client-cert from an address from which what VMs write themselves
 * leaves? Then each of them could be anybody. No file can say that, whatever its `identity` is, so
 * istiod is asked (gateway/probe/ads.h): before a configuration is put in force, and by a thread
 * again and again, because istiod may be away, or told something else. It is asked as any upstream
 * with roots asks it; in a file without one nobody knows how to.
 *
 * An upstream that turns out to be unsafe is marked (upstream_is_unsafe()): nobody is passed on to
 * it any more until it is safe again. Not to know is no reason to refuse anybody.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/base/rc.h"
#include "gateway/daemon/generation.h"

/** Room for why. */
#define GUARD_WHY_BYTES 400

/** How long a look before a configuration is put in force may take. */
#define GUARD_FIRST_LOOK_S 3.0

struct guard;

/**
 * Ask now, on this thread, at the addresses that are known.
 *
 * why      GUARD_WHY_BYTES; set when it is unsafe.
 * Returns  false: it is unsafe.
 */
bool guard_look(const struct generation *g, double within_s, char *why);

/** out: owned. No thread runs before there is something to guard. RC_NO_MEMORY. */
enum rc guard_new(struct guard **out) MUST_USE;

/** Guard this generation from now on. RC_SYSTEM: it is not guarded. */
enum rc guard_use(struct guard *guard, struct generation *g) MUST_USE;

/** Has an upstream become unsafe since the last call? Then its open connections are to be ended. */
bool guard_take_alarm(struct guard *guard);

/** End the thread, free and null the pointer; NULL is allowed. */
void guard_free(struct guard **g);
