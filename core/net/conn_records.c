/* SPDX-License-Identifier: Apache-2.0 */
/* A conn's TLS 1.3 records, after OpenSSL has done the handshake and gone. */
#include <stdio.h>

#include <openssl/err.h>

#include "core/net/conn_internal.h"

/* A record of len bytes was put into room. False: there was no room, because sending is over, or no
 * memory for the record, and the connection died. */
static bool put_record(struct conn *c, const uint8_t *room, size_t len)
{
    if (room != NULL && len == 0) {
        conn_kill(c, END_MEMORY);
    }
    bio_wrote(&c->link, len);
    return len > 0;
}

static bool write_record(struct conn *c, enum tls13_type type, const uint8_t *data, size_t n)
{
    uint8_t *room = bio_room(&c->link, n + TLS13_OVERHEAD_BYTES);
    size_t len = room == NULL ? 0 : tls13_seal(c->worker->ciphers, &c->tls, type, data, n, room);

    return put_record(c, room, len);
}

static bool write_key_update(struct conn *c)
{
    uint8_t *room = bio_room(&c->link, TLS13_UPDATE_BYTES);
    size_t len = room == NULL ? 0 : tls13_update_key(c->worker->ciphers, &c->tls, room);

    return put_record(c, room, len);
}

void conn_write_records(struct conn *c, const uint8_t *data, size_t n)
{
    if (c->tls.out.seq >= TLS13_KEY_RECORDS && !write_key_update(c)) {
        return;
    }
    while (n > 0) {
        size_t piece = n < TLS13_PLAIN_MAX_BYTES ? n : TLS13_PLAIN_MAX_BYTES;
        if (!write_record(c, TLS13_DATA, data, piece)) {
            return;
        }
        data += piece;
        n -= piece;
    }
}

/* The peer broke the protocol: tell it, and end. */
static void fail_record(struct conn *c, enum tls13_alert alert)
{
    const uint8_t fatal[] = {2, (uint8_t)alert};

    ERR_clear_error();
    conn_set_detail(c, alert == TLS13_BAD_RECORD_MAC ? "decryption failed or bad record mac"
                                                     : SSL_alert_desc_string_long((int)alert));
    (void)write_record(c, TLS13_ALERT, fatal, sizeof(fatal));
    conn_kill(c, END_IO);
}

static void take_alert(struct conn *c, const struct tls13_record *r)
{
    if (r->n != 2) {
        fail_record(c, TLS13_DECODE_ERROR);
    } else if (r->data[1] == TLS13_CLOSE_NOTIFY) {
        conn_kill(c, END_DOWN_CLOSED);
    } else if (r->data[1] != TLS13_USER_CANCELED) {
        char text[CONN_DETAIL_BYTES];
        snprintf(text, sizeof(text), "the peer's TLS alert: %s",
                 SSL_alert_desc_string_long(r->data[1]));
        conn_set_detail(c, text);
        conn_kill(c, END_IO);
    }
}

static void take_record(struct conn *c, struct tls13_record *r)
{
    bool asked = false;

    if (r->type == TLS13_DATA) {
        c->ops->on_bytes(c, r->data, r->n);
        return;
    }
    if (r->type == TLS13_ALERT) {
        take_alert(c, r);
        return;
    }
    enum rc rc = tls13_take_handshake(&c->tls, r->data, r->n, &asked, &r->alert);
    if (rc == RC_NO_MEMORY) {
        conn_kill(c, END_MEMORY);
    } else if (rc != RC_OK) {
        fail_record(c, r->alert);
    } else if (!asked || write_key_update(c)) {
        conn_count_key_update(c);
    }
}

/* A complete record at c->link.at; its bytes, or why there is none. */
static enum rc need_record(struct conn *c, size_t *n)
{
    TRY(bio_need(&c->link, TLS13_HEADER_BYTES));
    *n = tls13_record_bytes(c->link.at);
    return *n == 0 ? RC_PEER_LIMIT : bio_need(&c->link, *n);
}

static void fail_read(struct conn *c, enum rc why)
{
    if (why == RC_PEER_LIMIT) {
        fail_record(c, TLS13_RECORD_OVERFLOW);
    } else if (why == RC_EOF) {
        conn_kill(c, END_DOWN_CLOSED);
    } else {
        conn_fail_link(c, why);
    }
}

void conn_read_records(struct conn *c)
{
    while (c->state == CONN_OPEN && c->link.failed == RC_OK) {
        struct tls13_record r;
        size_t n;
        enum rc rc = need_record(c, &n);
        if (rc != RC_OK) {
            if (rc != RC_AGAIN) {
                fail_read(c, rc);
            }
            return;
        }
        rc = tls13_open(c->worker->ciphers, &c->tls, c->link.at, n, c->worker->in, &r);
        bio_take(&c->link, n);
        if (rc == RC_OK) {
            take_record(c, &r);
        } else if (rc == RC_NO_MEMORY) {
            conn_kill(c, END_MEMORY);
        } else {
            fail_record(c, r.alert);
        }
    }
}

void conn_write_close_notify(struct conn *c)
{
    static const uint8_t close_notify[] = {1, TLS13_CLOSE_NOTIFY};
    (void)write_record(c, TLS13_ALERT, close_notify, sizeof(close_notify));
}
