/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_conn.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "tests/support/fake_certs.h"
#include "tests/support/gateway_scope.h"

#define CONN_MAGIC 0xfa4ec022u

enum conn_state { CONN_CONNECTING, CONN_OPEN, CONN_FINISHING, CONN_DEAD };

struct conn {
    uint32_t magic;
    enum conn_state state;
    enum end_reason why;
    bool out_was_full;
    bool alpn_is_h2;
    struct worker *worker;
    const struct conn_ops *ops;
    void *user;
    SSL *ssl; /* owned; of fake_certs.c */
    struct wire *wire;
    ev_timer timer;
    struct worker_reap reap;
    struct addr peer;
    struct addr local;
};

int gateway_depth;
enum rc fake_dial_rc = RC_OK;
bool fake_alpn_is_h2 = true;

static struct list fresh = {&fresh, &fresh};

struct wire *fake_conn_next_wire(void)
{
    struct list *n = list_pop(&fresh);
    return n != NULL ? LIST_ENTRY(n, struct wire, node) : NULL;
}

/* ---- the gateway's end ---- */

static void reap(struct worker_reap *r)
{
    struct conn *c = LIST_ENTRY(r, struct conn, reap);

    c->ops->on_dead(c, c->why);
    c->wire->conn = NULL;
    c->wire->fin = true;
    c->wire->why = c->why;
    fake_ssl_free(c->ssl);
    c->magic = 0;
    free(c);
}

static void on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct conn *c = t->data;
    enum end_reason why = c->wire->dialled ? END_CONNECT : END_HANDSHAKE_TIMEOUT;

    (void)loop;
    (void)revents;
    conn_kill(c, c->state == CONN_FINISHING ? c->why : why);
}

static enum rc new_conn(struct worker *w, const struct addr *peer, SSL *ssl, double timeout,
                        const struct conn_ops *ops, void *user, struct conn **out)
{
    struct conn *c = calloc(1, sizeof(*c));
    struct wire *wire = c != NULL ? calloc(1, sizeof(*wire)) : NULL;

    if (wire == NULL) {
        fake_ssl_free(ssl);
        free(c);
        return RC_NO_MEMORY;
    }
    *wire = (struct wire){.conn = c, .peer = *peer, .socket_bytes = SIZE_MAX};
    list_add_tail(&fresh, &wire->node);
    c->magic = CONN_MAGIC;
    c->worker = w;
    c->ops = ops;
    c->user = user;
    c->ssl = ssl;
    c->wire = wire;
    c->peer = *peer;
    c->alpn_is_h2 = fake_alpn_is_h2;
    c->reap.fn = reap;
    list_init(&c->reap.node);
    ev_timer_init(&c->timer, on_timer, timeout, 0.);
    c->timer.data = c;
    ev_timer_start(w->loop, &c->timer);
    *out = c;
    return RC_OK;
}

enum rc conn_accept(struct worker *w, int fd, const struct addr *peer, SSL *ssl,
                    const uint8_t *prefix, size_t n, double timeout, const struct conn_ops *ops,
                    void *user, struct conn **out)
{
    (void)fd;
    (void)prefix;
    (void)n;
    return new_conn(w, peer, ssl, timeout, ops, user, out);
}

enum rc conn_dial(struct worker *w, const struct addr *peer, const struct addr *source, SSL *ssl,
                  double timeout, const struct conn_ops *ops, void *user, struct conn **out)
{
    if (fake_dial_rc != RC_OK) {
        fake_ssl_free(ssl);
        return fake_dial_rc;
    }
    enum rc rc = new_conn(w, peer, ssl, timeout, ops, user, out);
    if (rc == RC_OK) {
        (*out)->wire->dialled = true;
        (*out)->wire->source = *source;
    }
    return rc;
}

static size_t queued(const struct wire *w)
{
    return w->out_len > w->socket_bytes ? w->out_len - w->socket_bytes : 0;
}

void conn_charge(struct conn *c, size_t n)
{
    CHECK_MAGIC(c, CONN_MAGIC);
    c->wire->charged += n;
}

void conn_send(struct conn *c, const uint8_t *data, size_t n)
{
    struct wire *w = c->wire;

    CHECK_MAGIC(c, CONN_MAGIC);
    if (c->state != CONN_OPEN) {
        return;
    }
    if (w->out_len + n > w->out_cap) {
        int depth = gateway_depth;
        gateway_depth = 0; /* a socket's buffer is not our memory */
        w->out_cap = 2 * (w->out_len + n);
        w->out = realloc(w->out, w->out_cap);
        gateway_depth = depth;
        CHECK(w->out != NULL);
    }
    memcpy(w->out + w->out_len, data, n);
    w->out_len += n;
    if (queued(w) > CONN_OUT_MAX_BYTES) {
        conn_kill(c, END_FLOOD);
        return;
    }
    c->out_was_full = c->out_was_full || conn_out_full(c);
}

