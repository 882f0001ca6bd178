/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/passthrough/passthrough.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/bufq.h"
#include "core/base/check.h"
#include "core/base/log.h"
#include "core/net/sock.h"
#include "gateway/passthrough/proxy_v2.h"

#define PASS_MAGIC 0x9a557431u

/* Bytes of a direction that wait for its receiver; its sender is not read beyond that. */
#define QUEUE_HIGH_BYTES (256 * 1024)
#define QUEUE_CAP_BYTES (QUEUE_HIGH_BYTES + WORKER_SCRATCH_BYTES)

#define CONNECT_TIMEOUT_S 5.0

/* How often a side that nothing is wanted from is looked at: is it gone? */
#define LOOK_S 15.0

/* Tries of one connection before the VM is told by a close. */
#define TRIES_MAX 4

/* One end: its socket, and what waits to be written to it. */
struct side {
    struct passthrough *pair;
    int fd; /* owned; -1 while there is none */
    ev_io io;
    struct bufq out;
    bool read_end; /* its FIN has come */
    bool fin_sent; /* ours was sent */
    uint64_t received;
};

struct passthrough {
    uint32_t magic;
    uint32_t tries;
    bool connecting;
    bool over;
    uint8_t first_end;               /* enum end_reason of the side whose FIN came first */
    uint8_t why;                     /* enum end_reason */
    struct worker *worker;           /* borrowed */
    struct list node;                /* on route->connections */
    struct passthrough_route *route; /* held */
    struct endpoint *endpoint;       /* shared (ref) */
    struct side down;
    struct side up;
    ev_timer timer; /* connecting */
    struct worker_reap reap;
    struct addr peer;
    struct addr source;
    double since;
    struct passthrough_owner owner;
};

static void on_io(struct ev_loop *loop, ev_io *io, int revents);

static void set_timer(struct passthrough *p, double seconds)
{
    ev_timer_stop(p->worker->loop, &p->timer);
    ev_timer_set(&p->timer, seconds, 0.);
    ev_timer_start(p->worker->loop, &p->timer);
}

static struct side *other(struct side *s)
{
    return s == &s->pair->down ? &s->pair->up : &s->pair->down;
}

static void watch(struct side *s)
{
    struct passthrough *p = s->pair;
    int events = 0;

    if (s->fd < 0) {
        return;
    }
    if (!s->read_end && other(s)->out.len < QUEUE_HIGH_BYTES && !p->connecting) {
        events |= EV_READ;
    }
    if (s->out.len > 0 || (p->connecting && s == &p->up)) {
        events |= EV_WRITE;
    }
    if (ev_is_active(&s->io) && (s->io.events & (EV_READ | EV_WRITE)) == events) {
        return;
    }
    ev_io_stop(p->worker->loop, &s->io);
    if (events != 0) {
        ev_io_set(&s->io, s->fd, events);
        ev_io_start(p->worker->loop, &s->io);
    }
}

