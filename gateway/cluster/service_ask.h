/* SPDX-License-Identifier: Apache-2.0 */
/* What follow.h does all the time, done once, for command lines: it blocks. */
#pragma once

#include "gateway/cluster/service.h"
#include "kube/kube.h"
#include "kube/path.h"

/** What was asked for last, and its answer. */
struct service_answer {
    enum kube_kind kind;
    struct kube_reply reply; /**< its body is NULL */
};

/**
 * Ask for the endpoint slices of a service; with node ports for the service itself and the nodes
 * of its pods, too. Whatever comes goes into s.
 *
 * d    as s was made with.
 * out  set; nothing in it is to be freed.
 * Returns its outcome, too: that of the first question which was not answered well. With KUBE_OK
 * service_addresses() knows all.
 */
enum kube_outcome service_ask(struct kube *k, const struct upstream_discovery *d, struct service *s,
                              struct service_answer *out);
