/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/jwt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define NOW INT64_C(1800000000)
#define HEADER "{\"alg\":\"RS256\",\"kid\":\"k1\"}"
#define SIGNATURE "c2lnbmF0dXJl"

static const char *const audiences[] = {"istio-ca", "second", NULL};

static size_t base64url(const char *in, size_t n, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t len = 0;

    for (size_t i = 0; i < n; i += 3) {
        unsigned left = n - i >= 3 ? 3 : (unsigned)(n - i);
        unsigned bits = (unsigned)(unsigned char)in[i] << 16;
        bits |= left > 1 ? (unsigned)(unsigned char)in[i + 1] << 8 : 0;
        bits |= left > 2 ? (unsigned)(unsigned char)in[i + 2] : 0;
        for (unsigned j = 0; j <= left; j++) {
            out[len++] = digits[bits >> (18 - 6 * j) & 63];
        }
    }
    out[len] = '\0';
    return len;
}

/* "Bearer HEADER.CLAIMS.SIGNATURE" in a buffer that the next call overwrites. */
static const char *make_token(const char *header, const char *claims)
{
    static char token[40000];
    static char part[2][18000];

    base64url(header, strlen(header), part[0]);
    base64url(claims, strlen(claims), part[1]);
    snprintf(token, sizeof(token), "Bearer %s.%s.%s", part[0], part[1], SIGNATURE);
    return token;
}

/* Look at an exact copy on the heap: a read behind its end is seen by the sanitizer. */
static enum rc look_at(const char *value, size_t n, const char **why)
{
    char *copy = malloc(n > 0 ? n : 1);
    memcpy(copy, value, n);
    enum rc rc = jwt_look(copy, n, audiences, NOW, why);
    free(copy);
    return rc;
}

static bool is_good(const char *value)
{
    const char *why = NULL;
    enum rc rc = look_at(value, strlen(value), &why);

    if (rc == RC_OK) {
        assert_null(why); /* untouched */
        return true;
    }
    assert_int_equal(rc, RC_PEER_DENIED);
    assert_non_null(why);
    return false;
}

static bool claims_are_good(const char *claims)
{
    return is_good(make_token(HEADER, claims));
}

static void assert_why(const char *value, const char *text)
{
    const char *why = NULL;

    assert_int_equal(look_at(value, strlen(value), &why), RC_PEER_DENIED);
    assert_string_equal(why, text);
}

static void test_jwt__token_of_kubernetes__is_good(void **state)
{
    (void)state;
    assert_true(claims_are_good(
        "{\"aud\":[\"istio-ca\"],\"exp\":1800003600,\"iat\":1800000000,"
        "\"iss\":\"https://kubernetes.default.svc.cluster.local\",\"jti\":\"0\","
        "\"kubernetes.io\":{\"namespace\":\"vms\",\"serviceaccount\":{\"name\":\"web\","
        "\"uid\":\"5\"}},\"nbf\":1800000000,\"sub\":\"system:serviceaccount:vms:web\"}"));
}

static void test_jwt__good_claims__are_good(void **state)
{
    static const char *const rows[] = {
        "{\"exp\":1800000001,\"aud\":\"istio-ca\"}",
        "{\"exp\":1800000001,\"aud\":\"second\"}",
        "{\"exp\":1800000001,\"aud\":[\"x\",\"istio-ca\"]}",
        "{\"exp\":1800000001,\"aud\":[\"istio-ca\",\"\"]}",
        " \t\r\n{ \"exp\" : 1800000001 , \"aud\" : [ \"istio-ca\" ] } \n",
        "{\"exp\":1800000001.5,\"aud\":\"istio-ca\"}",
        "{\"exp\":99999999999999999999999999,\"aud\":\"istio-ca\"}",
        "{\"\\u0065xp\":1800000001,\"a\\u0075d\":\"istio\\u002dca\"}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\",\"x\":{\"exp\":1,\"aud\":\"no\"}}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\",\"a\":[],\"b\":{},\"c\":[[],{},[{}]]}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\",\"a\":[1,-2.5e+9,true,false,null,\"\\\"\\\\\"]}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\",\"x\":1,\"x\":2}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\",\"\xc3\xa9\":\"\\ud83d\\ude00\"}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\",\"\":0}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (!claims_are_good(rows[i])) {
            fail_msg("refused: %s", rows[i]);
        }
    }
}

