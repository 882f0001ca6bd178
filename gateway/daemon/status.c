/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon/status.h"

#include <stdlib.h>

#include "core/base/clock.h"
#include "gateway/admin/metrics.h"
#include "gateway/daemon/api.h"
#include "gateway/daemon/version.h"

void status_init(struct status *r, struct worker *const *workers, unsigned n,
                 struct cluster *cluster, struct vms *vms)
{
    *r = (struct status){.workers = workers,
                         .n_workers = n,
                         .cluster = cluster,
                         .vms = vms,
                         .last_success = clock_wall(),
                         .started = (double)clock_wall_ms() / 1000.0};
    pthread_mutex_init(&r->lock, NULL);
}

void status_fini(struct status *r)
{
    generation_unref(&r->generation);
    pthread_mutex_destroy(&r->lock);
}

void status_set_generation(struct status *r, struct generation *g)
{
    pthread_mutex_lock(&r->lock);
    struct generation *old = r->generation;
    r->generation = generation_ref(g);
    pthread_mutex_unlock(&r->lock);
    generation_unref(&old);
}

struct generation *status_take_generation(struct status *r)
{
    pthread_mutex_lock(&r->lock);
    struct generation *g = r->generation != NULL ? generation_ref(r->generation) : NULL;
    pthread_mutex_unlock(&r->lock);
    return g;
}

void status_set_draining(struct status *r)
{
    __atomic_store_n(&r->draining, 1, __ATOMIC_RELAXED);
}

void status_count_reload(struct status *r, bool ok)
{
    __atomic_add_fetch(ok ? &r->reloads_ok : &r->reloads_failed, 1, __ATOMIC_RELAXED);
    if (ok) {
        __atomic_store_n(&r->last_success, clock_wall(), __ATOMIC_RELAXED);
    }
}

static bool check_upstream(const struct status *r, struct upstream *u, FILE *reasons)
{
    struct endpoints_state s = {.n = 1};
    enum upstream_health h = upstream_get_health(u);
    bool discovered = cluster_endpoints(r->cluster, u, &s);
    const char *why = h == UPSTREAM_UNKNOWN ? "not tried yet" : "no endpoint takes connections";

    if (h == UPSTREAM_USABLE && s.n > 0) {
        return true;
    }
    if (discovered && s.n == 0) {
        why = s.why;
    }
    (void)fprintf(reasons, "upstream %s: %s\n", u->opts.name, why);
    if (discovered && s.n > 0 && !s.current) {
        (void)fprintf(reasons, "upstream %s: its endpoints may have changed: %s\n", u->opts.name,
                      s.why);
    }
    return false;
}

static bool check_safety(struct upstream *u, FILE *reasons)
{
    char *why = upstream_unsafe_why(u);
    bool ok = why == NULL;

    if (!ok) {
        (void)fprintf(reasons, "%s\n", why);
    }
    free(why);
    return ok;
}

static bool check_upstreams(const struct status *r, const struct generation *g, FILE *reasons)
{
    bool ok = true;

    for (size_t i = 0; i < g->config->n_upstreams; i++) {
        ok = check_upstream(r, g->upstreams[i], reasons) && ok;
        ok = check_safety(g->upstreams[i], reasons) && ok;
        const struct root_set *roots = g->upstreams[i]->roots;
        if (roots != NULL && root_set_expiry(roots) <= clock_wall()) {
            (void)fprintf(reasons, "upstream %s: the last of its roots has expired\n",
                          g->upstreams[i]->opts.name);
            ok = false;
        }
    }
    return ok;
}

static bool client_roots_are_over(const struct cert_set *certs)
{
    int64_t expiry = cert_set_roots_expiry(certs);

    return expiry != 0 && expiry <= clock_wall();
}

static bool check_certificates(const struct generation *g, FILE *reasons)
{
    bool ok = true;

    for (size_t i = 0; i < g->config->n_listeners; i++) {
        const struct config_listener *l = &g->config->listeners[i];
        if (l->certs != NULL && cert_set_expiry(l->certs) <= clock_wall()) {
            (void)fprintf(reasons, "listener %s: a serving certificate has expired\n", l->name);
            ok = false;
        }
        if (l->certs != NULL && client_roots_are_over(l->certs)) {
            (void)fprintf(reasons, "listener %s: the last of its client roots has expired\n",
                          l->name);
            ok = false;
        }
    }
    return ok;
}

static bool ready(void *arg, FILE *reasons)
{
    struct status *r = arg;
    struct generation *g = status_take_generation(r);

    if (g == NULL) {
        (void)fprintf(reasons, "starting\n");
        return false;
    }
    bool ok = check_upstreams(r, g, reasons);
    ok = check_certificates(g, reasons) && ok;
    if (__atomic_load_n(&r->draining, __ATOMIC_RELAXED) != 0) {
        (void)fprintf(reasons, "stopping: streams are being ended\n");
        ok = false;
    }
    generation_unref(&g);
    return ok;
}

static bool live(void *arg, FILE *reasons)
{
    (void)arg;
    (void)reasons;
    return true; /* answering at all is the proof; a stuck worker is the watchdog's business */
}

/* published: NULL: not known. */
static size_t missing_of_listener(const struct cert_set *certs, const struct root_list *published)
{
    struct root_gap gap = {.n = 0};

    if (published != NULL) {
        cert_set_missing(certs, published, &gap);
    }
    return gap.n;
}

static size_t missing_of_upstream(const struct root_set *roots, const struct root_list *published)
{
    struct root_gap gap = {.n = 0};

    if (roots != NULL && published != NULL) {
        root_set_missing(roots, published, &gap);
    }
    return gap.n;
}

