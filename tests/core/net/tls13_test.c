/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records against OpenSSL as the peer, with every suite; and what a peer may do wrong. There, the
 * peer is a second struct tls13 with both directions swapped, which seals whatever it is told.
 */
#include "core/net/tls13.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/rand.h>

#include "tests/support/pki.h"
#include "tests/support/tls_pair.h"

/* A connection after its handshake: OpenSSL on one end, t on the other. */
struct rig {
    struct tls_pair pair;
    SSL *ours;    /* borrowed: whose place t takes */
    SSL *openssl; /* borrowed: its peer */
    struct tls13 t;
    struct tls13 peer; /* t as its peer sees it */
    struct tls13_ciphers *ciphers;
    uint8_t record[TLS13_RECORD_MAX_BYTES];
    uint8_t buf[TLS13_RECORD_MAX_BYTES];
};

static const char *const all_suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                         "TLS_CHACHA20_POLY1305_SHA256"};

static SSL *make_end(const SSL_METHOD *method, const struct pki_cert *cert)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    assert_non_null(ctx);
    SSL_CTX_set_keylog_callback(ctx, tls13_on_keylog);
    if (cert != NULL) {
        assert_int_equal(SSL_CTX_use_certificate(ctx, cert->x), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(ctx, cert->key), 1);
        assert_int_equal(SSL_CTX_set_num_tickets(ctx, 0), 1);
    }
    SSL *ssl = SSL_new(ctx);
    assert_non_null(ssl);
    SSL_CTX_free(ctx);
    if (cert != NULL) {
        SSL_set_accept_state(ssl);
    } else {
        SSL_set_connect_state(ssl);
    }
    return ssl;
}

/* Both ends, hands shaken. suite: the only one that the client offers, NULL: TLS 1.2. t takes the
 * place of the server, or of the client. */
static struct rig *rig_new(const char *suite, bool is_client)
{
    struct rig *r = calloc(1, sizeof(*r));
    struct pki_cert cert = pki_make_server(NULL, "DNS:here");

    assert_non_null(r);
    SSL *client = make_end(TLS_client_method(), NULL);
    SSL *server = make_end(TLS_server_method(), &cert);
    if (suite != NULL) {
        assert_int_equal(SSL_set_ciphersuites(client, suite), 1);
    } else {
        assert_int_equal(SSL_set_max_proto_version(client, TLS1_2_VERSION), 1);
    }
    r->ours = is_client ? client : server;
    r->openssl = is_client ? server : client;
    assert_int_equal(tls13_watch(r->ours, &r->t), RC_OK);
    tls_pair_init(&r->pair, client, server);
    assert_true(tls_pair_handshake(&r->pair));
    r->ciphers = tls13_ciphers_new();
    assert_non_null(r->ciphers);
    pki_free(&cert);
    return r;
}

static struct rig *take_over(struct rig *r)
{
    assert_true(tls13_take_over(r->ours, &r->t));
    r->peer = r->t;
    r->peer.in = r->t.out;
    r->peer.out = r->t.in;
    return r;
}

static struct rig *rig_taken_over(const char *suite)
{
    return take_over(rig_new(suite, false));
}

static struct rig *rig_client_taken_over(const char *suite)
{
    return take_over(rig_new(suite, true));
}

static void rig_free(struct rig *r)
{
    tls13_fini(&r->t);
    tls13_ciphers_free(&r->ciphers);
    tls_pair_fini(&r->pair);
    free(r);
}

/* What OpenSSL has sent: one record, opened. */
static enum rc open_next(struct rig *r, struct tls13_record *out)
{
    BIO *in = SSL_get_rbio(r->ours);

    assert_int_equal(BIO_read(in, r->record, TLS13_HEADER_BYTES), TLS13_HEADER_BYTES);
    size_t n = tls13_record_bytes(r->record);
    assert_true(n > TLS13_HEADER_BYTES);
    assert_int_equal(BIO_read(in, r->record + TLS13_HEADER_BYTES, (int)(n - TLS13_HEADER_BYTES)),
                     (int)(n - TLS13_HEADER_BYTES));
    return tls13_open(r->ciphers, &r->t, r->record, n, r->buf, out);
}

