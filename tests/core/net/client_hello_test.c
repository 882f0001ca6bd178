/* SPDX-License-Identifier: Apache-2.0 */
/* Hellos are built by hand, byte by byte, and once more by OpenSSL as a second opinion. */
#include "core/net/client_hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define BYTES_MAX 131072

struct bytes {
    uint8_t data[BYTES_MAX];
    size_t n;
};

static void put(struct bytes *b, const void *data, size_t n)
{
    assert_true(n <= BYTES_MAX - b->n);
    memcpy(b->data + b->n, data, n);
    b->n += n;
}

static void put_u8(struct bytes *b, unsigned v)
{
    uint8_t byte = (uint8_t)v;
    put(b, &byte, 1);
}

static void put_u16(struct bytes *b, size_t v)
{
    put_u8(b, (unsigned)(v >> 8));
    put_u8(b, (unsigned)(v & 0xff));
}

static void put_fill(struct bytes *b, unsigned v, size_t n)
{
    while (n-- > 0) {
        put_u8(b, v);
    }
}

static void put_extension(struct bytes *b, unsigned type, const void *data, size_t n)
{
    put_u16(b, type);
    put_u16(b, n);
    put(b, data, n);
}

static void put_sni(struct bytes *b, const char *name, size_t n)
{
    put_u16(b, 0);
    put_u16(b, n + 5);
    put_u16(b, n + 3);
    put_u8(b, 0);
    put_u16(b, n);
    put(b, name, n);
}

/* The handshake message around the extensions; NULL: a hello without any. */
static void make_message(struct bytes *out, const struct bytes *exts)
{
    static struct bytes body;

    body.n = 0;
    put_u16(&body, 0x0303);
    put_fill(&body, 0x52, 32);
    put_u8(&body, 32);
    put_fill(&body, 0x1d, 32);
    put_u16(&body, 8);
    put_u16(&body, 0x0a0a); /* GREASE */
    put_u16(&body, 0x1301);
    put_u16(&body, 0x1302);
    put_u16(&body, 0xc02b);
    put_u8(&body, 1);
    put_u8(&body, 0);
    if (exts != NULL) {
        put_u16(&body, exts->n);
        put(&body, exts->data, exts->n);
    }
    out->n = 0;
    put_u8(out, 1);
    put_u8(out, (unsigned)(body.n >> 16));
    put_u16(out, body.n & 0xffff);
    put(out, body.data, body.n);
}

/* The message in records of at most size payload bytes. */
static void make_records(struct bytes *out, const struct bytes *message, size_t size)
{
    out->n = 0;
    for (size_t at = 0; at < message->n; at += size) {
        size_t n = message->n - at < size ? message->n - at : size;
        put_u8(out, 22);
        put_u16(out, 0x0301);
        put_u16(out, n);
        put(out, message->data + at, n);
    }
}

/* As an agent sends it: GREASE first, then the name, then others. key_share bytes make it large. */
static void put_usual_extensions(struct bytes *exts, const char *name, size_t key_share)
{
    static const uint8_t alpn[] = {0, 3, 2, 'h', '2'};
    static struct bytes share;

    exts->n = 0;
    put_extension(exts, 0x5a5a, "", 0);
    if (name != NULL) {
        put_sni(exts, name, strlen(name));
    }
    put_extension(exts, 16, alpn, sizeof(alpn));
    share.n = 0;
    put_fill(&share, 0xab, key_share);
    put_extension(exts, 51, share.data, share.n);
    put_extension(exts, 0xfafa, "\0", 1);
}

static void make_usual(struct bytes *out, const char *name, size_t key_share, size_t record_size)
{
    static struct bytes exts;
    static struct bytes message;

    put_usual_extensions(&exts, name, key_share);
    make_message(&message, &exts);
    make_records(out, &message, record_size);
}

/* Parse an exact copy on the heap: a read behind its end is seen by the sanitizer. */
static enum rc parse_copy(const uint8_t *data, size_t n, struct client_hello *out)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);
    memcpy(copy, data, n);
    enum rc rc = client_hello_parse(copy, n, out);
    free(copy);
    return rc;
}

