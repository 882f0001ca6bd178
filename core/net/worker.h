/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: one thread, one event loop, and everything that lives on it. No lock on the data path.
 *
 * A turn of the loop: events mark sessions for flush and objects for reaping; before the loop
 * sleeps, the prepare phase flushes and reaps in turns until both lists are empty (bounded: what is
 * left is done in the next turn, without sleeping). Nothing is freed anywhere else.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ev.h>

#include "core/base/bufq.h"
#include "core/base/counter.h"
#include "core/base/list.h"
#include "core/base/rc.h"

/** Bytes read from one connection before the others have their turn. */
#define WORKER_READ_BURST_BYTES (256 * 1024)

/** The shared input and output buffers: a few TLS records (16 KiB) each. */
#define WORKER_SCRATCH_BYTES (64 * 1024)

/** Four full TLS records, as they go over the wire. */
#define WORKER_WIRE_BYTES (4 * (16384 + 64))

/** An HTTP/2 frame of the default size, its header, and the little that nghttp2 adds. */
#define WORKER_FRAME_BYTES (16384 + 128)

struct tls13_ciphers;

/** Embedded in what wants to be called before the loop sleeps. */
struct worker_flush {
    struct list node;
    void (*fn)(struct worker_flush *); /**< may mark others, and itself again */
};

/** Embedded in what dies: told and freed in the prepare phase. */
struct worker_reap {
    struct list node;
    void (*fn)(struct worker_reap *); /**< gives the last notifications, then frees */
};

struct worker {
    uint32_t magic;
    unsigned index;
    struct ev_loop *loop; /**< owned */
    pthread_t thread;
    ev_prepare prepare;
    ev_check check;
    double turn_began; /**< clock_mono() after the last wait for events; 0: it has never waited */
    ev_idle idle;      /**< active while a prepare phase left work over */
    ev_async wake;
    pthread_mutex_t mail_lock; /**< guards mail only */
    struct list mail;          /**< struct mail, owned */
    struct list dirty;         /**< worker_flush */
    struct list dead;          /**< worker_reap */
    struct bufq_pool pool;
    uint8_t
        *in; /**< owned, WORKER_SCRATCH_BYTES: what SSL_read() fills; used up before returning */
    uint8_t *frame; /**< owned, WORKER_FRAME_BYTES: where the session that is being flushed builds a
                       frame; empty between calls */
    uint8_t *out;   /**< owned, WORKER_SCRATCH_BYTES: frames of the session that is being flushed */
    uint8_t *wire_in;      /**< owned, WORKER_SCRATCH_BYTES: read, not yet decrypted; see bio.h */
    uint8_t *wire_out;     /**< owned, WORKER_WIRE_BYTES: encrypted, not yet sent */
    size_t wire_out_len;   /**< 0 between calls */
    const void *wire_user; /**< whose bytes they are; NULL between calls */
    struct tls13_ciphers *ciphers; /**< owned; see tls13.h */
    struct counters *counters;     /**< owned */
    void *user;                    /**< the composition root's per-worker state, borrowed */
};

/** How long a turn of the loop takes, from the end of a wait to the next one: so long everybody
 * else on this worker waits. In struct counters. */
extern const struct histogram_scale worker_turn_scale;

/** Make a worker; its thread does not run yet. out owned by the caller. RC_NO_MEMORY, RC_SYSTEM. */
enum rc worker_new(unsigned index, struct worker **out) MUST_USE;

/** Start its thread. RC_SYSTEM. */
enum rc worker_start(struct worker *w) MUST_USE;

/** Without a thread: one turn of the loop on the caller's, which waits for events for max_s seconds
 * at most. */
void worker_turn(struct worker *w, double max_s);

/** Ask the loop to end, from any thread; worker_join() waits for it. */
void worker_stop(struct worker *w);
void worker_join(struct worker *w);

/** Free a worker whose thread has ended (or never ran) and null the pointer. Its lists must be
 * empty. */
void worker_free(struct worker **w);

/**
 * Run fn(w, arg) on the worker's thread soon. Any thread; order is kept per sender.
 * RC_NO_MEMORY: nothing was queued.
 */
enum rc worker_post(struct worker *w, void (*fn)(struct worker *w, void *arg), void *arg) MUST_USE;

/** Is the caller on this worker's thread (or has the worker none yet)? For CHECKs. */
bool worker_is_current(const struct worker *w);

/** Mark for flush; no effect when marked already. */
void worker_flush_later(struct worker *w, struct worker_flush *f);

/** Queue for reaping; once per object. */
void worker_reap_later(struct worker *w, struct worker_reap *r);

/** Flush and reap until nothing is left or the bound is met. The prepare phase; tests call it too.
 */
void worker_settle(struct worker *w);

/** Seconds, monotonic: libev's own ev_now() follows the wall clock. */
double worker_now(const struct worker *w);