static void send_record(struct rig *r, size_t n)
{
    assert_true(n > 0);
    assert_int_equal(BIO_write(SSL_get_wbio(r->ours), r->record, (int)n), (int)n);
}

static void check_openssl_hears(struct rig *r, const uint8_t *data, size_t n)
{
    static uint8_t heard[TLS13_PLAIN_MAX_BYTES + 1];

    send_record(r, tls13_seal(r->ciphers, &r->t, TLS13_DATA, data, n, r->record));
    if (n > 0) {
        assert_int_equal(SSL_read(r->openssl, heard, sizeof(heard)), (int)n);
        assert_memory_equal(heard, data, n);
    }
}

static void check_we_hear(struct rig *r, const uint8_t *data, size_t n)
{
    struct tls13_record got;

    assert_int_equal(SSL_write(r->openssl, data, (int)n), (int)n);
    assert_int_equal(open_next(r, &got), RC_OK);
    assert_int_equal(got.type, TLS13_DATA);
    assert_int_equal(got.n, n);
    assert_memory_equal(got.data, data, n);
}

/* ---- with OpenSSL ---- */

static void test_tls13__every_suite__both_ways(void **state)
{
    static const size_t sizes[] = {1, 2, 15, 16, 17, 200, 16383, 16384};
    static uint8_t data[TLS13_PLAIN_MAX_BYTES];
    (void)state;
    assert_int_equal(RAND_bytes(data, sizeof(data)), 1);

    for (size_t i = 0; i < sizeof(all_suites) / sizeof(all_suites[0]); i++) {
        struct rig *r = rig_taken_over(all_suites[i]);
        for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
            check_we_hear(r, data, sizes[k]);
            check_openssl_hears(r, data, sizes[k]);
        }
        check_openssl_hears(r, data, 0);
        check_openssl_hears(r, data, 1);
        rig_free(r);
    }
}

static void test_tls13__connections_in_turns__contexts_are_keyed_again(void **state)
{
    struct rig *a = rig_taken_over(all_suites[0]);
    struct rig *b = rig_taken_over(all_suites[0]);
    (void)state;

    tls13_ciphers_free(&b->ciphers);
    b->ciphers = a->ciphers;
    for (int i = 0; i < 3; i++) {
        check_we_hear(a, (const uint8_t *)"a", 1);
        check_we_hear(b, (const uint8_t *)"b", 1);
        check_openssl_hears(a, (const uint8_t *)"a", 1);
        check_openssl_hears(b, (const uint8_t *)"b", 1);
        check_openssl_hears(b, (const uint8_t *)"b", 1);
    }
    b->ciphers = NULL;
    rig_free(a);
    rig_free(b);
}

static void test_tls13__key_updates__both_ways(void **state)
{
    (void)state;

    for (size_t i = 0; i < sizeof(all_suites) / sizeof(all_suites[0]); i++) {
        struct rig *r = rig_taken_over(all_suites[i]);
        for (int k = 0; k < 6; k++) {
            struct tls13_record got;
            bool asks = k % 2 == 1;
            bool asked;
            assert_int_equal(SSL_key_update(r->openssl, asks ? SSL_KEY_UPDATE_REQUESTED
                                                             : SSL_KEY_UPDATE_NOT_REQUESTED),
                             1);
            assert_int_equal(SSL_do_handshake(r->openssl), 1);
            assert_int_equal(open_next(r, &got), RC_OK);
            assert_int_equal(got.type, TLS13_HANDSHAKE);
            assert_int_equal(tls13_take_handshake(&r->t, got.data, got.n, &asked, &got.alert),
                             RC_OK);
            assert_true(asked == asks);
            check_we_hear(r, (const uint8_t *)"new key", 7);
            send_record(r, tls13_update_key(r->ciphers, &r->t, r->record));
            check_openssl_hears(r, (const uint8_t *)"new key", 7);
        }
        rig_free(r);
    }
}

