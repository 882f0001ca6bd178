/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the composition root share. Included in this folder only. */
#pragma once

#include <ev.h>

#include "gateway/admin/server.h"
#include "gateway/cluster/cluster.h"
#include "gateway/daemon/expiry.h"
#include "gateway/daemon/gate.h"
#include "gateway/daemon/guard.h"
#include "gateway/daemon/handover.h"
#include "gateway/daemon/root_watch.h"
#include "gateway/daemon/sockets.h"
#include "gateway/daemon/status.h"
#include "gateway/daemon/trim.h"
#include "gateway/daemon/vms.h"
#include "gateway/daemon/watch.h"
#include "gateway/upstream/directory.h"

struct daemon {
    const char *config_path;
    char *const *argv; /* of main(): what a handover starts */
    struct ev_loop *loop;
    struct worker **workers; /* owned */
    struct gate **gates;     /* owned, one for each worker */
    unsigned n_workers;
    struct conn_limits *limits;
    struct directory *directory;
    struct cluster *cluster;
    struct vms vms; /* every VM that is known, and what an operator wants of them */
    struct guard *guard;
    struct admin *admin;
    struct sockets sockets;
    struct watch watch;
    struct trim trim;
    struct expiry_watch expiry;
    struct root_watch roots;
    struct status status; /* what the admin pages show; guards the generation for their threads */
    struct generation *generation;
    ev_signal hup;
    ev_signal term;
    ev_signal intr;
    ev_signal usr1;
    ev_signal usr2;
    ev_timer second_timer;
    ev_timer status_timer;
    ev_timer drain_timer;
    uint32_t beats; /* workers that answered since the last status; atomic */
    bool draining;
    struct handover handover;
};

/** Run fn on every worker, one after the other, and wait for it; a failure is logged. */
void daemon_call_all(struct daemon *d, enum rc (*fn)(struct gate *g, void *arg), void *arg);

/** Start the admin pages of a configuration. The reason of a failure is logged. */
enum rc daemon_start_admin(struct daemon *d, const struct config *c) MUST_USE;

/** Log the errors of a configuration, lines of text, which is changed. */
void daemon_log_errors(char *text);

/** Accept no connections until told otherwise. */
void daemon_pause(struct daemon *d, bool paused);

/** End everything at once; SIGTERM, SIGINT and SIGUSR2 have begun it, or the process could not
 * start. */
void daemon_kill_all(struct daemon *d);

/** From now on SIGTERM and SIGINT end the daemon gracefully, and SIGUSR2 hands it over. */
void daemon_watch_leaving(struct daemon *d);

/** The loop of the main thread is told by a signal. */
void daemon_watch_signal(struct daemon *d, ev_signal *s, int signum,
                         void (*cb)(struct ev_loop *, ev_signal *, int));