static size_t list_certificates(const struct generation *g, const struct root_list *published,
                                struct metrics_certificate *rows)
{
    size_t n = 0;
    for (size_t i = 0; i < g->config->n_listeners; i++) {
        const struct config_listener *l = &g->config->listeners[i];
        if (l->certs != NULL) {
            rows[n++] = (struct metrics_certificate){l->name, cert_set_expiry(l->certs),
                                                     cert_set_roots_expiry(l->certs),
                                                     missing_of_listener(l->certs, published)};
        }
    }
    return n;
}

static void fill_upstreams(const struct status *r, const struct generation *g,
                           const struct root_list *published, struct metrics_upstream *rows)
{
    for (size_t i = 0; i < g->config->n_upstreams; i++) {
        struct upstream *u = g->upstreams[i];
        struct endpoints_state s = {.n = 0};
        bool discovered = cluster_endpoints(r->cluster, u, &s);
        rows[i] = (struct metrics_upstream){
            .name = u->opts.name,
            .usable = upstream_get_health(u) == UPSTREAM_USABLE,
            .new_streams_per_second = pacer_rate(&u->pacer),
            .roots_expiry_s = u->roots != NULL ? root_set_expiry(u->roots) : 0,
            .roots_missing = missing_of_upstream(u->roots, published),
            .discovered = discovered,
            .addresses_current = s.current,
            .addresses = s.n,
        };
    }
}

/* False: no cluster is asked. */
static bool fill_cluster(const struct status *r, const struct root_list *published,
                         struct metrics_cluster *out)
{
    struct cluster_stats s;

    cluster_stats(r->cluster, &s);
    *out = (struct metrics_cluster){.asked = s.asked,
                                    .reachable = s.reachable,
                                    .requests_ok = s.tokens.received,
                                    .requests_failed = s.tokens.failures,
                                    .tokens = s.tokens.ready,
                                    .roots_watched = s.roots_watched,
                                    .roots_current = s.roots_current,
                                    .roots_known = published != NULL};
    return s.used;
}

static void metrics(void *arg, FILE *out)
{
    struct status *r = arg;
    struct generation *g = status_take_generation(r);
    struct metrics_cluster cluster;
    struct root_list *published = cluster_roots(r->cluster);
    bool has_cluster = fill_cluster(r, published, &cluster);
    struct metrics_vms vms;
    struct metrics_input in = {
        .cluster = has_cluster ? &cluster : NULL,
        .vms = &vms,
        .version = XDSGATE_VERSION,
        .start_time_s = r->started,
        .n_workers = r->n_workers,
        .reloads_ok = __atomic_load_n(&r->reloads_ok, __ATOMIC_RELAXED),
        .reloads_failed = __atomic_load_n(&r->reloads_failed, __ATOMIC_RELAXED),
        .last_reload_success_s = __atomic_load_n(&r->last_success, __ATOMIC_RELAXED),
    };
    const struct counters **counters = calloc(r->n_workers, sizeof(struct counters *));
    struct metrics_upstream *upstreams =
        g != NULL ? calloc(g->config->n_upstreams, sizeof(*upstreams)) : NULL;
    struct metrics_certificate *certs =
        g != NULL ? calloc(g->config->n_listeners, sizeof(*certs)) : NULL;

    if (counters != NULL && upstreams != NULL && certs != NULL) {
        for (unsigned i = 0; i < r->n_workers; i++) {
            counters[i] = r->workers[i]->counters;
        }
        in.workers = counters;
        fill_upstreams(r, g, published, upstreams);
        in.upstreams = upstreams;
        in.n_upstreams = g->config->n_upstreams;
        in.n_certificates = list_certificates(g, published, certs);
        in.certificates = certs;
        vms_measure(r->vms, &vms);
        metrics_write(out, &in);
    }
    free(counters);
    free(upstreams);
    free(certs);
    root_list_unref(&published);
    generation_unref(&g);
}

static void version(void *arg, FILE *out)
{
    (void)arg;
    version_write(out, true);
}

struct admin_source status_source(struct status *r)
{
    return (struct admin_source){
        .arg = r,
        .ready = ready,
        .live = live,
        .metrics = metrics,
        .version = version,
        .api = api_answer,
    };
}

static uint64_t sum(const struct status *r, enum counter which)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < r->n_workers; i++) {
        total += counter_read(&r->workers[i]->counters->v[which]);
    }
    return total;
}

uint64_t status_work(const struct status *r)
{
    uint64_t bytes = sum(r, COUNTER_BYTES_DOWN) + sum(r, COUNTER_BYTES_UP) +
                     sum(r, COUNTER_PASS_BYTES_DOWN) + sum(r, COUNTER_PASS_BYTES_UP);
    uint64_t handshakes = sum(r, COUNTER_HANDSHAKES_OK) + sum(r, COUNTER_HANDSHAKES_FAILED);

    return bytes / 16384 + 4 * handshakes;
}

void status_line(struct status *r, char *buf, size_t size)
{
    struct generation *g = status_take_generation(r);
    size_t usable = 0;
    size_t all = g != NULL ? g->config->n_upstreams : 0;

    for (size_t i = 0; i < all; i++) {
        usable += upstream_get_health(g->upstreams[i]) == UPSTREAM_USABLE;
    }
    (void)snprintf(
        buf, size,
        "%llu VM connections, %llu streams, %llu passthrough; upstreams usable: %zu of %zu",
        (unsigned long long)sum(r, COUNTER_CONNS_OPEN),
        (unsigned long long)sum(r, COUNTER_STREAMS_OPEN),
        (unsigned long long)sum(r, COUNTER_PASS_OPEN), usable, all);
    generation_unref(&g);
}