static void test_tls13__client__takes_data_and_ignores_tickets(void **state)
{
    static uint8_t data[TLS13_PLAIN_MAX_BYTES];
    (void)state;

    for (size_t i = 0; i < sizeof(all_suites) / sizeof(all_suites[0]); i++) {
        struct rig *r = rig_client_taken_over(all_suites[i]);
        for (int k = 0; k < 2; k++) {
            struct tls13_record got;
            bool asked;
            assert_int_equal(SSL_new_session_ticket(r->openssl), 1);
            assert_int_equal(SSL_do_handshake(r->openssl), 1);
            assert_int_equal(open_next(r, &got), RC_OK);
            assert_int_equal(got.type, TLS13_HANDSHAKE);
            assert_int_equal(tls13_take_handshake(&r->t, got.data, got.n, &asked, &got.alert),
                             RC_OK);
            assert_false(asked);
        }
        check_we_hear(r, data, sizeof(data));
        check_openssl_hears(r, data, sizeof(data));
        check_we_hear(r, data, 1);
        rig_free(r);
    }
}

static void test_tls13__alert__reaches_openssl(void **state)
{
    struct rig *r = rig_taken_over(all_suites[0]);
    static const uint8_t close_notify[] = {1, TLS13_CLOSE_NOTIFY};
    uint8_t byte;
    (void)state;

    send_record(r, tls13_seal(r->ciphers, &r->t, TLS13_ALERT, close_notify, 2, r->record));

    assert_int_equal(SSL_get_error(r->openssl, SSL_read(r->openssl, &byte, 1)),
                     SSL_ERROR_ZERO_RETURN);
    rig_free(r);
}

/* ---- who stays with OpenSSL ---- */

static void test_tls13__tls12__is_not_taken_over(void **state)
{
    struct rig *r = rig_new(NULL, false);
    (void)state;

    assert_false(tls13_take_over(r->ours, &r->t));
    rig_free(r);
}

static void test_tls13__no_secrets__is_not_taken_over(void **state)
{
    struct rig *r = rig_new(all_suites[0], false);
    struct tls13 unwatched = {0};
    (void)state;

    assert_false(tls13_take_over(r->ours, &unwatched));
    unwatched.secrets = 1;
    assert_false(tls13_take_over(r->ours, &unwatched));
    rig_free(r);
}

static void test_tls13__openssl_has_read_ahead__is_not_taken_over(void **state)
{
    struct rig *r = rig_new(all_suites[0], false);
    uint8_t byte;
    (void)state;

    assert_int_equal(SSL_write(r->openssl, "ab", 2), 2);
    assert_int_equal(SSL_read(r->ours, &byte, 1), 1);

    assert_false(tls13_take_over(r->ours, &r->t));
    rig_free(r);
}

/* ---- a peer that breaks the protocol ---- */

static enum rc open_sealed(struct rig *r, int type, const void *data, size_t n,
                           struct tls13_record *got)
{
    size_t len = tls13_seal(r->ciphers, &r->peer, (enum tls13_type)type, data, n, r->record);

    assert_true(len > 0);
    return tls13_open(r->ciphers, &r->t, r->record, len, r->buf, got);
}

static void test_tls13__any_bit_flipped__is_refused(void **state)
{
    struct rig *r = rig_taken_over(all_suites[0]);
    struct tls13_record got;
    (void)state;
    size_t n = tls13_seal(r->ciphers, &r->peer, TLS13_DATA, (const uint8_t *)"hello", 5, r->record);

    for (size_t bit = 0; bit < 8 * n; bit++) {
        r->record[bit / 8] = (uint8_t)(r->record[bit / 8] ^ (1u << bit % 8));
        assert_int_equal(tls13_open(r->ciphers, &r->t, r->record, n, r->buf, &got),
                         RC_PEER_MALFORMED);
        assert_int_equal(got.alert, bit < 8 ? TLS13_UNEXPECTED_MESSAGE : TLS13_BAD_RECORD_MAC);
        r->record[bit / 8] = (uint8_t)(r->record[bit / 8] ^ (1u << bit % 8));
    }

    assert_int_equal(tls13_open(r->ciphers, &r->t, r->record, n, r->buf, &got), RC_OK);
    assert_int_equal(tls13_open(r->ciphers, &r->t, r->record, n, r->buf, &got),
                     RC_PEER_MALFORMED); /* said twice */
    rig_free(r);
}