static void test_jwt__malformed_claims__are_denied(void **state)
{
    static const char *const rows[] = {
        "",
        " ",
        "null",
        "[]",
        "\"exp\"",
        "{",
        "}",
        "{}{}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\"",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\"}}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\"}x",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\",}",
        "{,\"exp\":1800000001,\"aud\":\"istio-ca\"}",
        "{\"exp\":1800000001 \"aud\":\"istio-ca\"}",
        "{\"exp\"=1800000001,\"aud\":\"istio-ca\"}",
        "{exp:1800000001,\"aud\":\"istio-ca\"}",
        "{'exp':1800000001,\"aud\":\"istio-ca\"}",
        "{\"exp\":\"1800000001\",\"aud\":\"istio-ca\"}",
        "{\"exp\":null,\"aud\":\"istio-ca\"}",
        "{\"exp\":[1800000001],\"aud\":\"istio-ca\"}",
        "{\"exp\":true,\"aud\":\"istio-ca\"}",
        "{\"exp\":,\"aud\":\"istio-ca\"}",
        "{\"exp\":+1800000001,\"aud\":\"istio-ca\"}",
        "{\"exp\":01800000001,\"aud\":\"istio-ca\"}",
        "{\"exp\":1800000001.,\"aud\":\"istio-ca\"}",
        "{\"exp\":.5,\"aud\":\"istio-ca\"}",
        "{\"exp\":-,\"aud\":\"istio-ca\"}",
        "{\"exp\":18e8,\"aud\":\"istio-ca\"}",
        "{\"exp\":1800000001e,\"aud\":\"istio-ca\"}",
        "{\"exp\":0x7fffffff,\"aud\":\"istio-ca\"}",
        "{\"exp\":Infinity,\"aud\":\"istio-ca\"}",
        "{\"exp\":1800000001,\"aud\":1}",
        "{\"exp\":1800000001,\"aud\":null}",
        "{\"exp\":1800000001,\"aud\":{\"istio-ca\":1}}",
        "{\"exp\":1800000001,\"aud\":[\"istio-ca\",1]}",
        "{\"exp\":1800000001,\"aud\":[\"istio-ca\",]}",
        "{\"exp\":1800000001,\"aud\":[[\"istio-ca\"]]}",
        "{\"exp\":1800000001,\"aud\":[\"istio-ca\"}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca}",
        "{\"exp\":1800000001,\"exp\":1800000001,\"aud\":\"istio-ca\"}",
        "{\"exp\":1,\"\\u0065xp\":1800000001,\"aud\":\"istio-ca\"}",
        "{\"exp\":1800000001,\"aud\":\"x\",\"aud\":\"istio-ca\"}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\",\"x\":tru}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\",\"x\":True}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\",\"x\":[1,]}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\",\"x\":[1 2]}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\",\"x\":[1}}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\",\"x\":{\"a\"}}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\",\"x\":{\"a\":1,}}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\",\"x\":{1:1}}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\",\"x\":\"\\x\"}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\",\"x\":\"\\u12g4\"}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\",\"x\":\"\\u12\"}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\",\"x\":\"\n\"}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\",\"x\":\"\\",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\"/**/}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *token = make_token(HEADER, rows[i]);
        if (is_good(token)) {
            fail_msg("accepted: %s", rows[i]);
        }
        assert_why(token, "the claims of the token are malformed");
    }
}

