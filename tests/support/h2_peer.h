/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other side of an HTTP/2 connection, in memory, on the far end of a wire: a VM (client) or an
 * istiod (server). It notes what comes and says what the test tells it to. Every failure ends the
 * test. Nothing moves but in peer_pump().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nghttp2/nghttp2.h>

#include "core/h2/headers.h"
#include "tests/support/fake_conn.h"

#define PEER_STREAMS_MAX 2100

struct h2_peer;

struct peer_stream {
    struct h2_peer *peer;
    int32_t id;
    struct h2_headers headers;  /**< the request or response */
    struct h2_headers trailers; /**< of the peer's partner */
    bool got_headers;
    bool ended; /**< the gateway ended its side */
    bool closed;
    uint32_t error; /**< of the close */
    uint8_t *data;  /**< owned; all that came */
    size_t len;
    size_t cap;
    size_t uncredited; /**< with manual_credit */
    uint8_t *out;      /**< owned; all that is to be sent */
    size_t out_len;
    size_t out_at;
    bool out_end;
    bool out_trailers; /**< trailers follow the body */
    struct h2_headers out_block;
    bool deferred;
};

struct h2_peer {
    struct wire *wire;   /**< owned */
    nghttp2_session *ng; /**< owned */
    bool server;
    bool manual_credit; /**< stream windows are only credited by peer_credit() */
    bool frozen;        /**< neither reads nor writes */
    size_t feed_chunk;  /**< bytes given to the gateway at once; 0: all */
    size_t take_chunk;  /**< bytes read from the gateway at once; 0: all */
    bool goaway;
    uint32_t goaway_error;
    unsigned pings; /**< that the gateway sent, not ACKs */
    unsigned ping_acks;
    bool no_ping_ack;
    struct peer_stream streams[PEER_STREAMS_MAX];
    size_t n_streams;
};

/** A peer on a wire, which it takes over; settings may be NULL. */
struct h2_peer *peer_new(struct wire *wire, bool server, const nghttp2_settings_entry *settings,
                         size_t n_settings);

/** Free it and its wire, whose connection must be gone; nulls the pointer. */
void peer_free(struct h2_peer **p);

/** Move bytes both ways once; true when something moved. */
bool peer_pump(struct h2_peer *p);

/** Write what there is to say, read nothing. */
void peer_write(struct h2_peer *p);

/** Open a stream. nv: name, value, name, value, ..., NULL. end: no body. */
struct peer_stream *peer_request(struct h2_peer *p, const char *const *nv, bool end);

/** Answer; end: nothing follows. */
void peer_respond(struct peer_stream *st, const char *const *nv, bool end);

/** Send n bytes of body. */
void peer_send(struct peer_stream *st, const void *data, size_t n);

/** End the body; trailers as nv, or NULL. */
void peer_end(struct peer_stream *st, const char *const *nv);

/** Reset a stream. */
void peer_reset(struct peer_stream *st, uint32_t error);

/** Say GOAWAY with this last stream. */
void peer_goaway(struct h2_peer *p, int32_t last, uint32_t error);

/** The same, with words for people. */
void peer_goaway_text(struct h2_peer *p, int32_t last, uint32_t error, const char *text);

/** Give window for n bytes, 0: for all that came. */
void peer_credit(struct peer_stream *st, size_t n);

/** Raw bytes to the gateway, behind nghttp2's back. */
void peer_raw(struct h2_peer *p, const uint8_t *data, size_t n);

/** A header of the first block, or of the trailers when it has them; NULL. Static storage. */
const char *peer_header(const struct peer_stream *st, const char *name);

/** Bytes the peer may still send on the stream as far as the gateway's windows go. */
int32_t peer_stream_window(const struct peer_stream *st);
int32_t peer_conn_window(const struct h2_peer *p);

/** A gRPC message with an n byte payload made of seed; owned by the caller, *len is its length. */
uint8_t *peer_message(size_t n, unsigned seed, size_t *len);
