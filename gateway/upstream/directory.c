/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/upstream/directory.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/net/sock.h"

#define DIRECTORY_MAGIC 0xd14ec704u
#define RESOLVE_FAILED_S 5.0
#define RESOLVE_SOON_S 1.0
#define PROBE_INTERVAL_S 3.0
#define PROBE_TIMEOUT_MS 1000
#define TICK_MS 200
#define STOP_S 1
#define ADDRESSES_MAX 256

struct row {
    struct upstream *upstream; /* shared (ref) */
    double resolve_at;
    double resolved_at;
    double probe_at;
    bool failed; /* the last look-up; said once */
};

struct directory {
    uint32_t magic;
    pthread_t thread;
    pthread_mutex_t lock; /* guards fresh, n_fresh, stop */
    pthread_cond_t changed;
    struct row *fresh; /* owned; the next table, or NULL */
    size_t n_fresh;
    bool stop;
    struct row *rows; /* owned; the thread's own */
    size_t n_rows;
    struct addr found[ADDRESSES_MAX]; /* what a look-up gave, before it is published */
};

/* ---- resolving ---- */

static bool add_address(struct addr *list, size_t *n, const struct addr *a)
{
    for (size_t i = 0; i < *n; i++) {
        if (addr_same_ip(&list[i], a) && list[i].port == a->port) {
            return true;
        }
    }
    if (*n == ADDRESSES_MAX) {
        return false;
    }
    list[(*n)++] = *a;
    return true;
}

static int resolve_name(const struct upstream_endpoint_name *e, struct addr *list, size_t *n)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    struct addr a;

    if (addr_parse_ip(e->host, &a) == RC_OK) {
        a.port = e->port;
        (void)add_address(list, n, &a);
        return 0;
    }
    int err = getaddrinfo(e->host, NULL, &hints, &found);
    if (err != 0) {
        return err;
    }
    for (struct addrinfo *i = found; i != NULL; i = i->ai_next) {
        addr_from_sockaddr(i->ai_addr, &a);
        a.port = e->port;
        if (a.family != ADDR_NONE && !add_address(list, n, &a)) {
            break;
        }
    }
    freeaddrinfo(found);
    return 0;
}

/* A name that cannot be resolved keeps the addresses it had: DNS away is not istiod away. */
static void resolve(struct row *row, struct addr *list, double now)
{
    struct upstream *u = row->upstream;
    size_t n = 0;
    bool failed = false;

    row->resolved_at = now;
    for (size_t i = 0; i < u->opts.n_endpoints; i++) {
        int err = resolve_name(&u->opts.endpoints[i], list, &n);
        if (err != 0) {
            failed = true;
            if (!row->failed) {
                log_event(LOG_WARNING, "cannot resolve an upstream endpoint",
                          LOG_S("upstream", u->opts.name), LOG_S("host", u->opts.endpoints[i].host),
                          LOG_S("detail", gai_strerror(err)));
            }
        }
    }
    row->failed = failed;
    row->resolve_at = now + (failed ? RESOLVE_FAILED_S : DIRECTORY_RESOLVE_S);
    struct address_set *old = upstream_addresses(u);
    for (size_t i = 0; failed && i < old->n; i++) {
        (void)add_address(list, &n, &old->addrs[i]);
    }
    bool keep = address_set_has_all(old, list, n);
    address_set_unref(&old);
    if (keep || upstream_set_addresses(u, list, NULL, n) != RC_OK) {
        return;
    }
    log_event(LOG_INFO, "upstream addresses changed", LOG_S("upstream", u->opts.name),
              LOG_I("addresses", n));
}

static void resolve_when_due(struct row *row, struct addr *list, double now)
{
    if (!row->upstream->has_names) {
        return;
    }
    bool soon = __atomic_exchange_n(&row->upstream->resolve_soon, 0, __ATOMIC_RELAXED) != 0;
    if (soon && row->resolve_at > row->resolved_at + RESOLVE_SOON_S) {
        row->resolve_at = row->resolved_at + RESOLVE_SOON_S;
    }
    if (now >= row->resolve_at) {
        resolve(row, list, now);
    }
}

/* ---- probing ---- */

static bool probe_address(const struct upstream *u, const struct addr *a)
{
    struct addr source = upstream_source(u, a);
    int fd;

    if (!upstream_may_connect(u, a, false) || sock_connect(a, &source, &fd) != RC_OK) {
        return false;
    }
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    bool ok = poll(&p, 1, PROBE_TIMEOUT_MS) == 1 && sock_connect_result(fd) == RC_OK;
    close(fd);
    return ok;
}

