/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/sandbox/common/pki.h"

#include <stdlib.h>
#include <string.h>

#include "integration/sandbox/common/os.h"
#include "tests/integration/sandbox/unit.h"

static void test_pki__leaf__has_the_names_given_and_verifies(void **state)
{
    EVP_PKEY *root_key = pki_key_new(false);
    EVP_PKEY *key = pki_key_new(false);
    X509 *root = pki_root_new(root_key, "cluster.local");
    struct names sans = {0};
    struct names got = {0};
    size_t n_uri = 0;
    int64_t now_s = os_wall_s();
    struct pki_leaf leaf = {root, root_key, key, &sans, now_s - 120, now_s + 60};
    char *pem;
    X509 *cert;

    (void)state;
    names_add(&sans, "spiffe://td/ns/a/sa/b");
    names_add(&sans, "istiod.istio-system.svc");
    names_add(&sans, "10.0.0.1");
    names_add(&sans, "fd00::1");

    pem = pki_leaf_sign(&leaf);

    assert_non_null(pem);
    assert_true(pki_cert_sans(pem, &got, &n_uri));
    assert_int_equal(got.n, 4);
    assert_int_equal(n_uri, 1);
    for (size_t i = 0; i < 4; i++) {
        assert_true(names_has(&got, sans.v[i]));
    }
    assert_int_equal(pki_cert_not_after(pem), now_s + 60);
    cert = pki_cert_parse(pem);
    assert_int_equal(X509_verify(cert, root_key), 1);
    X509_free(cert);
    free(pem);
    names_fini(&sans);
    names_fini(&got);
    X509_free(root);
    EVP_PKEY_free(root_key);
    EVP_PKEY_free(key);
}

static void test_pki__csr__gives_its_key_and_a_changed_one_does_not(void **state)
{
    EVP_PKEY *key = pki_key_new(false);
    char *csr = pki_csr_new(key, "spiffe://td/ns/a/sa/b");
    EVP_PKEY *back = pki_csr_key(csr);
    char *end;

    (void)state;
    assert_non_null(back);
    assert_int_equal(EVP_PKEY_eq(key, back), 1);
    EVP_PKEY_free(back);

    end = strstr(csr, "-----END");
    end[-8] = end[-8] == 'A' ? 'B' : 'A';
    assert_null(pki_csr_key(csr));
    assert_null(pki_csr_key("nothing"));
    free(csr);
    EVP_PKEY_free(key);
}

static void test_pki__key__comes_back_from_pem(void **state)
{
    EVP_PKEY *key = pki_key_new(false);
    char *pem = pki_key_pem(key);
    EVP_PKEY *back = pki_key_parse(pem);

    (void)state;
    assert_int_equal(EVP_PKEY_eq(key, back), 1);
    assert_null(pki_key_parse("-----BEGIN PRIVATE KEY-----\n"));
    free(pem);
    EVP_PKEY_free(key);
    EVP_PKEY_free(back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pki__leaf__has_the_names_given_and_verifies),
        cmocka_unit_test(test_pki__csr__gives_its_key_and_a_changed_one_does_not),
        cmocka_unit_test(test_pki__key__comes_back_from_pem),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
