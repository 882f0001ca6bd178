/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upstreams with `discovery`: the services of Kubernetes that they name are watched, and the
 * addresses of these upstreams follow.
 *
 * One watch serves all upstreams of one service. What was known stays while Kubernetes cannot be
 * asked; an upstream has no addresses only before the first answer, and when Kubernetes says so.
 * The cluster's thread drives it by endpoints_turn(); the other functions are for any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"
#include "gateway/cluster/service.h"
#include "gateway/upstream/upstream.h"
#include "kube/kube.h"

/** Changes of a service are gathered for so long, so that a rollout is few changes. */
#define ENDPOINTS_GATHER_S 0.2

/** The first addresses wait so long for the nodes that are asked for one by one. */
#define ENDPOINTS_NODES_S 3.0

struct endpoints;

/** How an upstream's discovery stands. */
struct endpoints_state {
    bool known;   /**< Kubernetes has said where the endpoints are, or that there are none */
    bool current; /**< it tells us changes now; otherwise they are as they were */
    size_t n;     /**< addresses */
    char
        why[SERVICE_WHY_BYTES]; /**< why they are not known, not current, or none; "" all is well */
};

/** Called on the cluster's thread when a watch works or does not: does the API server hear us? */
typedef void endpoints_heard_fn(void *arg, bool heard);

/** heard: with arg. out: owned. RC_NO_MEMORY. */
enum rc endpoints_new(endpoints_heard_fn *heard, void *arg, struct endpoints **out) MUST_USE;

/** Free and null the pointer; NULL is allowed. The thread has ended. */
void endpoints_free(struct endpoints **e);

/** Follow the services of these upstreams from now on, and of no others; those without discovery
 * are left out. References are taken. RC_NO_MEMORY: nothing changes. */
enum rc endpoints_set(struct endpoints *e, struct upstream *const *upstreams, size_t n) MUST_USE;

/** How u stands. false: it has no discovery, or is not among the last ones. */
bool endpoints_look(struct endpoints *e, const struct upstream *u, struct endpoints_state *out);

/** Wait until all are known. false: some are not after so many seconds; why, of
 * SERVICE_WHY_BYTES, says about one of them. */
bool endpoints_await(struct endpoints *e, double seconds, char *why);

/**
 * Take up what endpoints_set() wants, begin watches that are missing, give upstreams the addresses
 * that are due.
 *
 * k    borrowed until endpoints_forget_client(); NULL: there is none.
 * why  why there is none; for people.
 * Returns the seconds until there is something to do again, 1 at most.
 */
double endpoints_turn(struct endpoints *e, struct kube *k, const char *why, double now);

/** The client is gone, or about to be: no watch uses it any more. What is known stays. */
void endpoints_forget_client(struct endpoints *e);

/** The next client is of another cluster: nothing is known any more. Upstreams keep the addresses
 * that they have until it has spoken. */
void endpoints_forget_cluster(struct endpoints *e);
