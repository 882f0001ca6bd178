/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many connections each listener has, in all and from each source, over all workers and
 * reloads, for `connections` and `connections_per_source`; and which sources have cost us work for
 * nothing, for `bad_connections_per_second`. One lock, held for a hash look-up at
 * accept and close; never on the data path.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/rc.h"
#include "core/net/addr.h"

struct conn_limits;

/** What an admitted connection holds: its source at its listener. */
struct conn_place;

enum conn_admission { CONN_ADMITTED, CONN_OVER_TOTAL, CONN_OVER_SOURCE, CONN_NO_MEMORY };

/** A source that is blamed for more than this many seconds is barred. */
#define CONN_BLAME_MAX_S 10.0

/** Nobody is blamed for more. */
#define CONN_BLAME_END_S 60.0

/** out: owned. RC_NO_MEMORY. */
enum rc conn_limits_new(struct conn_limits **out) MUST_USE;
/** Free and null the pointer; nothing may be counted any more. */
void conn_limits_free(struct conn_limits **l);

/**
 * Count a connection if it stays within both limits. Any thread.
 *
 * listener    its name, copied; counts go on over reloads under the same name.
 * place       CONN_ADMITTED: shared by the connections of that source, one conn_limits_leave()
 * each.
 */
enum conn_admission conn_limits_enter(struct conn_limits *l, const char *listener,
                                      const struct addr *source, uint32_t max, uint32_t max_source,
                                      struct conn_place **place);

/**
 * The source of this connection has cost work for nothing: it is to blame for so many seconds,
 * which pass by themselves. Of the sources that are blamed only some thousands are remembered,
 * those with most blame. now: monotonic seconds. Any thread.
 */
void conn_limits_blame(struct conn_limits *l, const struct conn_place *place, double seconds,
                       double now);

/** Is this source to blame for more than CONN_BLAME_MAX_S? Any thread. */
bool conn_limits_bars(struct conn_limits *l, const struct addr *source, double now);

/** Uncount one that was admitted; nulls the pointer. Any thread. */
void conn_limits_leave(struct conn_limits *l, struct conn_place **pp);
