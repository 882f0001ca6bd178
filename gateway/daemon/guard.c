/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon/guard.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "gateway/daemon/guard_rows.h"
#include "gateway/probe/ads.h"

#define GUARD_MAGIC 0x60a7d1e5u

#define PROBE_TIMEOUT_S 1.5

/* How often somebody looks whether it is time for an address. */
#define TICK_S 3.0

struct guard {
    uint32_t magic;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* of the next three, with woken */
    pthread_cond_t woken;
    struct generation *fresh; /* shared (ref); to be taken by the thread; NULL: nothing new */
    uint32_t stop;            /* atomic for probes */
    uint32_t alarm;           /* atomic */
    /* The thread's own: */
    struct generation *generation; /* shared (ref) */
    enum guard_safety *told;       /* owned; what was logged, for each upstream */
    enum guard_safety *known;      /* owned; for each upstream */
    struct guard_rows rows;
    double began; /* the round; monotonic */
};

/* ---- one question ---- */

/* A try at a time. */
struct look {
    double until; /* monotonic */
    const uint32_t *stop;
    char *why;
};

static enum rc ask(const struct look *k, const struct upstream *like, const struct addr *peer,
                   const struct addr *source, bool nameless, struct probe_ads_result *out)
{
    double left = k->until - clock_mono();
    const struct probe_ads_opts o = {.peer = peer,
                                     .source = *source,
                                     .server_name = like->opts.server_name,
                                     .roots = like->roots,
                                     .timeout_s = left < PROBE_TIMEOUT_S ? left : PROBE_TIMEOUT_S,
                                     .nameless = nameless,
                                     .stop = k->stop};

    *out = (struct probe_ads_result){.end = PROBE_ADS_NO_ANSWER, .status = -1};
    return left > 0 ? probe_ads(&o, out) : RC_OK;
}

static void say_unsafe(const struct look *k, const struct upstream *u, const struct addr *peer,
                       const struct addr *source)
{
    char where[ADDR_TEXT_BYTES];
    char from[ADDR_TEXT_BYTES];

    (void)snprintf(k->why, GUARD_WHY_BYTES,
                   "istiod at %s believes x-forwarded-client-cert from %s, from which upstream "
                   "%.100s passes on what VMs write: %s",
                   addr_format(peer, where),
                   source->family != ADDR_NONE ? addr_format_ip(source, from) : "this machine",
                   u->opts.name,
                   addr_is_loopback(peer) ? "it believes all of loopback, so use another endpoint"
                                          : "TRUSTED_GATEWAY_CIDR must not cover it");
}

/* One address of a passthrough upstream, asked as `like` asks istiod. An istiod that lets in who
 * has no name believes nobody in particular. */
static enum guard_safety ask_one(const struct look *k, const struct upstream *u,
                                 const struct upstream *like, const struct addr *peer)
{
    struct probe_ads_result named;
    struct probe_ads_result nameless;
    struct addr source = upstream_source(u, peer);

    if (!upstream_may_connect(u, peer, true)) {
        return GUARD_SAFE; /* nobody is passed on to there */
    }
    if (ask(k, like, peer, &source, false, &named) != RC_OK) {
        return GUARD_UNKNOWN;
    }
    if (named.end == PROBE_ADS_REFUSED) {
        return GUARD_SAFE;
    }
    if (named.end == PROBE_ADS_NOT_ISTIO || named.end == PROBE_ADS_NO_TLS) {
        return GUARD_OTHER;
    }
    if (named.end != PROBE_ADS_TAKEN || ask(k, like, peer, &source, true, &nameless) != RC_OK ||
        nameless.end != PROBE_ADS_REFUSED) {
        return GUARD_UNKNOWN;
    }
    say_unsafe(k, u, peer, &source);
    return GUARD_UNSAFE;
}

/* ---- before a configuration is put in force ---- */

