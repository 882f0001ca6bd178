/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/conn_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "core/base/check.h"
#include "core/net/sock.h"

/* KeyUpdates of a peer in this time; more end the connection. Keys last for millions of records
 * (RFC 8446 5.5). What one takes off the bytes of a turn. */
#define KEY_UPDATES_MAX 100
#define KEY_UPDATES_WINDOW_S 10.0
#define KEY_UPDATE_COST_BYTES 4096

static void on_io(struct ev_loop *loop, ev_io *io, int revents);

void conn_set_detail(struct conn *c, const char *text)
{
    if (c->detail == NULL) {
        c->detail = strdup(text);
    }
}

static void set_detail_from_openssl(struct conn *c)
{
    unsigned long e = ERR_peek_last_error();
    const char *reason = e != 0 ? ERR_reason_error_string(e) : NULL;
    char text[CONN_DETAIL_BYTES];

    long verify = SSL_get_verify_result(c->ssl);
    if (verify != X509_V_OK) {
        snprintf(text, sizeof(text), "%s", X509_verify_cert_error_string(verify));
        conn_set_detail(c, text);
    } else if (reason != NULL) {
        conn_set_detail(c, reason);
    }
    ERR_clear_error();
}

static void watch(struct conn *c, int events)
{
    if (ev_is_active(&c->io) && (c->io.events & (EV_READ | EV_WRITE)) == events) {
        return;
    }
    ev_io_stop(c->worker->loop, &c->io);
    if (events != 0) {
        ev_io_set(&c->io, c->link.fd, events);
        ev_io_start(c->worker->loop, &c->io);
    }
}

static void reap(struct worker_reap *r)
{
    struct conn *c = LIST_ENTRY(r, struct conn, reap);

    if (c->ops != NULL) {
        c->ops->on_dead(c, (enum end_reason)c->why);
    }
    SSL_free(c->ssl);
    tls13_fini(&c->tls);
    bio_fini(&c->link);
    free(c->detail);
    c->magic = 0;
    free(c);
}

void conn_kill(struct conn *c, enum end_reason why)
{
    CHECK_MAGIC(c, CONN_MAGIC);
    if (c->state == CONN_DEAD) {
        return;
    }
    if (c->state != CONN_FINISHING) {
        c->why = (uint8_t)why;
    }
    c->state = CONN_DEAD;
    ev_io_stop(c->worker->loop, &c->io);
    ev_timer_stop(c->worker->loop, &c->timer);
    worker_reap_later(c->worker, &c->reap);
}

static enum end_reason io_reason(int saved_errno)
{
    return saved_errno == EPIPE || saved_errno == ECONNRESET ? END_DOWN_CLOSED : END_IO;
}

/* An SSL call failed for good: say why and end. */
static void fail_ssl(struct conn *c, int ssl_error, int saved_errno)
{
    enum end_reason why = END_IO;

    if (c->state == CONN_HANDSHAKE) {
        why = END_HANDSHAKE;
        set_detail_from_openssl(c);
        if (ssl_error == SSL_ERROR_SYSCALL) {
            conn_set_detail(c, saved_errno != 0 ? strerror(saved_errno) : "closed by the peer");
        }
    } else if (ssl_error == SSL_ERROR_SSL) {
        set_detail_from_openssl(c);
    } else if (ssl_error == SSL_ERROR_ZERO_RETURN || saved_errno == 0) {
        why = END_DOWN_CLOSED;
    } else {
        why = io_reason(saved_errno);
        conn_set_detail(c, strerror(saved_errno));
    }
    conn_kill(c, why);
}

void conn_count_key_update(struct conn *c)
{
    double now = worker_now(c->worker);

    conn_charge(c, KEY_UPDATE_COST_BYTES);
    if (now - c->key_updates_since > KEY_UPDATES_WINDOW_S) {
        c->key_updates_since = now;
        c->key_updates = 0;
    }
    if (++c->key_updates > KEY_UPDATES_MAX) {
        conn_set_detail(c, "KeyUpdates");
        conn_kill(c, END_FLOOD);
    }
}

/* OpenSSL has read or written a message of the handshake protocol, or something else. */
static void on_message(int written, int version, int type, const void *data, size_t n, SSL *ssl,
                       void *arg)
{
    const uint8_t *m = data;

    (void)version;
    (void)ssl;
    if (!written && type == SSL3_RT_HANDSHAKE && n > 0 && m[0] == SSL3_MT_KEY_UPDATE) {
        conn_count_key_update(arg);
    }
}

