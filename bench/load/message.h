/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of the bench: what istio-agent and istiod say on a DeltaAggregatedResources stream
 * (envoy/service/discovery/v3/discovery.proto), with the fields in the order in which Envoy and Go
 * write them. Resources and their names hold a pattern in which every position can be told from its
 * neighbours, so that the receiver notices when a relay has lost or mixed up bytes. Messages are
 * made while they are sent and looked at while they arrive: nothing ever holds a whole one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/load/node.h"

/** What a message is for. A VM sends the first four, the backend the last three. */
enum message_kind {
    MESSAGE_FIRST = 'F',     /**< the first of a stream: who asks, and for clusters */
    MESSAGE_SUBSCRIBE = 'S', /**< asks for one type more */
    MESSAGE_ACK = 'A',       /**< has got what has this nonce */
    MESSAGE_ECHO = 'E',      /**< the same, and asks for more; is answered in the same size */
    MESSAGE_HELLO = 'H',     /**< the answer to the first request of a type */
    MESSAGE_PUSH = 'P',      /**< what the backend sends unasked */
};

/** What is asked for on a VM's stream. */
enum message_type {
    MESSAGE_CDS,
    MESSAGE_EDS,
    MESSAGE_LDS,
    MESSAGE_RDS,
    MESSAGE_NDS,
    MESSAGE_TYPES,
};

struct message {
    enum message_kind kind;
    enum message_type type;
    uint32_t nonce; /**< of the response that it is, or is about; 0: none */
    uint32_t bytes; /**< its size without framing; of a FIRST, SUBSCRIBE or ACK it follows from the
                         rest, and is 0 */
};

/** What the pattern repeats after: a prime, so that no frame or record size hides a mistake. */
#define MESSAGE_PERIOD 251
#define MESSAGE_PATTERN_BYTES (MESSAGE_PERIOD + 32768)

/** Bytes of gRPC's framing. */
#define MESSAGE_FRAMING_BYTES 5

/** The shortest and the longest message of a given size that is sent or understood. */
#define MESSAGE_MIN_BYTES 170
#define MESSAGE_MAX_BYTES (1u << 30)

/** The longest text in a message, with room for one byte more: a type URL. */
#define MESSAGE_TEXT_BYTES 80

/** What the messages of a program are made of and held against. */
struct message_home {
    uint32_t node_bytes; /**< how long Nodes are (node_write()) */
    uint32_t node_vm;    /**< whose Node the last one was */
    size_t node_wanted;  /**< and how long it had to be; 0: there is none */
    size_t n_node;
    uint8_t node[NODE_BYTES_MAX];
    uint8_t pattern[MESSAGE_PATTERN_BYTES];
};

/** Fill the pattern. Never fails. */
void message_home_init(struct message_home *h, uint32_t node_bytes);

/** The Node of a VM, made if it is not the last one; its length in *n. */
const uint8_t *message_node(struct message_home *h, uint32_t vm, size_t bytes, size_t *n);

/** Bytes of the pattern for the position `at` of a message; *n: how many are there in one piece. */
const uint8_t *message_pattern_at(const struct message_home *h, uint32_t at, size_t *n);

/** The type URL; a nonce as text (as istiod's: time, version, UUID), and back. */
const char *message_url(enum message_type t);
const char *message_nonce_text(uint32_t nonce, char buf[MESSAGE_TEXT_BYTES]);
bool message_nonce_parse(const char *text, uint32_t *nonce);

/** system_version_info of every response. */
#define MESSAGE_VERSION "2026-08-22T10:11:12Z/1041"

/** The lowest bit of a nonce: the response is a push. */
#define MESSAGE_NONCE_PUSH 1u

/** Messages that are the same but for their nonces, in a row. */
struct message_run {
    struct message message; /**< of a response the nonce is chosen when it begins to be sent */
    uint32_t count;         /**< how many are not complete yet */
};

/** Runs that wait at most; a stream that has more to say is not sending at all. */
#define OUTBOX_RUNS 32

/** What a stream has still to send. */
struct outbox {
    struct message_home *home; /**< borrowed */
    uint32_t *nonces;          /**< borrowed: the backend's counter; NULL: a VM's stream */
    uint32_t vm;               /**< whose stream it is, when it is a VM's */
    struct message_run runs[OUTBOX_RUNS]; /**< a ring */
    uint32_t first;                       /**< index of the oldest run */
    uint32_t n_runs;
    uint32_t nonce; /**< of the message of which bytes have left */
    uint32_t sent;  /**< bytes of it that have left, framing included */
    uint64_t bytes; /**< all that waits, framing included */
};

/** An empty one. home and nonces are borrowed for its life. */
void outbox_init(struct outbox *o, struct message_home *home, uint32_t vm, uint32_t *nonces);

/** Add a message; bytes, if they are not 0: MESSAGE_MIN_BYTES .. MESSAGE_MAX_BYTES. false when too
 * many different ones wait already. */
bool outbox_add(struct outbox *o, const struct message *m);

/** Drop what has not begun; a message of which bytes have left stays. */
void outbox_drop(struct outbox *o);

/** Write up to max bytes of what waits to buf, and forget them. Returns how many. */
size_t outbox_read(struct outbox *o, uint8_t *buf, size_t max);
