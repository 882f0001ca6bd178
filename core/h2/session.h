/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 on one connection, in either role, on nghttp2 (which no other folder includes).
 *
 * A session belongs to its connection (1:1) and owns its streams. The user of a session gets
 * requests (accepted role) or opens streams (dialled role); the user of a stream gets headers, data
 * and one on_closed.
 *
 * Flow control. What comes in on a stream is credited to the connection at once and to the stream
 * only by h2_stream_credit(), when the user has got rid of it. What goes out waits in the stream's
 * queue, is framed while the connection has room, and on_sent tells how much left. So bytes are
 * credited once, and a slow peer on one side closes the window of the other side. Worker-local;
 * nothing is freed inside a callback.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/bufq.h"
#include "core/base/end_reason.h"
#include "core/base/list.h"
#include "core/base/rc.h"
#include "core/h2/headers.h"
#include "core/net/conn.h"

struct nghttp2_session;
struct h2_session;
struct h2_stream;

enum h2_role { H2_ACCEPTED, H2_DIALLED };

/** RFC 9113 section 7, as far as used here. */
enum h2_error {
    H2_NO_ERROR = 0,
    H2_PROTOCOL_ERROR = 1,
    H2_INTERNAL_ERROR = 2,
    H2_REFUSED_STREAM = 7,
    H2_CANCEL = 8,
    H2_ENHANCE_YOUR_CALM = 11,
};

/** What the user of a stream is told. Any callback may call any function of this file on any
 * stream. */
struct h2_stream_ops {
    /** A header block: the response, or trailers when the stream has had its response (or the
     * request's trailers). h is borrowed during the call and may be taken by h2_headers_take().
     * end: nothing follows. */
    void (*on_headers)(struct h2_stream *s, struct h2_headers *h, bool end);
    /** n bytes of body, borrowed during the call. They count as unconsumed until
     * h2_stream_credit(). */
    void (*on_data)(struct h2_stream *s, const uint8_t *data, size_t n);
    /** The peer has ended its side. Not sent when on_headers said end. */
    void (*on_end)(struct h2_stream *s);
    /** n bytes of our queue were framed. */
    void (*on_sent)(struct h2_stream *s, size_t n);
    /** The stream is over; s must not be used after this call. error: enum h2_error or another code
     * of the RFC. */
    void (*on_closed)(struct h2_stream *s, uint32_t error);
};

struct h2_stream {
    uint32_t magic;
    int32_t id;                      /**< stream identifier */
    struct h2_session *session;      /**< borrowed; the owner */
    const struct h2_stream_ops *ops; /**< static; NULL: nobody is interested (any more) */
    void *user;                      /**< borrowed by the stream */
    struct list node;                /**< on session->streams */
    struct worker_reap reap;
    struct bufq out;              /**< bytes waiting to be framed */
    struct h2_headers in_headers; /**< a block that is being received */
    struct h2_headers trailers;   /**< to be sent after out */
    uint32_t unconsumed;          /**< received, not credited */
    bool out_end;                 /**< the body ends after out */
    bool has_trailers;
    bool deferred;    /**< nghttp2 waits for h2_stream_send() */
    bool blocked;     /**< nghttp2 waits for room in the connection */
    bool got_headers; /**< a final (not 1xx) block has come */
    bool got_end;
    bool over_limit;       /**< its header block was too large */
    uint32_t excess_bytes; /**< of headers that came after that, decoded */
    bool closed;
};

/** Limits of what a peer may do on a session. */
struct h2_limits {
    uint32_t max_streams;    /**< SETTINGS_MAX_CONCURRENT_STREAMS, accepted role */
    uint32_t header_bytes;   /**< of one block */
    uint32_t headers;        /**< of one block */
    uint32_t frame_flood;    /**< control frames in H2_FLOOD_WINDOW_S */
    double settings_timeout; /**< seconds from the handshake to the peer's first frame */
};

struct h2_session_ops {
    /** Accepted role: the handshake is done and the preface is on its way. Dialled role: the peer's
     * SETTINGS have come. */
    void (*on_open)(struct h2_session *s);
    /** Accepted role: a request's headers. Set st->ops and st->user, or answer at once. h may be
     * taken. end: no body follows. over_limit streams come with the headers cut. */
    void (*on_request)(struct h2_session *s, struct h2_stream *st, struct h2_headers *h, bool end);
    /** The peer will take no more streams: enum h2_error or another code of the RFC, and what it
     * says for people, n bytes, borrowed. */
    void (*on_goaway)(struct h2_session *s, uint32_t error, const char *text, size_t n);
    /** A limit was reached: the peer is ended or the request answered; for counting. */
    void (*on_limit)(struct h2_session *s, enum counter which);
    /** The session is over, all its streams have had on_closed; s must not be used after this call.
     */
    void (*on_dead)(struct h2_session *s, enum end_reason why);
};