static void assert_name(const struct bytes *b, const char *name)
{
    struct client_hello hello = {.sni = "untouched"};

    assert_int_equal(parse_copy(b->data, b->n, &hello), RC_OK);
    assert_string_equal(hello.sni, name);
}

/* Every shorter prefix asks for more and leaves the answer alone. */
static void assert_prefixes_ask_for_more(const struct bytes *b, size_t n_hello)
{
    struct client_hello hello = {.sni = "untouched"};

    for (size_t n = 0; n < n_hello; n++) {
        if (parse_copy(b->data, n, &hello) != RC_AGAIN) {
            fail_msg("%zu of %zu bytes: not RC_AGAIN", n, n_hello);
        }
        assert_string_equal(hello.sni, "untouched");
    }
}

/* Prefixes ask for more up to some byte, and from then on are refused for good. */
static void assert_refused(const struct bytes *b, enum rc rc)
{
    struct client_hello hello = {.sni = "untouched"};
    bool refused = false;

    for (size_t n = 0; n <= b->n; n++) {
        enum rc got = parse_copy(b->data, n, &hello);
        if (got != (refused ? rc : RC_AGAIN) && got != rc) {
            fail_msg("%zu of %zu bytes: %s", n, b->n, rc_text(got));
        }
        refused = refused || got == rc;
    }
    assert_true(refused);
    assert_string_equal(hello.sni, "untouched");
}

static void assert_extensions_refused(const struct bytes *exts)
{
    static struct bytes message;
    static struct bytes raw;

    make_message(&message, exts);
    make_records(&raw, &message, 16384);
    assert_refused(&raw, RC_PEER_MALFORMED);
}

static void test_client_hello__usual_hello__split_at_every_byte(void **state)
{
    static struct bytes b;

    (void)state;
    make_usual(&b, "istiod.istio-system.svc", 36, 16384);

    assert_prefixes_ask_for_more(&b, b.n);
    assert_name(&b, "istiod.istio-system.svc");
}

static void test_client_hello__records_of_every_size__name_is_found(void **state)
{
    static struct bytes b;

    (void)state;
    for (size_t size = 1; size < 200; size++) {
        make_usual(&b, "istiod.istio-system.svc", 36, size);
        assert_name(&b, "istiod.istio-system.svc");
    }
    make_usual(&b, "istiod.istio-system.svc", 36, 1);
    assert_prefixes_ask_for_more(&b, b.n);
    make_usual(&b, "istiod.istio-system.svc", 36, 7);
    assert_prefixes_ask_for_more(&b, b.n);
}

static void test_client_hello__post_quantum_key_share__needs_more_than_a_segment(void **state)
{
    static struct bytes b;
    struct client_hello hello;

    (void)state;
    make_usual(&b, "istiod.istio-system.svc", 1216 + 36 + 300, 16384);

    assert_true(b.n > 1448);
    assert_int_equal(parse_copy(b.data, 1448, &hello), RC_AGAIN);
    assert_prefixes_ask_for_more(&b, b.n);
    assert_name(&b, "istiod.istio-system.svc");
}

static void test_client_hello__bytes_after_the_hello__do_not_matter(void **state)
{
    static struct bytes b;

    (void)state;
    make_usual(&b, "istiod.istio-system.svc", 36, 100);
    size_t n_hello = b.n;
    put_fill(&b, 0xff, 40000);

    assert_prefixes_ask_for_more(&b, n_hello);
    assert_name(&b, "istiod.istio-system.svc");
}

static void test_client_hello__another_message_in_the_same_record__does_not_matter(void **state)
{
    static struct bytes exts;
    static struct bytes message;
    static struct bytes b;

    (void)state;
    put_usual_extensions(&exts, "a.b", 36);
    make_message(&message, &exts);
    put_fill(&message, 0x77, 50);
    make_records(&b, &message, 16384);

    assert_name(&b, "a.b");
}