bool conn_out_full(const struct conn *c)
{
    CHECK_MAGIC(c, CONN_MAGIC);
    return queued(c->wire) >= CONN_OUT_HIGH_BYTES;
}

void conn_finish(struct conn *c, enum end_reason why, double linger)
{
    CHECK_MAGIC(c, CONN_MAGIC);
    if (c->state == CONN_DEAD || c->state == CONN_FINISHING) {
        return;
    }
    if (c->state != CONN_OPEN) {
        conn_kill(c, why);
        return;
    }
    c->state = CONN_FINISHING;
    c->why = why;
    c->wire->fin = true;
    ev_timer_stop(c->worker->loop, &c->timer);
    ev_timer_set(&c->timer, linger, 0.);
    ev_timer_start(c->worker->loop, &c->timer);
}

void conn_kill(struct conn *c, enum end_reason why)
{
    CHECK_MAGIC(c, CONN_MAGIC);
    if (c->state == CONN_DEAD) {
        return;
    }
    if (c->state != CONN_FINISHING) {
        c->why = why;
    }
    c->state = CONN_DEAD;
    ev_timer_stop(c->worker->loop, &c->timer);
    worker_reap_later(c->worker, &c->reap);
}

bool conn_line_moves(struct conn *c)
{
    bool moves = c->wire->taken > 0 && c->wire->out_len > 0;

    c->wire->taken = 0;
    return moves;
}

bool conn_is_dead(const struct conn *c)
{
    CHECK_MAGIC(c, CONN_MAGIC);
    return c->state == CONN_DEAD;
}

void *conn_user(const struct conn *c)
{
    CHECK_MAGIC(c, CONN_MAGIC);
    return c->user;
}

struct worker *conn_worker(const struct conn *c)
{
    return c->worker;
}

const struct addr *conn_peer(const struct conn *c)
{
    return &c->peer;
}

const struct addr *conn_local(const struct conn *c)
{
    return &c->local;
}

SSL *conn_ssl(const struct conn *c)
{
    CHECK_MAGIC(c, CONN_MAGIC);
    return c->ssl;
}

bool conn_alpn_is_h2(const struct conn *c)
{
    return c->alpn_is_h2;
}

const char *conn_detail(const struct conn *c)
{
    CHECK_MAGIC(c, CONN_MAGIC);
    return "";
}

/* ---- the far end ---- */

void wire_open(struct wire *w)
{
    struct conn *c = w->conn;

    w->opened = true;
    if (c == NULL || c->state != CONN_CONNECTING) {
        return;
    }
    gateway_enter();
    c->state = CONN_OPEN;
    ev_timer_stop(c->worker->loop, &c->timer);
    c->ops->on_open(c);
    gateway_leave();
}

void wire_feed(struct wire *w, const uint8_t *data, size_t n)
{
    struct conn *c = w->conn;

    while (n > 0 && c != NULL && c->state == CONN_OPEN) {
        size_t take = n < WORKER_SCRATCH_BYTES ? n : WORKER_SCRATCH_BYTES;
        memcpy(c->worker->in, data, take);
        gateway_enter();
        c->ops->on_bytes(c, c->worker->in, take);
        gateway_leave();
        data += take;
        n -= take;
    }
}

size_t wire_take(struct wire *w, uint8_t *buf, size_t max)
{
    struct conn *c = w->conn;
    size_t n = w->out_len < max ? w->out_len : max;

    if (n == 0) {
        return 0;
    }
    memcpy(buf, w->out, n);
    memmove(w->out, w->out + n, w->out_len - n);
    w->out_len -= n;
    w->taken += n;
    if (c != NULL && c->state == CONN_OPEN && c->out_was_full && !conn_out_full(c)) {
        c->out_was_full = false;
        gateway_enter();
        c->ops->on_drained(c);
        gateway_leave();
    }
    return n;
}

void wire_close(struct wire *w, enum end_reason why)
{
    if (w->conn != NULL) {
        gateway_enter();
        conn_kill(w->conn, why);
        gateway_leave();
    }
}

void wire_free(struct wire **pw)
{
    struct wire *w = *pw;

    *pw = NULL;
    CHECK(w->conn == NULL);
    free(w->out);
    free(w);
}
