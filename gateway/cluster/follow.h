/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One service of Kubernetes that is followed: its watches, and what they bring (service.h). Its
 * endpoint slices always; with node ports also the service itself and the nodes of its pods.
 * On the cluster's thread only. Says in the log when a watch stops working, and when it works
 * again, once each.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/base/rc.h"
#include "gateway/cluster/service.h"
#include "gateway/upstream/upstream_opts.h"
#include "kube/kube.h"

struct follow;

struct follow_ops {
    /** There is something new, of the service or of a watch. Out of kube_turn(). */
    void (*changed)(void *arg);
    /** A watch works, or not: does the API server hear us (kube_is_heard())? */
    void (*heard)(void *arg, bool heard);
};

/** discovery: borrowed until follow_free(). ops: static. out: owned. RC_NO_MEMORY. */
enum rc follow_new(const struct upstream_discovery *discovery, const struct follow_ops *ops,
                   void *arg, struct follow **out) MUST_USE;

/** End its watches, free and null the pointer; NULL is allowed. Not from its callbacks. */
void follow_free(struct follow **f);

/** Begin the watches that are missing and end those that are not needed any more. What cannot be
 * begun for want of memory is tried again with the next call. Not from its callbacks. */
void follow_look(struct follow *f, struct kube *k, double now);

/** End its watches: the client is gone, or about to be. What is known stays. */
void follow_close(struct follow *f);

/** The same, and forget what is known: the next client is of another cluster. */
void follow_forget(struct follow *f);

/** Do all its watches work? *why, borrowed until the next callback, says why not. */
bool follow_is_current(const struct follow *f, const char **why);

/** What is known. Borrowed. */
const struct service *follow_service(const struct follow *f);
