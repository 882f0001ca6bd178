/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/tls13.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "core/base/check.h"

#define TAG_BYTES 16
#define MESSAGE_HEADER_BYTES 4
#define KEY_UPDATE_BYTES 5

enum { NEW_SESSION_TICKET = 4, KEY_UPDATE = 24 }; /* RFC 8446 4: HandshakeType */

struct suite {
    uint16_t id; /* RFC 8446 B.4 */
    uint8_t hash_bytes;
    uint8_t key_bytes;
    const char *cipher;
};

/* The first row is none. */
static const struct suite suites[] = {
    {0, 0, 0, NULL},
    {0x1301, 32, 16, "AES-128-GCM"},
    {0x1302, 48, 32, "AES-256-GCM"},
    {0x1303, 32, 32, "ChaCha20-Poly1305"},
};
#define SUITES (sizeof(suites) / sizeof(suites[0]))

/* A context, and the key that it has: a burst of one connection sets it once. */
struct keyed {
    EVP_CIPHER_CTX *ctx; /* owned */
    uint8_t key[32];
    bool has_key;
};

struct tls13_ciphers {
    struct keyed seal[SUITES];
    struct keyed open[SUITES];
};

/* Written once, under pthread_once(): OpenSSL hands it out at run time. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int tls13_index = -1; /* of an SSL: struct tls13, borrowed */

static void make_index(void)
{
    tls13_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

/* ---- ciphers ---- */

struct tls13_ciphers *tls13_ciphers_new(void)
{
    return calloc(1, sizeof(struct tls13_ciphers));
}

void tls13_ciphers_free(struct tls13_ciphers **pc)
{
    struct tls13_ciphers *c = *pc;

    *pc = NULL;
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < SUITES; i++) {
        EVP_CIPHER_CTX_free(c->seal[i].ctx);
        EVP_CIPHER_CTX_free(c->open[i].ctx);
    }
    OPENSSL_cleanse(c, sizeof(*c));
    free(c);
}

static bool make_context(struct keyed *k, const struct suite *s, int seals)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, s->cipher, NULL);

    k->ctx = EVP_CIPHER_CTX_new();
    if (cipher == NULL || k->ctx == NULL ||
        EVP_CipherInit_ex(k->ctx, cipher, NULL, NULL, NULL, seals) != 1) {
        EVP_CIPHER_CTX_free(k->ctx);
        k->ctx = NULL;
    }
    EVP_CIPHER_free(cipher);
    return k->ctx != NULL;
}

/* The context, ready for the next record of a side: its key, and the nonce of RFC 8446 5.3. */
static EVP_CIPHER_CTX *begin(struct keyed *k, uint8_t suite, const struct tls13_side *side,
                             int seals)
{
    uint8_t nonce[12];

    if (k->ctx == NULL && !make_context(k, &suites[suite], seals)) {
        return NULL;
    }
    memcpy(nonce, side->iv, sizeof(nonce));
    for (int i = 0; i < 8; i++) {
        nonce[11 - i] = (uint8_t)(nonce[11 - i] ^ (side->seq >> (8 * i)));
    }
    bool same = k->has_key && memcmp(k->key, side->key, sizeof(k->key)) == 0;
    k->has_key = false;
    if (EVP_CipherInit_ex(k->ctx, NULL, NULL, same ? NULL : side->key, nonce, -1) != 1) {
        return NULL;
    }
    memcpy(k->key, side->key, sizeof(k->key));
    k->has_key = true;
    return k->ctx;
}

/* ---- keys ---- */

/* HKDF-Expand-Label with an empty context (RFC 8446 7.1); n is at most one block of the hash. */
static bool expand(const struct suite *s, const uint8_t *secret, const char *label, uint8_t *out,
                   size_t n)
{
    const EVP_MD *hash = s->hash_bytes == 48 ? EVP_sha384() : EVP_sha256();
    size_t label_bytes = strlen(label);
    uint8_t info[32];
    uint8_t block[EVP_MAX_MD_SIZE];
    size_t at = 0;

    CHECK(label_bytes + 11 <= sizeof(info) && n <= s->hash_bytes);
    info[at++] = 0;
    info[at++] = (uint8_t)n;
    info[at++] = (uint8_t)(6 + label_bytes);
    memcpy(info + at, "tls13 ", 6);
    memcpy(info + at + 6, label, label_bytes);
    at += 6 + label_bytes;
    info[at++] = 0;
    info[at++] = 1; /* the first block of HKDF-Expand (RFC 5869 2.3) */
    bool ok = HMAC(hash, secret, s->hash_bytes, info, at, block, NULL) != NULL;
    if (ok) {
        memcpy(out, block, n);
    }
    OPENSSL_cleanse(block, sizeof(block));
    return ok;
}

static bool make_key(const struct suite *s, struct tls13_side *side)
{
    side->seq = 0;
    return expand(s, side->secret, "key", side->key, s->key_bytes) &&
           expand(s, side->secret, "iv", side->iv, sizeof(side->iv));
}

