/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC messages of the bench: five bytes of framing, a byte that says what the message is, then a
 * pattern in which every position can be told from its neighbours, so that the receiver notices
 * when a relay has lost or mixed up bytes. Messages are made while they are sent and looked at
 * while they arrive: nothing ever holds a whole one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum message_kind {
    MESSAGE_HELLO = 'H', /**< the first one in either direction */
    MESSAGE_ACK = 'A',   /**< a VM's answer to a push */
    MESSAGE_ECHO = 'E',  /**< comes back in the same size */
    MESSAGE_PUSH = 'P',  /**< what the backend sends unasked */
};

/** What the pattern repeats after: a prime, so that no frame or record size hides a mistake. */
#define MESSAGE_PERIOD 251
#define MESSAGE_PATTERN_BYTES (MESSAGE_PERIOD + 32768)

/** Bytes of the framing, and with the kind. */
#define MESSAGE_FRAMING_BYTES 5
#define MESSAGE_HEAD_BYTES 6

/** The longest message that is sent or understood. */
#define MESSAGE_MAX_BYTES (1u << 30)

/** Made once, then only read. */
struct message_pattern {
    uint8_t bytes[MESSAGE_PATTERN_BYTES];
};

/** Fill the pattern. Never fails. */
void message_pattern_init(struct message_pattern *p);

/** Messages of one kind and size in a row. */
struct message_run {
    uint8_t kind;
    uint32_t bytes; /**< size of each, without framing; 1 .. MESSAGE_MAX_BYTES */
    uint32_t count; /**< how many are not complete yet */
};

/** Runs that wait at most; a stream that has more to say is not sending at all. */
#define OUTBOX_RUNS 8

/** What a stream has still to send. */
struct outbox {
    const struct message_pattern *pattern; /**< borrowed */
    struct message_run runs[OUTBOX_RUNS];  /**< a ring */
    uint32_t first;                        /**< index of the oldest run */
    uint32_t n_runs;
    uint32_t sent;  /**< bytes of the oldest message that have left, framing included */
    uint64_t bytes; /**< all that waits, framing included */
};

/** An empty one. pattern is borrowed for its life. */
void outbox_init(struct outbox *o, const struct message_pattern *pattern);

/** Add a message of `bytes` (1 .. MESSAGE_MAX_BYTES). false when too many different ones wait
 * already. */
bool outbox_add(struct outbox *o, enum message_kind kind, uint32_t bytes);

/** Drop what has not begun; a message of which bytes have left stays. */
void outbox_drop(struct outbox *o);

/** Write up to max bytes of what waits to buf, and forget them. Returns how many. */
size_t outbox_read(struct outbox *o, uint8_t *buf, size_t max);

/** Where in a message the bytes that come in are. */
struct inbox {
    const struct message_pattern *pattern; /**< borrowed */
    uint8_t head[MESSAGE_HEAD_BYTES];
    uint32_t n_head; /**< bytes of the head seen */
    uint32_t at;     /**< position in the message, the kind being 0 */
    uint32_t bytes;  /**< size of the message, without framing */
};

enum inbox_result {
    INBOX_MORE,     /**< all bytes are used up */
    INBOX_COMPLETE, /**< a message ended: head[5] and bytes say which */
    INBOX_WRONG,    /**< not what any sender of the bench writes */
};

/** At a message boundary. pattern is borrowed for its life. */
void inbox_init(struct inbox *in, const struct message_pattern *pattern);

/** Take bytes from *data (of *n, both moved on) up to the end of one message. */
enum inbox_result inbox_feed(struct inbox *in, const uint8_t **data, size_t *n);

/** The kind of the message that is complete. */
static inline enum message_kind inbox_kind(const struct inbox *in)
{
    return (enum message_kind)in->head[MESSAGE_FRAMING_BYTES];
}