static void close_side(struct side *s, bool reset)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    if (s->fd < 0) {
        return;
    }
    ev_io_stop(s->pair->worker->loop, &s->io);
    if (reset) {
        (void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    close(s->fd);
    s->fd = -1;
}

static void drop_endpoint(struct passthrough *p)
{
    if (p->endpoint == NULL) {
        return;
    }
    if (p->connecting) {
        p->endpoint->dialling--;
    } else {
        p->endpoint->active--;
    }
    endpoint_unref(&p->endpoint);
}

static void finish(struct passthrough *p, enum end_reason why, bool reset)
{
    if (p->over) {
        return;
    }
    p->over = true;
    p->why = (uint8_t)why;
    ev_timer_stop(p->worker->loop, &p->timer);
    close_side(&p->down, reset);
    close_side(&p->up, reset);
    drop_endpoint(p);
    list_del(&p->node);
    worker_reap_later(p->worker, &p->reap);
}

static void reap(struct worker_reap *r)
{
    struct passthrough *p = LIST_ENTRY(r, struct passthrough, reap);
    struct counters *c = p->worker->counters;
    char text[ADDR_TEXT_BYTES];

    counter_add(&c->v[COUNTER_PASS_OPEN], -1);
    counter_add(&c->conn_ends[p->why], 1);
    log_event(LOG_INFO, "passthrough connection ended", LOG_S("peer", addr_format(&p->peer, text)),
              LOG_S("upstream", p->route->balancer->upstream->opts.name),
              LOG_S("reason", end_label((enum end_reason)p->why)),
              LOG_I("bytes_up", p->down.received), LOG_I("bytes_down", p->up.received),
              LOG_I("seconds", worker_now(p->worker) - p->since));
    bufq_clear(&p->down.out);
    bufq_clear(&p->up.out);
    p->owner.over(p->owner.arg, p->owner.place);
    p->route->release(p->route->owner);
    p->magic = 0;
    free(p);
}

/* Our FIN follows the sender's, when everything before it has been written. */
static void pass_fin(struct side *to)
{
    if (other(to)->read_end && to->out.len == 0 && !to->fin_sent && to->fd >= 0) {
        to->fin_sent = true;
        (void)shutdown(to->fd, SHUT_WR);
    }
    if (to->fin_sent && other(to)->fin_sent) {
        finish(to->pair, (enum end_reason)to->pair->first_end, false);
    }
}

static enum end_reason closed_by(const struct side *s)
{
    return s == &s->pair->down ? END_DOWN_CLOSED : END_UP_CLOSED;
}

static void fail(struct side *s)
{
    finish(s->pair, closed_by(s), true);
}

/* Write what waits; false when the side failed. */
static bool write_queued(struct side *s)
{
    while (s->out.len > 0) {
        size_t n;
        const uint8_t *data = bufq_peek(&s->out, &n);
        ssize_t done = send(s->fd, data, n, MSG_NOSIGNAL);
        if (done < 0) {
            if (errno == EAGAIN || errno == EINTR) {
                return true;
            }
            fail(s);
            return false;
        }
        bufq_drain(&s->out, (size_t)done);
    }
    return true;
}

/* Give n bytes to a side: written at once as far as it takes them. false when it failed. */
static bool give(struct side *to, const uint8_t *data, size_t n)
{
    if (to->out.len == 0 && to->fd >= 0 && !to->pair->connecting) {
        ssize_t done = send(to->fd, data, n, MSG_NOSIGNAL);
        if (done < 0 && errno != EAGAIN && errno != EINTR) {
            fail(to);
            return false;
        }
        if (done > 0) {
            data += done;
            n -= (size_t)done;
        }
    }
    if (n > 0 && bufq_append(&to->out, data, n) != RC_OK) {
        finish(to->pair, END_MEMORY, true);
        return false;
    }
    return true;
}

static void count(struct side *from, size_t n)
{
    struct counters *c = from->pair->worker->counters;
    bool up = from == &from->pair->down;

    from->received += n;
    counter_add(&c->v[up ? COUNTER_PASS_BYTES_UP : COUNTER_PASS_BYTES_DOWN], (int64_t)n);
}

static void read_burst(struct side *from)
{
    struct side *to = other(from);
    struct worker *w = from->pair->worker;
    size_t total = 0;

    while (!from->read_end && to->out.len < QUEUE_HIGH_BYTES && total < WORKER_READ_BURST_BYTES) {
        ssize_t n = recv(from->fd, w->in, WORKER_SCRATCH_BYTES, 0);
        if (n < 0) {
            if (errno != EAGAIN && errno != EINTR) {
                fail(from);
            }
            return;
        }
        if (n == 0) {
            from->read_end = true;
            if (!to->read_end) {
                from->pair->first_end = (uint8_t)closed_by(from);
            }
            pass_fin(to);
            return;
        }
        total += (size_t)n;
        count(from, (size_t)n);
        if (!give(to, w->in, (size_t)n)) {
            return;
        }
    }
}

static void try_endpoint(struct passthrough *p);

static void connect_failed(struct passthrough *p, enum end_reason why, const char *detail)
{
    char text[ADDR_TEXT_BYTES];
    struct balancer *b = p->route->balancer;

    log_event(LOG_WARNING, "upstream endpoint failed", LOG_S("upstream", b->upstream->opts.name),
              LOG_S("endpoint", addr_format(&p->endpoint->addr, text)),
              LOG_S("reason", end_label(why)), LOG_S("detail", detail));
    counter_add(&p->worker->counters->v[COUNTER_UP_DIAL_FAILURES], 1);
    balancer_failed(b, p->endpoint);
    ev_timer_stop(p->worker->loop, &p->timer);
    close_side(&p->up, true);
    drop_endpoint(p);
    p->connecting = false;
    if (p->tries >= TRIES_MAX) {
        finish(p, why, true);
        return;
    }
    try_endpoint(p);
}

static void announce(struct passthrough *p)
{
    uint8_t header[PROXY_V2_MAX_BYTES];
    struct addr local;

    sock_local_addr(p->down.fd, &local);
    size_t n = proxy_v2_write(&p->peer, &local, header);
    ssize_t done = send(p->up.fd, header, n, MSG_NOSIGNAL);
    if (done != (ssize_t)n) {
        finish(p, END_IO, true); /* a fresh socket takes 52 bytes or is broken */
    }
}

static void connected(struct passthrough *p)
{
    struct upstream *u = p->route->balancer->upstream;
    struct addr source = upstream_source(u, &p->endpoint->addr);

    sock_local_addr(p->up.fd, &p->source);
    if (!sock_source_holds(p->up.fd, &source)) {
        connect_failed(p, END_SOURCE, "");
        return;
    }
    ev_timer_stop(p->worker->loop, &p->timer);
    p->endpoint->dialling--;
    p->endpoint->active++;
    p->connecting = false;
    counter_add(&p->worker->counters->v[COUNTER_UP_DIALS], 1);
    balancer_ok(p->route->balancer, p->endpoint);
    if (u->opts.proxy_protocol_v2) {
        announce(p);
    }
    if (!p->over && write_queued(&p->up)) {
        watch(&p->up);
        watch(&p->down);
        set_timer(p, LOOK_S);
    }
}

/* A socket without a watcher announces no reset, and a peer that keepalive gave up. */
static bool is_gone(struct side *s)
{
    struct pollfd f = {.fd = s->fd}; /* without events: errors only */

    return s->fd >= 0 && !ev_is_active(&s->io) && poll(&f, 1, 0) > 0 && (f.revents & POLLERR) != 0;
}

static void on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct passthrough *p = t->data;

    (void)loop;
    (void)revents;
    if (p->connecting) {
        connect_failed(p, END_CONNECT, "timed out");
    } else if (is_gone(&p->down)) {
        fail(&p->down);
    } else if (is_gone(&p->up)) {
        fail(&p->up);
    } else {
        set_timer(p, LOOK_S);
    }
}