static bool is_unsafe(const struct generation *g, size_t i, const struct look *k)
{
    struct address_set *s = upstream_addresses(g->upstreams[i]);
    bool unsafe = false;

    for (size_t x = 0; x < g->config->n_upstreams; x++) {
        for (size_t a = 0; a < s->n && guard_asks(g, x) && !unsafe; a++) {
            unsafe = ask_one(k, g->upstreams[i], g->upstreams[x], &s->addrs[a]) == GUARD_UNSAFE;
        }
    }
    address_set_unref(&s);
    return unsafe;
}

bool guard_look(const struct generation *g, double within_s, char *why)
{
    const struct look k = {.until = clock_mono() + within_s, .why = why};

    for (size_t i = 0; i < g->config->n_upstreams; i++) {
        if (guard_watches(g, i) && is_unsafe(g, i, &k)) {
            return false;
        }
    }
    return true;
}

/* ---- the thread ---- */

static void tell(struct guard *guard, size_t i, enum guard_safety now, const char *why)
{
    struct upstream *u = guard->generation->upstreams[i];
    enum guard_safety before = guard->told[i];

    guard->told[i] = now;
    if (now == GUARD_UNSAFE && before != GUARD_UNSAFE) {
        log_event(LOG_ERROR, "passthrough is closed", LOG_S("upstream", u->opts.name),
                  LOG_S("reason", why));
    } else if (now != GUARD_UNSAFE && before == GUARD_UNSAFE) {
        log_event(LOG_WARNING, "passthrough is open again", LOG_S("upstream", u->opts.name));
    } else if (now == GUARD_UNKNOWN && before != GUARD_UNKNOWN) {
        log_event(LOG_WARNING, "it is not known yet whom istiod believes",
                  LOG_S("upstream", u->opts.name));
    }
}

/* Only what is known takes a mark away, or that nobody is passed on to the upstream any more: then
 * nobody asks, and the mark would stay for ever. */
static void look_at_mark(struct guard *guard, size_t i)
{
    struct upstream *u = guard->generation->upstreams[i];
    enum guard_safety now = guard->known[i];
    bool watched = guard_watches(guard->generation, i);

    if (!watched) {
        now = GUARD_SAFE;
    }
    if (upstream_is_unsafe(u) && (now == GUARD_SAFE || now == GUARD_OTHER)) {
        upstream_set_unsafe(u, NULL);
    }
    if (!upstream_is_unsafe(u) && now != GUARD_UNASKED) {
        tell(guard, i, now, "");
    }
}

static void look_at_marks(struct guard *guard)
{
    size_t n = guard->generation->config->n_upstreams;

    guard_rows_judge(&guard->rows, guard->known, n);
    for (size_t i = 0; i < n; i++) {
        look_at_mark(guard, i);
    }
}

static void ask_row(struct guard *guard, struct guard_row *row)
{
    char why[GUARD_WHY_BYTES] = "";
    double now = clock_mono();
    const struct look k = {.until = now + 60, .stop = &guard->stop, .why = why};
    enum guard_safety safety = ask_one(&k, row->upstream, row->like, &row->peer);

    if (__atomic_load_n(&guard->stop, __ATOMIC_RELAXED) != 0) {
        return; /* it stays as it is */
    }
    guard_row_answer(row, safety, now);
    if (safety == GUARD_UNSAFE) {
        upstream_set_unsafe(row->upstream, why);
        __atomic_store_n(&guard->alarm, 1, __ATOMIC_RELEASE);
        tell(guard, row->index, GUARD_UNSAFE, why);
    }
}

/* One question, so that who has news for the guard does not wait for all of them. false: nobody's
 * turn. */
static bool look_once(struct guard *guard)
{
    if (guard->generation == NULL || guard_rows_update(&guard->rows, guard->generation) != RC_OK) {
        return false;
    }
    struct guard_row *row = guard_rows_next(&guard->rows, guard->began);
    if (row != NULL) {
        ask_row(guard, row);
    }
    look_at_marks(guard);
    return row != NULL;
}