static void probe_when_due(struct row *row, double now)
{
    struct upstream *u = row->upstream;

    if (upstream_get_health(u) == UPSTREAM_USABLE || now < row->probe_at) {
        return;
    }
    struct address_set *s = upstream_addresses(u);
    if (s->n == 0 && u->opts.discovery.on) {
        address_set_unref(&s); /* who discovers says what that means */
        return;
    }
    row->probe_at = now + PROBE_INTERVAL_S;
    enum upstream_health health = UPSTREAM_UNUSABLE;
    for (size_t i = 0; i < s->n && health != UPSTREAM_USABLE; i++) {
        health = probe_address(u, &s->addrs[i]) ? UPSTREAM_USABLE : UPSTREAM_UNUSABLE;
    }
    address_set_unref(&s);
    if (health != upstream_get_health(u)) {
        upstream_set_health(u, health);
        log_event(health == UPSTREAM_USABLE ? LOG_INFO : LOG_WARNING,
                  health == UPSTREAM_USABLE ? "upstream is reachable" : "upstream is not reachable",
                  LOG_S("upstream", u->opts.name));
    }
}

/* ---- the thread ---- */

static void free_rows(struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        upstream_unref(&rows[i].upstream);
    }
    free(rows);
}

/* Wait for a tick or a change; false: stop. */
static bool wait_a_tick(struct directory *d)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += TICK_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&d->lock);
    if (!d->stop && d->fresh == NULL) {
        pthread_cond_timedwait(&d->changed, &d->lock, &until);
    }
    struct row *fresh = d->fresh;
    size_t n = d->n_fresh;
    bool go_on = !d->stop;
    d->fresh = NULL;
    pthread_mutex_unlock(&d->lock);
    if (fresh != NULL) {
        free_rows(d->rows, d->n_rows);
        d->rows = fresh;
        d->n_rows = n;
    }
    return go_on;
}

static void *run(void *arg)
{
    struct directory *d = arg;

    while (wait_a_tick(d)) {
        double now = clock_mono();
        for (size_t i = 0; i < d->n_rows; i++) {
            resolve_when_due(&d->rows[i], d->found, now);
            probe_when_due(&d->rows[i], now);
        }
    }
    return NULL;
}

enum rc directory_start(struct directory **out)
{
    struct directory *d = calloc(1, sizeof(*d));
    sigset_t all;
    sigset_t before;

    if (d == NULL) {
        return RC_NO_MEMORY;
    }
    d->magic = DIRECTORY_MAGIC;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->changed, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&d->thread, NULL, run, d);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err != 0) {
        free(d);
        return RC_SYSTEM;
    }
    *out = d;
    return RC_OK;
}

enum rc directory_set(struct directory *d, struct upstream *const *upstreams, size_t n)
{
    struct row *rows = calloc(n > 0 ? n : 1, sizeof(*rows));

    CHECK_MAGIC(d, DIRECTORY_MAGIC);
    if (rows == NULL) {
        return RC_NO_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        rows[i].upstream = upstream_ref(upstreams[i]);
    }
    pthread_mutex_lock(&d->lock);
    struct row *unused = d->fresh;
    size_t n_unused = d->n_fresh;
    d->fresh = rows;
    d->n_fresh = n;
    pthread_cond_signal(&d->changed);
    pthread_mutex_unlock(&d->lock);
    if (unused != NULL) {
        free_rows(unused, n_unused);
    }
    return RC_OK;
}

/* A resolver may take half a minute over a name, and the process ends now. */
static bool join_soon(pthread_t thread)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_S;
    if (pthread_timedjoin_np(thread, NULL, &until) == 0) {
        return true;
    }
    (void)pthread_detach(thread);
    return false;
}

void directory_stop(struct directory **pd)
{
    struct directory *d = *pd;

    *pd = NULL;
    CHECK_MAGIC(d, DIRECTORY_MAGIC);
    pthread_mutex_lock(&d->lock);
    d->stop = true;
    pthread_cond_signal(&d->changed);
    pthread_mutex_unlock(&d->lock);
    if (!join_soon(d->thread)) {
        return; /* what it holds goes with the process */
    }
    free_rows(d->rows, d->n_rows);
    if (d->fresh != NULL) {
        free_rows(d->fresh, d->n_fresh);
    }
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->changed);
    d->magic = 0;
    free(d);
}