static void test_jwt__reasons__name_what_is_wrong(void **state)
{
    char edge[128];

    (void)state;
    assert_why(make_token(HEADER, "{\"aud\":\"istio-ca\"}"), "the token has no expiry");
    assert_why(make_token(HEADER, "{}"), "the token has no expiry");
    assert_why(make_token(HEADER, "{\"EXP\":1800000001,\"aud\":\"istio-ca\"}"),
               "the token has no expiry");
    assert_why(make_token(HEADER, "{\"exp\":1,\"aud\":\"istio-ca\"}"), "the token has expired");
    assert_why(make_token(HEADER, "{\"exp\":-1800000001,\"aud\":\"istio-ca\"}"),
               "the token has expired");
    snprintf(edge, sizeof(edge), "{\"exp\":%lld,\"aud\":\"istio-ca\"}",
             (long long)(NOW - JWT_LEEWAY_S));
    assert_true(claims_are_good(edge));
    snprintf(edge, sizeof(edge), "{\"exp\":%lld,\"aud\":\"istio-ca\"}",
             (long long)(NOW - JWT_LEEWAY_S - 1));
    assert_why(make_token(HEADER, edge), "the token has expired");
}

static void test_jwt__other_audience__is_denied(void **state)
{
    static const char *const rows[] = {
        "{\"exp\":1800000001}",
        "{\"exp\":1800000001,\"aud\":[]}",
        "{\"exp\":1800000001,\"aud\":\"\"}",
        "{\"exp\":1800000001,\"aud\":\"istio-c\"}",
        "{\"exp\":1800000001,\"aud\":\"istio-caa\"}",
        "{\"exp\":1800000001,\"aud\":\"ISTIO-CA\"}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\\u0000\"}",
        "{\"exp\":1800000001,\"aud\":\"istio-ca\\n\"}",
        "{\"exp\":1800000001,\"aud\":\"istio\\u012dca\"}",
        "{\"exp\":1800000001,\"aud\":[\"https://kubernetes.default.svc\"]}",
        "{\"exp\":1800000001,\"x\":{\"aud\":\"istio-ca\"}}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_why(make_token(HEADER, rows[i]), "the token is for another audience");
    }
}

static void test_jwt__no_expected_audience__denies_everything(void **state)
{
    const char *const none[] = {NULL};
    const char *token = make_token(HEADER, "{\"exp\":1800000001,\"aud\":[\"\"]}");
    const char *why;

    (void)state;
    assert_int_equal(jwt_look(token, strlen(token), none, NOW, &why), RC_PEER_DENIED);
}

static void test_jwt__other_schemes__are_denied(void **state)
{
    static const char *const rows[] = {"",        "Bearer",        "bearer a.b.c",  "BEARER a.b.c",
                                       "Basic a", " Bearer a.b.c", "Bearer\ta.b.c", "a.b.c"};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_why(rows[i], "authorization is not a Bearer token");
    }
}

static void test_jwt__wrong_shape__is_denied(void **state)
{
    static const char good[] = "{\"exp\":1800000001,\"aud\":\"istio-ca\"}";
    static char claims[2000];
    static char token[8000];
    static const char *const rows[] = {
        "Bearer ",
        "Bearer .",
        "Bearer ..",
        "Bearer %s",
        "Bearer e30.%s",
        "Bearer e30.%s.",
        "Bearer .%s.c2ln",
        "Bearer e30..c2ln",
        "Bearer e30.%s.c2ln.c2ln",
        "Bearer e30.%s.c2ln.",
        "Bearer e30.%s.c2ln ",
        "Bearer  e30.%s.c2ln",
        "Bearer e30.%s.c2ln\n",
        "Bearer e30=.%s.c2ln",
        "Bearer e30.%s=.c2ln",
        "Bearer e30.%s.c2l+",
        "Bearer e30.%s.c2l/",
        "Bearer e30.%s.c2lnA",
        "Bearer e30 .%s.c2ln",
        "Bearer e3.%s.c2ln",
        "Bearer W10.%s.c2ln",
        "Bearer e30e30.%s.c2ln",
        "Bearer bnVsbA.%s.c2ln",
    };

    (void)state;
    base64url(good, strlen(good), claims);
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *mark = strstr(rows[i], "%s");
        int before = mark != NULL ? (int)(mark - rows[i]) : (int)strlen(rows[i]);
        snprintf(token, sizeof(token), "%.*s%s%s", before, rows[i], mark != NULL ? claims : "",
                 mark != NULL ? mark + 2 : "");
        if (is_good(token)) {
            fail_msg("accepted: %s", token);
        }
    }
    snprintf(token, sizeof(token), "Bearer e30.%s.c2ln", claims);
    assert_true(is_good(token));
}

