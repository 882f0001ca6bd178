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
#include "gateway/probe/ads.h"

#define GUARD_MAGIC 0x60a7d1e5u

#define PROBE_TIMEOUT_S 1.5

/* What is known of an address, and of an upstream: the highest of its addresses. */
enum safety {
    UNKNOWN, /* nobody answered */
    OTHER,   /* what answers there is no istiod that the file knows */
    SAFE,    /* istiod was asked, and believes nobody from here */
    UNSAFE,
};

/* When an address is asked again, by enum safety. istiod logs each question. */
static const double again_s[] = {2.5, 60, 300, 2.5};

/* How often somebody looks whether it is time for an address. */
#define TICK_S 3.0

/* Addresses whose answers are remembered; others are asked each time. */
#define MEMORY_MAX 256

struct answer {
    size_t upstream; /* index of the one that is passed on to */
    size_t like;     /* of the one that asks */
    struct addr peer;
    enum safety safety;
    double at; /* monotonic */
};

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
    enum safety *told;             /* owned; what was logged, for each upstream */
    struct answer memory[MEMORY_MAX];
    size_t n_memory;
};

/* ---- one question ---- */

/* A try at a time. */
struct look {
    const struct generation *g;
    double until;        /* monotonic */
    struct guard *guard; /* who remembers, and may have to stop; NULL: nobody */
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
                                     .stop = k->guard != NULL ? &k->guard->stop : NULL};

    *out = (struct probe_ads_result){.end = PROBE_ADS_NO_ANSWER, .status = -1};
    return left > 0 ? probe_ads(&o, out) : RC_OK;
}

/* One address of a passthrough upstream, asked as `like` asks istiod. An istiod that lets in who
 * has no name believes nobody in particular. */
static enum safety ask_one(const struct look *k, const struct upstream *u,
                           const struct upstream *like, const struct addr *peer)
{
    struct probe_ads_result named;
    struct probe_ads_result nameless;
    char where[ADDR_TEXT_BYTES];
    char from[ADDR_TEXT_BYTES];
    struct addr source = upstream_source(u, peer);

    if (!upstream_may_connect(u, peer, true)) {
        return SAFE; /* nobody is passed on to there */
    }
    if (ask(k, like, peer, &source, false, &named) != RC_OK) {
        return UNKNOWN;
    }
    if (named.end == PROBE_ADS_REFUSED) {
        return SAFE;
    }
    if (named.end == PROBE_ADS_NOT_ISTIO || named.end == PROBE_ADS_NO_TLS) {
        return OTHER;
    }
    if (named.end != PROBE_ADS_TAKEN || ask(k, like, peer, &source, true, &nameless) != RC_OK ||
        nameless.end != PROBE_ADS_REFUSED) {
        return UNKNOWN;
    }
    (void)snprintf(k->why, GUARD_WHY_BYTES,
                   "istiod at %s believes x-forwarded-client-cert from %s, from which upstream "
                   "%.100s passes on what VMs write: TRUSTED_GATEWAY_CIDR must not cover it",
                   addr_format(peer, where), addr_format_ip(&source, from), u->opts.name);
    return UNSAFE;
}

/* ---- what is remembered ---- */

static struct answer *find_answer(struct guard *guard, size_t upstream, size_t like,
                                  const struct addr *peer)
{
    for (size_t i = 0; i < guard->n_memory; i++) {
        struct answer *a = &guard->memory[i];
        if (a->upstream == upstream && a->like == like && a->peer.port == peer->port &&
            addr_same_ip(&a->peer, peer)) {
            return a;
        }
    }
    if (guard->n_memory == MEMORY_MAX) {
        return NULL;
    }
    struct answer *a = &guard->memory[guard->n_memory++];
    *a = (struct answer){.upstream = upstream, .like = like, .peer = *peer, .at = -again_s[SAFE]};
    return a;
}

/* Asks when it is time. Who has closed the doors does not open them by being away. */
static enum safety ask_or_remember(const struct look *k, size_t upstream, size_t like,
                                   const struct addr *peer)
{
    struct answer *a = k->guard != NULL ? find_answer(k->guard, upstream, like, peer) : NULL;
    double now = clock_mono();

    if (a != NULL && now - a->at < again_s[a->safety]) {
        return a->safety;
    }
    enum safety safety = ask_one(k, k->g->upstreams[upstream], k->g->upstreams[like], peer);
    if (a == NULL) {
        return safety;
    }
    a->at = now;
    a->safety = safety == UNKNOWN && a->safety == UNSAFE ? UNSAFE : safety;
    return a->safety;
}

static enum safety ask_all(const struct look *k, size_t upstream, size_t like)
{
    struct address_set *s = upstream_addresses(k->g->upstreams[upstream]);
    enum safety highest = UNKNOWN;

    for (size_t i = 0; i < s->n; i++) {
        enum safety one = ask_or_remember(k, upstream, like, &s->addrs[i]);
        highest = one > highest ? one : highest;
    }
    address_set_unref(&s);
    return highest;
}