static void test_client_hello__no_server_name__is_empty(void **state)
{
    static struct bytes message;
    static struct bytes b;

    (void)state;
    make_usual(&b, NULL, 36, 16384);
    assert_name(&b, "");

    make_message(&message, NULL);
    make_records(&b, &message, 16384);
    assert_prefixes_ask_for_more(&b, b.n);
    assert_name(&b, "");
}

static void test_client_hello__names__come_in_lower_case_without_final_dot(void **state)
{
    static const struct {
        const char *sent;
        const char *got;
    } rows[] = {
        {"istiod.istio-system.svc", "istiod.istio-system.svc"},
        {"ISTIOD.Istio-System.SVC", "istiod.istio-system.svc"},
        {"istiod.istio-system.svc.", "istiod.istio-system.svc"},
        {"outbound_.15012_._.istiod.svc", "outbound_.15012_._.istiod.svc"},
        {"a", "a"},
        {"10.0.0.11", "10.0.0.11"},
        {"FD00::1", "fd00::1"},
        {"::ffff:10.0.0.1", "::ffff:10.0.0.1"},
    };
    static struct bytes b;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        make_usual(&b, rows[i].sent, 36, 16384);
        assert_name(&b, rows[i].got);
    }
}

static void test_client_hello__longest_name__fits_and_one_more_does_not(void **state)
{
    static struct bytes b;
    char name[300];

    (void)state;
    memset(name, 'a', sizeof(name));
    name[63] = name[127] = name[191] = '.';
    name[253] = '\0';
    make_usual(&b, name, 36, 16384);
    assert_name(&b, name);

    name[253] = 'a', name[254] = '\0';
    make_usual(&b, name, 36, 16384);
    assert_refused(&b, RC_PEER_MALFORMED);

    memset(name, 'a', sizeof(name));
    for (size_t n = 254; n < sizeof(name); n++) {
        static struct bytes exts;
        exts.n = 0;
        put_sni(&exts, name, n);
        assert_extensions_refused(&exts);
    }
    name[63] = '\0';
    make_usual(&b, name, 36, 16384);
    assert_name(&b, name);
    name[63] = 'a', name[64] = '\0';
    make_usual(&b, name, 36, 16384);
    assert_refused(&b, RC_PEER_MALFORMED);
}

static void test_client_hello__name_that_is_no_host_name__is_malformed(void **state)
{
    static const struct {
        const char *name;
        size_t n;
    } rows[] = {
        {"", 0},
        {".", 1},
        {"..", 2},
        {".a", 2},
        {"a..b", 4},
        {"a..", 3},
        {"a b", 3},
        {"a\0b", 3},
        {"a\0", 2},
        {"\0", 1},
        {"fd00::1\0", 8},
        {"a/b", 3},
        {"a*b", 3},
        {"*.istio-system.svc", 18},
        {"istiod.istio-system.svc:15012", 29},
        {"[::1]", 5},
        {"fe80::1%1\n", 10},
        {"a\r\nb", 4},
        {"\xc3\xa9.example", 10},
        {"a\x7f", 2},
    };
    static struct bytes exts;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        exts.n = 0;
        put_sni(&exts, rows[i].name, rows[i].n);
        assert_extensions_refused(&exts);
    }
}

static void test_client_hello__server_name_twice__is_malformed(void **state)
{
    static struct bytes exts;

    (void)state;
    exts.n = 0;
    put_sni(&exts, "a.b", 3);
    put_extension(&exts, 16, "\0\3\2h2", 5);
    put_sni(&exts, "a.b", 3);

    assert_extensions_refused(&exts);
}

