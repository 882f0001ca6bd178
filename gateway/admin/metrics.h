/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics page: Prometheus text format 0.0.4. Names and HELP lines of the workers' counters
 * come from core/base/counter.def, reasons from core/base/end_reason.def; values are sums over the
 * workers.
 *
 * Everything is prefixed xdsgate_, but for the process_* metrics, which carry the names that every
 * Prometheus client library gives them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/base/counter.h"
#include "gateway/registry/tally.h"
#include "gateway/vmconfig/config_store.h"

/** How one upstream stands now. */
struct metrics_upstream {
    const char *name;              /**< borrowed; unique among the rows */
    bool usable;                   /**< some endpoint takes connections, as far as we know */
    double new_streams_per_second; /**< what the pacer allows now, all workers together */
    int64_t roots_expiry_s;        /**< when the last of its roots expires, since 1970; 0: no TLS */
    size_t roots_missing;          /**< that the mesh publishes; 0 without TLS */
    bool discovered;               /**< Kubernetes says where its endpoints are */
    bool addresses_current;        /**< ... and tells when they change */
    size_t addresses;              /**< that it has said */
};

/** What a listener shows and whom it believes. */
struct metrics_certificate {
    const char *listener;   /**< borrowed; unique among the rows */
    int64_t expiry_s;       /**< of the first serving certificate: seconds since 1970 */
    int64_t roots_expiry_s; /**< of the last of the client roots; 0: there are none */
    size_t roots_missing;   /**< that the mesh publishes */
};

/** Kubernetes, and the tokens of `identity: token`. */
struct metrics_cluster {
    bool asked; /**< what follows is known */
    bool reachable;
    uint64_t requests_ok;
    uint64_t requests_failed;
    uint32_t tokens;    /**< that can be used now */
    bool roots_watched; /**< the roots that the mesh publishes */
    bool roots_current; /**< ... and changes of them are told */
    bool roots_known;   /**< ... and it was told, if only once */
};

/** How many are so. */
struct metrics_number {
    const char *name; /**< borrowed */
    uint64_t n;
};

/** The VMs that are known, and what has passed on their streams. */
struct metrics_vms {
    struct tally tally;                  /**< the sum over the workers */
    const struct metrics_number *states; /**< borrowed */
    size_t n_states;
    const struct metrics_number *healths; /**< borrowed; of those that are connected */
    size_t n_healths;
    uint64_t stale; /**< connected, with a type that is STALE */
    uint64_t error;
    int64_t first_expiry_s; /**< of the certificates of those that are connected; 0: none */
    struct config_store_stats config; /**< what is kept of their configuration */
};

/** All that the page shows. Borrowed during metrics_write(). */
struct metrics_input {
    const char *version;
    double start_time_s;                   /**< when the process started, seconds since 1970 */
    const struct counters *const *workers; /**< may be written meanwhile by their workers */
    size_t n_workers;
    const struct metrics_upstream *upstreams;
    size_t n_upstreams;
    const struct metrics_certificate *certificates;
    size_t n_certificates;
    const struct metrics_cluster *cluster; /**< NULL: none is asked */
    const struct metrics_vms *vms;         /**< NULL: nothing is known of VMs */
    uint64_t reloads_ok;                   /**< reloads only, not the first load */
    uint64_t reloads_failed;
    int64_t last_reload_success_s; /**< seconds since 1970; the start counts as the first success */
};

/**
 * Write the page. Any thread.
 *
 * out  borrowed; an error of the stream is the caller's to look at (ferror()).
 */
void metrics_write(FILE *out, const struct metrics_input *in);

/**
 * Write the process_* metrics, read from /proc/self; what cannot be read is left out. Called by
 * metrics_write().
 */
void metrics_write_process(FILE *out, double start_time_s);

/** Write text as the inside of a quoted label value: backslash, quote and newline escaped. */
void metrics_write_label_value(FILE *out, const char *text);
