/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of VMs in the daemon: whose streams it may end, where it keeps what, and the sums of
 * what the workers have counted. */
#pragma once

#include "gateway/admin/metrics.h"
#include "gateway/config/config.h"
#include "gateway/daemon/gate.h"
#include "gateway/registry/registry_read.h"

struct vms {
    struct registry *registry;               /**< owned */
    struct gate *const *gates;               /**< borrowed; one for each worker */
    unsigned n;                              /**< as many as there are */
    struct metrics_number states[VM_STATES]; /**< of vms_measure(); one reader at a time */
    struct metrics_number healths[VM_HEALTHS];
};

/** Make the registry; gates is filled by the caller before any VM can come. RC_NO_MEMORY,
 * RC_SYSTEM. */
enum rc vms_init(struct vms *v, struct gate *const *gates, unsigned n) MUST_USE;

/** Free it; no worker runs any more. No effect on what was never made. */
void vms_fini(struct vms *v);

/** From now on the deny list of this configuration. RC_OK; RC_INVALID and RC_NO_MEMORY: it cannot
 * be used, which is logged; the list before stays. */
enum rc vms_use_deny_list(struct vms *v, const struct config_registry *c) MUST_USE;

/** A configuration is in force, its deny list too. */
void vms_use(struct vms *v, const struct config_registry *c);

/** The sums for the metrics page. Any thread, one at a time; states and healths of out stay valid
 * until the next call. */
void vms_measure(struct vms *v, struct metrics_vms *out);
