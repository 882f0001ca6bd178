/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon/vms.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/log.h"

/* Until a configuration is in force. */
static const struct registry_opts first_opts = {.forget_after_s = 86400, .max_vms = 20000};

/* ---- ending streams ---- */

struct order {
    struct gate *gate;
    uint64_t stream;
    enum end_reason why;
};

static void obey(struct worker *w, void *arg)
{
    struct order *o = arg;

    (void)w;
    relay_index_end(&o->gate->upstreams.index, o->stream, o->why);
    free(o);
}

static void on_end(void *arg, unsigned worker, uint64_t stream, enum end_reason why)
{
    struct vms *v = arg;
    struct order *o = malloc(sizeof(*o));

    CHECK(worker < v->n);
    if (o != NULL) {
        *o = (struct order){v->gates[worker], stream, why};
        if (worker_post(v->gates[worker]->worker, obey, o) == RC_OK) {
            return;
        }
        free(o);
    }
    log_event(LOG_ERROR, "a stream of a VM could not be ended: out of memory",
              LOG_S("reason", end_label(why)));
}

/* ---- life ---- */

enum rc vms_init(struct vms *v, struct gate *const *gates, unsigned n)
{
    v->gates = gates;
    v->n = n;
    return registry_new(&first_opts, on_end, v, &v->registry);
}

void vms_fini(struct vms *v)
{
    registry_free(&v->registry);
}

enum rc vms_use_deny_list(struct vms *v, const struct config_registry *c)
{
    char why[REGISTRY_WHY_BYTES] = "";
    enum rc rc = registry_use_deny_list(v->registry, c->deny_list, why);

    if (rc != RC_OK) {
        log_event(LOG_ERROR, "the list of revoked VMs stays as it was", LOG_S("file", c->deny_list),
                  LOG_S("reason", rc == RC_INVALID ? why : rc_text(rc)));
    }
    return rc;
}

void vms_use(struct vms *v, const struct config_registry *c)
{
    const struct registry_opts opts = {.forget_after_s = c->forget_after,
                                       .max_vms = c->max_vms,
                                       .keep_config_bytes = c->keep_config};

    if (!c->enabled) {
        log_event(LOG_WARNING,
                  "nobody looks at what VMs say: no rule is held, and no VM can be revoked",
                  LOG_S("registry.enabled", "false"));
    }
    registry_set_opts(v->registry, &opts);
}

/* ---- numbers ---- */

struct measure {
    uint64_t states[VM_STATES];
    uint64_t healths[VM_HEALTHS];
    uint64_t stale;
    uint64_t error;
    int64_t first_expiry_s;
};

static bool is_any(const struct vm_view *v, enum xds_sync_state state)
{
    for (uint8_t i = 0; i < v->n_sync; i++) {
        if (v->sync[i].state == state) {
            return true;
        }
    }
    return false;
}

static bool measure_one(void *arg, const struct vm_view *v)
{
    struct measure *m = arg;

    m->states[v->state]++;
    if (v->state != VM_IS_CONNECTED) {
        return true;
    }
    m->healths[v->health]++;
    m->stale += is_any(v, XDS_STALE);
    m->error += is_any(v, XDS_ERROR);
    if (v->certificate.known &&
        (m->first_expiry_s == 0 || v->certificate.expiry_s < m->first_expiry_s)) {
        m->first_expiry_s = v->certificate.expiry_s;
    }
    return true;
}

void vms_measure(struct vms *v, struct metrics_vms *out)
{
    struct measure m = {.stale = 0};

    *out = (struct metrics_vms){
        .states = v->states, .n_states = VM_STATES, .healths = v->healths, .n_healths = VM_HEALTHS};
    (void)registry_collect(v->registry, 0, clock_wall_ms(), measure_one, &m);
    for (unsigned i = 0; i < VM_STATES; i++) {
        v->states[i] = (struct metrics_number){vm_state_name((enum vm_state)i), m.states[i]};
    }
    for (unsigned i = 0; i < VM_HEALTHS; i++) {
        v->healths[i] = (struct metrics_number){vm_health_name((enum vm_health)i), m.healths[i]};
    }
    out->stale = m.stale;
    out->error = m.error;
    out->first_expiry_s = m.first_expiry_s;
    config_store_stats(registry_configs(v->registry), &out->config);
    for (unsigned i = 0; i < v->n; i++) {
        tally_sum(&out->tally, &v->gates[i]->upstreams.tally);
    }
}
