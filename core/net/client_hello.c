/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server name of a ClientHello (RFC 8446 4.1.2, RFC 6066 3). Every call starts from the first
 * byte: the unit keeps no state, and the walk over record headers is cheap until the message is
 * complete.
 *
 * Where OpenSSL 3 is strict this is as strict (one host_name entry, lengths that add up), so that a
 * hello cannot mean one name here and another one there. Everything that does not carry the name is
 * skipped.
 */
#include "core/net/client_hello.h"

#include <stdbool.h>
#include <string.h>

#include "core/base/check.h"
#include "core/net/addr.h"

#define RECORD_HEADER_BYTES 5
#define RECORD_MAX_BYTES 16384
#define RECORD_HANDSHAKE 22
#define MESSAGE_HEADER_BYTES 4
#define MESSAGE_CLIENT_HELLO 1
#define RANDOM_BYTES 32
#define SESSION_ID_MAX_BYTES 32
#define EXTENSION_SERVER_NAME 0
#define NAME_TYPE_HOST 0
#define LABEL_MAX_BYTES 63
#define HOST_MAX_BYTES 253

/* ---- reading a piece of memory ---- */

struct reader {
    const uint8_t *p;
    size_t left;
};

static bool take(struct reader *r, size_t n, struct reader *out)
{
    if (r->left < n) {
        return false;
    }
    *out = (struct reader){r->p, n};
    r->p += n;
    r->left -= n;
    return true;
}

static bool take_u8(struct reader *r, size_t *v)
{
    struct reader b;
    if (!take(r, 1, &b)) {
        return false;
    }
    *v = b.p[0];
    return true;
}

static bool take_u16(struct reader *r, size_t *v)
{
    struct reader b;
    if (!take(r, 2, &b)) {
        return false;
    }
    *v = (size_t)b.p[0] << 8 | b.p[1];
    return true;
}

/* A vector with one or two bytes of length. */
static bool take_vector8(struct reader *r, struct reader *out)
{
    size_t n;
    return take_u8(r, &n) && take(r, n, out);
}

static bool take_vector16(struct reader *r, struct reader *out)
{
    size_t n;
    return take_u16(r, &n) && take(r, n, out);
}

/* ---- records ---- */

/* Walks the payload bytes of the handshake records; pos is in the raw bytes. */
struct records {
    const uint8_t *data;
    size_t n;
    size_t pos;
    size_t left; /* payload bytes of the open record from pos on, whether received or not */
};

/* A wrong byte is refused as soon as it is there, not only when the header is complete. */
static enum rc open_record(struct records *r)
{
    size_t have = r->n - r->pos;
    const uint8_t *h = r->data + r->pos;

    if (r->pos + RECORD_HEADER_BYTES > CLIENT_HELLO_MAX_BYTES) {
        return RC_PEER_LIMIT;
    }
    if ((have > 0 && h[0] != RECORD_HANDSHAKE) || (have > 1 && h[1] != 3)) {
        return RC_PEER_MALFORMED;
    }
    if (have < RECORD_HEADER_BYTES) {
        return RC_AGAIN;
    }
    size_t len = (size_t)h[3] << 8 | h[4];
    if (len == 0 || len > RECORD_MAX_BYTES) {
        return RC_PEER_MALFORMED;
    }
    r->pos += RECORD_HEADER_BYTES;
    r->left = len;
    return RC_OK;
}

/*
 * The next run of payload bytes that lie side by side, at most want of them. *run is the number (1
 * .. want) and *p where they are.
 */
static enum rc next_run(struct records *r, size_t want, const uint8_t **p, size_t *run)
{
    if (r->left == 0) {
        enum rc rc = open_record(r);
        if (rc != RC_OK) {
            return rc;
        }
    }
    size_t len = want < r->left ? want : r->left;
    if (r->pos + len > CLIENT_HELLO_MAX_BYTES) {
        return RC_PEER_LIMIT;
    }
    if (r->pos == r->n) {
        return RC_AGAIN;
    }
    if (len > r->n - r->pos) {
        len = r->n - r->pos;
    }
    *p = r->data + r->pos;
    *run = len;
    r->pos += len;
    r->left -= len;
    return RC_OK;
}

/* want payload bytes into dst (NULL: only step over them). */
static enum rc read_payload(struct records *r, size_t want, uint8_t *dst)
{
    const uint8_t *p;
    size_t run;

    while (want > 0) {
        enum rc rc = next_run(r, want, &p, &run);
        if (rc != RC_OK) {
            return rc;
        }
        if (dst != NULL) {
            memcpy(dst, p, run);
            dst += run;
        }
        want -= run;
    }
    return RC_OK;
}