static void test_tls13__too_short_for_a_tag__is_refused(void **state)
{
    struct rig *r = rig_taken_over(all_suites[0]);
    struct tls13_record got;
    (void)state;

    for (size_t n = 0; n <= 16; n++) {
        memset(r->record, 0, sizeof(r->record));
        r->record[0] = TLS13_DATA;
        r->record[4] = (uint8_t)n;
        assert_int_equal(
            tls13_open(r->ciphers, &r->t, r->record, TLS13_HEADER_BYTES + n, r->buf, &got),
            RC_PEER_MALFORMED);
        assert_int_equal(got.alert, TLS13_BAD_RECORD_MAC);
    }
    rig_free(r);
}

static void test_tls13__padding__is_taken_off(void **state)
{
    struct rig *r = rig_taken_over(all_suites[0]);
    static uint8_t inner[TLS13_PLAIN_MAX_BYTES] = {'h', 'i', TLS13_DATA};
    struct tls13_record got;
    (void)state;

    for (size_t n = 3; n <= sizeof(inner); n += 5461) {
        assert_int_equal(open_sealed(r, 0, inner, n, &got), RC_OK);
        assert_int_equal(got.type, TLS13_DATA);
        assert_int_equal(got.n, 2);
        assert_memory_equal(got.data, "hi", 2);
    }
    assert_int_equal(open_sealed(r, TLS13_DATA, NULL, 0, &got), RC_OK);
    assert_int_equal(got.n, 0);
    rig_free(r);
}

static void test_tls13__content_that_may_not_come__is_refused(void **state)
{
    static const struct {
        int type;
        size_t n;
    } bad[] = {{0, 0},          {0, 100}, {20, 1}, {24, 3}, {255, 3}, {TLS13_HANDSHAKE, 0},
               {TLS13_ALERT, 0}};
    static const uint8_t zeros[100];
    (void)state;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rig *r = rig_taken_over(all_suites[0]);
        struct tls13_record got;
        assert_int_equal(open_sealed(r, bad[i].type, zeros, bad[i].n, &got), RC_PEER_MALFORMED);
        assert_int_equal(got.alert, TLS13_UNEXPECTED_MESSAGE);
        rig_free(r);
    }
}

static void test_tls13__longest_record__and_one_byte_more(void **state)
{
    const size_t longest = TLS13_RECORD_MAX_BYTES - TLS13_HEADER_BYTES;
    uint8_t header[] = {TLS13_DATA, 3, 3, (uint8_t)(longest >> 8), (uint8_t)longest};
    (void)state;

    assert_int_equal(tls13_record_bytes(header), TLS13_RECORD_MAX_BYTES);
    header[4]++;
    assert_int_equal(tls13_record_bytes(header), 0);
}

/* ---- handshake messages ---- */

static void test_tls13__key_update__in_any_two_pieces(void **state)
{
    static const uint8_t update[] = {24, 0, 0, 1, 1};
    (void)state;

    for (size_t cut = 1; cut < sizeof(update); cut++) {
        struct rig *r = rig_taken_over(all_suites[0]);
        struct tls13_record got;
        uint8_t before[sizeof(r->t.in.key)];
        bool asked;
        memcpy(before, r->t.in.key, sizeof(before));
        assert_int_equal(tls13_take_handshake(&r->t, update, cut, &asked, &got.alert), RC_OK);
        assert_false(asked);
        assert_memory_equal(before, r->t.in.key, sizeof(before));
        assert_int_equal(
            tls13_take_handshake(&r->t, update + cut, sizeof(update) - cut, &asked, &got.alert),
            RC_OK);
        assert_true(asked);
        assert_memory_not_equal(before, r->t.in.key, sizeof(before));
        rig_free(r);
    }
}

static void test_tls13__tickets_and_a_key_update__in_any_two_pieces(void **state)
{
    static const uint8_t messages[] = {4, 0, 0, 3, 'a', 'b', 'c', 4, 0, 0, 0, 24, 0, 0, 1, 1};
    (void)state;

    for (size_t cut = 1; cut < sizeof(messages); cut++) {
        struct rig *r = rig_client_taken_over(all_suites[0]);
        enum tls13_alert alert;
        bool asked;
        assert_int_equal(tls13_take_handshake(&r->t, messages, cut, &asked, &alert), RC_OK);
        assert_false(asked);
        assert_int_equal(
            tls13_take_handshake(&r->t, messages + cut, sizeof(messages) - cut, &asked, &alert),
            RC_OK);
        assert_true(asked);
        rig_free(r);
    }
}