/* The socket is watched for what it is needed for. */
static void watch_as_needed(struct conn *c)
{
    watch(c, EV_READ | (c->link.out.len > 0 ? EV_WRITE : 0));
}

void conn_fail_link(struct conn *c, enum rc why)
{
    if (why == RC_RESET || why == RC_SYSTEM) {
        conn_set_detail(c, strerror(c->link.error));
    }
    conn_kill(c, why == RC_FULL               ? END_FLOOD
                 : why == RC_NO_MEMORY        ? END_MEMORY
                 : c->state == CONN_HANDSHAKE ? END_HANDSHAKE
                 : why == RC_RESET            ? END_DOWN_CLOSED
                                              : END_IO);
}

/* After calls of OpenSSL: what it wrote leaves. False: the connection is dead. */
static bool end_io(struct conn *c)
{
    enum rc rc = bio_end(&c->link);

    if (c->state != CONN_DEAD && rc != RC_OK) {
        conn_fail_link(c, rc);
    }
    if (c->state == CONN_DEAD) {
        return false;
    }
    c->out_was_full = c->out_was_full || conn_out_full(c);
    watch_as_needed(c);
    return true;
}

static bool chose_h2(const SSL *ssl)
{
    const unsigned char *alpn = NULL;
    unsigned int n = 0;

    SSL_get0_alpn_selected(ssl, &alpn, &n);
    return n == 2 && alpn[0] == 'h' && alpn[1] == '2';
}

static void on_handshake_done(struct conn *c)
{
    c->state = CONN_OPEN;
    c->alpn_is_h2 = chose_h2(c->ssl);
    ev_timer_stop(c->worker->loop, &c->timer);
    if (bio_has_input(&c->link)) {
        ev_feed_event(c->worker->loop, &c->io, EV_READ);
    }
    c->opening = true;
    c->ops->on_open(c);
    c->opening = false;
    if (c->state == CONN_OPEN && tls13_take_over(c->ssl, &c->tls)) {
        SSL_free(c->ssl);
        c->ssl = NULL;
    }
}

static void shake(struct conn *c)
{
    ERR_clear_error();
    errno = 0;
    bio_begin(&c->link, WORKER_READ_BURST_BYTES);
    int rc = SSL_do_handshake(c->ssl);
    int saved_errno = errno;
    int err = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(c->ssl, rc);
    if (err != SSL_ERROR_NONE && err != SSL_ERROR_WANT_READ && c->link.failed == RC_OK) {
        fail_ssl(c, err, saved_errno); /* its alert leaves all the same */
    }
    if (end_io(c) && rc == 1) {
        on_handshake_done(c);
    }
}

static void on_connected(struct conn *c)
{
    enum rc rc = sock_connect_result(c->link.fd);

    if (rc == RC_AGAIN) {
        return;
    }
    if (rc != RC_OK) {
        conn_set_detail(c, rc_text(rc));
        conn_kill(c, END_CONNECT);
        return;
    }
    sock_local_addr(c->link.fd, &c->local);
    if (!sock_source_holds(c->link.fd, &c->bind)) {
        conn_kill(c, END_SOURCE);
        return;
    }
    c->state = CONN_HANDSHAKE;
    shake(c);
}

/* ---- records by OpenSSL ---- */

static void read_ssl(struct conn *c)
{
    int err = SSL_ERROR_NONE;

    while (c->state == CONN_OPEN && err == SSL_ERROR_NONE) {
        ERR_clear_error();
        errno = 0;
        int n = SSL_read(c->ssl, c->worker->in, WORKER_SCRATCH_BYTES);
        int saved_errno = errno;
        if (n > 0) {
            c->ops->on_bytes(c, c->worker->in, (size_t)n);
            continue;
        }
        err = SSL_get_error(c->ssl, n);
        if (err != SSL_ERROR_WANT_READ && c->link.failed == RC_OK) {
            fail_ssl(c, err, saved_errno);
        }
    }
}

static void write_ssl(struct conn *c, const uint8_t *data, size_t n)
{
    while (n > 0) {
        ERR_clear_error();
        errno = 0;
        int done = SSL_write(c->ssl, data, (int)n);
        int saved_errno = errno;
        if (done <= 0) {
            if (c->link.failed == RC_OK) {
                fail_ssl(c, SSL_get_error(c->ssl, done), saved_errno);
            }
            return;
        }
        data += done;
        n -= (size_t)done;
    }
}

/* ---- either ---- */