static void test_client_hello__odd_server_name_list__is_malformed(void **state)
{
    static const struct {
        const char *data;
        size_t n;
    } rows[] = {
        {"", 0},                         /* nothing */
        {"\0", 1},                       /* half a length */
        {"\0\0", 2},                     /* an empty list */
        {"\0\1\0", 3},                   /* a type only */
        {"\0\3\0\0\0", 5},               /* an empty name */
        {"\0\6\0\0\4a.b", 8},            /* the name is shorter than it says */
        {"\0\6\0\0\2a.b", 8},            /* the name is longer than it says */
        {"\0\7\0\0\3a.b", 8},            /* the list is shorter than it says */
        {"\0\5\0\0\3a.b", 8},            /* the list is longer than it says */
        {"\0\6\0\0\3a.b\0", 9},          /* a byte behind the list */
        {"\0\6\1\0\3a.b", 8},            /* another type of name */
        {"\0\14\0\0\3a.b\0\0\3c.d", 14}, /* two names */
        {"\0\14\0\0\3a.b\1\0\3c.d", 14}, /* a name and something else */
        {"\0\14\1\0\3a.b\0\0\3c.d", 14}, /* something else and a name */
    };
    static struct bytes exts;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        exts.n = 0;
        put_extension(&exts, 0, rows[i].data, rows[i].n);
        assert_extensions_refused(&exts);
    }
}

static void test_client_hello__body_cut_at_every_byte__is_malformed(void **state)
{
    static struct bytes exts;
    static struct bytes message;
    static struct bytes cut;
    static struct bytes raw;
    struct client_hello hello;
    const size_t without_extensions = 4 + 2 + 32 + 1 + 32 + 2 + 8 + 1 + 1;

    (void)state;
    put_usual_extensions(&exts, "istiod.istio-system.svc", 36);
    make_message(&message, &exts);
    for (size_t n = 4; n < message.n; n++) {
        cut.n = 0;
        put(&cut, message.data, n);
        cut.data[2] = (uint8_t)((n - 4) >> 8);
        cut.data[3] = (uint8_t)(n - 4);
        make_records(&raw, &cut, 16384);
        enum rc rc = parse_copy(raw.data, raw.n, &hello);
        assert_int_equal(rc, n == without_extensions ? RC_OK : RC_PEER_MALFORMED);
    }
}

static void test_client_hello__byte_behind_the_extensions__is_malformed(void **state)
{
    static struct bytes exts;
    static struct bytes message;
    static struct bytes raw;

    (void)state;
    put_usual_extensions(&exts, "istiod.istio-system.svc", 36);
    make_message(&message, &exts);
    put_u8(&message, 0);
    message.data[3]++;
    make_records(&raw, &message, 16384);

    assert_refused(&raw, RC_PEER_MALFORMED);
}

static void test_client_hello__not_tls__is_refused_early(void **state)
{
    static const struct {
        const char *data;
        size_t n;
    } rows[] = {
        {"GET / HTTP/1.1\r\n\r\n", 1},
        {"PRI * HTTP/2.0\r\n", 1},
        {"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", 1},
        {"\x80\x2e\x01\x03\x01", 1},         /* SSLv2 */
        {"\x15\x03\x01\x00\x02\x02\x28", 1}, /* an alert */
        {"\x14\x03\x03\x00\x01\x01", 1},     /* ChangeCipherSpec */
        {"\x17\x03\x03\x00\x01\x01", 1},     /* application data */
        {"\x16\x02\x00\x00\x20", 2},         /* SSL 2 */
        {"\x16\x04\x00\x00\x20", 2},         /* a future version */
        {"\x16\x03\x01\x00\x00", 5},         /* an empty record */
        {"\x16\x03\x01\x40\x01", 5},         /* a record that is too long */
        {"\x16\x03\x01\x00\x05\x00", 6},     /* HelloRequest */
        {"\x16\x03\x01\x00\x05\x02", 6},     /* ServerHello */
        {"\x16\x03\x01\x00\x01\x01\x15", 7}, /* an alert between two records of the hello */
        {"\x16\x03\x01\x00\x01\x01\x16\x03\x01\x00\x00", 11}, /* an empty record in between */
    };
    struct client_hello hello;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const uint8_t *data = (const uint8_t *)rows[i].data;
        assert_int_equal(parse_copy(data, rows[i].n - 1, &hello), RC_AGAIN);
        assert_int_equal(parse_copy(data, rows[i].n, &hello), RC_PEER_MALFORMED);
    }
}

