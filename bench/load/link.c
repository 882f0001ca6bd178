/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/link.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/load/tls.h"
#include "core/base/check.h"
#include "core/net/sock.h"

/* A DATA frame with its header and padding length: what nghttp2 hands out at once. */
#define FRAME_MAX_BYTES (16384 + 16)

/* What one event may read and write before others have their turn. */
#define READ_ROUNDS 16
#define WRITE_ROUNDS 4

static void on_event(struct ev_loop *loop, ev_io *w, int revents);

void link_init(struct link *l, struct link_home *home, const struct link_ops *ops, void *owner)
{
    *l = (struct link){.magic = LINK_MAGIC, .home = home, .ops = ops, .owner = owner, .fd = -1};
}

static void want_write(struct link *l, bool wanted)
{
    if (wanted) {
        ev_io_start(l->home->loop, &l->write);
    } else {
        ev_io_stop(l->home->loop, &l->write);
    }
}

/* ---- the end ---- */

static void finish(struct link *l)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    char why[LINK_WHY_BYTES];

    ev_io_stop(l->home->loop, &l->read);
    ev_io_stop(l->home->loop, &l->write);
    if (l->farewell == LINK_RST) {
        (void)setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    } else if (l->state == LINK_OPEN && l->rest == NULL) {
        (void)SSL_shutdown(l->ssl);
    }
    ERR_clear_error();
    nghttp2_session_del(l->h2);
    SSL_free(l->ssl);
    free(l->rest);
    (void)close(l->fd);
    memcpy(why, l->why, sizeof(why));
    link_init(l, l->home, l->ops, l->owner);
    l->ops->on_over(l, why);
}

void link_end(struct link *l, enum link_farewell farewell, const char *why)
{
    CHECK_MAGIC(l, LINK_MAGIC);
    if (l->state == LINK_CLOSED || l->ending) {
        return;
    }
    l->ending = true;
    l->farewell = farewell;
    (void)snprintf(l->why, sizeof(l->why), "%s", why);
    if (!l->busy) {
        finish(l);
    }
}

/* The socket or TLS says that it is over. */
static void end_failed(struct link *l, int ssl_error, int err)
{
    if (ssl_error == SSL_ERROR_ZERO_RETURN || (ssl_error == SSL_ERROR_SYSCALL && err == 0)) {
        link_end(l, LINK_FIN, "connection closed");
    } else if (ssl_error == SSL_ERROR_SYSCALL) {
        link_end(l, LINK_FIN, rc_text(rc_from_errno(err)));
    } else {
        link_end(l, LINK_FIN, tls_error("TLS failed"));
    }
}

/* ---- writing ---- */

/* Frames into the shared buffer, until it is full or nothing is left. */
static size_t gather(struct link *l)
{
    uint8_t *out = l->home->out;
    size_t used = 0;

    while (used + FRAME_MAX_BYTES <= LINK_OUT_BYTES) {
        const uint8_t *frame;
        ssize_t n = nghttp2_session_mem_send(l->h2, &frame);
        if (n < 0) {
            link_end(l, LINK_FIN, nghttp2_strerror((int)n));
            return 0;
        }
        if (n == 0) {
            break;
        }
        CHECK((size_t)n <= FRAME_MAX_BYTES);
        memcpy(out + used, frame, (size_t)n);
        used += (size_t)n;
    }
    return used;
}

/* How many bytes TLS and the socket took. */
static size_t put(struct link *l, const uint8_t *data, size_t n)
{
    size_t sent = 0;

    while (sent < n) {
        int wrote = SSL_write(l->ssl, data + sent, (int)(n - sent));
        if (wrote <= 0) {
            int err = errno;
            int what = SSL_get_error(l->ssl, wrote);
            if (what != SSL_ERROR_WANT_WRITE && what != SSL_ERROR_WANT_READ) {
                end_failed(l, what, err);
            }
            break;
        }
        sent += (size_t)wrote;
    }
    return sent;
}