/* ---- a generation ---- */

static bool is_xfcc(const struct generation *g, size_t i)
{
    return g->upstreams[i]->opts.identity == UPSTREAM_XFCC && g->upstreams[i]->roots != NULL;
}

static bool is_passed_to(const struct generation *g, size_t upstream)
{
    for (size_t i = 0; i < g->config->n_listeners; i++) {
        for (size_t k = 0; k < g->config->listeners[i].n_routes; k++) {
            const struct config_route *r = &g->config->listeners[i].routes[k];
            if (r->mode == ROUTE_PASSTHROUGH && r->upstream == upstream) {
                return true;
            }
        }
    }
    return false;
}

/* Is there a danger at all? */
static bool has_danger(const struct generation *g)
{
    bool xfcc = false;
    bool passes = false;

    for (size_t i = 0; i < g->config->n_upstreams; i++) {
        xfcc = xfcc || is_xfcc(g, i);
        passes = passes || is_passed_to(g, i);
    }
    return xfcc && passes;
}

/* Upstream i, asked as each xfcc upstream asks. */
static enum safety look_at(const struct look *k, size_t i)
{
    enum safety highest = UNKNOWN;

    for (size_t x = 0; x < k->g->config->n_upstreams; x++) {
        if (is_xfcc(k->g, x)) {
            enum safety one = ask_all(k, i, x);
            highest = one > highest ? one : highest;
        }
    }
    return highest;
}

bool guard_look(const struct generation *g, double within_s, char *why)
{
    const struct look k = {.g = g, .until = clock_mono() + within_s, .why = why};

    if (!has_danger(g)) {
        return true;
    }
    for (size_t i = 0; i < g->config->n_upstreams; i++) {
        if (is_passed_to(g, i) && look_at(&k, i) == UNSAFE) {
            return false;
        }
    }
    return true;
}

/* ---- the thread ---- */

static void tell(struct guard *guard, size_t i, enum safety now, const char *why)
{
    struct upstream *u = guard->generation->upstreams[i];
    enum safety before = guard->told[i];

    guard->told[i] = now;
    if (now == UNSAFE && before != UNSAFE) {
        log_event(LOG_ERROR, "passthrough is closed", LOG_S("upstream", u->opts.name),
                  LOG_S("reason", why));
    } else if (before == UNSAFE) {
        log_event(LOG_WARNING, "passthrough is open again", LOG_S("upstream", u->opts.name));
    } else if (now == UNKNOWN && before != UNKNOWN) {
        log_event(LOG_WARNING, "it is not known yet whom istiod believes",
                  LOG_S("upstream", u->opts.name));
    }
}

static void look_at_one(struct guard *guard, size_t i)
{
    struct upstream *u = guard->generation->upstreams[i];
    char why[GUARD_WHY_BYTES] = "";
    const struct look k = {
        .g = guard->generation, .until = clock_mono() + 60, .guard = guard, .why = why};
    enum safety now = look_at(&k, i);

    if (__atomic_load_n(&guard->stop, __ATOMIC_RELAXED) != 0 ||
        (now == UNKNOWN && upstream_is_unsafe(u)) || (now == UNSAFE && why[0] == '\0')) {
        return; /* it stays as it is */
    }
    upstream_set_unsafe(u, now == UNSAFE ? why : NULL);
    if (now == UNSAFE) {
        __atomic_store_n(&guard->alarm, 1, __ATOMIC_RELEASE);
    }
    tell(guard, i, now, why);
}

static void look_once(struct guard *guard)
{
    for (size_t i = 0; i < guard->generation->config->n_upstreams; i++) {
        if (is_passed_to(guard->generation, i)) {
            look_at_one(guard, i);
        }
    }
}

/* With the lock. Upstreams that are kept keep their mark. */
static void take_fresh(struct guard *guard)
{
    if (guard->fresh == NULL) {
        return;
    }
    size_t n = guard->fresh->config->n_upstreams;
    enum safety *told = calloc(n > 0 ? n : 1, sizeof(*told));
    if (told == NULL) {
        return; /* tried again after a while */
    }
    for (size_t i = 0; i < n; i++) {
        told[i] = upstream_is_unsafe(guard->fresh->upstreams[i]) ? UNSAFE : SAFE;
    }
    free(guard->told);
    guard->told = told;
    guard->n_memory = 0;
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
}

static void *run(void *arg)
{
    struct guard *guard = arg;

    pthread_mutex_lock(&guard->lock);
    while (__atomic_load_n(&guard->stop, __ATOMIC_RELAXED) == 0) {
        take_fresh(guard);
        bool guards = guard->generation != NULL && has_danger(guard->generation);
        pthread_mutex_unlock(&guard->lock);
        if (guards) {
            look_once(guard);
        }
        pthread_mutex_lock(&guard->lock);
        rest(guard, TICK_S);
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
    free(guard->told);
    pthread_cond_destroy(&guard->woken);
    pthread_mutex_destroy(&guard->lock);
    guard->magic = 0;
    free(guard);
}
