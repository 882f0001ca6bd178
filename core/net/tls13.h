/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS 1.3 records of a connection whose handshake is done (RFC 8446, sections 5 and 7). OpenSSL
 * does the handshake, which is where TLS is difficult; what it keeps afterwards (its state machine,
 * the peer's parsed certificate, two cipher contexts) is more than half of what an idle connection
 * costs. So its two traffic secrets are taken (by the keylog callback, the only way out for them)
 * and it is freed. What is left is a record's five bytes of header, one AEAD call, a sequence
 * number, KeyUpdate and alerts. Cipher contexts belong to the worker and are keyed for each record.
 *
 * Pure: bytes in, bytes out. Either side.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "core/base/rc.h"

/** A record's header; and the most that a record is longer than what it carries: header, content
 * type, tag. */
#define TLS13_HEADER_BYTES 5
#define TLS13_OVERHEAD_BYTES (TLS13_HEADER_BYTES + 1 + 16)

/** A KeyUpdate as a record. */
#define TLS13_UPDATE_BYTES (5 + TLS13_OVERHEAD_BYTES)

/** The most that one record carries, and the longest that a peer may send (RFC 8446 5.2). */
#define TLS13_PLAIN_MAX_BYTES 16384
#define TLS13_RECORD_MAX_BYTES (TLS13_HEADER_BYTES + TLS13_PLAIN_MAX_BYTES + 256)

/** A key seals so many records, then there is a new one: AES-GCM's limit is 2^24.5 (RFC 8446 5.5).
 */
#define TLS13_KEY_RECORDS (UINT64_C(1) << 23)

/** RFC 8446 5.1 and 6. */
enum tls13_type { TLS13_ALERT = 21, TLS13_HANDSHAKE = 22, TLS13_DATA = 23 };
enum tls13_alert {
    TLS13_CLOSE_NOTIFY = 0,
    TLS13_UNEXPECTED_MESSAGE = 10,
    TLS13_BAD_RECORD_MAC = 20,
    TLS13_RECORD_OVERFLOW = 22,
    TLS13_ILLEGAL_PARAMETER = 47,
    TLS13_DECODE_ERROR = 50,
    TLS13_USER_CANCELED = 90,
};

/** A worker's cipher contexts. */
struct tls13_ciphers;

/** One direction. */
struct tls13_side {
    uint8_t secret[48];
    uint8_t key[32];
    uint8_t iv[12];
    uint64_t seq; /**< records under this key */
};

/** Embedded in a conn; all zero is the start. */
struct tls13 {
    uint8_t suite;   /**< row of the table of suites */
    uint8_t secrets; /**< which of the two have come */
    bool is_client;
    uint8_t part_len; /**< bytes of an incomplete handshake message: its header, or a KeyUpdate */
    uint8_t part[5];
    uint32_t skip; /**< bytes that are left of one that is not for us */
    struct tls13_side in;
    struct tls13_side out;
};

/** What a record was. */
struct tls13_record {
    enum tls13_type type;
    const uint8_t *data; /**< n bytes, borrowed: in the caller's buffer */
    size_t n;
    enum tls13_alert alert; /**< why not, after an error: to be told to the peer */
};

/** Contexts are made when they are first used. NULL: out of memory. */
struct tls13_ciphers *tls13_ciphers_new(void);

/** Free them and null the pointer. */
void tls13_ciphers_free(struct tls13_ciphers **c);

/** For SSL_CTX_set_keylog_callback(): hands secrets to whoever watches ssl. The
 * line goes nowhere else. */
void tls13_on_keylog(const SSL *ssl, const char *line);

/** Before the handshake: let the secrets of ssl come to t, borrowed until SSL_free(). RC_NO_MEMORY.
 */
enum rc tls13_watch(SSL *ssl, struct tls13 *t) MUST_USE;

/**
 * After the handshake: make the keys, so that t can go on without ssl. False: this connection stays
 * with OpenSSL (TLS 1.2, a context without tls13_on_keylog(), data that OpenSSL has read already).
 */
bool tls13_take_over(const SSL *ssl, struct tls13 *t);

/** Forget secrets and keys. */
void tls13_fini(struct tls13 *t);

/**
 * Seal n bytes, 0 .. TLS13_PLAIN_MAX_BYTES, into one record at out, which has room for n +
 * TLS13_OVERHEAD_BYTES. The record's length, or 0: out of memory.
 */
size_t tls13_seal(struct tls13_ciphers *c, struct tls13 *t, enum tls13_type type,
                  const uint8_t *data, size_t n, uint8_t *out);

/** The length of the record that begins with this header; 0: longer than any may be. */
size_t tls13_record_bytes(const uint8_t header[TLS13_HEADER_BYTES]);

/**
 * Open a complete record of n bytes; buf has room for TLS13_RECORD_MAX_BYTES. RC_OK;
 * RC_PEER_MALFORMED with r->alert; RC_NO_MEMORY.
 */
enum rc tls13_open(struct tls13_ciphers *c, struct tls13 *t, const uint8_t *record, size_t n,
                   uint8_t *buf, struct tls13_record *r) MUST_USE;

/** The longest ticket that a server may send (go crypto/tls: maxHandshake). */
#define TLS13_TICKET_MAX_BYTES 65536

/**
 * The peer's handshake record of n bytes: KeyUpdates, and from a server tickets, which are ignored,
 * are all that may come (4.6), whole or in parts. RC_OK; *asked: it wants a KeyUpdate of ours;
 * RC_PEER_MALFORMED with *alert; RC_NO_MEMORY.
 */
enum rc tls13_take_handshake(struct tls13 *t, const uint8_t *data, size_t n, bool *asked,
                             enum tls13_alert *alert) MUST_USE;

/** A KeyUpdate of ours, as one record at out (TLS13_UPDATE_BYTES), and the next key. Its
 * length, or 0: out of memory. */
size_t tls13_update_key(struct tls13_ciphers *c, struct tls13 *t, uint8_t *out);