/* RFC 8446 7.2. */
static bool next_key(const struct suite *s, struct tls13_side *side)
{
    return expand(s, side->secret, "traffic upd", side->secret, s->hash_bytes) && make_key(s, side);
}

/* ---- the way out of OpenSSL ---- */

/* The secret at the end of a line of NSS' key log: "LABEL CLIENT-RANDOM SECRET", in hex. */
static bool read_secret(const char *line, uint8_t *secret, size_t size)
{
    const char *hex = strrchr(line, ' ');
    size_t n;

    return hex != NULL && OPENSSL_hexstr2buf_ex(secret, size, &n, hex + 1, '\0') == 1;
}

void tls13_on_keylog(const SSL *ssl, const char *line)
{
    static const char server[] = "SERVER_TRAFFIC_SECRET_0 ";
    static const char client[] = "CLIENT_TRAFFIC_SECRET_0 ";
    bool is_server = SSL_is_server(ssl) == 1;
    struct tls13 *t = tls13_index >= 0 ? SSL_get_ex_data(ssl, tls13_index) : NULL;

    if (t == NULL) {
        return;
    }
    bool is_servers = strncmp(line, server, sizeof(server) - 1) == 0;
    if (!is_servers && strncmp(line, client, sizeof(client) - 1) != 0) {
        return;
    }
    bool is_ours = is_servers == is_server;
    struct tls13_side *side = is_ours ? &t->out : &t->in;
    if (read_secret(line, side->secret, sizeof(side->secret))) {
        t->secrets |= is_ours ? 1 : 2;
    }
}

enum rc tls13_watch(SSL *ssl, struct tls13 *t)
{
    pthread_once(&once, make_index);
    return tls13_index >= 0 && SSL_set_ex_data(ssl, tls13_index, t) == 1 ? RC_OK : RC_NO_MEMORY;
}

static uint8_t find_suite(const SSL *ssl)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);

    for (uint8_t i = 1; cipher != NULL && i < SUITES; i++) {
        if (suites[i].id == SSL_CIPHER_get_protocol_id(cipher)) {
            return i;
        }
    }
    return 0;
}

bool tls13_take_over(const SSL *ssl, struct tls13 *t)
{
    t->is_client = SSL_is_server(ssl) == 0;
    t->suite = SSL_version(ssl) == TLS1_3_VERSION ? find_suite(ssl) : 0;
    return t->suite != 0 && t->secrets == 3 && SSL_has_pending(ssl) == 0 &&
           make_key(&suites[t->suite], &t->in) && make_key(&suites[t->suite], &t->out);
}

void tls13_fini(struct tls13 *t)
{
    OPENSSL_cleanse(t, sizeof(*t));
}

/* ---- records ---- */

size_t tls13_seal(struct tls13_ciphers *c, struct tls13 *t, enum tls13_type type,
                  const uint8_t *data, size_t n, uint8_t *out)
{
    size_t sealed = n + 1 + TAG_BYTES;
    uint8_t *body = out + TLS13_HEADER_BYTES;
    const uint8_t inner_type = (uint8_t)type;
    int len;

    CHECK(t->suite != 0 && n <= TLS13_PLAIN_MAX_BYTES);
    out[0] = TLS13_DATA;
    out[1] = 3;
    out[2] = 3;
    out[3] = (uint8_t)(sealed >> 8);
    out[4] = (uint8_t)sealed;
    EVP_CIPHER_CTX *ctx = begin(&c->seal[t->suite], t->suite, &t->out, 1);
    if (ctx == NULL || EVP_EncryptUpdate(ctx, NULL, &len, out, TLS13_HEADER_BYTES) != 1 ||
        (n > 0 && EVP_EncryptUpdate(ctx, body, &len, data, (int)n) != 1) ||
        EVP_EncryptUpdate(ctx, body + n, &len, &inner_type, 1) != 1 ||
        EVP_EncryptFinal_ex(ctx, body + n + 1, &len) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, body + n + 1) != 1) {
        return 0;
    }
    t->out.seq++;
    return TLS13_HEADER_BYTES + sealed;
}

size_t tls13_record_bytes(const uint8_t header[TLS13_HEADER_BYTES])
{
    size_t n = TLS13_HEADER_BYTES + ((size_t)header[3] << 8) + header[4];
    return n <= TLS13_RECORD_MAX_BYTES ? n : 0;
}

static enum rc malformed(struct tls13_record *r, enum tls13_alert alert)
{
    r->alert = alert;
    return RC_PEER_MALFORMED;
}

