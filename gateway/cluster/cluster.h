/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon and the Kubernetes API: one thread that gets the tokens which workers want
 * (gateway/tokens). No worker waits for it, and whatever the API server does, what is connected
 * stays connected.
 */
#pragma once

#include "core/base/rc.h"
#include "gateway/tokens/tokens.h"

struct cluster;

/** Where the cluster is. Borrowed strings. */
struct cluster_opts {
    const char *kubeconfig; /**< NULL: as a pod */
    const char *context;    /**< NULL: the file's own */
};

/** What metrics show. */
struct cluster_stats {
    bool used;      /**< there is a cluster to ask */
    bool reachable; /**< the last request was answered, whatever the answer */
    struct tokens_stats tokens;
};

/** out: owned. No thread runs before a cluster is to be used. RC_NO_MEMORY. */
enum rc cluster_new(struct cluster **out) MUST_USE;

/** The desk where tokens are; lives as long as c. Borrowed. */
struct tokens *cluster_tokens(struct cluster *c);

/**
 * Ask this cluster from now on. The same one, from files that have not changed, goes on as it is;
 * otherwise its tokens are forgotten. That it cannot be reached is logged and tried again.
 *
 * opts  copied; NULL: none, who waits is told.
 * Returns RC_OK; RC_NO_MEMORY, RC_SYSTEM: the one before stays.
 */
enum rc cluster_use(struct cluster *c, const struct cluster_opts *opts) MUST_USE;

/** End the thread, free and null the pointer. All clerks are gone. */
void cluster_free(struct cluster **c);

/** Any thread. */
void cluster_stats(struct cluster *c, struct cluster_stats *out);