static void test_client_hello__bad_inner_fields__are_malformed(void **state)
{
    static const struct {
        size_t at; /* in the message */
        uint8_t value;
    } rows[] = {
        {4, 2},   /* legacy_version 2.x */
        {38, 33}, /* a session id of 33 bytes */
        {72, 7},  /* an odd list of cipher suites */
        {72, 0},  /* none */
        {81, 0},  /* no compression method */
    };
    static struct bytes exts;
    static struct bytes message;
    static struct bytes raw;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        put_usual_extensions(&exts, "a.b", 36);
        make_message(&message, &exts);
        message.data[rows[i].at] = rows[i].value;
        make_records(&raw, &message, 16384);
        assert_refused(&raw, RC_PEER_MALFORMED);
    }
}

static void test_client_hello__session_id_of_33_bytes__is_malformed(void **state)
{
    static struct bytes exts;
    static struct bytes message;
    static struct bytes longer;
    static struct bytes raw;
    const size_t at = 4 + 2 + 32; /* of the length of the session id */

    (void)state;
    put_usual_extensions(&exts, "a.b", 36);
    make_message(&message, &exts);
    longer.n = 0;
    put(&longer, message.data, at);
    put_u8(&longer, 33);
    put_u8(&longer, 0x1d);
    put(&longer, message.data + at + 1, message.n - at - 1);
    longer.data[3]++;
    make_records(&raw, &longer, 16384);

    assert_refused(&raw, RC_PEER_MALFORMED);
}

static void test_client_hello__too_long__is_refused_with_its_header(void **state)
{
    static struct bytes b;
    struct client_hello hello;

    (void)state;
    make_usual(&b, "a.b", 20000, 16384);
    assert_int_equal(parse_copy(b.data, 8, &hello), RC_AGAIN);
    assert_int_equal(parse_copy(b.data, 9, &hello), RC_PEER_LIMIT);
    assert_refused(&b, RC_PEER_LIMIT);
}

static void test_client_hello__longest_hello__fits_and_one_more_byte_does_not(void **state)
{
    static struct bytes b;

    (void)state;
    make_usual(&b, "a.b", 0, 16384);
    size_t room = CLIENT_HELLO_MAX_BYTES - b.n;
    make_usual(&b, "a.b", room, 16384);
    assert_int_equal(b.n, CLIENT_HELLO_MAX_BYTES);
    assert_name(&b, "a.b");

    make_usual(&b, "a.b", room + 1, 16384);
    assert_refused(&b, RC_PEER_LIMIT);
}

static void test_client_hello__second_record_ends_behind_the_limit__is_refused(void **state)
{
    static struct bytes b;

    (void)state;
    make_usual(&b, "a.b", 0, 16384);
    size_t room = CLIENT_HELLO_MAX_BYTES - b.n;
    make_usual(&b, "a.b", room - 5, 16000);
    assert_int_equal(b.n, CLIENT_HELLO_MAX_BYTES);
    assert_name(&b, "a.b");

    make_usual(&b, "a.b", room - 4, 16000);
    assert_refused(&b, RC_PEER_LIMIT);
}

static void test_client_hello__record_headers_over_the_limit__never_ask_for_more(void **state)
{
    static struct bytes b;
    struct client_hello hello;

    (void)state;
    make_usual(&b, "a.b", 4000, 1);
    assert_true(b.n > CLIENT_HELLO_MAX_BYTES);

    assert_int_equal(parse_copy(b.data, CLIENT_HELLO_MAX_BYTES, &hello), RC_PEER_LIMIT);
    assert_int_equal(parse_copy(b.data, b.n, &hello), RC_PEER_LIMIT);
}