/* Decrypt; *n is what it carries, with content type and padding. */
static enum rc decrypt(struct tls13_ciphers *c, struct tls13 *t, const uint8_t *record, size_t *n,
                       uint8_t *buf, struct tls13_record *r)
{
    EVP_CIPHER_CTX *ctx = begin(&c->open[t->suite], t->suite, &t->in, 0);
    size_t sealed = *n - TLS13_HEADER_BYTES;
    uint8_t tag[TAG_BYTES];
    int len;

    if (sealed < TAG_BYTES + 1) {
        return malformed(r, TLS13_BAD_RECORD_MAC);
    }
    *n = sealed - TAG_BYTES;
    memcpy(tag, record + TLS13_HEADER_BYTES + *n, TAG_BYTES);
    if (ctx == NULL || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) != 1 ||
        EVP_DecryptUpdate(ctx, NULL, &len, record, TLS13_HEADER_BYTES) != 1) {
        return RC_NO_MEMORY;
    }
    if (EVP_DecryptUpdate(ctx, buf, &len, record + TLS13_HEADER_BYTES, (int)*n) != 1 ||
        EVP_DecryptFinal_ex(ctx, buf + *n, &len) != 1) {
        return malformed(r, TLS13_BAD_RECORD_MAC);
    }
    return RC_OK;
}

enum rc tls13_open(struct tls13_ciphers *c, struct tls13 *t, const uint8_t *record, size_t n,
                   uint8_t *buf, struct tls13_record *r)
{
    CHECK(t->suite != 0 && n >= TLS13_HEADER_BYTES && n <= TLS13_RECORD_MAX_BYTES);
    if (record[0] != TLS13_DATA) { /* nothing is sent in the clear any more */
        return malformed(r, TLS13_UNEXPECTED_MESSAGE);
    }
    TRY(decrypt(c, t, record, &n, buf, r));
    t->in.seq++;
    if (n > TLS13_PLAIN_MAX_BYTES + 1) {
        return malformed(r, TLS13_RECORD_OVERFLOW);
    }
    while (n > 0 && buf[n - 1] == 0) { /* padding (5.4) */
        n--;
    }
    if (n == 0) {
        return malformed(r, TLS13_UNEXPECTED_MESSAGE);
    }
    uint8_t type = buf[n - 1];
    if ((type != TLS13_DATA && type != TLS13_HANDSHAKE && type != TLS13_ALERT) ||
        (type != TLS13_DATA && n == 1) ||
        (type != TLS13_HANDSHAKE && (t->part_len > 0 || t->skip > 0))) {
        return malformed(r, TLS13_UNEXPECTED_MESSAGE);
    }
    r->type = (enum tls13_type)type;
    r->data = buf;
    r->n = n - 1;
    return RC_OK;
}

/* ---- handshake messages ---- */

static enum rc take_key_update(struct tls13 *t, bool *asked, enum tls13_alert *alert)
{
    if (t->part[4] > 1) {
        *alert = TLS13_ILLEGAL_PARAMETER;
        return RC_PEER_MALFORMED;
    }
    t->part_len = 0;
    *asked = t->part[4] == 1;
    return next_key(&suites[t->suite], &t->in) ? RC_OK : RC_NO_MEMORY;
}

/* The header of a message is complete. */
static enum rc look_at_header(struct tls13 *t, enum tls13_alert *alert)
{
    uint32_t n = (uint32_t)t->part[1] << 16 | (uint32_t)t->part[2] << 8 | t->part[3];

    if (t->part[0] == KEY_UPDATE ? n != 1 : n > TLS13_TICKET_MAX_BYTES) {
        *alert = TLS13_DECODE_ERROR;
        return RC_PEER_MALFORMED;
    }
    if (t->part[0] == NEW_SESSION_TICKET) {
        t->skip = n;
        t->part_len = 0;
    }
    return RC_OK;
}

static bool may_come(const struct tls13 *t, uint8_t message)
{
    return message == KEY_UPDATE || (message == NEW_SESSION_TICKET && t->is_client);
}

enum rc tls13_take_handshake(struct tls13 *t, const uint8_t *data, size_t n, bool *asked,
                             enum tls13_alert *alert)
{
    *asked = false;
    *alert = TLS13_UNEXPECTED_MESSAGE;
    while (n > 0) {
        if (t->skip > 0) {
            uint32_t take = n < t->skip ? (uint32_t)n : t->skip;
            t->skip -= take;
            data += take;
            n -= take;
            continue;
        }
        t->part[t->part_len++] = *data++;
        n--;
        if (t->part_len == 1 && !may_come(t, t->part[0])) {
            return RC_PEER_MALFORMED;
        }
        if (t->part_len == MESSAGE_HEADER_BYTES) {
            TRY(look_at_header(t, alert));
        }
        if (t->part_len == KEY_UPDATE_BYTES) {
            /* the key changes here, so nothing may follow in this record (5.1) */
            return n > 0 ? RC_PEER_MALFORMED : take_key_update(t, asked, alert);
        }
    }
    return RC_OK;
}

size_t tls13_update_key(struct tls13_ciphers *c, struct tls13 *t, uint8_t *out)
{
    static const uint8_t message[KEY_UPDATE_BYTES] = {KEY_UPDATE, 0, 0, 1, 0};
    size_t n = tls13_seal(c, t, TLS13_HANDSHAKE, message, sizeof(message), out);

    return n > 0 && next_key(&suites[t->suite], &t->out) ? n : 0;
}