static void test_jwt__truncated_at_every_byte__is_denied(void **state)
{
    char token[600];
    const char *why;

    (void)state;
    snprintf(token, sizeof(token), "%s",
             make_token(HEADER, "{\"exp\":1800000001,\"aud\":\"istio-ca\"}"));
    size_t full = strlen(token);
    for (size_t n = 0; n < full - strlen(SIGNATURE) + 2; n++) {
        assert_int_equal(look_at(token, n, &why), RC_PEER_DENIED);
    }
    assert_int_equal(look_at(token, full, &why), RC_OK);
}

static void test_jwt__claims_truncated_at_every_byte__are_denied(void **state)
{
    static const char claims[] =
        "{\"a\":{\"b\":[1,{\"c\":\"\\u0041\\n\"},null]},\"exp\":1800000001,\"aud\":[\"istio-ca\"]}";
    char cut[sizeof(claims)];

    (void)state;
    assert_true(claims_are_good(claims));
    for (size_t n = 0; n < sizeof(claims) - 1; n++) {
        snprintf(cut, sizeof(cut), "%.*s", (int)n, claims);
        assert_false(claims_are_good(cut));
    }
}

static void test_jwt__every_byte_of_the_claims_changed__gives_an_answer(void **state)
{
    static const char claims[] =
        "{\"a\":{\"b\":[1,{\"c\":\"\\u0041\\n\"},null]},\"exp\":1800000001,\"aud\":[\"istio-ca\"]}";
    static const char values[] = "\"\\{}[],:0u\x01\x80";
    unsigned good = 0;
    unsigned denied = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(claims) - 1; i++) {
        for (size_t v = 0; v < sizeof(values) - 1; v++) {
            char changed[sizeof(claims)];
            memcpy(changed, claims, sizeof(claims));
            changed[i] = values[v];
            *(claims_are_good(changed) ? &good : &denied) += 1;
        }
    }
    assert_true(good > 0 && denied > 0);
}

static void test_jwt__deep_nesting__is_denied(void **state)
{
    static char claims[8000];

    (void)state;
    for (size_t depth = 1; depth < 2048; depth = depth * 2 + 1) {
        const char *const head = "{\"exp\":1800000001,\"aud\":\"istio-ca\",\"x\":";
        size_t n = strlen(head);
        memcpy(claims, head, n);
        memset(claims + n, '[', depth);
        memset(claims + n + depth, ']', depth);
        n += 2 * depth;
        claims[n] = '}', claims[n + 1] = '\0';
        assert_int_equal(claims_are_good(claims), depth < 32);
    }
}

static void test_jwt__oversized_token__is_denied(void **state)
{
    static char claims[9000];
    const char *const head = "{\"exp\":1800000001,\"aud\":\"istio-ca\",\"x\":\"";
    size_t longest_good = 0;

    (void)state;
    for (size_t pad = 5900; pad < 6300; pad++) {
        size_t n = strlen(head);
        memcpy(claims, head, n);
        memset(claims + n, 'x', pad);
        memcpy(claims + n + pad, "\"}", 3);
        const char *token = make_token(HEADER, claims);
        bool good = is_good(token);
        assert_int_equal(good, strlen(token) <= JWT_MAX_BYTES);
        longest_good = good ? strlen(token) : longest_good;
    }
    assert_true(longest_good > JWT_MAX_BYTES - 3);
}