/* The header of the handshake message; a wrong type is refused with its first byte. */
static enum rc read_message_header(struct records *r, size_t *len)
{
    uint8_t h[MESSAGE_HEADER_BYTES];
    enum rc rc = read_payload(r, 1, h);

    if (rc != RC_OK) {
        return rc;
    }
    if (h[0] != MESSAGE_CLIENT_HELLO) {
        return RC_PEER_MALFORMED;
    }
    rc = read_payload(r, 3, h + 1);
    if (rc != RC_OK) {
        return rc;
    }
    *len = (size_t)h[1] << 16 | (size_t)h[2] << 8 | h[3];
    return *len > CLIENT_HELLO_MAX_BYTES - RECORD_HEADER_BYTES - MESSAGE_HEADER_BYTES
               ? RC_PEER_LIMIT
               : RC_OK;
}

/* ---- the name ---- */

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Labels of 1 to 63 characters; also an IPv4 address looks like that. */
static bool is_host_name(const char *name, size_t n)
{
    size_t label = 0;

    for (size_t i = 0; i < n; i++) {
        if (name[i] != '.') {
            label++;
            if (!is_host_char(name[i]) || label > LABEL_MAX_BYTES) {
                return false;
            }
        } else if (label == 0) {
            return false;
        } else {
            label = 0;
        }
    }
    return label > 0 && n <= HOST_MAX_BYTES;
}

static bool read_host(struct reader name, struct client_hello *out)
{
    struct addr ip;
    size_t n = name.left;

    if (n == 0 || n >= sizeof(out->sni)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char c = (char)name.p[i];
        out->sni[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    if (out->sni[n - 1] == '.') {
        n--;
    }
    out->sni[n] = '\0';
    if (is_host_name(out->sni, n)) {
        return true;
    }
    /* RFC 6066 forbids an address as a name, yet some clients send one; an IPv6 one has colons. */
    return strlen(out->sni) == n && addr_parse_ip(out->sni, &ip) == RC_OK;
}

static bool read_server_name(struct reader ext, struct client_hello *out)
{
    struct reader list;
    struct reader name;
    size_t type;

    if (!take_vector16(&ext, &list) || ext.left != 0) {
        return false;
    }
    if (!take_u8(&list, &type) || type != NAME_TYPE_HOST || !take_vector16(&list, &name)) {
        return false;
    }
    return list.left == 0 && read_host(name, out);
}

static bool read_extensions(struct reader exts, struct client_hello *out)
{
    bool seen = false;
    size_t type;
    struct reader ext;

    while (exts.left > 0) {
        if (!take_u16(&exts, &type) || !take_vector16(&exts, &ext)) {
            return false;
        }
        if (type != EXTENSION_SERVER_NAME) {
            continue;
        }
        if (seen || !read_server_name(ext, out)) {
            return false;
        }
        seen = true;
    }
    return true;
}

static bool read_body(struct reader r, struct client_hello *out)
{
    struct reader skip;
    struct reader exts;
    size_t version;

    if (!take_u16(&r, &version) || version >> 8 != 3 || !take(&r, RANDOM_BYTES, &skip)) {
        return false;
    }
    if (!take_vector8(&r, &skip) || skip.left > SESSION_ID_MAX_BYTES) {
        return false;
    }
    if (!take_vector16(&r, &skip) || skip.left < 2 || skip.left % 2 != 0) {
        return false;
    }
    if (!take_vector8(&r, &skip) || skip.left == 0) {
        return false;
    }
    if (r.left == 0) {
        return true; /* no extensions at all: TLS 1.2 allows it */
    }
    return take_vector16(&r, &exts) && r.left == 0 && read_extensions(exts, out);
}

enum rc client_hello_parse(const uint8_t *data, size_t n, struct client_hello *out)
{
    struct records r = {.data = data, .n = n};
    struct client_hello hello = {.sni = ""};
    uint8_t body[CLIENT_HELLO_MAX_BYTES];
    size_t len = 0;

    enum rc rc = read_message_header(&r, &len);
    if (rc != RC_OK) {
        return rc;
    }
    /* First only step over the body: bytes that trickle in are not copied again and again. */
    struct records start = r;
    rc = read_payload(&r, len, NULL);
    if (rc != RC_OK) {
        return rc;
    }
    CHECK(len <= sizeof(body) && read_payload(&start, len, body) == RC_OK);
    if (!read_body((struct reader){body, len}, &hello)) {
        return RC_PEER_MALFORMED;
    }
    *out = hello;
    return RC_OK;
}