static void test_client_hello__every_byte_changed__gives_an_answer(void **state)
{
    static const uint8_t values[] = {0, 1, 0x16, 0x7f, 0x80, 0xff};
    static struct bytes b;
    static struct bytes changed;
    unsigned ok = 0;
    unsigned refused = 0;

    (void)state;
    make_usual(&b, "istiod.istio-system.svc", 36, 50);
    for (size_t i = 0; i < b.n; i++) {
        for (size_t v = 0; v < COUNT(values); v++) {
            struct client_hello hello;
            changed = b;
            changed.data[i] = values[v];
            enum rc rc = parse_copy(changed.data, changed.n, &hello);
            assert_true(rc == RC_OK || rc == RC_AGAIN || rc == RC_PEER_MALFORMED ||
                        rc == RC_PEER_LIMIT);
            ok += rc == RC_OK ? 1 : 0;
            refused += rc == RC_PEER_MALFORMED ? 1 : 0;
        }
    }
    assert_true(ok > 0 && refused > 0);
}

/* What OpenSSL sends first; name NULL: no SNI. */
static void make_openssl_hello(struct bytes *out, const char *name)
{
    static const unsigned char alpn[] = {2, 'h', '2'};
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    BIO *in = BIO_new(BIO_s_mem());
    BIO *wire = BIO_new(BIO_s_mem());

    assert_int_equal(SSL_set_alpn_protos(ssl, alpn, sizeof(alpn)), 0);
    if (name != NULL) {
        char copy[256];
        snprintf(copy, sizeof(copy), "%s", name);
        assert_int_equal(SSL_set_tlsext_host_name(ssl, copy), 1);
    }
    SSL_set_bio(ssl, in, wire);
    assert_int_equal(SSL_connect(ssl), -1);
    int n = BIO_read(wire, out->data, BYTES_MAX);
    assert_true(n > 100);
    out->n = (size_t)n;
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

static void test_client_hello__hello_of_openssl__split_at_every_byte(void **state)
{
    static struct bytes b;

    (void)state;
    make_openssl_hello(&b, "istiod.istio-system.svc");
    assert_prefixes_ask_for_more(&b, b.n);
    assert_name(&b, "istiod.istio-system.svc");

    make_openssl_hello(&b, NULL);
    assert_prefixes_ask_for_more(&b, b.n);
    assert_name(&b, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_hello__usual_hello__split_at_every_byte),
        cmocka_unit_test(test_client_hello__records_of_every_size__name_is_found),
        cmocka_unit_test(test_client_hello__post_quantum_key_share__needs_more_than_a_segment),
        cmocka_unit_test(test_client_hello__bytes_after_the_hello__do_not_matter),
        cmocka_unit_test(test_client_hello__another_message_in_the_same_record__does_not_matter),
        cmocka_unit_test(test_client_hello__no_server_name__is_empty),
        cmocka_unit_test(test_client_hello__names__come_in_lower_case_without_final_dot),
        cmocka_unit_test(test_client_hello__longest_name__fits_and_one_more_does_not),
        cmocka_unit_test(test_client_hello__name_that_is_no_host_name__is_malformed),
        cmocka_unit_test(test_client_hello__server_name_twice__is_malformed),
        cmocka_unit_test(test_client_hello__odd_server_name_list__is_malformed),
        cmocka_unit_test(test_client_hello__body_cut_at_every_byte__is_malformed),
        cmocka_unit_test(test_client_hello__byte_behind_the_extensions__is_malformed),
        cmocka_unit_test(test_client_hello__not_tls__is_refused_early),
        cmocka_unit_test(test_client_hello__bad_inner_fields__are_malformed),
        cmocka_unit_test(test_client_hello__session_id_of_33_bytes__is_malformed),
        cmocka_unit_test(test_client_hello__too_long__is_refused_with_its_header),
        cmocka_unit_test(test_client_hello__longest_hello__fits_and_one_more_byte_does_not),
        cmocka_unit_test(test_client_hello__second_record_ends_behind_the_limit__is_refused),
        cmocka_unit_test(test_client_hello__record_headers_over_the_limit__never_ask_for_more),
        cmocka_unit_test(test_client_hello__every_byte_changed__gives_an_answer),
        cmocka_unit_test(test_client_hello__hello_of_openssl__split_at_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
