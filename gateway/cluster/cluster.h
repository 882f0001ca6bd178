/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon and the Kubernetes API: one thread that gets the tokens which workers want
 * (gateway/tokens), and follows the services whose endpoints upstreams have (endpoints.h) and the
 * roots that the mesh publishes (mesh_roots.h). No worker waits for it, and whatever the API server
 * does, what is connected stays connected.
 */
#pragma once

#include "certs/root_list.h"
#include "core/base/rc.h"
#include "gateway/cluster/endpoints.h"
#include "gateway/cluster/mesh_roots.h"
#include "gateway/tokens/tokens.h"
#include "gateway/upstream/upstream.h"

struct cluster;

/** Where the cluster is. Borrowed strings. */
struct cluster_opts {
    const char *kubeconfig; /**< NULL: as a pod */
    const char *context;    /**< NULL: the file's own */
};

/** What metrics show. */
struct cluster_stats {
    bool used;      /**< there is a cluster to ask */
    bool asked;     /**< and it was asked: what follows is known */
    bool reachable; /**< the last request or watch was heard (kube_is_heard()), if only refused */
    bool roots_watched; /**< the roots of the mesh are watched */
    bool roots_current; /**< ... and changes of them are told */
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

/** Give these upstreams the endpoints that their `discovery` finds from now on, and no others.
 * References are taken. RC_NO_MEMORY: nothing changes. */
enum rc cluster_follow(struct cluster *c, struct upstream *const *upstreams, size_t n) MUST_USE;

/** How an upstream's discovery stands. false: it has none, or is not among those that are followed.
 * Any thread. */
bool cluster_endpoints(struct cluster *c, const struct upstream *u, struct endpoints_state *out);

/** Wait until it is known where the endpoints of all are, or that there are none. false: it is not
 * after so many seconds; why, of SERVICE_WHY_BYTES, for people. Any thread. */
bool cluster_await_endpoints(struct cluster *c, double seconds, char *why);

/** Watch the roots that the mesh of istiod's namespace publishes from now on; NULL: none.
 * RC_NO_MEMORY: nothing changes. */
enum rc cluster_watch_roots(struct cluster *c, const char *ns) MUST_USE;

/** They: an owned reference; NULL: not known. Any thread. */
struct root_list *cluster_roots(struct cluster *c);

/** Wait until they are known, or Kubernetes does not tell them. false: neither after so many
 * seconds; why, of MESH_ROOTS_WHY_BYTES, for people. Any thread. */
bool cluster_await_roots(struct cluster *c, double seconds, char *why);

/** End the thread, free and null the pointer. All clerks are gone. */
void cluster_free(struct cluster **c);

/** Any thread. */
void cluster_stats(struct cluster *c, struct cluster_stats *out);
