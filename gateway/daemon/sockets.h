/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which addresses are listened on. Each worker has a socket of its own for each (SO_REUSEPORT), so
 * a reload opens sockets for new addresses only, and an address that cannot be opened refuses the
 * reload before anything has changed. A process that takes over from another uses its sockets.
 */
#pragma once

#include "core/base/rc.h"
#include "gateway/config/config.h"
#include "gateway/daemon/gate.h"
#include "gateway/daemon/handover.h"

struct sockets {
    struct handover_socket *rows; /**< owned array; what is listened on now: n for worker 0, ...;
                                     the sockets are the gates' */
    size_t n;                     /**< addresses */
    unsigned n_workers;
    struct handover_in
        inherited; /**< sockets of the process before this one, until they are used */
};

/** What each worker has to open; made by sockets_plan(). */
struct sockets_plan {
    size_t n;                 /**< addresses of the new configuration */
    struct gate_socket *rows; /**< owned; n rows for worker 0, then n for worker 1, ... */
};

/**
 * Open what the configuration needs beyond what is open.
 * Returns RC_OK; otherwise err says which address and why, nothing stays open.
 */
enum rc sockets_plan(struct sockets *s, const struct config *c, struct sockets_plan *out, char *err,
                     size_t err_size) MUST_USE;

/** The plan was applied by the workers (which own the sockets now): remember it. RC_NO_MEMORY. */
enum rc sockets_commit(struct sockets *s, const struct sockets_plan *plan) MUST_USE;

/** All sockets of all workers, for a handover: s->rows, this many. */
size_t sockets_count(const struct sockets *s);

/** Close what a plan opened. */
void sockets_plan_close(struct sockets_plan *plan, unsigned n_workers);

/** Free the table; its sockets stay as they are. */
void sockets_plan_free(struct sockets_plan *plan);
/** Forget the addresses. */
void sockets_fini(struct sockets *s);