static void test_jwt__zero_bytes__are_denied(void **state)
{
    char token[600];
    const char *why;

    (void)state;
    snprintf(token, sizeof(token), "%s",
             make_token(HEADER, "{\"exp\":1800000001,\"aud\":\"istio-ca\"}"));
    size_t full = strlen(token);
    for (size_t i = 0; i < full; i++) {
        char copy[sizeof(token)];
        memcpy(copy, token, sizeof(token));
        copy[i] = '\0';
        assert_int_equal(look_at(copy, full, &why), RC_PEER_DENIED);
    }
}

static enum rc read_expiry(const char *token, size_t n, int64_t *until)
{
    const char *why = NULL;
    char *copy = malloc(n > 0 ? n : 1);
    memcpy(copy, token, n);
    enum rc rc = jwt_read_expiry(copy, n, until, &why);
    free(copy);
    assert_true((rc == RC_OK) == (why == NULL));
    return rc;
}

static void test_jwt_expiry__good_token_of_any_audience__is_read(void **state)
{
    (void)state;
    int64_t until = 0;
    const char *token = make_token(HEADER, "{\"exp\":1700000000}") + strlen("Bearer ");
    assert_int_equal(read_expiry(token, strlen(token), &until), RC_OK);
    assert_int_equal(until, 1700000000);

    token = make_token(HEADER, "{\"aud\":[\"x\"],\"exp\":1800000001.5}") + strlen("Bearer ");

    assert_int_equal(read_expiry(token, strlen(token), &until), RC_OK);
    assert_int_equal(until, 1800000001);
}

static void test_jwt_expiry__cut_or_without_expiry_or_too_long__is_denied(void **state)
{
    (void)state;
    static char huge[JWT_MAX_BYTES + 1];
    int64_t until = -1;
    const char *token = make_token(HEADER, "{\"exp\":1700000000}") + strlen("Bearer ");
    size_t n_signed = (size_t)(strrchr(token, '.') - token) + 2; /* one character of it */

    for (size_t n = 0; n < n_signed; n++) {
        assert_int_equal(read_expiry(token, n, &until), RC_PEER_DENIED);
    }
    token = make_token(HEADER, "{\"aud\":\"istio-ca\"}") + strlen("Bearer ");
    assert_int_equal(read_expiry(token, strlen(token), &until), RC_PEER_DENIED);
    memset(huge, 'a', sizeof(huge));
    assert_int_equal(read_expiry(huge, sizeof(huge), &until), RC_PEER_DENIED);
    assert_int_equal(until, -1);
}

static void test_jwt_claims__any_token__decoded_second_part(void **state)
{
    (void)state;
    char out[JWT_MAX_BYTES];
    size_t n = 0;
    const char *token = make_token(HEADER, "{\"sub\":\"a\"}") + strlen("Bearer ");

    assert_int_equal(jwt_read_claims(token, strlen(token), out, &n), RC_OK);
    assert_int_equal(n, strlen("{\"sub\":\"a\"}"));
    assert_memory_equal(out, "{\"sub\":\"a\"}", n);
    assert_int_equal(jwt_read_claims("a.b", 3, out, &n), RC_PEER_DENIED);
    assert_int_equal(jwt_read_claims("a.*.c", 5, out, &n), RC_PEER_DENIED);
    assert_int_equal(jwt_read_claims("", 0, out, &n), RC_PEER_DENIED);
}

static enum rc account_of(const char *claims, struct spiffe_id *id)
{
    const char *value = make_token(HEADER, claims);
    int64_t until = 0;
    enum rc rc = jwt_read_account(value, strlen(value), id, &until);

    assert_true(rc != RC_OK || until == 1800000600);
    return rc;
}

