/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/net/conn.h over memory: no socket, no TLS. Linking fake_conn.c replaces conn.c. The test
 * holds the other end of each connection, a wire; it outlives the connection, so that a test may
 * look at it afterwards, and the connection itself is freed as the real one is.
 *
 * Nothing happens by itself: the test opens, feeds, takes and closes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/list.h"
#include "core/net/conn.h"

/** The far end of a connection. */
struct wire {
    struct list node;   /**< on the list of wires nobody has picked up */
    struct conn *conn;  /**< borrowed; NULL when the gateway's end is gone */
    struct addr peer;   /**< as given to conn_accept() or conn_dial() */
    struct addr source; /**< as given to conn_dial() */
    bool dialled;
    bool opened;         /**< wire_open() was called */
    bool fin;            /**< the gateway has finished sending (or is gone) */
    enum end_reason why; /**< why the gateway's end died; END_NONE while it lives */
    uint8_t *out;        /**< owned; what the gateway sent and nobody took yet */
    size_t out_len;
    size_t out_cap;
    size_t taken;        /**< bytes taken since the last conn_line_moves() */
    size_t charged;      /**< by conn_charge(), in all */
    size_t socket_bytes; /**< what the socket takes before bytes count as queued */
};

/** Results of coming conn_dial() calls: RC_OK gives a wire. */
extern enum rc fake_dial_rc;

/** Is the ALPN of new connections h2? */
extern bool fake_alpn_is_h2;

/** The oldest wire nobody has picked up; owned by the caller, free with wire_free(). NULL: none. */
struct wire *fake_conn_next_wire(void);

/** The handshake is done. */
void wire_open(struct wire *w);

/** Bytes arrive at the gateway. */
void wire_feed(struct wire *w, const uint8_t *data, size_t n);

/** Take up to max bytes the gateway sent; returns how many. The gateway hears of room. */
size_t wire_take(struct wire *w, uint8_t *buf, size_t max);

/** The far end closes, or the network fails; why as conn.c would say it. */
void wire_close(struct wire *w, enum end_reason why);

/** Free a wire and null the pointer; its connection must be gone. */
void wire_free(struct wire **w);
