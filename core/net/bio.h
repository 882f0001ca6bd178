/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket under an SSL, and what is between the two. Bytes are read in large pieces into the
 * worker's buffer, from which OpenSSL takes record by record; records are gathered in the worker's
 * other buffer and leave together. So a system call carries up to four full records, or all the
 * small ones that there are, and a connection that is idle holds no buffer.
 *
 * The worker's buffers belong to one connection at a time: bio_begin(), calls of OpenSSL,
 * bio_end(). No SIGPIPE.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "core/base/bufq.h"
#include "core/base/rc.h"
#include "core/net/worker.h"

/** Embedded in a conn. */
struct bio_link {
    int fd;                /**< owned */
    struct worker *worker; /**< borrowed */
    size_t budget;         /**< bytes that OpenSSL may still be given in this turn of the loop */
    const uint8_t *at;     /**< bytes that were read and not yet given to OpenSSL, */
    size_t left;           /**< so many: in `kept`, or between begin and end in worker->wire_in */
    uint8_t *kept;         /**< owned; NULL when nothing is left */
    bool drained;          /**< the socket had less than we asked for */
    bool starved;          /**< what is left is less than somebody needs */
    struct bufq out;       /**< records that the socket did not take */
    enum rc failed;        /**< sending is over: why */
    int error;             /**< errno of that */
};

/** Take over fd. out_cap: bytes that may wait for the socket. Never fails. */
void bio_init(struct bio_link *l, struct worker *w, int fd, size_t out_cap);

/** Close the socket and drop what waits. */
void bio_fini(struct bio_link *l);

/** Give back n bytes that were read before, copied; before the first bio_begin(). RC_NO_MEMORY. */
enum rc bio_unread(struct bio_link *l, const uint8_t *data, size_t n) MUST_USE;

/** Let ssl read and write through l, borrowed until SSL_free(). RC_NO_MEMORY. */
enum rc bio_attach(SSL *ssl, struct bio_link *l) MUST_USE;

/** OpenSSL may be called, and may be given at least `budget` bytes; each read of it costs at least
 * 512. Writing never waits: what the socket does not take is queued. */
void bio_begin(struct bio_link *l, size_t budget);

/** Take n bytes off the budget, as if they had been read. */
void bio_charge(struct bio_link *l, size_t n);

/**
 * Send what OpenSSL has written, keep what it has not read: bio_has_input() says whether there is
 * any. RC_OK; RC_NO_MEMORY; RC_FULL: the queue's cap; RC_RESET, RC_SYSTEM: the socket failed, as
 * l->error says.
 */
enum rc bio_end(struct bio_link *l) MUST_USE;

/**
 * For who reads and writes records without OpenSSL, also between bio_begin() and bio_end(). At
 * least n bytes, up to WORKER_SCRATCH_BYTES, in one piece at l->at: RC_OK. RC_AGAIN: not there yet,
 * or the budget is used up; RC_EOF; RC_RESET, RC_SYSTEM with l->error.
 */
enum rc bio_need(struct bio_link *l, size_t n) MUST_USE;

/** Those n bytes, 1 .. l->left, are used up. */
void bio_take(struct bio_link *l, size_t n);

/** Room for n bytes, up to WORKER_WIRE_BYTES, or NULL: sending is over, as bio_end() says. */
uint8_t *bio_room(struct bio_link *l, size_t n);

/** So many of them were written. */
void bio_wrote(struct bio_link *l, size_t n);

/** Were bytes read that could be taken now? The socket will not announce them. */
bool bio_has_input(const struct bio_link *l);

/** Send from the queue as much as the socket takes. Errors as bio_end(). */
enum rc bio_drain(struct bio_link *l) MUST_USE;