static void read_burst(struct conn *c)
{
    bio_begin(&c->link, WORKER_READ_BURST_BYTES);
    if (c->ssl != NULL) {
        read_ssl(c);
    } else {
        conn_read_records(c);
    }
    if (end_io(c) && c->state == CONN_OPEN && bio_has_input(&c->link)) {
        ev_timer_stop(c->worker->loop, &c->timer);
        ev_timer_set(&c->timer, 0., 0.); /* the others have their turn first */
        ev_timer_start(c->worker->loop, &c->timer);
    }
}

static void say_goodbye(struct conn *c)
{
    ERR_clear_error();
    if (c->ssl != NULL) {
        (void)SSL_shutdown(c->ssl);
    } else {
        conn_write_close_notify(c);
    }
    ERR_clear_error();
}

static void send_fin(struct conn *c)
{
    if (c->fin_sent) {
        return;
    }
    c->fin_sent = true;
    bio_begin(&c->link, 0);
    say_goodbye(c);
    if (end_io(c)) {
        (void)shutdown(c->link.fd, SHUT_WR);
        watch(c, EV_READ);
    }
}

static void write_queued(struct conn *c)
{
    enum rc rc = bio_drain(&c->link);

    if (rc != RC_OK) {
        conn_fail_link(c, rc);
        return;
    }
    watch_as_needed(c);
    if (c->link.out.len == 0 && c->state == CONN_FINISHING) {
        send_fin(c);
    }
}

static void tell_drained(struct conn *c)
{
    if (c->state == CONN_OPEN && c->out_was_full && !conn_out_full(c)) {
        c->out_was_full = false;
        c->ops->on_drained(c);
    }
}

/* After our FIN: throw away what still comes, until the peer closes too or the linger timer fires.
 */
static void discard(struct conn *c)
{
    for (int i = 0; i < 16; i++) {
        ssize_t n = recv(c->link.fd, c->worker->in, WORKER_SCRATCH_BYTES, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            conn_kill(c, (enum end_reason)c->why);
            return;
        }
        if (n < 0) {
            return;
        }
    }
}

/* It has its turn already, for input that is at hand. */
static bool reads_by_timer(struct conn *c)
{
    return ev_is_active(&c->timer) || ev_is_pending(&c->timer);
}

static void on_io(struct ev_loop *loop, ev_io *io, int revents)
{
    struct conn *c = io->data;

    (void)loop;
    switch (c->state) {
    case CONN_CONNECTING:
        on_connected(c);
        return;
    case CONN_HANDSHAKE:
        if (revents & EV_WRITE) {
            write_queued(c);
        }
        if ((revents & EV_READ) && c->state == CONN_HANDSHAKE) {
            shake(c);
        }
        return;
    case CONN_FINISHING:
        if (revents & EV_WRITE) {
            write_queued(c);
        }
        if ((revents & EV_READ) && c->state == CONN_FINISHING) {
            discard(c);
        }
        return;
    case CONN_OPEN:
        if (revents & EV_WRITE) {
            write_queued(c);
            tell_drained(c);
        }
        if ((revents & EV_READ) && c->state == CONN_OPEN && !reads_by_timer(c)) {
            read_burst(c);
        }
        return;
    default:
        return;
    }
}

static void on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct conn *c = t->data;

    (void)loop;
    (void)revents;
    if (c->state == CONN_OPEN) {
        read_burst(c);
    } else if (c->state == CONN_FINISHING) {
        conn_kill(c, (enum end_reason)c->why);
    } else {
        conn_set_detail(c,
                        c->state == CONN_CONNECTING ? "connect timed out" : "handshake timed out");
        conn_kill(c, c->state == CONN_CONNECTING ? END_CONNECT : END_HANDSHAKE_TIMEOUT);
    }
}

bool conn_out_full(const struct conn *c)
{
    return c->link.out.len >= CONN_OUT_HIGH_BYTES;
}

void conn_charge(struct conn *c, size_t n)
{
    CHECK_MAGIC(c, CONN_MAGIC);
    bio_charge(&c->link, n);
}

void conn_send(struct conn *c, const uint8_t *data, size_t n)
{
    CHECK_MAGIC(c, CONN_MAGIC);
    CHECK(worker_is_current(c->worker));
    CHECK(!c->opening); /* a record of OpenSSL's would have the number of our first one */
    if (c->state != CONN_OPEN) {
        return;
    }
    bio_begin(&c->link, 0);
    if (c->ssl != NULL) {
        write_ssl(c, data, n);
    } else {
        conn_write_records(c, data, n);
    }
    (void)end_io(c);
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
    c->why = (uint8_t)why;
    ev_timer_stop(c->worker->loop, &c->timer);
    ev_timer_set(&c->timer, linger, 0.);
    ev_timer_start(c->worker->loop, &c->timer);
    if (c->link.out.len == 0) {
        send_fin(c);
    }
}