/* OpenSSL wants the rest again with the same bytes, and the shared buffer is needed by others. */
static void keep_rest(struct link *l, const uint8_t *data, size_t n)
{
    l->rest = malloc(n);
    if (l->rest == NULL) {
        link_end(l, LINK_RST, "out of memory");
        return;
    }
    memcpy(l->rest, data, n);
    l->rest_bytes = n;
    l->rest_sent = 0;
}

/* false: the socket is full, or the link is ending. */
static bool put_rest(struct link *l)
{
    l->rest_sent += put(l, l->rest + l->rest_sent, l->rest_bytes - l->rest_sent);
    if (l->rest_sent < l->rest_bytes) {
        return false;
    }
    free(l->rest);
    l->rest = NULL;
    return true;
}

/* Write until nothing is left, the socket is full, or others should have their turn. */
static void write_frames(struct link *l)
{
    for (unsigned round = 0; round < WRITE_ROUNDS && !l->ending; round++) {
        if (l->rest != NULL && !put_rest(l)) {
            break;
        }
        size_t n = gather(l);
        if (n == 0) {
            want_write(l, false);
            return;
        }
        size_t sent = put(l, l->home->out, n);
        if (sent < n && !l->ending) {
            keep_rest(l, l->home->out + sent, n - sent);
            break;
        }
    }
    want_write(l, true);
}

static void end_if_done(struct link *l)
{
    if (l->h2 != NULL && l->rest == NULL && nghttp2_session_want_read(l->h2) == 0 &&
        nghttp2_session_want_write(l->h2) == 0) {
        link_end(l, LINK_FIN, "HTTP/2 session over");
    }
}

void link_flush(struct link *l)
{
    CHECK_MAGIC(l, LINK_MAGIC);
    if (l->state != LINK_OPEN || l->ending || l->busy) {
        return;
    }
    ERR_clear_error();
    l->busy = true;
    write_frames(l);
    end_if_done(l);
    l->busy = false;
    if (l->ending) {
        finish(l);
    }
}

/* ---- reading ---- */

static void read_frames(struct link *l)
{
    for (unsigned round = 0; round < READ_ROUNDS && !l->ending && !l->paused; round++) {
        int n = SSL_read(l->ssl, l->home->in, LINK_READ_BYTES);
        if (n <= 0) {
            int err = errno;
            int what = SSL_get_error(l->ssl, n);
            if (what != SSL_ERROR_WANT_READ && what != SSL_ERROR_WANT_WRITE) {
                end_failed(l, what, err);
            }
            return;
        }
        ssize_t took = nghttp2_session_mem_recv(l->h2, l->home->in, (size_t)n);
        if (took < 0 && !l->ending) {
            link_end(l, LINK_FIN, nghttp2_strerror((int)took));
        }
        if (SSL_has_pending(l->ssl) == 0) {
            return; /* the socket had no more; if it has by now, the loop says so */
        }
    }
    if (!l->ending &&
        !l->paused) { /* more may wait in OpenSSL, of which the socket knows nothing */
        ev_feed_event(l->home->loop, &l->read, EV_READ);
    }
}

/* ---- the beginning ---- */

static void shake_hands(struct link *l)
{
    const unsigned char *alpn;
    unsigned int alpn_len;
    int done = SSL_do_handshake(l->ssl);

    if (done != 1) {
        int err = errno;
        int what = SSL_get_error(l->ssl, done);
        if (what != SSL_ERROR_WANT_READ && what != SSL_ERROR_WANT_WRITE) {
            end_failed(l, what, err);
        }
        want_write(l, what == SSL_ERROR_WANT_WRITE);
        return;
    }
    SSL_get0_alpn_selected(l->ssl, &alpn, &alpn_len);
    if (alpn_len != 2 || memcmp(alpn, "h2", 2) != 0) {
        link_end(l, LINK_FIN, "the other side does not speak h2");
        return;
    }
    l->state = LINK_OPEN;
    l->h2 = l->ops->on_secure(l);
    if (l->h2 == NULL) {
        link_end(l, LINK_RST, "out of memory");
    }
}

