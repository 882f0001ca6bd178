/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the endpoints are: a thread of its own that resolves host names again and again
 * (getaddrinfo() blocks) and, for an upstream nobody knows to be usable, tries a TCP connection
 * from its source address, so that readiness is known before the first VM comes and after an
 * outage. An upstream in use is never probed: its own connections tell.
 */
#pragma once

#include "core/base/rc.h"
#include "gateway/upstream/upstream.h"

/** Names are resolved this often, and sooner (at least one second apart) after a connection failed.
 */
#define DIRECTORY_RESOLVE_S 30.0

struct directory;

/** Start the thread. out: owned. RC_NO_MEMORY, RC_SYSTEM. */
enum rc directory_start(struct directory **out) MUST_USE;

/** Look after these upstreams from now on (and no others). References are taken. RC_NO_MEMORY:
 * nothing changes. */
enum rc directory_set(struct directory *d, struct upstream *const *upstreams, size_t n) MUST_USE;

/** Stop the thread and free; nulls the pointer. May take as long as one name look-up. */
void directory_stop(struct directory **d);
