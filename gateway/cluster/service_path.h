/* SPDX-License-Identifier: Apache-2.0 */
/* Where the API has what is to be known of a service, and no more than that. Pure. */
#pragma once

#include "core/base/rc.h"
#include "gateway/upstream/upstream_opts.h"
#include "kube/path.h"

/**
 * The path of a list: the endpoint slices of the service, or the service or a node alone. Lists
 * only, because that is what the daemon has a right to: deploy/rbac-discovery.yaml.
 *
 * kind  KUBE_ENDPOINT_SLICE, KUBE_SERVICE or KUBE_NODE.
 * node  its name, with KUBE_NODE only.
 * out   KUBE_PATH_BYTES.
 * Returns RC_OK; RC_INVALID: no such name can exist; RC_FULL: it is too long.
 */
enum rc service_path(const struct upstream_discovery *d, enum kube_kind kind, const char *node,
                     char *out) MUST_USE;
