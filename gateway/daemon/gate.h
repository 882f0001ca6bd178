/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's front door: its listening sockets, connections whose ClientHello is being read, and
 * the decision by route. The only place that knows both relay and passthrough; neither knows the
 * other. Worker-local, but for the functions that say "any thread".
 */
#pragma once

#include <stdbool.h>

#include "core/net/worker.h"
#include "gateway/daemon/conn_limits.h"
#include "gateway/daemon/generation.h"
#include "gateway/daemon/site.h"

/** A listening socket of one worker. */
struct gate_socket {
    struct addr addr;
    int fd; /**< -1: the gate has it already */
};

struct gate {
    uint32_t magic;
    struct worker *worker;      /**< borrowed */
    struct conn_limits *limits; /**< borrowed, shared by all gates */
    struct list doors;          /**< listening sockets, owned */
    struct list hellos;         /**< connections before their route, owned */
    struct list parked;   /**< hellos that are complete and wait for handshakes_in_flight, owned */
    struct list sessions; /**< vm_session */
    struct list passes;   /**< passthrough */
    uint32_t in_flight;   /**< TLS handshakes */
    ev_timer slots;       /**< active while any are parked */
    bool slot_freed;      /**< a handshake ended since the timer was set */
    struct site_upstreams upstreams;
    struct site *site; /**< shared (ref): the configuration in force */
    ev_timer sweep;    /**< looks at the certificates of open connections */
    uint32_t to_check; /**< sessions that have not been checked since the last reload */
    ev_timer reopen;   /**< accepting again after a shortage of file descriptors */
    bool paused;       /**< another process accepts, or nobody yet */
    bool draining;
    ev_timer drain_timer;
    double drain_rate; /**< streams a second */
    double drain_credit;
    double drain_at;
    double drain_deadline;
};

/** out: owned; lives on the worker's thread from its start on. RC_NO_MEMORY. */
enum rc gate_new(struct worker *w, struct conn_limits *limits, struct tokens *tokens,
                 struct registry *registry, struct gate **out) MUST_USE;

/** Free when the worker's thread has ended and nothing is open; nulls the pointer. */
void gate_free(struct gate **g);

/**
 * Put a generation in force: doors that are not in the table are closed, new ones opened,
 * connections go on with what they came with. Passthrough connections that left from an address
 * which is now trusted by istiod are ended. RC_NO_MEMORY: nothing has changed (and the new sockets
 * are closed).
 */
enum rc gate_apply(struct gate *g, struct generation *generation, const struct gate_socket *sockets,
                   size_t n) MUST_USE;

/** End the passthrough connections that go to, or leave as those to, an upstream that has become
 * unsafe (upstream_is_unsafe()). */
void gate_end_unsafe(struct gate *g);

/** Accept no connections until it is called with false; they wait in the listening sockets. */
void gate_pause(struct gate *g, bool paused);

/**
 * Close the doors and end everything within seconds, streams one by one; then gate_is_empty().
 * pace: streams a second that istiod takes back, as far as the seconds suffice for it.
 */
void gate_drain(struct gate *g, double seconds, double pace);

/** End everything now. */
void gate_kill_all(struct gate *g);

/** Make the sweep that looks at the certificates of open connections (gate_sweep.c). */
void gate_sweep_init(struct gate *g);

/** The configuration has changed: check the certificates of all that are open, a few at a time. */
void gate_sweep_all(struct gate *g);

/** Is nothing open any more? */
bool gate_is_empty(const struct gate *g);

/* ---- gate_hello.c ---- */

/** Nothing waits yet. */
void gate_hello_init(struct gate *g);

/** Read the ClientHello of an accepted socket and send it on its way. fd, place: owned. bound: the
 * door it came through. timeout: seconds for the hello, and once more for waiting. */
void gate_hello_start(struct gate *g, int fd, const struct addr *bound, const struct addr *peer,
                      struct conn_place *place, double timeout);

/** End all that have no route yet: the gate drains. */
void gate_hello_refuse_all(struct gate *g);