struct h2_session {
    uint32_t magic;
    enum h2_role role;
    struct conn *conn;                /**< borrowed; the owner of this session */
    struct worker *worker;            /**< borrowed */
    struct nghttp2_session *ng;       /**< owned */
    const struct h2_session_ops *ops; /**< static */
    void *user;                       /**< borrowed until on_dead */
    struct h2_limits limits;
    struct list streams; /**< h2_stream, owned */
    uint32_t n_streams;
    struct worker_flush flush;
    ev_timer ping;
    bool making;       /**< nghttp2's session is being made */
    bool shares_frame; /**< it builds its frames in worker->frame */
    bool open;         /**< the handshake is done */
    bool settled;      /**< dialled: the peer's SETTINGS have come, so its limits are known */
    bool got_frame;    /**< the peer's first frame has come */
    bool heard;        /**< anything came since our last PING */
    bool ping_waits;   /**< a PING of ours is not answered */
    bool ping_idle;    /**< PING also without streams: VM side */
    bool goaway;       /**< the peer takes no more streams */
    bool ending;       /**< we end it: nothing is fed any more */
    uint8_t why;       /**< enum end_reason of our ending */
    uint32_t flood_count;
    double flood_since;
    uint64_t read_bytes;    /**< that nghttp2 was fed */
    uint64_t framed_bytes;  /**< of them, or soon of them: in frames that we were told of */
    uint32_t ignored_bytes; /**< in none, and not counted yet */
    int32_t last_peer_id;   /**< highest stream identifier of the peer */
    uint64_t skipped_ids;   /**< bit n: last_peer_id - 2n was never opened */
    size_t out_len;         /**< bytes in worker->out during a flush */
};

/** conn_ops that drive a session: give them to conn_accept() or conn_dial() with the session as
 * user. */
extern const struct conn_ops h2_conn_ops;

/**
 * Make a session before its connection; then conn_accept()/conn_dial() with h2_conn_ops and it,
 * then h2_session_bind(). out: owned by the caller until h2_session_bind(). RC_NO_MEMORY.
 */
enum rc h2_session_new(struct worker *w, enum h2_role role, const struct h2_limits *limits,
                       const struct h2_session_ops *ops, void *user,
                       struct h2_session **out) MUST_USE;

/** Tie to its connection, which owns it from now on. */
void h2_session_bind(struct h2_session *s, struct conn *c);

/** Free a session that was never bound and null the pointer. */
void h2_session_free(struct h2_session **s);

/** Open a stream (dialled role). h borrowed. RC_BUSY: the peer's limit or GOAWAY stands in the way;
 * RC_NO_MEMORY. */
enum rc h2_session_request(struct h2_session *s, const struct h2_headers *h,
                           const struct h2_stream_ops *ops, void *user,
                           struct h2_stream **out) MUST_USE;

/** May another stream be opened (dialled role)? */
bool h2_session_has_room(const struct h2_session *s);

/** Take no more streams: GOAWAY with the last stream seen. The open ones go on; after the last the
 * session ends. */
void h2_session_refuse_new(struct h2_session *s, enum end_reason why);

/** End with GOAWAY of that error after what is queued; streams get on_closed when the connection is
 * gone. */
void h2_session_end(struct h2_session *s, enum h2_error error, enum end_reason why);

/** Count n frames that cost us something towards frame_flood; ends the session when there are too
 * many. Accepted role; no effect in the other. */
void h2_count_flood(struct h2_session *s, uint32_t n);

/** Answer a request; end: no body follows. h borrowed. RC_NO_MEMORY. */
enum rc h2_stream_respond(struct h2_stream *st, const struct h2_headers *h, bool end) MUST_USE;

/** Queue n bytes of body. RC_FULL when the queue's cap is reached (nothing queued), RC_NO_MEMORY.
 */
enum rc h2_stream_send(struct h2_stream *st, const uint8_t *data, size_t n) MUST_USE;

/** End our side after what is queued; trailers (taken, may be NULL) follow the body. */
void h2_stream_end(struct h2_stream *st, struct h2_headers *trailers);

/** Give the peer back window for n bytes, 0 .. st->unconsumed. RFC 9113 5.2.1. */
void h2_stream_credit(struct h2_stream *st, size_t n);

/** Reset. on_closed follows. No effect on a closed stream. */
void h2_stream_reset(struct h2_stream *st, enum h2_error error);

/** Nobody is interested any more: no callback comes; what arrives is credited and dropped. */
void h2_stream_detach(struct h2_stream *st);