static void test_jwt_account__token_of_a_service_account__its_namespace_and_name(void **state)
{
    struct spiffe_id id;

    (void)state;
    assert_int_equal(
        account_of("{\"sub\":\"system:serviceaccount:vms:web.one\",\"exp\":1800000600}", &id),
        RC_OK);
    assert_string_equal(id.ns, "vms");
    assert_string_equal(id.sa, "web.one");
    assert_string_equal(id.trust_domain, "");
}

static void test_jwt_account__anything_else__is_denied(void **state)
{
    static const char *const claims[] = {
        "{\"exp\":1800000600}",
        "{\"sub\":5,\"exp\":1800000600}",
        "{\"sub\":\"\",\"exp\":1800000600}",
        "{\"sub\":\"system:serviceaccount:\",\"exp\":1800000600}",
        "{\"sub\":\"system:serviceaccount:vms\",\"exp\":1800000600}",
        "{\"sub\":\"system:serviceaccount:vms:\",\"exp\":1800000600}",
        "{\"sub\":\"system:serviceaccount::web\",\"exp\":1800000600}",
        "{\"sub\":\"system:serviceaccount:vms:web/sa/root\",\"exp\":1800000600}",
        "{\"sub\":\"system:serviceaccount:vms/sa/x:web\",\"exp\":1800000600}",
        "{\"sub\":\"system:serviceaccount:vms:w\\u0000b\",\"exp\":1800000600}",
        "{\"sub\":\"system:serviceaccount:vms:w\\u00e9b\",\"exp\":1800000600}",
        "{\"sub\":\"system:node:vms:web\",\"exp\":1800000600}",
        "{\"sub\":\"system:serviceaccount:vms:web\"}",
        /* twice: who reads it decides which one counts */
        "{\"sub\":\"system:serviceaccount:vms:web\",\"sub\":\"x\",\"exp\":1800000600}",
        "{\"sub\":1,\"sub\":\"system:serviceaccount:vms:web\",\"exp\":1800000600}",
    };
    struct spiffe_id id;

    (void)state;
    for (size_t i = 0; i < COUNT(claims); i++) {
        assert_int_equal(account_of(claims[i], &id), RC_PEER_DENIED);
    }
    char long_one[1200] = "{\"exp\":1800000600,\"sub\":\"system:serviceaccount:vms:";
    size_t n = strlen(long_one);
    memset(long_one + n, 'a', 700);
    (void)snprintf(long_one + n + 700, sizeof(long_one) - n - 700, "\"}");
    assert_int_equal(account_of(long_one, &id), RC_PEER_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jwt__token_of_kubernetes__is_good),
        cmocka_unit_test(test_jwt__good_claims__are_good),
        cmocka_unit_test(test_jwt__malformed_claims__are_denied),
        cmocka_unit_test(test_jwt__reasons__name_what_is_wrong),
        cmocka_unit_test(test_jwt__other_audience__is_denied),
        cmocka_unit_test(test_jwt__no_expected_audience__denies_everything),
        cmocka_unit_test(test_jwt__other_schemes__are_denied),
        cmocka_unit_test(test_jwt__wrong_shape__is_denied),
        cmocka_unit_test(test_jwt__truncated_at_every_byte__is_denied),
        cmocka_unit_test(test_jwt__claims_truncated_at_every_byte__are_denied),
        cmocka_unit_test(test_jwt__every_byte_of_the_claims_changed__gives_an_answer),
        cmocka_unit_test(test_jwt__deep_nesting__is_denied),
        cmocka_unit_test(test_jwt__oversized_token__is_denied),
        cmocka_unit_test(test_jwt__zero_bytes__are_denied),
        cmocka_unit_test(test_jwt_expiry__good_token_of_any_audience__is_read),
        cmocka_unit_test(test_jwt_claims__any_token__decoded_second_part),
        cmocka_unit_test(test_jwt_account__token_of_a_service_account__its_namespace_and_name),
        cmocka_unit_test(test_jwt_account__anything_else__is_denied),
        cmocka_unit_test(test_jwt_expiry__cut_or_without_expiry_or_too_long__is_denied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
