/* SPDX-License-Identifier: Apache-2.0 */
/* A connection from its first byte to its route: its ClientHello is read, and may have to wait for
 * the handshakes of others. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/net/client_hello.h"
#include "gateway/daemon/gate.h"

/* While no handshake ends, as many more as the limit are let in over this time: so peers that stop
 * in the middle of theirs do not keep everybody out. */
#define STUCK_S 0.5

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

static void free_slot(struct gate *g)
{
    sub_in_flight(g);
    g->slot_freed = true;
    admit_parked(g);
}

static void on_session_opened(void *arg)
{
    free_slot(arg);
}

static void on_session_over(void *arg, void *place, bool opened, double blame_s)
{
    struct gate *g = arg;
    struct conn_place *p = place;

    if (blame_s > 0) {
        conn_limits_blame(g->limits, p, blame_s, worker_now(g->worker));
    }
    conn_limits_leave(g->limits, &p);
    if (!opened) {
        free_slot(g);
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
            sub_in_flight(g); /* memory is short: those that are parked wait on */
        }
    }
}

/* ---- waiting for the handshakes of others ---- */

static const struct listener_limits *limits_of(const struct hello *h)
{
    const struct site_listener *l = site_find_listener(h->gate->site, &h->bound);
    return l != NULL ? &l->config->limits : NULL;
}

static bool is_full(const struct hello *h)
{
    const struct listener_limits *l = limits_of(h);
    return l != NULL && h->gate->in_flight >= l->handshakes_in_flight;
}

static void watch_slots(struct gate *g)
{
    const struct listener_limits *l =
        list_empty(&g->parked) ? NULL : limits_of(LIST_ENTRY(g->parked.next, struct hello, node));

    if (l != NULL && !ev_is_active(&g->slots)) {
        g->slot_freed = false;
        ev_timer_set(&g->slots, STUCK_S / l->handshakes_in_flight, 0.);
        ev_timer_start(g->worker->loop, &g->slots);
    }
}

/* Until its turn, or the end of handshake_timeout. */
static void park(struct hello *h)
{
    struct gate *g = h->gate;

    count(g, COUNTER_LIMIT_HANDSHAKES, 1);
    h->parked = true;
    list_del(&h->node);
    list_add_tail(&g->parked, &h->node);
    ev_io_stop(g->worker->loop, &h->io);
    ev_timer_stop(g->worker->loop, &h->timer);
    ev_timer_set(&h->timer, limits_of(h)->handshake_timeout, 0.);
    ev_timer_start(g->worker->loop, &h->timer);
    watch_slots(g);
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
    if (r->config->mode == ROUTE_PASSTHROUGH && upstream_is_unsafe(r->pass.balancer->upstream)) {
        refuse(h, END_UNSAFE, r->pass.balancer->upstream->opts.name);
        return;
    }
    bool waits = !h->parked && (is_full(h) || !list_empty(&g->parked));
    if (r->config->mode == ROUTE_TERMINATE && waits) {
        park(h);
        return;
    }
    hand_over(h, l, r);
}

/* It is this one's turn, if it has not left meanwhile. */
static void unpark(struct hello *h)
{
    char byte;

    if (recv(h->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
        refuse(h, END_DOWN_CLOSED, "while it waited for its handshake");
    } else {
        route_hello(h);
    }
}

/* The longest waiting take the places that are free. */
static void admit_parked(struct gate *g)
{
    while (!list_empty(&g->parked) && !g->draining) {
        struct hello *h = LIST_ENTRY(g->parked.next, struct hello, node);
        if (is_full(h)) {
            return;
        }
        unpark(h);
    }
}

static void on_slots(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct gate *g = t->data;

    (void)loop;
    (void)revents;
    if (!g->slot_freed && !list_empty(&g->parked) && !g->draining) {
        unpark(LIST_ENTRY(g->parked.next, struct hello, node));
    }
    watch_slots(g);
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
    count(h->gate, COUNTER_LIMIT_HANDSHAKE_TIMEOUT, 1);
    refuse(h, END_HANDSHAKE_TIMEOUT,
           h->parked ? "its turn for a handshake did not come" : "no ClientHello");
}

/* ---- what others call ---- */

void gate_hello_start(struct gate *g, int fd, const struct addr *bound, const struct addr *peer,
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
    h->bound = *bound;
    list_add_tail(&g->hellos, &h->node);
    ev_io_init(&h->io, on_hello_bytes, fd, EV_READ);
    h->io.data = h;
    ev_io_start(g->worker->loop, &h->io);
    ev_timer_init(&h->timer, on_hello_timeout, timeout, 0.);
    h->timer.data = h;
    ev_timer_start(g->worker->loop, &h->timer);
}

static void refuse_all(struct list *hellos)
{
    while (!list_empty(hellos)) {
        refuse(LIST_ENTRY(hellos->next, struct hello, node), END_DRAIN, "");
    }
}

/* Streams and passthrough connections: what VMs will come back with. */
void gate_hello_refuse_all(struct gate *g)
{
    refuse_all(&g->hellos);
    refuse_all(&g->parked);
}

void gate_hello_init(struct gate *g)
{
    list_init(&g->hellos);
    list_init(&g->parked);
    ev_init(&g->slots, on_slots);
    g->slots.data = g;
}
