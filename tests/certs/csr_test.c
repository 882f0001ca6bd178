/* SPDX-License-Identifier: Apache-2.0 */
/* A key, the request for it, and answers that are taken or not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/pem.h>

#include "certs/csr.h"
#include "tests/certs/ca_fixture.h"

static const char *const names[] = {NAME};

/* What istiod's CA answers: its certificate, its root; and the key of the certificate. */
struct signed_by {
    struct cert_bytes elements[3];
    struct ca_issued issued;
};

static void setup_answer(const struct ca_fixture *f, struct signed_by *s)
{
    struct ca *ca = ca_fixture_load(ca_fixture_opts(f, &f->root));
    const struct ca_request request = {
        .names = names, .n_names = 1, .key = CA_KEY_P256, .validity_s = DAY_S};
    struct cert_error err;

    assert_int_equal(ca_issue(ca, &request, &s->issued, &err), RC_OK);
    s->elements[0] = s->issued.chain;
    s->elements[1] = s->issued.roots;
    ca_free(&ca);
}

static enum rc take(const struct signed_by *s, size_t n, const char *const *wanted,
                    const struct cert_bytes *key, struct ca_issued *out, struct cert_error *err)
{
    const struct csr_answer a = {.elements = s->elements,
                                 .n = n,
                                 .key = key != NULL ? key : &s->issued.key,
                                 .names = wanted,
                                 .n_names = 1};

    return csr_take_answer(&a, out, err);
}

static void test_csr_make__openssl_finds_the_key_in_the_request(void **state)
{
    struct cert_bytes request = {NULL, 0};
    struct cert_bytes key = {NULL, 0};
    (void)state;

    assert_int_equal(csr_make(CA_KEY_P256, &request, &key), RC_OK);

    BIO *in = BIO_new_mem_buf(request.data, (int)request.n);
    BIO *key_in = BIO_new_mem_buf(key.data, (int)key.n);
    X509_REQ *r = PEM_read_bio_X509_REQ(in, NULL, NULL, NULL);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(key_in, NULL, NULL, NULL);
    assert_non_null(r);
    assert_non_null(pkey);
    assert_int_equal(X509_REQ_verify(r, pkey), 1);
    X509_REQ_free(r);
    EVP_PKEY_free(pkey);
    BIO_free(in);
    BIO_free(key_in);
    cert_bytes_fini(&request);
    cert_bytes_fini(&key);
}

static void test_csr_take_answer__good__all_of_it_is_there(void **state)
{
    struct signed_by s = {.issued.to = 0};
    struct ca_issued out;
    struct cert_error err;
    setup_answer(*state, &s);

    if (take(&s, 2, names, NULL, &out, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }

    assert_int_equal(out.to, s.issued.to);
    assert_int_equal(out.chain.n, s.issued.chain.n);
    assert_memory_equal(out.chain.data, s.issued.chain.data, out.chain.n);
    assert_memory_equal(out.roots.data, s.issued.roots.data, out.roots.n);
    assert_memory_equal(out.key.data, s.issued.key.data, out.key.n);
    ca_issued_fini(&out);
    ca_issued_fini(&s.issued);
}

static void test_csr_take_answer__not_what_was_asked_for__refused(void **state)
{
    static const char *const other[] = {"other.example"};
    struct signed_by s = {.issued.to = 0};
    struct signed_by another = {.issued.to = 0};
    struct ca_issued out;
    struct cert_error err;
    setup_answer(*state, &s);
    setup_answer(*state, &another);

    assert_int_equal(take(&s, 2, other, NULL, &out, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "other.example"));
    assert_int_equal(take(&s, 2, names, &another.issued.key, &out, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "another key"));
    assert_int_equal(take(&s, 1, names, NULL, &out, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "came in 1 parts"));
    ca_issued_fini(&s.issued);
    ca_issued_fini(&another.issued);
}

static void test_csr_take_answer__no_pem_or_wrong_roots__refused(void **state)
{
    struct ca_fixture *f = *state;
    struct signed_by s = {.issued.to = 0};
    struct pki_cert other = pki_make_root("other");
    struct cert_bytes roots = ca_fixture_pem_of(f, &other);
    struct cert_bytes junk = {(uint8_t *)(uintptr_t) "junk", 4};
    struct ca_issued out;
    struct cert_error err;
    setup_answer(f, &s);

    s.elements[1] = roots;
    assert_int_equal(take(&s, 2, names, NULL, &out, &err), RC_INVALID);
    s.elements[1] = junk;
    assert_int_equal(take(&s, 2, names, NULL, &out, &err), RC_INVALID);
    s.elements[0] = junk;
    s.elements[1] = s.issued.roots;
    assert_int_equal(take(&s, 2, names, NULL, &out, &err), RC_INVALID);
    cert_bytes_fini(&roots);
    pki_free(&other);
    ca_issued_fini(&s.issued);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, ca_fixture_setup, ca_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csr_make__openssl_finds_the_key_in_the_request),
        TEST(test_csr_take_answer__good__all_of_it_is_there),
        TEST(test_csr_take_answer__not_what_was_asked_for__refused),
        TEST(test_csr_take_answer__no_pem_or_wrong_roots__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
