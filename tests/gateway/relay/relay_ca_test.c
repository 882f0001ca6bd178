/* SPDX-License-Identifier: Apache-2.0 */
/* Which certificate an answer to a CSR has, however it is cut; and that nothing else is told. */
#include "gateway/relay/relay_ca.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/pem.h>

#include "tests/certs/cert_fixture.h"
#include "tests/xds/pb_out.h"

#define CERT_CHAIN 1

/* The PEM of x as an element of cert_chain. */
static void put_pem(struct pb_out *message, X509 *x)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;

    assert_int_equal(PEM_write_bio_X509(bio, x), 1);
    size_t n = (size_t)BIO_get_mem_data(bio, &data);
    pb_bytes(message, CERT_CHAIN, data, n);
    BIO_free(bio);
}

/* What istiod answers: the VM's certificate, then the root. */
static void make_message(const struct cert_fixture *f, struct pb_out *message)
{
    *message = (struct pb_out){0};
    put_pem(message, f->vm.x);
    put_pem(message, f->root.x);
}

/* In its frame; frees message. */
static struct pb_out framed(uint8_t flag, struct pb_out *message)
{
    struct pb_out o = {0};

    pb_frame(&o, flag, message->data, message->n);
    pb_free(message);
    return o;
}

static struct pb_out make_response(const struct cert_fixture *f)
{
    struct pb_out message;

    make_message(f, &message);
    return framed(0, &message);
}

/* Feed an exact copy on the heap: a read behind its end is seen by the sanitizer. */
static bool feed_copy(struct relay_ca *ca, const uint8_t *data, size_t n, struct cert_facts *out)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);

    memcpy(copy, data, n);
    bool told = relay_ca_feed(ca, copy, n, out);
    free(copy);
    return told;
}

/* All of it in pieces; how often a certificate was told. */
static unsigned feed(const struct pb_out *o, size_t piece, struct cert_facts *out)
{
    struct relay_ca *ca = malloc(sizeof(*ca));
    unsigned told = 0;

    memset(ca, 0xa5, sizeof(*ca));
    relay_ca_init(ca);
    for (size_t at = 0; at < o->n; at += piece) {
        told += feed_copy(ca, o->data + at, o->n - at < piece ? o->n - at : piece, out);
    }
    free(ca);
    return told;
}

/* Nothing is told, in one piece or byte by byte. Frees o. */
static void assert_silent(struct pb_out *o)
{
    struct cert_facts facts = {.expiry = 42};

    assert_int_equal(feed(o, o->n, &facts), 0);
    assert_int_equal(feed(o, 1, &facts), 0);
    assert_int_equal(facts.expiry, 42);
    pb_free(o);
}

static void assert_is_vm(const struct cert_fixture *f, const struct cert_facts *facts)
{
    struct cert_facts vm;
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;

    assert_int_equal(PEM_write_bio_X509(bio, f->vm.x), 1);
    size_t n = (size_t)BIO_get_mem_data(bio, &data);
    assert_int_equal(cert_facts_parse(data, n, &vm), RC_OK);
    BIO_free(bio);
    assert_string_equal(facts->serial, vm.serial);
    assert_memory_equal(facts->key, vm.key, sizeof(vm.key));
    assert_int_equal(facts->expiry, vm.expiry);
}

static void test_relay_ca__istiods_answer__the_vms_certificate_once(void **state)
{
    const struct cert_fixture *f = *state;
    struct pb_out o = make_response(f);
    struct cert_facts facts;

    for (size_t piece = 1; piece <= o.n; piece = piece < 8 ? piece + 1 : piece * 2 - 1) {
        memset(&facts, 0, sizeof(facts));
        assert_int_equal(feed(&o, piece, &facts), 1);
        assert_is_vm(f, &facts);
    }
    pb_free(&o);
}

static void test_relay_ca__split_anywhere__told_with_the_last_byte(void **state)
{
    const struct cert_fixture *f = *state;
    struct pb_out o = make_response(f);

    for (size_t cut = 0; cut < o.n; cut++) {
        struct cert_facts facts = {.expiry = 42};
        struct relay_ca ca = {.left = 0};
        assert_false(feed_copy(&ca, o.data, cut, &facts)); /* this is what a cut answer says, too */
        assert_int_equal(facts.expiry, 42);
        assert_true(feed_copy(&ca, o.data + cut, o.n - cut, &facts));
        assert_is_vm(f, &facts);
        assert_false(feed_copy(&ca, o.data, o.n, &facts));
    }
    pb_free(&o);
}

/* The frame ends where the message was cut. */
static void test_relay_ca__message_is_cut_anywhere__told_at_the_end_of_a_field_only(void **state)
{
    const struct cert_fixture *f = *state;
    struct pb_out first = {0};
    struct pb_out message;

    put_pem(&first, f->vm.x);
    make_message(f, &message);
    for (size_t cut = 0; cut < message.n; cut++) {
        struct pb_out o = {0};
        struct cert_facts facts;
        pb_frame(&o, 0, message.data, cut);
        assert_int_equal(feed(&o, o.n, &facts), cut == first.n);
        assert_int_equal(feed(&o, 1, &facts), cut == first.n);
        pb_free(&o);
    }
    pb_free(&message);
    pb_free(&first);
}

