/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a pool share: pool.c has its queue, up_session.c its connections. Included
 * inside this folder only. */
#pragma once

#include "gateway/upstream/bucket.h"
#include "gateway/upstream/pool.h"

#define POOL_MAGIC 0x60013a11u
#define UP_MAGIC 0x0b5e5510u

/* The queues are looked at again at least this often while somebody waits (deadlines, backoff, new
 * addresses). */
#define LOOK_AGAIN_S 0.25

enum lane { LANE_ADS, LANE_CSR, LANE_STRANGER, LANES };

struct pool {
    uint32_t magic;
    struct worker *worker;
    struct balancer balancer;
    struct fair_queue lanes[LANES];
    struct list sessions; /**< up_session, owned by their connections */
    struct list blocked;  /**< nodes of streams that block istiod, the oldest first; borrowed */
    uint32_t n_dialling;
    bool freed;
    ev_timer timer;
    ev_timer ages; /**< looks for connections that are to be retired */
    void (*retire)(struct h2_stream *st, enum end_reason why);
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
    uint8_t retire_why;  /**< enum end_reason of its streams */
    double retire_pause; /**< seconds between two */
    double opened_at;    /**< monotonic */
    double jitter;       /**< it ends earlier by this share of its age */
    ev_timer retire_timer;
    struct list left;     /**< streams that nobody wants and that are not reset, the oldest first */
    uint32_t n_left;      /**< among streams: they and those that are reset but not closed */
    struct bucket resets; /**< how many may be reset now */
    ev_timer left_timer;
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

/** The same when all it has are streams that nobody wants. true: it is ending. */
bool up_session_end_when_unwanted(struct up_session *up);

/** Before its first stream (up_leave.c). */
void up_session_leave_init(struct up_session *up);

/** Is it one that nobody wants any more? */
bool up_stream_is_left(const struct h2_stream *st);

/** May a stream be opened on it now? */
bool up_session_has_room(const struct up_session *up);

/* ---- who waits (lanes.c) ---- */

/** Empty, before the first ticket. */
void pool_lanes_init(struct pool *p);

/** How many tickets wait. */
uint32_t pool_waiting(const struct pool *p);

/** Queue a ticket in its lane. RC_FULL. */
enum rc pool_lanes_put(struct pool *p, struct pool_ticket *t) MUST_USE;

/** Take off a ticket that is queued. */
void pool_lanes_remove(struct pool *p, struct pool_ticket *t);

/** Call fn, which may take it off, on each ticket. */
void pool_lanes_each(struct pool *p, double now,
                     void (*fn)(struct pool *p, struct pool_ticket *t, double now));

/** Grant as many as find() finds connections and the pacers tokens for; seconds until the next
 * look.
 */
double pool_lanes_grant(struct pool *p, double now,
                        struct up_session *(*find)(struct pool *p, double now));

/* ---- retirement (retire.c) ---- */

/** Before the first connection of a pool. */
void pool_ages_init(struct pool *p);

/** It is open; it is gone, after up_session_note_open() or while dialling. */
void up_session_note_open(struct up_session *up);
void up_session_note_dead(struct up_session *up);

/** istiod said GOAWAY: n bytes of text are its reason. */
void up_session_note_goaway(struct up_session *up, uint32_t error, const char *text, size_t n);

/** Take no more streams and hand the open ones to the pool's `retire`, one by one over so many
 * seconds. When that goes on already, it only becomes faster. */
void up_session_retire(struct up_session *up, double seconds, enum end_reason why);

/** Will it be retired so soon that new streams are better off on another? */
bool up_session_is_near_end(const struct up_session *up, double now);
