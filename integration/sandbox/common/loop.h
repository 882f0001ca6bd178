/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <grpc/grpc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * The completion of one gRPC batch. Embedded in its owner; `fn` gets it back.
 * Not movable while a batch is outstanding.
 */
struct tag {
    void (*fn)(struct tag *tag, bool ok); /* called on the loop's thread, lock held */
    void *user;                           /* borrowed until fn was called */
};

/** One timer, embedded in its owner. {0} is a timer that is not armed. */
struct timer {
    void (*fn)(struct timer *timer); /* called once, lock held; may arm it again */
    void *user;                      /* borrowed while armed */
    int64_t due_ms;                  /* os_now_ms() clock */
    bool armed;
    struct timer *next; /* borrowed; the loop's list */
    struct timer *prev;
};

/**
 * One completion queue, one thread in next(), timers, and the lock that lets the control thread
 * look at and change everything the loop's callbacks own.
 */
struct loop {
    grpc_completion_queue *cq; /* owned */
    pthread_mutex_t lock;      /* held in callbacks and in control commands */
    struct timer timers;       /* list head */
    bool stopping;             /* lock; leave loop_run() at the next turn */
    bool draining;             /* the queue was shut down, only its rest is read */
};

/** Initialise; grpc_init() must have been called. */
void loop_init(struct loop *l);

/** Run until loop_stop(). Callbacks run here with the lock held. */
void loop_run(struct loop *l);

/** Ask loop_run() to return. Lock held. */
void loop_stop(struct loop *l);

/** After loop_run(): go on reading completions until *done (written by a callback). */
void loop_drain(struct loop *l, const bool *done);

/** Shut the queue down and give every outstanding tag back to its owner. Called after loop_run().
 */
void loop_fini(struct loop *l);

/** Arm `t`, again if it is armed, to call `fn` in `delay_ms`. */
void timer_arm(struct loop *l, struct timer *t, int64_t delay_ms, void (*fn)(struct timer *),
               void *user);

/** Disarm; harmless when it is not armed. */
void timer_stop(struct timer *t);
