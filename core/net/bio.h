/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BIO under every SSL: a socket, with bytes that were read from it before OpenSSL saw it. No
 * SIGPIPE.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "core/base/rc.h"

/** Embedded in a conn. */
struct bio_source {
    int fd;          /**< owned */
    size_t budget;   /**< bytes that may still be read from the socket in this turn of the loop */
    uint8_t *prefix; /**< owned; NULL when there is none (any more) */
    size_t prefix_len;
    size_t prefix_used;
};

/** Take over fd. Never fails. */
void bio_source_init(struct bio_source *s, int fd);

/** Close the socket and drop the prefix. */
void bio_source_fini(struct bio_source *s);

/** Bytes to be read before those of the socket, copied. RC_NO_MEMORY. */
enum rc bio_source_set_prefix(struct bio_source *s, const uint8_t *data, size_t n) MUST_USE;

/** Free the prefix if it has been read. */
void bio_source_drop_prefix_when_empty(struct bio_source *s);

/** Let ssl read and write through s, borrowed until SSL_free(). RC_NO_MEMORY. */
enum rc bio_attach(SSL *ssl, struct bio_source *s) MUST_USE;
