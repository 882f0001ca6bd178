/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/cert_facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "certs/cert_peer.h"
#include "tests/certs/cert_fixture.h"

/* The PEM of x; owned. */
static char *pem_of(X509 *x, size_t *n)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    assert_int_equal(PEM_write_bio_X509(bio, x), 1);
    *n = (size_t)BIO_get_mem_data(bio, &data);
    char *copy = malloc(*n);
    memcpy(copy, data, *n);
    BIO_free(bio);
    return copy;
}

/* By another way of OpenSSL than the code's own. */
static void expect(X509 *x, const struct cert_facts *facts)
{
    unsigned char *der = NULL;
    unsigned char key[CERT_KEY_BYTES];
    struct tm tm;
    int n = i2d_PUBKEY(X509_get0_pubkey(x), &der);
    assert_true(n > 0);
    assert_int_equal(EVP_Digest(der, (size_t)n, key, NULL, EVP_sha256(), NULL), 1);
    OPENSSL_free(der);
    assert_memory_equal(facts->key, key, sizeof(key));
    assert_int_equal(ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm), 1);
    assert_int_equal(facts->expiry, timegm(&tm));
    assert_int_equal(ASN1_TIME_to_tm(X509_get0_notBefore(x), &tm), 1);
    assert_int_equal(facts->start, timegm(&tm));
    BIGNUM *from_text = NULL;
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
    assert_true(BN_hex2bn(&from_text, facts->serial) > 0);
    assert_int_equal(BN_cmp(from_text, number), 0);
    BN_free(from_text);
    BN_free(number);
}

static void test_cert_facts__pem__of_its_first_certificate(void **state)
{
    struct cert_fixture *f = *state;
    struct cert_facts facts;
    size_t n = 0;
    size_t n_next = 0;
    char *pem = pem_of(f->vm.x, &n);
    char *next = pem_of(f->root.x, &n_next);

    pem = realloc(pem, n + n_next);
    memcpy(pem + n, next, n_next);
    assert_int_equal(cert_facts_parse(pem, n + n_next, &facts), RC_OK);
    expect(f->vm.x, &facts);
    free(pem);
    free(next);
}

static void test_cert_facts__cut_anywhere__malformed_and_untouched(void **state)
{
    struct cert_fixture *f = *state;
    size_t n = 0;
    char *pem = pem_of(f->vm.x, &n);

    for (size_t cut = 0; cut + 2 < n; cut++) { /* the last dash and newline may be missing */
        struct cert_facts facts = {.expiry = 42};
        char *copy = malloc(cut + 1);
        memcpy(copy, pem, cut);
        if (cert_facts_parse(copy, cut, &facts) != RC_OK) {
            assert_int_equal(facts.expiry, 42);
        } else {
            expect(f->vm.x, &facts);
            assert_true(cut + 8 > n);
        }
        free(copy);
    }
    free(pem);
}

static void test_cert_facts__peer__the_same_as_of_its_certificate(void **state)
{
    struct cert_fixture *f = *state;
    struct cert_peer *peer = NULL;
    struct tls_pair pair;

    assert_true(cert_fixture_connect(f->set, &(struct client_opts){.cert = &f->vm}, &pair));
    assert_int_equal(cert_peer_take(pair.server, &peer), RC_OK);
    tls_pair_fini(&pair);
    expect(f->vm.x, cert_peer_facts(peer));
    assert_string_equal(cert_set_trust_domain(f->set), "cluster.local");
    cert_peer_free(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cert_facts__pem__of_its_first_certificate),
        cmocka_unit_test(test_cert_facts__cut_anywhere__malformed_and_untouched),
        cmocka_unit_test(test_cert_facts__peer__the_same_as_of_its_certificate),
    };
    return cmocka_run_group_tests(tests, cert_fixture_setup, cert_fixture_teardown);
}
