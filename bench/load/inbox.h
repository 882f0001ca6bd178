/* SPDX-License-Identifier: Apache-2.0 */
/* The messages that come on a stream, looked at byte by byte while they arrive (message.h). */
#pragma once

#include "bench/load/message.h"

/** Where in a message the bytes that come in are. */
struct inbox {
    struct message_home *home; /**< borrowed */
    bool of_vm;                /**< a VM sends them; else the backend */
    uint8_t state;
    uint8_t n_framing; /**< bytes of the framing seen */
    uint8_t framing[MESSAGE_FRAMING_BYTES];
    uint8_t shift;  /**< of the next bits of value */
    uint8_t field;  /**< the last one that began */
    uint8_t role;   /**< what it is */
    uint16_t seen;  /**< a bit for each role that was there */
    uint32_t at;    /**< bytes of the message so far */
    uint32_t value; /**< the length that is being read */
    uint32_t field_bytes;
    uint32_t left; /**< bytes to come of the open field */
    uint32_t vm;   /**< whose Node it is */
    uint32_t n_text;
    char text[MESSAGE_TEXT_BYTES];
    struct message message; /**< what is known of it */
};

enum inbox_result {
    INBOX_MORE,     /**< all bytes are used up */
    INBOX_COMPLETE, /**< a message ended: in->message says which */
    INBOX_WRONG,    /**< not what any sender of the bench writes */
};

/** At a message boundary. home is borrowed for its life. */
void inbox_init(struct inbox *in, struct message_home *home, bool of_vm);

/** Take bytes from *data (of *n, both moved on) up to the end of one message. */
enum inbox_result inbox_feed(struct inbox *in, const uint8_t **data, size_t *n);
