/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One TLS connection: a socket, its SSL, and what could not be written yet.
 *
 * OpenSSL does the handshake. After it, a TLS 1.3 connection does its records by itself
 * (core/net/tls13.h) and OpenSSL's part is freed; TLS 1.2 stays with OpenSSL.
 *
 * Reading never stops while the connection is open: backpressure is the business of HTTP/2 windows,
 * because a socket left unread for ten seconds is closed by agents and istiod (TCP_USER_TIMEOUT,
 * grpc-go http2_server.go). At idle a connection holds no buffer: input goes through the worker's
 * shared buffer, output is queued only while the socket is full.
 *
 * Life: conn_accept() or conn_dial() -> handshake -> on_open -> bytes -> conn_kill() or
 * conn_finish() -> on_dead, exactly once, in the reap phase; then the struct is gone. Worker-local.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "core/base/end_reason.h"
#include "core/base/rc.h"
#include "core/net/addr.h"
#include "core/net/worker.h"

/** Output queued beyond this: conn_out_full(), no more data is framed. */
#define CONN_OUT_HIGH_BYTES (128 * 1024)

/** Output queued beyond this ends the connection: only control frames get here, so the peer floods.
 */
#define CONN_OUT_MAX_BYTES (512 * 1024)

struct conn;

/** What the user of a connection is told. Every callback may call conn_kill(). */
struct conn_ops {
    /** The handshake is done. Nothing may be sent before this call has returned. */
    void (*on_open)(struct conn *c);
    /** A record came, n bytes; 0 of an empty one. Borrowed during the call, to be used up. */
    void (*on_bytes)(struct conn *c, const uint8_t *data, size_t n);
    /** conn_out_full() was true and is not any more. */
    void (*on_drained)(struct conn *c);
    /** The connection is over; c must not be used after this call. Comes from the reap phase. */
    void (*on_dead)(struct conn *c, enum end_reason why);
};

/**
 * Take over an accepted socket and start the server side of the handshake.
 *
 * fd       owned, also on failure (closed).
 * ssl      owned, also on failure; no BIO set yet.
 * prefix   n bytes that were read from the socket already (the ClientHello), copied.
 * timeout  seconds until on_open must have come.
 * ops      borrowed, static. user: borrowed until on_dead.
 * Returns RC_OK with *out borrowed until on_dead; RC_NO_MEMORY.
 */
enum rc conn_accept(struct worker *w, int fd, const struct addr *peer, SSL *ssl,
                    const uint8_t *prefix, size_t n, double timeout, const struct conn_ops *ops,
                    void *user, struct conn **out) MUST_USE;

/**
 * Connect to peer and do the client side of the handshake; the result comes by on_open or on_dead.
 *
 * source   bound before connecting and compared with the socket's own address before a byte is
 * sent; family ADDR_NONE: the kernel chooses. ssl      owned, also on failure. Returns RC_OK with
 * *out borrowed until on_dead; RC_NO_MEMORY; RC_NO_FILES, RC_UNREACHABLE, ... of the socket calls.
 */
enum rc conn_dial(struct worker *w, const struct addr *peer, const struct addr *source, SSL *ssl,
                  double timeout, const struct conn_ops *ops, void *user,
                  struct conn **out) MUST_USE;

/** Send n bytes: written now as far as the socket takes them, the rest is queued. May kill the
 * connection. */
void conn_send(struct conn *c, const uint8_t *data, size_t n);

/** What came was dear: this turn of the loop reads n bytes less of c than it would. The rest is
 * read in the next turn, after the others had theirs. */
void conn_charge(struct conn *c, size_t n);

/** Is so much output queued that the user should not frame more? */
bool conn_out_full(const struct conn *c);

/** End after what is queued has been sent, with close_notify and FIN; reading is over. Bounded by
 * linger seconds. */
void conn_finish(struct conn *c, enum end_reason why, double linger);

/** End now. on_dead follows in the reap phase; until then the connection does nothing. No effect on
 * a dead one. */
void conn_kill(struct conn *c, enum end_reason why);

/** Is it over (on_dead has not come yet)? */
bool conn_is_dead(const struct conn *c);

/** What conn_accept() or conn_dial() got. */
void *conn_user(const struct conn *c);
/** The worker it lives on. */
struct worker *conn_worker(const struct conn *c);
/** The other side. */
const struct addr *conn_peer(const struct conn *c);
/** The socket's own address; family ADDR_NONE before it is connected. */
const struct addr *conn_local(const struct conn *c);
/** What did the handshake, borrowed until on_open has returned; later it may be NULL (see tls13.h).
 */
SSL *conn_ssl(const struct conn *c);
/** Has the peer's kernel taken bytes of ours since the last call, and are there more on their way?
 * A slow line that moves looks like this, long before the peer says something itself. */
bool conn_line_moves(struct conn *c);

/** Did both sides agree on HTTP/2 (ALPN h2)? False before the handshake is done. */
bool conn_alpn_is_h2(const struct conn *c);
/** A text for the log that says more than the end reason (TLS alert, errno), or "". Borrowed. */
const char *conn_detail(const struct conn *c);