static void test_tls13__longest_ticket__and_one_byte_more(void **state)
{
    struct rig *r = rig_client_taken_over(all_suites[0]);
    struct tls13_record got;
    bool asked;
    (void)state;

    assert_int_equal(
        tls13_take_handshake(&r->t, (const uint8_t *)"\4\1\0\1", 4, &asked, &got.alert),
        RC_PEER_MALFORMED);
    assert_int_equal(got.alert, TLS13_DECODE_ERROR);
    r->t.part_len = 0;
    assert_int_equal(
        tls13_take_handshake(&r->t, (const uint8_t *)"\4\1\0\0", 4, &asked, &got.alert), RC_OK);
    assert_int_equal(open_sealed(r, TLS13_DATA, "x", 1, &got), RC_PEER_MALFORMED); /* in between */
    rig_free(r);
}

static void test_tls13__data_within_a_handshake_message__is_refused(void **state)
{
    struct rig *r = rig_taken_over(all_suites[0]);
    struct tls13_record got;
    bool asked;
    (void)state;
    assert_int_equal(tls13_take_handshake(&r->t, (const uint8_t *)"\30\0", 2, &asked, &got.alert),
                     RC_OK);

    assert_int_equal(open_sealed(r, TLS13_DATA, "x", 1, &got), RC_PEER_MALFORMED);
    assert_int_equal(got.alert, TLS13_UNEXPECTED_MESSAGE);
    rig_free(r);
}

static void test_tls13__handshake_message_that_may_not_come__is_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        enum tls13_alert alert;
    } bad[] = {
        {"\1\0\0\1\0", 5, TLS13_UNEXPECTED_MESSAGE},     /* ClientHello: renegotiation */
        {"\4\0\0\1\0", 5, TLS13_UNEXPECTED_MESSAGE},     /* NewSessionTicket is a server's */
        {"\13", 1, TLS13_UNEXPECTED_MESSAGE},            /* Certificate, its first byte */
        {"\30\0\0\1\0\30", 6, TLS13_UNEXPECTED_MESSAGE}, /* something behind the key's change */
        {"\30\0\0\2\0", 5, TLS13_DECODE_ERROR},
        {"\30\1\0\1", 4, TLS13_DECODE_ERROR},
        {"\30\0\0\1\2", 5, TLS13_ILLEGAL_PARAMETER},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rig *r = rig_taken_over(all_suites[0]);
        enum tls13_alert alert;
        bool asked;
        assert_int_equal(
            tls13_take_handshake(&r->t, (const uint8_t *)bad[i].bytes, bad[i].n, &asked, &alert),
            RC_PEER_MALFORMED);
        assert_int_equal(alert, bad[i].alert);
        rig_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls13__every_suite__both_ways),
        cmocka_unit_test(test_tls13__connections_in_turns__contexts_are_keyed_again),
        cmocka_unit_test(test_tls13__key_updates__both_ways),
        cmocka_unit_test(test_tls13__client__takes_data_and_ignores_tickets),
        cmocka_unit_test(test_tls13__alert__reaches_openssl),
        cmocka_unit_test(test_tls13__tls12__is_not_taken_over),
        cmocka_unit_test(test_tls13__no_secrets__is_not_taken_over),
        cmocka_unit_test(test_tls13__openssl_has_read_ahead__is_not_taken_over),
        cmocka_unit_test(test_tls13__any_bit_flipped__is_refused),
        cmocka_unit_test(test_tls13__too_short_for_a_tag__is_refused),
        cmocka_unit_test(test_tls13__padding__is_taken_off),
        cmocka_unit_test(test_tls13__content_that_may_not_come__is_refused),
        cmocka_unit_test(test_tls13__longest_record__and_one_byte_more),
        cmocka_unit_test(test_tls13__key_update__in_any_two_pieces),
        cmocka_unit_test(test_tls13__tickets_and_a_key_update__in_any_two_pieces),
        cmocka_unit_test(test_tls13__longest_ticket__and_one_byte_more),
        cmocka_unit_test(test_tls13__data_within_a_handshake_message__is_refused),
        cmocka_unit_test(test_tls13__handshake_message_that_may_not_come__is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
