/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restart without a lost VM: the old process starts the new program, gives it the listening sockets
 * by name, and stops accepting only when the new one can take over.
 *
 * What the new one gets: the environment variable XDSGATE_HANDOVER, "1 CONTROL ADDRESS=FD ...": the
 * version of this format, a stream socket to the old process, and inherited sockets. On the control
 * socket one byte is one message: the new one says READY when its configuration is in force, the
 * old one stops accepting and says GO, the new one accepts and says SERVING; the end of the stream
 * before that means that the other has failed. Connections that arrive meanwhile wait in the
 * sockets, which both share. A new process that cannot start for errors of its configuration says
 * them there too, because it does not know yet where the log is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <ev.h>

#include "core/base/rc.h"
#include "core/net/addr.h"

/** A listening socket and its name. */
struct handover_socket {
    struct addr addr;
    int fd; /**< -1: taken */
};

/* ---- the new process ---- */

/** What was handed over. */
struct handover_in {
    int control;                     /**< owned; -1: nothing was handed over */
    struct handover_socket *sockets; /**< owned */
    size_t n;
};

/**
 * Read the environment, and take it out of it. Sockets that are not what their name says are left
 * out. Returns RC_OK; RC_NOT_FOUND: started by hand; RC_INVALID: a format that this version does
 * not know; RC_NO_MEMORY.
 */
enum rc handover_receive(struct handover_in *out) MUST_USE;

/** Take a socket of that address; owned by the caller. -1: there is none (any more). */
int handover_pick(struct handover_in *in, const struct addr *addr);

/** Say READY and wait for GO. An old process that is gone will not accept either: go on. */
void handover_wait_for_go(struct handover_in *in);

/** Say SERVING and close what was not picked. No effect without a handover. */
void handover_serving(struct handover_in *in);

/** The configuration has errors: say them, lines of text. No effect without a handover. */
void handover_refuse(struct handover_in *in, const char *errors);

/** Close what was not picked, and the way to the old process. */
void handover_in_fini(struct handover_in *in);

/* ---- the old process ---- */

/** Who is told what the new program does. Exactly one of on_serving and on_failed ends it. */
struct handover_ops {
    /** It can take over: stop accepting, then handover_go(). */
    void (*on_ready)(void *arg);
    /** It accepts. The handover is over. */
    void (*on_serving)(void *arg, pid_t pid);
    /** It has ended or does not come to an end; it is gone. why: a sentence for people. errors:
     * what it has said about its configuration, lines of text that may be changed; "" mostly. */
    void (*on_failed)(void *arg, const char *why, char *errors);
};

struct handover {
    struct ev_loop *loop; /**< borrowed */
    const struct handover_ops *ops;
    void *arg;
    pid_t pid;   /**< 0: no handover goes on */
    int control; /**< owned */
    ev_io io;
    ev_timer timer;
    char *errors; /**< owned; what it said after HANDOVER_REFUSED */
    size_t n_errors;
};

/**
 * Start the program again with its own arguments.
 *
 * argv     of main(), borrowed during the call; a name without a slash is looked up in PATH.
 * sockets  borrowed; stay open here.
 * Returns RC_OK; RC_BUSY: one goes on already; RC_NO_MEMORY; or the error of the call that failed.
 */
enum rc handover_start(struct handover *h, struct ev_loop *loop, char *const *argv,
                       const struct handover_socket *sockets, size_t n,
                       const struct handover_ops *ops, void *arg) MUST_USE;

/** Nobody accepts here any more: the new process may. */
void handover_go(struct handover *h);

/** The process ends before the handover did: end the new program too. No effect when none goes on.
 */
void handover_cancel(struct handover *h);
