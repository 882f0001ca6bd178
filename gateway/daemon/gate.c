/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon/gate.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/net/sock.h"

#define GATE_MAGIC 0x9a7e0001u

/* Connections accepted before the loop looks at the open ones again. */
#define ACCEPT_BURST 16
#define REOPEN_S 0.1

#define DRAIN_TICK_S 0.02

/* The part of drain_timeout in which all streams have been ended. */
#define DRAIN_SPREAD 0.7

struct door {
    struct list node;
    struct gate *gate;
    struct addr addr;
    int fd;
    ev_io io;
};

static void watch_doors(struct gate *g)
{
    bool on = !g->paused && !g->draining && !ev_is_active(&g->reopen);

    for (struct list *n = g->doors.next; n != &g->doors; n = n->next) {
        struct door *d = LIST_ENTRY(n, struct door, node);
        if (on) {
            ev_io_start(g->worker->loop, &d->io);
        } else {
            ev_io_stop(g->worker->loop, &d->io);
        }
    }
}

static void count(struct gate *g, enum counter which, int64_t n)
{
    counter_add(&g->worker->counters->v[which], n);
}

/* ---- accepting ---- */

static void reopen_later(struct gate *g)
{
    ev_timer_stop(g->worker->loop, &g->reopen);
    ev_timer_set(&g->reopen, REOPEN_S, 0.);
    ev_timer_start(g->worker->loop, &g->reopen);
}

static void on_reopen(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct gate *g = t->data;

    (void)loop;
    (void)revents;
    if (list_empty(&g->doors) || sock_has_files(LIST_ENTRY(g->doors.next, struct door, node)->fd)) {
        watch_doors(g);
    } else {
        reopen_later(g);
    }
}

static void pause_accepting(struct gate *g, const char *why)
{
    log_event(LOG_WARNING, "not accepting for a moment", LOG_S("reason", why));
    reopen_later(g);
    watch_doors(g);
}

static bool admit_peer(struct gate *g, const struct config_listener *listener,
                       const struct addr *peer, struct conn_place **place)
{
    const struct listener_limits *l = &listener->limits;
    char text[ADDR_TEXT_BYTES];

    if (conn_limits_bars(g->limits, peer, worker_now(g->worker))) {
        count(g, COUNTER_LIMIT_BAD_CONNECTIONS, 1);
        counter_add(&g->worker->counters->conn_ends[END_LIMIT], 1);
        log_event(LOG_WARNING, "connection refused", LOG_S("peer", addr_format(peer, text)),
                  LOG_S("limit", "bad_connections_per_second"));
        return false;
    }
    enum conn_admission a = conn_limits_enter(g->limits, listener->name, peer, l->connections,
                                              l->connections_per_source, place);

    if (a == CONN_ADMITTED) {
        return true;
    }
    if (a != CONN_NO_MEMORY) {
        bool total = a == CONN_OVER_TOTAL;
        count(g, total ? COUNTER_LIMIT_CONNECTIONS : COUNTER_LIMIT_CONNECTIONS_PER_SOURCE, 1);
        log_event(LOG_WARNING, "connection refused", LOG_S("peer", addr_format(peer, text)),
                  LOG_S("limit", total ? "connections" : "connections_per_source"));
    }
    counter_add(&g->worker->counters->conn_ends[END_LIMIT], 1);
    return false;
}

/* One connection; false: no more for now. */
static bool accept_one(struct gate *g, struct door *d, const struct config_listener *l)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    struct addr peer;
    struct conn_place *place;

    int fd = accept4(d->fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(g, rc_text(rc_from_errno(errno)));
        }
        return errno == ECONNABORTED;
    }
    addr_from_sockaddr((struct sockaddr *)&ss, &peer);
    count(g, COUNTER_CONNS_ACCEPTED, 1);
    if (!admit_peer(g, l, &peer, &place)) {
        close(fd);
        return true;
    }
    gate_hello_start(g, fd, &d->addr, &peer, place, l->limits.handshake_timeout);
    if (sock_is_of_reserve(fd)) {
        pause_accepting(g, rc_text(RC_NO_FILES));
        return false;
    }
    return true;
}

static void on_accept(struct ev_loop *loop, ev_io *io, int revents)
{
    struct door *d = io->data;
    struct gate *g = d->gate;
    struct site_listener *l = site_find_listener(g->site, &d->addr);

    (void)loop;
    (void)revents;
    CHECK(l != NULL);
    for (int i = 0; i < ACCEPT_BURST; i++) {
        if (!accept_one(g, d, l->config)) {
            return;
        }
    }
}

/* ---- doors ---- */

static void close_door(struct door *d)
{
    ev_io_stop(d->gate->worker->loop, &d->io);
    close(d->fd);
    list_del(&d->node);
    free(d);
}