/* An SSL comes with the first caller and is freed here when the struct cannot be made. */
static struct conn *new_conn(struct worker *w, int fd, SSL *ssl, const struct conn_ops *ops,
                             void *user)
{
    struct conn *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        SSL_free(ssl);
        close(fd);
        return NULL;
    }
    sock_tune(fd, true);
    c->magic = CONN_MAGIC;
    c->worker = w;
    c->ops = ops;
    c->user = user;
    c->ssl = ssl;
    bio_init(&c->link, w, fd, CONN_OUT_MAX_BYTES);
    list_init(&c->reap.node);
    c->reap.fn = reap;
    ev_init(&c->io, on_io);
    c->io.data = c;
    ev_init(&c->timer, on_timer);
    c->timer.data = c;
    return c;
}

static void free_early(struct conn *c)
{
    c->ops = NULL;
    ev_io_stop(c->worker->loop, &c->io);
    ev_timer_stop(c->worker->loop, &c->timer);
    reap(&c->reap);
}

static void start_timer(struct conn *c, double timeout)
{
    ev_now_update(c->worker->loop);
    ev_timer_set(&c->timer, timeout, 0.);
    ev_timer_start(c->worker->loop, &c->timer);
}

enum rc conn_accept(struct worker *w, int fd, const struct addr *peer, SSL *ssl,
                    const uint8_t *prefix, size_t n, double timeout, const struct conn_ops *ops,
                    void *user, struct conn **out)
{
    struct conn *c = new_conn(w, fd, ssl, ops, user);

    if (c == NULL) {
        return RC_NO_MEMORY;
    }
    if (bio_unread(&c->link, prefix, n) != RC_OK || bio_attach(ssl, &c->link) != RC_OK ||
        tls13_watch(ssl, &c->tls) != RC_OK) {
        free_early(c);
        return RC_NO_MEMORY;
    }
    c->peer = *peer;
    sock_local_addr(fd, &c->local);
    c->state = CONN_HANDSHAKE;
    SSL_set_accept_state(ssl);
    SSL_set_msg_callback(ssl, on_message);
    SSL_set_msg_callback_arg(ssl, c);
    start_timer(c, timeout);
    *out = c;
    /* The prefix is at hand and no event will announce it: start from the loop, not from our
     * caller. */
    ev_io_set(&c->io, fd, EV_READ);
    ev_io_start(w->loop, &c->io);
    ev_feed_event(w->loop, &c->io, EV_READ);
    return RC_OK;
}

enum rc conn_dial(struct worker *w, const struct addr *peer, const struct addr *source, SSL *ssl,
                  double timeout, const struct conn_ops *ops, void *user, struct conn **out)
{
    int fd;
    enum rc rc = sock_connect(peer, source, &fd);

    if (rc != RC_OK) {
        SSL_free(ssl);
        return rc;
    }
    struct conn *c = new_conn(w, fd, ssl, ops, user);
    if (c == NULL) {
        return RC_NO_MEMORY;
    }
    if (bio_attach(ssl, &c->link) != RC_OK || tls13_watch(ssl, &c->tls) != RC_OK) {
        free_early(c);
        return RC_NO_MEMORY;
    }
    c->peer = *peer;
    c->bind = *source;
    c->state = CONN_CONNECTING;
    SSL_set_connect_state(ssl);
    start_timer(c, timeout);
    watch(c, EV_WRITE);
    *out = c;
    return RC_OK;
}

bool conn_line_moves(struct conn *c)
{
    uint64_t before = c->acknowledged;
    uint64_t waiting;

    sock_sent(c->link.fd, &c->acknowledged, &waiting);
    return c->acknowledged != before && (waiting > 0 || c->link.out.len > 0);
}

bool conn_is_dead(const struct conn *c)
{
    return c->state == CONN_DEAD;
}

void *conn_user(const struct conn *c)
{
    CHECK_MAGIC(c, CONN_MAGIC);
    return c->user;
}

struct worker *conn_worker(const struct conn *c)
{
    CHECK_MAGIC(c, CONN_MAGIC);
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
    return c->ssl;
}

bool conn_alpn_is_h2(const struct conn *c)
{
    return c->alpn_is_h2;
}

const char *conn_detail(const struct conn *c)
{
    return c->detail != NULL ? c->detail : "";
}
