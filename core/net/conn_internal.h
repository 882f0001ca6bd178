/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a conn share: its life (conn.c), and its records when OpenSSL has gone
 * (conn_records.c). */
#pragma once

#include "core/net/bio.h"
#include "core/net/conn.h"
#include "core/net/tls13.h"

#define CONN_MAGIC 0xc0221dadu
#define CONN_DETAIL_BYTES 120

enum conn_state { CONN_CONNECTING, CONN_HANDSHAKE, CONN_OPEN, CONN_FINISHING, CONN_DEAD };

struct conn {
    uint32_t magic;
    uint8_t state;     /**< enum conn_state */
    uint8_t why;       /**< enum end_reason, once finishing or dead */
    bool out_was_full; /**< on_drained is owed */
    bool fin_sent;
    bool alpn_is_h2;
    bool opening;          /**< on_open() is being called: nothing may be sent yet */
    struct worker *worker; /**< borrowed */
    const struct conn_ops *ops;
    void *user;           /**< borrowed until on_dead */
    SSL *ssl;             /**< owned; NULL when its records are ours */
    struct tls13 tls;     /**< secrets and keys of our own records */
    struct bio_link link; /**< the socket, what was read ahead and what could not be sent */
    ev_io io;
    ev_timer timer; /**< the handshake; more input at hand; the linger of conn_finish() */
    struct worker_reap reap;
    struct addr peer;
    struct addr local;
    struct addr bind;      /**< the configured source of a dialled connection */
    char *detail;          /**< owned; NULL mostly */
    uint64_t acknowledged; /**< at the last conn_line_moves() */
    uint32_t key_updates;  /**< of the peer, since then: */
    double key_updates_since;
};

/** Say why, unless it was said before. text is copied. */
void conn_set_detail(struct conn *c, const char *text);

/** The link failed, as it said: the socket, memory, or its queue, which only a flood fills. */
void conn_fail_link(struct conn *c, enum rc why);

/** The peer has sent a KeyUpdate, which costs what many small records do; too many end it. */
void conn_count_key_update(struct conn *c);

/** Open the records that came, until there are no more or the budget is used up. Between
 * bio_begin() and bio_end(). */
void conn_read_records(struct conn *c);

/** Seal n bytes into records. As above. */
void conn_write_records(struct conn *c, const uint8_t *data, size_t n);

/** The alert that ends our side. As above. */
void conn_write_close_notify(struct conn *c);