static enum rc open_door(struct gate *g, const struct gate_socket *s, struct list *fresh)
{
    struct door *d = calloc(1, sizeof(*d));

    if (d == NULL) {
        return RC_NO_MEMORY;
    }
    d->gate = g;
    d->addr = s->addr;
    d->fd = s->fd;
    ev_io_init(&d->io, on_accept, d->fd, EV_READ);
    d->io.data = d;
    list_add_tail(fresh, &d->node);
    return RC_OK;
}

static enum rc open_doors(struct gate *g, const struct gate_socket *sockets, size_t n,
                          struct list *fresh)
{
    for (size_t i = 0; i < n; i++) {
        if (sockets[i].fd >= 0) {
            TRY(open_door(g, &sockets[i], fresh));
        }
    }
    return RC_OK;
}

static void close_unlisted(struct gate *g)
{
    struct list *n;
    struct list *spare;

    LIST_FOREACH_SAFE(n, spare, &g->doors)
    {
        struct door *d = LIST_ENTRY(n, struct door, node);
        if (site_find_listener(g->site, &d->addr) == NULL) {
            close_door(d);
        }
    }
}

/* A VM must not go on writing its own bytes from an address that istiod now believes (interface,
 * source_address). */
static void end_untrusted_passes(struct gate *g)
{
    struct list *n;
    struct list *spare;

    LIST_FOREACH_SAFE(n, spare, &g->passes)
    {
        struct passthrough *p = passthrough_of(n);
        const struct addr *source = passthrough_source(p);
        bool unknown = source->family == ADDR_NONE;
        if (unknown || generation_trusts_source(g->site->generation, source)) {
            passthrough_kill(p, END_RELOAD);
        }
    }
}

/* It may be one of an older generation, whose upstream nobody asks about any more; then its address
 * counts. */
static bool is_unsafe(const struct gate *g, const struct passthrough *p)
{
    const struct generation *now = g->site->generation;
    const struct addr *source = passthrough_source(p);

    if (upstream_is_unsafe(passthrough_upstream(p))) {
        return true;
    }
    for (size_t i = 0; i < now->config->n_upstreams; i++) {
        struct addr from = upstream_source(now->upstreams[i], source);
        if (upstream_is_unsafe(now->upstreams[i]) && source->family != ADDR_NONE &&
            from.family != ADDR_NONE && addr_same_ip(&from, source)) {
            return true;
        }
    }
    return false;
}

void gate_end_unsafe(struct gate *g)
{
    struct list *n;
    struct list *spare;

    CHECK_MAGIC(g, GATE_MAGIC);
    LIST_FOREACH_SAFE(n, spare, &g->passes)
    {
        struct passthrough *p = passthrough_of(n);
        if (is_unsafe(g, p)) {
            passthrough_kill(p, END_UNSAFE);
        }
    }
}

static bool has_xfcc(const struct generation *g)
{
    for (size_t i = 0; i < g->config->n_upstreams; i++) {
        if (g->upstreams[i]->opts.identity == UPSTREAM_XFCC) {
            return true;
        }
    }
    return false;
}

enum rc gate_apply(struct gate *g, struct generation *generation, const struct gate_socket *sockets,
                   size_t n)
{
    struct site *site = NULL;
    struct list fresh;

    CHECK_MAGIC(g, GATE_MAGIC);
    list_init(&fresh);
    enum rc rc = open_doors(g, sockets, n, &fresh);
    if (rc == RC_OK) {
        rc = site_new(g->worker, generation, &g->upstreams, &g->sessions, &g->passes, &site);
    }
    if (rc != RC_OK) {
        for (struct list *node; (node = list_pop(&fresh)) != NULL;) {
            free(LIST_ENTRY(node, struct door, node));
        }
        for (size_t i = 0; i < n; i++) {
            if (sockets[i].fd >= 0) {
                close(sockets[i].fd);
            }
        }
        return rc;
    }
    site_unref(&g->site);
    g->site = site;
    close_unlisted(g);
    for (struct list *node; (node = list_pop(&fresh)) != NULL;) {
        list_add_tail(&g->doors, node);
    }
    if (has_xfcc(generation)) {
        end_untrusted_passes(g);
    }
    watch_doors(g);
    gate_sweep_all(g);
    return RC_OK;
}

/* ---- draining ---- */

static uint32_t count_work(const struct gate *g)
{
    uint32_t n = 0;
    for (struct list *i = g->sessions.next; i != &g->sessions; i = i->next) {
        n += LIST_ENTRY(i, struct vm_session, node)->h2->n_streams;
    }
    for (struct list *i = g->passes.next; i != &g->passes; i = i->next) {
        n++;
    }
    return n;
}