/* With the lock. Upstreams that are kept keep their mark, and what was answered. */
static void take_fresh(struct guard *guard)
{
    if (guard->fresh == NULL) {
        return;
    }
    size_t n = guard->fresh->config->n_upstreams;
    enum guard_safety *told = calloc(n > 0 ? n : 1, sizeof(*told));
    enum guard_safety *known = calloc(n > 0 ? n : 1, sizeof(*known));
    if (told == NULL || known == NULL || guard_rows_update(&guard->rows, guard->fresh) != RC_OK) {
        free(told);
        free(known);
        return; /* tried again after a while */
    }
    for (size_t i = 0; i < n; i++) {
        told[i] = upstream_is_unsafe(guard->fresh->upstreams[i]) ? GUARD_UNSAFE : GUARD_SAFE;
    }
    free(guard->told);
    free(guard->known);
    guard->told = told;
    guard->known = known;
    generation_unref(&guard->generation);
    guard->generation = guard->fresh;
    guard->fresh = NULL;
}

/* With the lock: until there is something new, or it is time. */
static void rest(struct guard *guard, double seconds)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)seconds;
    while (guard->fresh == NULL && __atomic_load_n(&guard->stop, __ATOMIC_RELAXED) == 0 &&
           pthread_cond_timedwait(&guard->woken, &guard->lock, &t) == 0) {
    }
    guard->began = clock_mono();
}

static void *run(void *arg)
{
    struct guard *guard = arg;

    guard->began = clock_mono();
    pthread_mutex_lock(&guard->lock);
    while (__atomic_load_n(&guard->stop, __ATOMIC_RELAXED) == 0) {
        take_fresh(guard);
        pthread_mutex_unlock(&guard->lock);
        bool more = look_once(guard);
        pthread_mutex_lock(&guard->lock);
        if (!more) {
            rest(guard, TICK_S);
        }
    }
    pthread_mutex_unlock(&guard->lock);
    return NULL;
}

static enum rc start_thread(struct guard *guard)
{
    sigset_t all;
    sigset_t before;

    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    guard->running = pthread_create(&guard->thread, NULL, run, guard) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return guard->running ? RC_OK : RC_SYSTEM;
}

/* ---- what others call ---- */

enum rc guard_new(struct guard **out)
{
    struct guard *guard = calloc(1, sizeof(*guard));
    pthread_condattr_t monotonic;

    if (guard == NULL) {
        return RC_NO_MEMORY;
    }
    guard->magic = GUARD_MAGIC;
    pthread_mutex_init(&guard->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&guard->woken, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *out = guard;
    return RC_OK;
}

static bool has_danger(const struct generation *g)
{
    for (size_t i = 0; i < g->config->n_upstreams; i++) {
        if (guard_watches(g, i)) {
            return true;
        }
    }
    return false;
}

enum rc guard_use(struct guard *guard, struct generation *g)
{
    CHECK_MAGIC(guard, GUARD_MAGIC);
    if (!guard->running && !has_danger(g)) {
        return RC_OK;
    }
    pthread_mutex_lock(&guard->lock);
    generation_unref(&guard->fresh);
    guard->fresh = generation_ref(g);
    pthread_cond_signal(&guard->woken);
    pthread_mutex_unlock(&guard->lock);
    return guard->running ? RC_OK : start_thread(guard);
}

bool guard_take_alarm(struct guard *guard)
{
    CHECK_MAGIC(guard, GUARD_MAGIC);
    return __atomic_exchange_n(&guard->alarm, 0, __ATOMIC_ACQUIRE) != 0;
}

void guard_free(struct guard **pg)
{
    struct guard *guard = *pg;

    *pg = NULL;
    if (guard == NULL) {
        return;
    }
    CHECK_MAGIC(guard, GUARD_MAGIC);
    if (guard->running) {
        pthread_mutex_lock(&guard->lock);
        __atomic_store_n(&guard->stop, 1, __ATOMIC_RELAXED);
        pthread_cond_signal(&guard->woken);
        pthread_mutex_unlock(&guard->lock);
        pthread_join(guard->thread, NULL);
    }
    generation_unref(&guard->fresh);
    generation_unref(&guard->generation);
    guard_rows_fini(&guard->rows);
    free(guard->told);
    free(guard->known);
    pthread_cond_destroy(&guard->woken);
    pthread_mutex_destroy(&guard->lock);
    guard->magic = 0;
    free(guard);
}
