/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a pool share: pool.c has its queue, up_session.c its connections. Included
 * inside this folder only. */
#pragma once

#include "gateway/upstream/pool.h"

#define POOL_MAGIC 0x60013a11u
#define UP_MAGIC 0x0b5e5510u

struct pool {
    uint32_t magic;
    struct worker *worker;
    struct balancer balancer;
    struct fair_queue queue;
    struct list sessions; /**< up_session, owned by their connections */
    struct list blocked;  /**< nodes of streams that block istiod, the oldest first; borrowed */
    uint32_t n_dialling;
    bool freed;
    ev_timer timer;
    void (*retire)(struct h2_stream *st);
    struct worker_flush dispatch;
    struct worker_reap reap;
    char problem[160];
};

struct up_session {
    uint32_t magic;
    struct pool *pool;         /**< borrowed; outlives us */
    struct list node;          /**< on pool->sessions */
    struct h2_session *h2;     /**< borrowed until on_dead */
    struct endpoint *endpoint; /**< shared (ref) */
    uint32_t streams;          /**< opened and not closed */
    bool dialling;
    bool retiring;       /**< takes no more streams; they are handed out one by one */
    double retire_pause; /**< seconds between two */
    ev_timer retire_timer;
};

/** Look at the queue before the loop sleeps. */
void pool_look_soon(struct pool *p);

/** The last connection of a pool that nobody uses any more is gone: free it soon. */
void pool_reap_when_unused(struct pool *p);

/** Start a connection to e; a failure at once counts as a failed endpoint, so that nothing spins.
 */
void up_session_dial(struct pool *p, struct endpoint *e);

/** Close it if it has no streams and will get none. */
void up_session_end_when_idle(struct up_session *up);

/** May a stream be opened on it now? */
bool up_session_has_room(const struct up_session *up);
