/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon tells about itself: readiness, metrics, the status line. Any thread. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/net/worker.h"
#include "gateway/admin/server.h"
#include "gateway/cluster/cluster.h"
#include "gateway/daemon/generation.h"
#include "gateway/daemon/vms.h"

struct status {
    pthread_mutex_t lock;          /**< guards generation */
    struct generation *generation; /**< shared (ref); NULL until the first is in force */
    struct worker *const *workers; /**< borrowed */
    unsigned n_workers;
    struct cluster *cluster; /**< borrowed */
    struct vms *vms;         /**< borrowed */
    uint32_t draining;       /**< atomic */
    uint64_t reloads_ok;     /**< atomic */
    uint64_t reloads_failed; /**< atomic */
    int64_t last_success;    /**< atomic; seconds since 1970 */
    double started;          /**< seconds since 1970 */
};

/** Make it; workers, cluster and vms are borrowed until status_fini(). */
void status_init(struct status *r, struct worker *const *workers, unsigned n,
                 struct cluster *cluster, struct vms *vms);
/** Drop the generation. No admin page may be served any more. */
void status_fini(struct status *r);

/** The configuration that is in force now; a reference is taken. */
void status_set_generation(struct status *r, struct generation *g);
/** The configuration in force: an owned reference, or NULL. Any thread. */
struct generation *status_take_generation(struct status *r);
/** What the workers have done since the start, for trim_due(). */
uint64_t status_work(const struct status *r);

/** From now on it is not ready. */
void status_set_draining(struct status *r);
/** A reload has ended. */
void status_count_reload(struct status *r, bool ok);

/** For admin_start(). */
struct admin_source status_source(struct status *r);

/** "312 VM connections, 310 streams, upstreams usable: 2 of 2". */
void status_line(struct status *r, char *buf, size_t size);