/* End one thing that a VM will come back with, and all connections without streams on the way to
 * it. VMs take turns; passthrough connections come last. false: nothing is left to end. */
static bool drain_one(struct gate *g)
{
    struct list *last = g->sessions.prev;
    enum vm_drained ended = VM_DRAINED_NOTHING;

    for (bool more = !list_empty(&g->sessions); more && ended != VM_DRAINED_STREAM;) {
        struct list *n = g->sessions.next;
        more = n != last;
        list_del(n);
        list_add_tail(&g->sessions, n);
        ended = vm_session_drain_one(LIST_ENTRY(n, struct vm_session, node));
    }
    if (ended == VM_DRAINED_STREAM) {
        return true;
    }
    if (!list_empty(&g->passes)) {
        passthrough_kill(passthrough_of(g->passes.next), END_DRAIN);
        return true;
    }
    return false;
}

static void on_drain_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct gate *g = t->data;
    double now = worker_now(g->worker);

    (void)loop;
    (void)revents;
    if (now >= g->drain_deadline) {
        gate_kill_all(g);
        return;
    }
    g->drain_credit += (now - g->drain_at) * g->drain_rate;
    g->drain_at = now;
    while (g->drain_credit >= 1 && drain_one(g)) {
        g->drain_credit -= 1;
    }
    if (g->drain_credit > 1) {
        g->drain_credit = 1;
    }
}

void gate_pause(struct gate *g, bool paused)
{
    CHECK_MAGIC(g, GATE_MAGIC);
    g->paused = paused;
    watch_doors(g);
}

void gate_drain(struct gate *g, double seconds, double pace)
{
    CHECK_MAGIC(g, GATE_MAGIC);
    if (g->draining) {
        return;
    }
    g->draining = true;
    while (!list_empty(&g->doors)) {
        close_door(LIST_ENTRY(g->doors.next, struct door, node));
    }
    gate_hello_refuse_all(g);
    double rate = count_work(g) / (seconds * DRAIN_SPREAD + 0.001);
    g->drain_rate = rate > pace ? rate : pace;
    g->drain_at = worker_now(g->worker);
    g->drain_deadline = g->drain_at + seconds;
    g->drain_credit = 1;
    ev_timer_set(&g->drain_timer, 0., DRAIN_TICK_S);
    ev_timer_start(g->worker->loop, &g->drain_timer);
}

void gate_kill_all(struct gate *g)
{
    struct list *n;
    struct list *spare;

    CHECK_MAGIC(g, GATE_MAGIC);
    while (!list_empty(&g->doors)) {
        close_door(LIST_ENTRY(g->doors.next, struct door, node));
    }
    gate_hello_refuse_all(g);
    LIST_FOREACH_SAFE(n, spare, &g->sessions)
    {
        vm_session_kill(LIST_ENTRY(n, struct vm_session, node), END_DRAIN);
    }
    LIST_FOREACH_SAFE(n, spare, &g->passes)
    {
        passthrough_kill(passthrough_of(n), END_DRAIN);
    }
}

/* ---- life ---- */

enum rc gate_new(struct worker *w, struct conn_limits *limits, struct tokens *tokens,
                 struct registry *registry, struct gate **out)
{
    struct gate *g = calloc(1, sizeof(*g));

    if (g == NULL || site_upstreams_init(&g->upstreams, w, tokens, registry) != RC_OK) {
        free(g);
        return RC_NO_MEMORY;
    }
    g->magic = GATE_MAGIC;
    g->worker = w;
    g->limits = limits;
    list_init(&g->doors);
    list_init(&g->sessions);
    list_init(&g->passes);
    gate_sweep_init(g);
    gate_hello_init(g);
    ev_init(&g->reopen, on_reopen);
    g->reopen.data = g;
    ev_init(&g->drain_timer, on_drain_timer);
    g->drain_timer.data = g;
    *out = g;
    return RC_OK;
}

bool gate_is_empty(const struct gate *g)
{
    return list_empty(&g->hellos) && list_empty(&g->parked) && list_empty(&g->sessions) &&
           list_empty(&g->passes);
}

void gate_free(struct gate **pg)
{
    struct gate *g = *pg;

    *pg = NULL;
    CHECK_MAGIC(g, GATE_MAGIC);
    CHECK(gate_is_empty(g) && list_empty(&g->doors));
    ev_timer_stop(g->worker->loop, &g->sweep);
    ev_timer_stop(g->worker->loop, &g->slots);
    ev_timer_stop(g->worker->loop, &g->reopen);
    ev_timer_stop(g->worker->loop, &g->drain_timer);
    site_upstreams_kill(&g->upstreams);
    worker_settle(g->worker);
    site_unref(&g->site);
    worker_settle(g->worker);
    site_upstreams_fini(&g->upstreams);
    g->magic = 0;
    free(g);
}