static void test_relay_ca__more_after_the_message__is_not_read(void **state)
{
    const struct cert_fixture *f = *state;
    struct pb_out o = make_response(f);
    struct pb_out again = make_response(f);
    struct cert_facts facts;

    pb_put(&o, again.data, again.n);
    assert_int_equal(feed(&o, o.n, &facts), 1);
    assert_is_vm(f, &facts);
    assert_int_equal(feed(&o, 1, &facts), 1);
    pb_free(&again);
    pb_free(&o);
}

static void test_relay_ca__unknown_fields__skipped(void **state)
{
    const struct cert_fixture *f = *state;
    struct pb_out message = {0};
    struct cert_facts facts;

    pb_number(&message, CERT_CHAIN, 7); /* of a wrong type */
    pb_text(&message, 2, "something new");
    put_pem(&message, f->vm.x);
    pb_number(&message, 3, 1);
    struct pb_out o = framed(0, &message);
    assert_int_equal(feed(&o, o.n, &facts), 1);
    assert_is_vm(f, &facts);
    pb_free(&o);
}

static void test_relay_ca__compressed__nothing(void **state)
{
    struct pb_out message;

    make_message(*state, &message);
    struct pb_out o = framed(1, &message);
    assert_silent(&o);
}

/* A certificate at the start of n bytes. */
static struct pb_out padded(const struct cert_fixture *f, size_t n)
{
    BIO *bio = BIO_new(BIO_s_mem());
    struct pb_out message = {0};
    char *pem = malloc(n);
    char *data;

    assert_int_equal(PEM_write_bio_X509(bio, f->vm.x), 1);
    size_t n_pem = (size_t)BIO_get_mem_data(bio, &data);
    memset(pem, '\n', n);
    memcpy(pem, data, n_pem);
    pb_bytes(&message, CERT_CHAIN, pem, n);
    free(pem);
    BIO_free(bio);
    return framed(0, &message);
}

static void test_relay_ca__longest_pem__read_and_one_more_not(void **state)
{
    const struct cert_fixture *f = *state;
    struct pb_out o = padded(f, RELAY_CA_PEM_BYTES);
    struct cert_facts facts;

    assert_int_equal(feed(&o, o.n, &facts), 1);
    assert_int_equal(feed(&o, 1, &facts), 1);
    assert_is_vm(f, &facts);
    pb_free(&o);
    o = padded(f, RELAY_CA_PEM_BYTES + 1);
    assert_silent(&o);
    o = padded(f, 100000);
    assert_silent(&o);
}

static void test_relay_ca__no_certificate__nothing(void **state)
{
    struct pb_out message = {0};
    (void)state;

    struct pb_out o = framed(0, &message);
    assert_silent(&o);
    pb_text(&message, CERT_CHAIN, "");
    o = framed(0, &message);
    assert_silent(&o);
    pb_text(&message, CERT_CHAIN, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    o = framed(0, &message);
    assert_silent(&o);
}

/* Whatever one byte is: no crash, and at most one certificate. */
static void test_relay_ca__one_byte_is_another__at_most_one(void **state)
{
    static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    struct pb_out o = make_response(*state);

    for (size_t at = 0; at < 64; at++) {
        uint8_t good = o.data[at];
        for (size_t i = 0; i < sizeof(values); i++) {
            struct cert_facts facts;
            o.data[at] = values[i];
            assert_true(feed(&o, o.n, &facts) <= 1);
            assert_true(feed(&o, 7, &facts) <= 1);
        }
        o.data[at] = good;
    }
    pb_free(&o);
}

static void test_relay_ca__junk__nothing(void **state)
{
    uint32_t x = 1;
    (void)state;

    for (unsigned round = 0; round < 2000; round++) {
        uint8_t bytes[96];
        struct pb_out message = {0};
        for (size_t i = 0; i < sizeof(bytes); i++) {
            x = x * 1664525u + 1013904223u;
            bytes[i] = (uint8_t)(x >> 24);
        }
        pb_put(&message, bytes, 1 + round % sizeof(bytes));
        struct pb_out o = framed(0, &message);
        assert_silent(&o);
        pb_put(&o, bytes, sizeof(bytes)); /* without a frame */
        assert_silent(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relay_ca__istiods_answer__the_vms_certificate_once),
        cmocka_unit_test(test_relay_ca__split_anywhere__told_with_the_last_byte),
        cmocka_unit_test(test_relay_ca__message_is_cut_anywhere__told_at_the_end_of_a_field_only),
        cmocka_unit_test(test_relay_ca__more_after_the_message__is_not_read),
        cmocka_unit_test(test_relay_ca__unknown_fields__skipped),
        cmocka_unit_test(test_relay_ca__compressed__nothing),
        cmocka_unit_test(test_relay_ca__longest_pem__read_and_one_more_not),
        cmocka_unit_test(test_relay_ca__no_certificate__nothing),
        cmocka_unit_test(test_relay_ca__one_byte_is_another__at_most_one),
        cmocka_unit_test(test_relay_ca__junk__nothing),
    };
    return cmocka_run_group_tests(tests, cert_fixture_setup, cert_fixture_teardown);
}
