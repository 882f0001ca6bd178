/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The admin pages over HTTP: health, metrics, version, and what the API tells and does.
 *
 * Up to three listeners, each with a thread of its own that touches no worker: a unix socket and a
 * TCP address serve everything, the metrics address only /healthz* and /metrics. What changes
 * anything is done for callers on the unix socket only, whose user the kernel knows.
 *
 *   /                        the status page
 *   /healthz/live            200, or 503 with one reason a line
 *   /healthz/ready /healthz  the same; with ?verbose the 200 also carries the notes of the source
 *   /metrics                 Prometheus text 0.0.4
 *   /api/v1/version          what `xdsgate version -o json` prints
 *   /api/v1/...              the rest of the API: the source decides
 *
 * Against DNS rebinding the Host header must be an IP literal or localhost. It is not looked at on
 * the unix socket, which no browser reaches, nor on the metrics address when the connection did not
 * come over loopback: that address was opened to the network on purpose, and Prometheus calls hosts
 * by name.
 *
 * Slow clients cost nobody else an answer: when ADMIN_MAX_CONNECTIONS are open on a listener, the
 * oldest is closed for the next one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/base/rc.h"
#include "core/net/addr.h"

/** Connections of one listener before the oldest makes room. */
#define ADMIN_MAX_CONNECTIONS 128

/** Seconds without a byte before a connection is closed. */
#define ADMIN_IDLE_TIMEOUT_S 30

struct admin_opts {
    const char *socket_path; /**< borrowed during admin_start(); NULL: no unix socket */
    uint32_t socket_mode;    /**< permission bits, such as 0660 */
    struct addr bind;        /**< ADDR_NONE: none. Loopback, unless allow_remote */
    bool allow_remote;
    struct addr metrics_bind; /**< ADDR_NONE: none */
};

/** A question or an order to the API. Borrowed during the call. */
struct admin_call {
    const char *path; /**< behind "/api/v1/", decoded: "vms/web-1.vms/revoke" */
    bool change;      /**< POST: it came over the unix socket */
    uint32_t uid;     /**< then: the caller's user */
    /** The value of an argument behind the "?", decoded; NULL: not given. */
    const char *(*argument)(const struct admin_call *call, const char *name);
    const void *place; /**< for argument() */
};

/**
 * Where the pages come from. The functions are called from the listeners' threads, one call at a
 * time (of this admin), until admin_stop() has returned. They must not call admin_stop().
 */
struct admin_source {
    void *arg; /**< borrowed; first argument of the functions */
    /** Is it ready? Reasons why not, one a line; when it is, notes that ?verbose shows. */
    bool (*ready)(void *arg, FILE *reasons);
    /** Does it live? The same. */
    bool (*live)(void *arg, FILE *reasons);
    /** Write the whole page, by metrics_write(). */
    void (*metrics)(void *arg, FILE *out);
    /** Write the JSON that `xdsgate version -o json` prints. */
    void (*version)(void *arg, FILE *out);
    /** Write the JSON that answers a call. Returns the HTTP status: 200; 400 or 404 with {"error":
     * TEXT}; 405: not with this method (nothing written); 0: out of memory. */
    unsigned (*api)(void *arg, const struct admin_call *call, FILE *out);
};

struct admin;

/**
 * Listen and serve. A unix socket that a dead process left behind is replaced; one that somebody
 * listens on is not, nor any other kind of file. Signals stay with the caller's threads.
 *
 * opts, source  borrowed during the call, copied.
 * out           owned by the caller; end it with admin_stop().
 * err           gets what is wrong, for people, when the result is not RC_OK.
 * Returns RC_OK; RC_INVALID (bind is not loopback); RC_BUSY (a live process has the unix socket);
 *          RC_NO_MEMORY; or the error of the call that failed. Nothing is left open then.
 */
enum rc admin_start(const struct admin_opts *opts, const struct admin_source *source,
                    struct admin **out, char *err, size_t err_size) MUST_USE;

/** Would admin_start(opts) listen on just what a listens on? NULL a: has it nothing to listen on?
 */
bool admin_same(const struct admin *a, const struct admin_opts *opts);

/** End: no function of the source is called any more after it. Nulls the pointer; NULL is allowed.
 */
void admin_stop(struct admin **a);
