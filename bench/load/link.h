/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One TCP connection with TLS and HTTP/2 by nghttp2, in either role. Written for the bench and not
 * taken from core/: what is measured must not measure itself, and a load generator wants none of a
 * relay's limits.
 *
 * Whoever holds a link makes its HTTP/2 session when TLS is up, submits frames to it, and calls
 * link_flush() when it did so outside of the session's callbacks.
 */
#pragma once

#include <ev.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"
#include "core/net/addr.h"

#define LINK_MAGIC 0x117cb3acu
#define LINK_READ_BYTES (16 * 1024)
#define LINK_OUT_BYTES (64 * 1024)
#define LINK_WHY_BYTES 120

/** What all links of a program share. */
struct link_home {
    struct ev_loop *loop; /**< borrowed */
    uint8_t in[LINK_READ_BYTES];
    uint8_t out[LINK_OUT_BYTES];
};

struct link;

struct link_ops {
    /** TLS is up: give it an HTTP/2 session with its first frames submitted. NULL: end the link. */
    nghttp2_session *(*on_secure)(struct link *l);

    /** It is over and everything of it is freed; the last call. It may be opened again or freed. */
    void (*on_over)(struct link *l, const char *why);
};

enum link_state { LINK_CLOSED, LINK_CONNECTING, LINK_HANDSHAKE, LINK_OPEN };
enum link_farewell {
    LINK_FIN, /**< close_notify and FIN */
    LINK_RST, /**< a reset */
};

/** Embedded. */
struct link {
    uint32_t magic;             /**< LINK_MAGIC */
    struct link_home *home;     /**< borrowed */
    const struct link_ops *ops; /**< borrowed */
    void *owner;                /**< borrowed; whom the link is embedded in */
    enum link_state state;
    int fd;
    SSL *ssl;            /**< owned; NULL when closed */
    nghttp2_session *h2; /**< owned; NULL until LINK_OPEN */
    ev_io read;
    ev_io write;
    uint8_t *rest; /**< owned; what the socket did not take, or NULL */
    size_t rest_bytes;
    size_t rest_sent;
    bool busy;   /**< inside of an event; the end waits for its end */
    bool ending; /**< link_end() was called */
    bool paused; /**< the socket is not read */
    enum link_farewell farewell;
    char why[LINK_WHY_BYTES];
};

/** A closed one. home, ops and owner are borrowed for its life. */
void link_init(struct link *l, struct link_home *home, const struct link_ops *ops, void *owner);

/**
 * Connect as a client, from source, to the server called sni (borrowed during the call). RC_OK; or
 * an error, and the link stays closed and says nothing.
 */
enum rc link_connect(struct link *l, SSL_CTX *tls, const struct addr *peer,
                     const struct addr *source, const char *sni) MUST_USE;

/** Give it up before its first event: it is closed, and says nothing. */
void link_abandon(struct link *l);

/** Serve an accepted socket. fd is owned from here on, also after an error. */
enum rc link_accept(struct link *l, SSL_CTX *tls, int fd) MUST_USE;

/** Send what the session wants to send. */
void link_flush(struct link *l);

/** End it for this reason, now or at the end of the running event; then on_over() is called. */
void link_end(struct link *l, enum link_farewell farewell, const char *why);

/** Leave the socket unread, or go on reading. */
void link_pause(struct link *l, bool paused);
