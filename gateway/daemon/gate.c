/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon/gate.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/net/client_hello.h"
#include "core/net/sock.h"

#define GATE_MAGIC 0x9a7e0001u

/* Connections accepted before the loop looks at the open ones again. */
#define ACCEPT_BURST 16
#define REOPEN_S 0.1

/* A complete ClientHello waits no longer than this for the handshakes of others: the limit smooths
 * a storm, and 64 peers that stop in the middle of theirs do not keep everybody out. */
#define PARK_S 1.0
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

/* A connection whose ClientHello is not complete. */
struct hello {
    struct list node;
    struct gate *gate;
    struct addr peer;
    struct addr bound;        /* the door it came through */
    struct conn_place *place; /* counted in gate->limits */
    int fd;
    ev_io io;
    ev_timer timer;
    bool parked;
    uint8_t *data; /* owned */
    size_t n;
    size_t cap;
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

static void add_in_flight(struct gate *g)
{
    g->in_flight++;
    count(g, COUNTER_HANDSHAKES_IN_FLIGHT, 1);
}

static void sub_in_flight(struct gate *g)
{
    CHECK(g->in_flight > 0);
    g->in_flight--;
    count(g, COUNTER_HANDSHAKES_IN_FLIGHT, -1);
}

static void admit_parked(struct gate *g);

/* ---- what becomes of a connection ---- */

static void on_session_opened(void *arg)
{
    sub_in_flight(arg);
    admit_parked(arg);
}

static void on_session_over(void *arg, void *place, bool opened)
{
    struct gate *g = arg;
    struct conn_place *p = place;

    conn_limits_leave(g->limits, &p);
    if (!opened) {
        sub_in_flight(g);
        admit_parked(g);
    }
}

static void on_pass_over(void *arg, void *place)
{
    struct gate *g = arg;
    struct conn_place *p = place;

    conn_limits_leave(g->limits, &p);
}

/* ---- the ClientHello ---- */

/* Take the hello apart; its socket is the caller's. */
static int dissolve(struct hello *h)
{
    int fd = h->fd;

    ev_io_stop(h->gate->worker->loop, &h->io);
    ev_timer_stop(h->gate->worker->loop, &h->timer);
    list_del(&h->node);
    free(h->data);
    free(h);
    return fd;
}

static void refuse(struct hello *h, enum end_reason why, const char *detail)
{
    struct gate *g = h->gate;
    struct conn_place *place = h->place;
    char text[ADDR_TEXT_BYTES];

    log_event(LOG_INFO, "connection refused", LOG_S("peer", addr_format(&h->peer, text)),
              LOG_S("reason", end_label(why)), LOG_S("detail", detail));
    counter_add(&g->worker->counters->conn_ends[why], 1);
    close(dissolve(h));
    conn_limits_leave(g->limits, &place);
}

static void hand_over(struct hello *h, struct site_listener *l, struct site_route *r)
{
    struct gate *g = h->gate;
    struct addr peer = h->peer;
    uint8_t *data = h->data;
    size_t n = h->n;
    struct conn_place *place = h->place;
    struct vm_session_owner owner = {on_session_opened, on_session_over, g, place};
    struct passthrough_owner pass_owner = {on_pass_over, g, place};
    enum rc rc;

    h->data = NULL; /* outlives the hello */
    int fd = dissolve(h);
    if (r->config->mode == ROUTE_TERMINATE) {
        add_in_flight(g);
        rc = vm_session_accept(g->worker, fd, &peer, data, n, l->config->certs, &r->relay, &owner);
    } else {
        rc = passthrough_start(g->worker, fd, &peer, data, n, &r->pass, &pass_owner);
    }
    free(data);
    if (rc != RC_OK) {
        log_event(LOG_ERROR, "cannot take a connection", LOG_S("reason", rc_text(rc)));
        conn_limits_leave(g->limits, &place);
        if (r->config->mode == ROUTE_TERMINATE) {
            sub_in_flight(g); /* memory is short: those that are parked wait for their timers */
        }
    }
}

static void park(struct hello *h)
{
    struct gate *g = h->gate;

    count(g, COUNTER_LIMIT_HANDSHAKES, 1);
    h->parked = true;
    list_del(&h->node);
    list_add_tail(&g->parked, &h->node);
    ev_io_stop(g->worker->loop, &h->io);
    ev_timer_stop(g->worker->loop, &h->timer);
    ev_timer_set(&h->timer, PARK_S, 0.);
    ev_timer_start(g->worker->loop, &h->timer);
}

/* The route by the configuration in force now; the hello is complete. */
static void route_hello(struct hello *h)
{
    struct gate *g = h->gate;
    struct client_hello parsed;
    struct site_listener *l = site_find_listener(g->site, &h->bound);

    CHECK(client_hello_parse(h->data, h->n, &parsed) == RC_OK);
    struct site_route *r = l != NULL ? site_find_route(l, &h->peer, parsed.sni) : NULL;
    if (r == NULL) {
        count(g, COUNTER_NO_ROUTE, 1);
        refuse(h, END_NO_ROUTE, parsed.sni);
        return;
    }
    bool full = g->in_flight >= l->config->limits.handshakes_in_flight;
    if (r->config->mode == ROUTE_TERMINATE && full && !h->parked) {
        park(h);
        return;
    }
    hand_over(h, l, r);
}

/* One place is free: the longest waiting takes it. */
static void admit_parked(struct gate *g)
{
    if (!list_empty(&g->parked) && !g->draining) {
        route_hello(LIST_ENTRY(g->parked.next, struct hello, node));
    }
}

static bool keep(struct hello *h, const uint8_t *data, size_t n)
{
    if (h->n + n > h->cap) {
        size_t cap = h->n + n < 2048 ? 2048 : 2 * (h->n + n);
        uint8_t *p = realloc(h->data, cap);
        if (p == NULL) {
            return false;
        }
        h->data = p;
        h->cap = cap;
    }
    for (size_t i = 0; i < n; i++) {
        h->data[h->n + i] = data[i];
    }
    h->n += n;
    return true;
}

static void on_hello_bytes(struct ev_loop *loop, ev_io *io, int revents)
{
    struct hello *h = io->data;
    struct client_hello parsed;
    uint8_t *in = h->gate->worker->in;

    (void)loop;
    (void)revents;
    /* Not more than a hello: what follows it stays in the socket for OpenSSL or the upstream. */
    ssize_t n = recv(h->fd, in, CLIENT_HELLO_MAX_BYTES, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        refuse(h, h->n == 0 ? END_DOWN_CLOSED : END_HELLO,
               h->n == 0 ? "before a byte" : "closed within the ClientHello");
        return;
    }
    if (!keep(h, in, (size_t)n)) {
        refuse(h, END_MEMORY, "");
        return;
    }
    enum rc rc = client_hello_parse(h->data, h->n, &parsed);
    if (rc == RC_OK) {
        route_hello(h);
    } else if (rc != RC_AGAIN) {
        refuse(h, END_HELLO, rc_text(rc));
    }
}

static void on_hello_timeout(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct hello *h = t->data;

    (void)loop;
    (void)revents;
    if (h->parked) {
        route_hello(h);
        return;
    }
    count(h->gate, COUNTER_LIMIT_HANDSHAKE_TIMEOUT, 1);
    refuse(h, END_HANDSHAKE_TIMEOUT, "no ClientHello");
}

/* ---- accepting ---- */

static void on_reopen(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct gate *g = t->data;

    (void)loop;
    (void)revents;
    watch_doors(g);
}

static void pause_accepting(struct gate *g, const char *why)
{
    log_event(LOG_WARNING, "not accepting for a moment", LOG_S("reason", why));
    ev_timer_stop(g->worker->loop, &g->reopen);
    ev_timer_set(&g->reopen, REOPEN_S, 0.);
    ev_timer_start(g->worker->loop, &g->reopen);
    watch_doors(g);
}

static bool admit_peer(struct gate *g, const struct config_listener *listener,
                       const struct addr *peer, struct conn_place **place)
{
    const struct listener_limits *l = &listener->limits;
    char text[ADDR_TEXT_BYTES];
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

static void start_hello(struct gate *g, const struct door *d, int fd, const struct addr *peer,
                        struct conn_place *place, double timeout)
{
    struct hello *h = calloc(1, sizeof(*h));

    if (h == NULL) {
        close(fd);
        conn_limits_leave(g->limits, &place);
        return;
    }
    h->gate = g;
    h->place = place;
    h->fd = fd;
    h->peer = *peer;
    h->bound = d->addr;
    list_add_tail(&g->hellos, &h->node);
    ev_io_init(&h->io, on_hello_bytes, fd, EV_READ);
    h->io.data = h;
    ev_io_start(g->worker->loop, &h->io);
    ev_timer_init(&h->timer, on_hello_timeout, timeout, 0.);
    h->timer.data = h;
    ev_timer_start(g->worker->loop, &h->timer);
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
    start_hello(g, d, fd, &peer, place, l->limits.handshake_timeout);
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

static void refuse_all(struct list *hellos)
{
    while (!list_empty(hellos)) {
        refuse(LIST_ENTRY(hellos->next, struct hello, node), END_DRAIN, "");
    }
}

/* Streams and passthrough connections: what VMs will come back with. */
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
    refuse_all(&g->hellos);
    refuse_all(&g->parked);
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
    refuse_all(&g->hellos);
    refuse_all(&g->parked);
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

enum rc gate_new(struct worker *w, struct conn_limits *limits, struct gate **out)
{
    struct gate *g = calloc(1, sizeof(*g));

    if (g == NULL) {
        return RC_NO_MEMORY;
    }
    g->magic = GATE_MAGIC;
    g->worker = w;
    g->limits = limits;
    list_init(&g->doors);
    list_init(&g->hellos);
    list_init(&g->parked);
    list_init(&g->sessions);
    list_init(&g->passes);
    site_upstreams_init(&g->upstreams);
    gate_sweep_init(g);
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
    ev_timer_stop(g->worker->loop, &g->reopen);
    ev_timer_stop(g->worker->loop, &g->drain_timer);
    site_upstreams_kill(&g->upstreams);
    worker_settle(g->worker);
    site_unref(&g->site);
    worker_settle(g->worker);
    g->magic = 0;
    free(g);
}
