/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/sandbox/common/token.h"

#include <stdlib.h>
#include <string.h>

#include "integration/sandbox/common/pki.h"
#include "tests/integration/sandbox/unit.h"

#define NOW_S 1700000000

static char *mint(EVP_PKEY *key, int64_t expires_s)
{
    struct token_claims claims = {
        .service_namespace = "vms",
        .service_account = "web",
        .audience = "istio-ca",
        .issued_s = NOW_S,
        .expires_s = expires_s,
    };
    char *token = token_mint(key, &claims);

    assert_non_null(token);
    return token;
}

static void round_trip(bool rsa)
{
    EVP_PKEY *key = pki_key_new(rsa);
    EVP_PKEY *other = pki_key_new(rsa);
    char *token = mint(key, NOW_S + 100);
    char *id = NULL;

    assert_null(token_verify(key, token, "istio-ca", NOW_S, &id));
    assert_string_equal(id, "ns/vms/sa/web");
    free(id);
    id = NULL;
    assert_non_null(token_verify(other, token, "istio-ca", NOW_S, &id));
    assert_non_null(token_verify(key, token, "other", NOW_S, &id));
    assert_null(id);
    free(token);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

static void test_token__es256__comes_back(void **state)
{
    (void)state;
    round_trip(false);
}

static void test_token__rs256__comes_back(void **state)
{
    (void)state;
    round_trip(true);
}

static void test_token__key_of_other_kind__is_refused(void **state)
{
    EVP_PKEY *ec = pki_key_new(false);
    EVP_PKEY *rsa = pki_key_new(true);
    char *token = mint(ec, NOW_S + 100);
    char *id = NULL;

    (void)state;
    assert_non_null(token_verify(rsa, token, "istio-ca", NOW_S, &id));
    free(token);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(rsa);
}

static void test_token__expiry__has_the_leeway_and_no_more(void **state)
{
    EVP_PKEY *key = pki_key_new(false);
    char *token = mint(key, NOW_S);
    char *id = NULL;

    (void)state;
    assert_null(token_verify(key, token, "istio-ca", NOW_S + TOKEN_LEEWAY_S - 1, &id));
    free(id);
    assert_non_null(token_verify(key, token, "istio-ca", NOW_S + TOKEN_LEEWAY_S, &id));
    free(token);
    EVP_PKEY_free(key);
}

static void test_token__any_byte_changed_or_cut__is_refused(void **state)
{
    EVP_PKEY *key = pki_key_new(false);
    char *token = mint(key, NOW_S + 100);
    size_t n = strlen(token);
    char *id = NULL;

    (void)state;
    for (size_t i = 0; i < n; i++) {
        char kept = token[i];

        /* the last character of a part has bits that no byte uses */
        if (i + 1 < n && token[i + 1] != '.' && token[i] != '.') {
            token[i] = kept == 'A' ? 'B' : 'A';
            assert_non_null(token_verify(key, token, "istio-ca", NOW_S, &id));
        }
        token[i] = '\0';
        assert_non_null(token_verify(key, token, "istio-ca", NOW_S, &id));
        token[i] = kept;
    }
    assert_null(token_verify(key, token, "istio-ca", NOW_S, &id));
    free(id);
    free(token);
    EVP_PKEY_free(key);
}

static void test_token__garbage__is_refused(void **state)
{
    static const char *const bad[] = {"", ".", "..", "...", "a.b", "a.b.c", "a.b.c.d", "$.$.$"};
    EVP_PKEY *key = pki_key_new(false);
    char *id = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_non_null(token_verify(key, bad[i], "istio-ca", NOW_S, &id));
    }
    EVP_PKEY_free(key);
}

static void test_base64url__all_lengths__come_back(void **state)
{
    unsigned char data[64];

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (unsigned char)(i * 37 + 251);
    }
    for (size_t n = 0; n <= sizeof(data); n++) {
        char *text = base64url_encode(data, n);
        size_t back = 999;
        unsigned char *bytes = base64url_decode(text, strlen(text), &back);

        assert_non_null(bytes);
        assert_int_equal(back, n);
        assert_memory_equal(bytes, data, n);
        free(bytes);
        free(text);
    }
    assert_null(base64url_decode("A", 1, &(size_t){0}));
    assert_null(base64url_decode("AA=", 3, &(size_t){0}));
    assert_null(base64url_decode("A+", 2, &(size_t){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token__es256__comes_back),
        cmocka_unit_test(test_token__rs256__comes_back),
        cmocka_unit_test(test_token__key_of_other_kind__is_refused),
        cmocka_unit_test(test_token__expiry__has_the_leeway_and_no_more),
        cmocka_unit_test(test_token__any_byte_changed_or_cut__is_refused),
        cmocka_unit_test(test_token__garbage__is_refused),
        cmocka_unit_test(test_base64url__all_lengths__come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