/* The first try goes to an endpoint whose pause is over, if nobody probes it: that is how it comes
 * back. */
static struct endpoint *next_endpoint(struct passthrough *p)
{
    struct balancer *b = p->route->balancer;
    struct endpoint *e = p->tries == 0 ? balancer_pick_probe(b) : NULL;

    return e != NULL ? e : balancer_pick(b);
}

/* Connect to the next endpoint; ends the pair when there is none. */
static void try_endpoint(struct passthrough *p)
{
    struct balancer *b = p->route->balancer;
    struct endpoint *e;
    char text[ADDR_TEXT_BYTES];

    balancer_refresh(b);
    while (p->tries < TRIES_MAX && (e = next_endpoint(p)) != NULL) {
        struct addr source = upstream_source(b->upstream, &e->addr);
        p->tries++;
        enum rc rc = sock_connect(&e->addr, &source, &p->up.fd);
        if (rc == RC_OK) {
            p->endpoint = endpoint_ref(e);
            e->dialling++;
            p->connecting = true;
            set_timer(p, CONNECT_TIMEOUT_S);
            watch(&p->up);
            return;
        }
        p->up.fd = -1;
        counter_add(&p->worker->counters->v[COUNTER_UP_DIAL_FAILURES], 1);
        log_event(LOG_WARNING, "cannot connect to upstream endpoint",
                  LOG_S("upstream", b->upstream->opts.name),
                  LOG_S("endpoint", addr_format(&e->addr, text)), LOG_S("reason", rc_text(rc)));
        balancer_failed(b, e);
    }
    finish(p, END_CONNECT, true);
}

