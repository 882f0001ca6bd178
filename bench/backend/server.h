/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backend: what istiod is to a relay, as far as a relay can see. A server of ADS which answers
 * the first request of a type with a hello, an echo with an echo, and pushes when it is told to.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/load/commands.h"
#include "bench/load/inbox.h"
#include "bench/load/link.h"
#include "bench/load/message.h"
#include "bench/load/tally.h"
#include "core/base/list.h"

#define SERVER_MAGIC 0x5e7bac0eu
#define CALLER_MAGIC 0xca11e74du
#define CALL_MAGIC 0xca118bb3u

struct server {
    uint32_t magic; /**< SERVER_MAGIC */
    struct ev_loop *loop;
    struct commands commands;
    struct link_home home;
    struct message_home messages;
    uint32_t nonces;         /**< the last one */
    SSL_CTX *tls;            /**< borrowed */
    nghttp2_option *options; /**< borrowed */
    uint32_t max_streams;    /**< announced */
    ev_io listener;
    struct list callers; /**< caller.node */
    struct list calls;   /**< call.node, in the order of opening */
    ev_timer cut;        /**< the end of what was told to go away */
    uint64_t refuse;     /**< so many next streams are refused */

    /* Counted since the start. */
    uint64_t opened;
    uint64_t closed;
    uint64_t refused;
    uint64_t resets_received;
    uint64_t goaways_sent;
    uint64_t acks;
    uint64_t echoes;
    uint64_t wrong;            /**< streams with bytes that nobody sent */
    uint32_t max_streams_seen; /**< the most at once on one connection */
    struct tally ends;         /**< why connections ended */
};

/** A connection. */
struct caller {
    uint32_t magic;        /**< CALLER_MAGIC */
    struct server *server; /**< borrowed */
    struct list node;
    struct link link;
    struct list calls; /**< call.of_caller */
    uint32_t n_calls;
    bool is_leaving; /**< GOAWAY was sent */
};

/** A stream. */
struct call {
    uint32_t magic;        /**< CALL_MAGIC */
    struct caller *caller; /**< borrowed */
    struct list node;
    struct list of_caller;
    int32_t stream;
    bool is_post;
    bool is_grpc;
    bool is_answered;              /**< the response headers were submitted */
    bool is_refused;               /**< what it sends is not looked at */
    bool is_ended;                 /**< the other side has said everything */
    uint32_t acked[MESSAGE_TYPES]; /**< nonces of the last acks */
    struct inbox in;
    struct outbox out;
};

/** Serve on this listening socket. tls and options are borrowed for the life of s. */
void server_init(struct server *s, struct ev_loop *loop, int fd, SSL_CTX *tls,
                 nghttp2_option *options);

/** Cut everything. */
void server_fini(struct server *s);

/** The commands; arg is the server. */
extern const struct command server_commands[];

/** Queue a response on a stream; the caller's link must be flushed afterwards. false: too many
 * wait.
 */
bool call_send(struct call *c, enum message_kind kind, enum message_type type, uint32_t bytes);

/** A session for a new connection with its SETTINGS submitted; NULL without memory. */
nghttp2_session *caller_session_new(struct caller *c);

/** Free a stream and count it. Sets *c to NULL. */
void call_free(struct call **c);
