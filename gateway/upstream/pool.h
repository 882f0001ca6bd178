/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One worker's HTTP/2 connections to one upstream. Whoever wants a stream asks with a ticket;
 * tickets wait in bounded, fair queues until there is a connection with room and the pacer allows
 * another stream, or their deadline passes. The queues stand before nghttp2's own, so a stream that
 * was granted is opened at once. There are three of them, so that CSRs do not hold up ADS streams
 * and strangers hold up nobody (lanes.c).
 *
 * A connection carries at most streams_per_connection streams. Before it is as old as istiod lets
 * it become, and in any case when istiod announces its end (GOAWAY, ten seconds before it is cut),
 * its streams are handed to `retire` one after another, so that their VMs come back in turn and not
 * all at once (retire.h). Worker-local.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/h2/session.h"
#include "gateway/upstream/balancer.h"
#include "gateway/upstream/fair_queue.h"

/** Streams of one worker that may wait for one upstream: in each lane, and of strangers. */
#define POOL_QUEUE_MAX 4096
#define POOL_QUEUE_STRANGERS_MAX 1024

/** How long a stream waits for an upstream at most, over all its tries. */
#define POOL_DEADLINE_S 30.0

/** Over how many seconds the streams of a retired connection are spread: istiod cuts it after ten.
 */
#define POOL_RETIRE_S 7.0

struct pool;
struct up_session;

/** Embedded in what waits for a stream. */
struct pool_ticket {
    struct list node;
    struct pool *pool; /**< NULL while not queued */
    double deadline;   /**< monotonic seconds */
    double not_before; /**< a retry waits until then */
    uint32_t key;      /**< fairness: the VM */
    bool is_csr;
    bool is_stranger; /**< of a VM without a certificate: others go first */
    uint8_t lane;     /**< where it waits */
    /** A stream may be opened on up now. The ticket is not queued any more. */
    void (*on_ready)(struct pool_ticket *t, struct up_session *up);
    /** The deadline passed; why says what the last problem was. The ticket is not queued any more.
     */
    void (*on_failed)(struct pool_ticket *t, const char *why);
};

/** out: owned; lives until pool_free() and until its last connection is gone. retire ends a stream
 * of a connection that goes away: END_UP_GOAWAY, END_UP_RETIRED. RC_NO_MEMORY. */
enum rc pool_new(struct worker *w, struct upstream *u,
                 void (*retire)(struct h2_stream *st, enum end_reason why),
                 struct pool **out) MUST_USE;

/** Nobody asks any more: idle connections are closed, the others when their last stream ends. Nulls
 * the pointer. */
void pool_free(struct pool **p);

/** End every connection now: the process ends. */
void pool_kill(struct pool *p);

/** Where its connections go; borrowed. */
struct upstream *pool_upstream(const struct pool *p);

/** Queue a ticket. RC_FULL: the queue is full; nothing is called. */
enum rc pool_ask(struct pool *p, struct pool_ticket *t) MUST_USE;

/** Forget a ticket; no effect when it is not queued. */
void pool_cancel(struct pool_ticket *t);

/** The session to open the granted stream on. */
struct h2_session *up_session_h2(struct up_session *up);

/** The address of its endpoint, for logs. */
const struct addr *up_session_addr(const struct up_session *up);

/** The granted stream was opened, and later: it is over. Count both once. */
void up_session_opened(struct up_session *up);
void up_session_closed(struct up_session *up);

/** Streams that somebody has left and that are not over: they go on using up what is for streams,
 * so who opens and leaves in turns has to be stopped. */
struct pool_debt {
    struct list streams;
    uint32_t n;
};
void pool_debt_init(struct pool_debt *d);
/** The debtor is gone, its streams end all the same. */
void pool_debt_forget(struct pool_debt *d);

/**
 * Nobody wants this open, counted stream any more: st is not to be touched afterwards, and
 * up_session_closed() follows by itself. What is queued is dropped. It is reset, at a bounded pace
 * for each connection.
 *
 * half_close: end our side first, which tells istiod that it may, and reset only what is not over
 * after a while. Not for methods to which half a request would look like a whole one.
 */
void up_session_leave(struct up_session *up, struct h2_stream *st, bool half_close,
                      struct pool_debt *debtor);

/** What became of a granted stream, for pacing and balancing. */
enum pool_outcome {
    POOL_ADMITTED,    /**< the first answer came */
    POOL_EXHAUSTED,   /**< RESOURCE_EXHAUSTED */
    POOL_NOT_READY,   /**< UNAVAILABLE, "server is not ready" */
    POOL_SILENT,      /**< no answer for long */
    POOL_RETIRED,     /**< says nothing about the endpoint: its connection is being retired */
    POOL_UNPROCESSED, /**< REFUSED_STREAM or GOAWAY: nothing was processed */
};
void up_session_outcome(struct up_session *up, enum pool_outcome outcome);

/** At most so many streams of an upstream may be blocked because their VMs read nothing: each holds
 * one of istiod's push places (wire facts 11). */
#define POOL_BLOCKED_MAX 8

/**
 * A stream blocks istiod; node, borrowed, is on no list. Returns the node of the stream that has
 * blocked for longest on this worker, taken off, when that makes too many; else NULL.
 */
struct list *pool_blocked(struct pool *p, struct list *node);

/** It moves again, or is over. No effect on a node that is on no list. */
void pool_unblocked(struct pool *p, struct list *node);

/** Is there another endpoint that could take its streams now? */
bool up_session_has_other(const struct up_session *up);

/** Why the last connection attempt failed, for people; "" when none did. Static or owned by the
 * pool. */
const char *pool_last_problem(const struct pool *p);