static void on_io(struct ev_loop *loop, ev_io *io, int revents)
{
    struct side *s = io->data;
    struct passthrough *p = s->pair;

    (void)loop;
    CHECK_MAGIC(p, PASS_MAGIC);
    if (p->connecting && s == &p->up) {
        enum rc rc = sock_connect_result(s->fd);
        if (rc == RC_OK) {
            connected(p);
        } else if (rc != RC_AGAIN) {
            connect_failed(p, END_CONNECT, rc_text(rc));
        }
        return;
    }
    if ((revents & EV_WRITE) && write_queued(s)) {
        pass_fin(s);
    }
    if ((revents & EV_READ) && !p->over) {
        read_burst(s);
    }
    if (!p->over) {
        watch(&p->down);
        watch(&p->up);
    }
}

static void init_side(struct passthrough *p, struct side *s, int fd)
{
    s->pair = p;
    s->fd = fd;
    ev_init(&s->io, on_io);
    s->io.data = s;
    bufq_init(&s->out, &p->worker->pool, QUEUE_CAP_BYTES);
}

enum rc passthrough_start(struct worker *w, int fd, const struct addr *peer, const uint8_t *prefix,
                          size_t n, struct passthrough_route *route,
                          const struct passthrough_owner *owner)
{
    struct passthrough *p = calloc(1, sizeof(*p));

    if (p == NULL) {
        close(fd);
        return RC_NO_MEMORY;
    }
    p->magic = PASS_MAGIC;
    p->worker = w;
    p->route = route;
    p->peer = *peer;
    p->since = worker_now(w);
    p->owner = *owner;
    list_init(&p->reap.node);
    p->reap.fn = reap;
    init_side(p, &p->down, fd);
    init_side(p, &p->up, -1);
    ev_init(&p->timer, on_timer);
    p->timer.data = p;
    if (bufq_append(&p->up.out, prefix, n) != RC_OK) {
        close(fd);
        free(p);
        return RC_NO_MEMORY;
    }
    sock_tune(fd, false);
    route->hold(route->owner);
    list_add_tail(route->connections, &p->node);
    counter_add(&w->counters->v[COUNTER_PASS_TOTAL], 1);
    counter_add(&w->counters->v[COUNTER_PASS_OPEN], 1);
    count(&p->down, n);
    try_endpoint(p);
    return RC_OK;
}

void passthrough_kill(struct passthrough *p, enum end_reason why)
{
    CHECK_MAGIC(p, PASS_MAGIC);
    finish(p, why, true);
}

struct passthrough *passthrough_of(struct list *node)
{
    return LIST_ENTRY(node, struct passthrough, node);
}

const struct upstream *passthrough_upstream(const struct passthrough *p)
{
    CHECK_MAGIC(p, PASS_MAGIC);
    return p->route->balancer->upstream;
}

const struct addr *passthrough_source(const struct passthrough *p)
{
    CHECK_MAGIC(p, PASS_MAGIC);
    return &p->source;
}