static void finish_connect(struct link *l)
{
    enum rc rc = sock_connect_result(l->fd);

    if (rc == RC_AGAIN) {
        return;
    }
    if (rc != RC_OK) {
        link_end(l, LINK_FIN, rc_text(rc));
        return;
    }
    l->state = LINK_HANDSHAKE;
    ev_io_start(l->home->loop, &l->read);
    want_write(l, false);
}

static void on_event(struct ev_loop *loop, ev_io *w, int revents)
{
    struct link *l = w->data;

    (void)loop;
    CHECK_MAGIC(l, LINK_MAGIC);
    ERR_clear_error();
    l->busy = true;
    if (l->state == LINK_CONNECTING) {
        finish_connect(l);
    }
    if (l->state == LINK_HANDSHAKE && !l->ending) {
        shake_hands(l);
        revents |= EV_READ; /* what came behind the handshake may be in OpenSSL already */
    }
    if (l->state == LINK_OPEN && !l->ending && (revents & EV_READ) != 0) {
        read_frames(l);
    }
    if (l->state == LINK_OPEN && !l->ending) {
        write_frames(l);
        end_if_done(l);
    }
    l->busy = false;
    if (l->ending) {
        finish(l);
    }
}

static enum rc prepare(struct link *l, SSL_CTX *tls, int fd)
{
    l->fd = fd;
    l->ssl = SSL_new(tls);
    if (l->ssl == NULL || SSL_set_fd(l->ssl, fd) != 1) {
        SSL_free(l->ssl);
        (void)close(fd);
        ERR_clear_error();
        link_init(l, l->home, l->ops, l->owner);
        return RC_NO_MEMORY;
    }
    ev_io_init(&l->read, on_event, fd, EV_READ);
    ev_io_init(&l->write, on_event, fd, EV_WRITE);
    l->read.data = l;
    l->write.data = l;
    return RC_OK;
}

/* Name it, and insist on its certificate. */
static bool set_server_name(SSL *ssl, const char *sni)
{
    void *name = NULL;

    /* SSL_set_tlsext_host_name() without its cast; the name is copied. */
    memcpy(&name, &sni, sizeof(name));
    return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name) == 1 &&
           SSL_set1_host(ssl, sni) == 1;
}

enum rc link_connect(struct link *l, SSL_CTX *tls, const struct addr *peer,
                     const struct addr *source, const char *sni)
{
    int fd = -1;

    CHECK_MAGIC(l, LINK_MAGIC);
    CHECK(l->state == LINK_CLOSED);
    TRY(sock_connect(peer, source, &fd));
    TRY(prepare(l, tls, fd));
    if (!set_server_name(l->ssl, sni)) {
        link_abandon(l);
        return RC_NO_MEMORY;
    }
    SSL_set_connect_state(l->ssl);
    l->state = LINK_CONNECTING;
    want_write(l, true);
    return RC_OK;
}

void link_abandon(struct link *l)
{
    CHECK_MAGIC(l, LINK_MAGIC);
    CHECK(l->h2 == NULL && !l->busy);
    want_write(l, false);
    SSL_free(l->ssl);
    (void)close(l->fd);
    link_init(l, l->home, l->ops, l->owner);
}

enum rc link_accept(struct link *l, SSL_CTX *tls, int fd)
{
    CHECK_MAGIC(l, LINK_MAGIC);
    CHECK(l->state == LINK_CLOSED);
    sock_tune(fd, false);
    TRY(prepare(l, tls, fd));
    SSL_set_accept_state(l->ssl);
    l->state = LINK_HANDSHAKE;
    ev_io_start(l->home->loop, &l->read);
    return RC_OK;
}

void link_pause(struct link *l, bool paused)
{
    CHECK_MAGIC(l, LINK_MAGIC);
    if (l->state != LINK_OPEN || l->paused == paused) {
        return;
    }
    l->paused = paused;
    if (paused) {
        ev_io_stop(l->home->loop, &l->read);
    } else {
        ev_io_start(l->home->loop, &l->read);
        ev_feed_event(l->home->loop, &l->read, EV_READ);
    }
}
