/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service account tokens of the sandbox: minted and verified with the sandbox's own key, in the
 * form that Kubernetes gives them. No text here ever quotes a token.
 */
#include "integration/sandbox/common/token.h"

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "integration/sandbox/common/json.h"

#define P256_BYTES 32
#define SUBJECT_PREFIX "system:serviceaccount:"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

char *base64url_encode(const unsigned char *data, size_t n)
{
    struct text t = {0};
    unsigned bits = 0;
    unsigned value = 0;

    for (size_t i = 0; i < n; i++) {
        value = (value << 8 | data[i]) & 0xffff;
        bits += 8;
        while (bits >= 6) {
            bits -= 6;
            text_add_n(&t, &alphabet[value >> bits & 63], 1);
        }
    }
    if (bits > 0) {
        text_add_n(&t, &alphabet[value << (6 - bits) & 63], 1);
    }
    return text_take(&t);
}

unsigned char *base64url_decode(const char *s, size_t n, size_t *n_bytes)
{
    unsigned char *out = sbx_alloc(n + 1);
    size_t used = 0;
    unsigned bits = 0;
    unsigned value = 0;

    for (size_t i = 0; i < n; i++) {
        const char *at = s[i] == '\0' ? NULL : strchr(alphabet, s[i]);

        if (at == NULL) {
            free(out);
            return NULL;
        }
        value = (value << 6 | (unsigned)(at - alphabet)) & 0xffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[used++] = (unsigned char)(value >> bits & 0xff);
        }
    }
    if (n % 4 == 1) {
        free(out);
        return NULL;
    }
    *n_bytes = used;
    return out;
}

static bool is_rsa(EVP_PKEY *key)
{
    return EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
}

/* DER signature of ECDSA to the 64 bytes of ES256. */
static char *es256_raw(const unsigned char *der, size_t n)
{
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)n);
    unsigned char raw[2 * P256_BYTES];
    bool ok = sig != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, P256_BYTES) == P256_BYTES &&
              BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + P256_BYTES, P256_BYTES) == P256_BYTES;

    ECDSA_SIG_free(sig);
    return ok ? base64url_encode(raw, sizeof(raw)) : NULL;
}

/* The 64 bytes of ES256 to DER, owned by the caller (OPENSSL_free). */
static unsigned char *es256_der(const unsigned char *raw, size_t n, size_t *n_der)
{
    ECDSA_SIG *sig;
    unsigned char *der = NULL;
    int len = -1;

    if (n != 2 * P256_BYTES) {
        return NULL;
    }
    sig = ECDSA_SIG_new();
    if (ECDSA_SIG_set0(sig, BN_bin2bn(raw, P256_BYTES, NULL),
                       BN_bin2bn(raw + P256_BYTES, P256_BYTES, NULL)) == 1) {
        len = i2d_ECDSA_SIG(sig, &der);
    }
    ECDSA_SIG_free(sig);
    *n_der = len > 0 ? (size_t)len : 0;
    return len > 0 ? der : NULL;
}

static char *sign(EVP_PKEY *key, const char *text, size_t n)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned char sig[1024];
    size_t n_sig = sizeof(sig);
    bool ok;

    ERR_clear_error();
    ok = EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
         EVP_DigestSign(md, sig, &n_sig, (const unsigned char *)text, n) == 1;
    EVP_MD_CTX_free(md);
    if (!ok) {
        return NULL;
    }
    return is_rsa(key) ? base64url_encode(sig, n_sig) : es256_raw(sig, n_sig);
}

static void write_claims(struct text *t, const struct token_claims *c)
{
    struct text sub = {0};

    text_addf(&sub, SUBJECT_PREFIX "%s:%s", c->service_namespace, c->service_account);
    json_open(t, NULL, '{');
    json_open(t, "aud", '[');
    json_str(t, NULL, c->audience);
    json_close(t, ']');
    json_int(t, "exp", c->expires_s);
    json_int(t, "iat", c->issued_s);
    json_str(t, "iss", "https://sandbox.xdsgate.invalid");
    json_open(t, "kubernetes.io", '{');
    json_str(t, "namespace", c->service_namespace);
    json_open(t, "serviceaccount", '{');
    json_str(t, "name", c->service_account);
    json_str(t, "uid", "00000000-0000-4000-8000-000000000000");
    json_close(t, '}');
    json_close(t, '}');
    json_int(t, "nbf", c->issued_s);
    json_str(t, "sub", text_str(&sub));
    json_close(t, '}');
    text_fini(&sub);
}

static void add_part(struct text *t, const char *json)
{
    char *part = base64url_encode((const unsigned char *)json, strlen(json));

    text_add(t, part);
    free(part);
}

char *token_mint(EVP_PKEY *key, const struct token_claims *claims)
{
    struct text body = {0};
    struct text token = {0};
    char *sig;

    write_claims(&body, claims);
    add_part(&token, is_rsa(key) ? "{\"alg\":\"RS256\",\"typ\":\"JWT\"}"
                                 : "{\"alg\":\"ES256\",\"typ\":\"JWT\"}");
    text_add(&token, ".");
    add_part(&token, text_str(&body));
    text_fini(&body);
    sig = sign(key, token.p, token.len);
    if (sig == NULL) {
        text_fini(&token);
        return NULL;
    }
    text_add(&token, ".");
    text_add(&token, sig);
    free(sig);
    return text_take(&token);
}

static bool verify_signature(EVP_PKEY *key, const char *text, size_t n, const unsigned char *sig,
                             size_t n_sig)
{
    EVP_MD_CTX *md;
    unsigned char *der = NULL;
    bool ok;

    if (!is_rsa(key)) {
        der = es256_der(sig, n_sig, &n_sig);
        if (der == NULL) {
            return false;
        }
        sig = der;
    }
    ERR_clear_error();
    md = EVP_MD_CTX_new();
    ok = EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
         EVP_DigestVerify(md, sig, n_sig, (const unsigned char *)text, n) == 1;
    EVP_MD_CTX_free(md);
    OPENSSL_free(der);
    return ok;
}

/* system:serviceaccount:NS:SA to ns/NS/sa/SA. */
static bool read_subject(const char *claims, char **identity)
{
    struct text t = {0};
    char *sub = NULL;
    const char *at;
    const char *colon;
    bool ok = false;

    if (!json_get_str(claims, "sub", &sub)) {
        return false;
    }
    at = sub + strlen(SUBJECT_PREFIX);
    if (strncmp(sub, SUBJECT_PREFIX, strlen(SUBJECT_PREFIX)) == 0) {
        colon = strchr(at, ':');
        ok = colon != NULL && colon > at && colon[1] != '\0' && strchr(colon + 1, ':') == NULL;
        if (ok) {
            text_addf(&t, "ns/%.*s/sa/%s", (int)(colon - at), at, colon + 1);
            *identity = text_take(&t);
        }
    }
    free(sub);
    return ok;
}

static const char *check_claims(const char *claims, const char *audience, int64_t now_s,
                                char **identity)
{
    int64_t exp = 0;

    if (!json_has_str(claims, "aud", audience)) {
        return "token has another audience";
    }
    if (!json_get_int(claims, "exp", &exp) || exp + TOKEN_LEEWAY_S <= now_s) {
        return "token has expired";
    }
    if (!read_subject(claims, identity)) {
        return "token is not of a service account";
    }
    return NULL;
}

/* The header must name the algorithm of our own key, whatever else it says. */
static bool check_header(EVP_PKEY *key, const char *s, size_t n)
{
    size_t n_json = 0;
    unsigned char *json = base64url_decode(s, n, &n_json);
    bool ok =
        json != NULL && json_has_str((const char *)json, "alg", is_rsa(key) ? "RS256" : "ES256");

    free(json);
    return ok;
}

const char *token_verify(EVP_PKEY *key, const char *token, const char *audience, int64_t now_s,
                         char **identity)
{
    const char *dot1 = strchr(token, '.');
    const char *dot2 = dot1 == NULL ? NULL : strchr(dot1 + 1, '.');
    const char *why = "token is malformed";
    unsigned char *claims = NULL;
    unsigned char *sig = NULL;
    size_t n_claims = 0;
    size_t n_sig = 0;

    if (dot2 == NULL || strchr(dot2 + 1, '.') != NULL) {
        return why;
    }
    claims = base64url_decode(dot1 + 1, (size_t)(dot2 - dot1 - 1), &n_claims);
    sig = base64url_decode(dot2 + 1, strlen(dot2 + 1), &n_sig);
    if (claims != NULL && sig != NULL && check_header(key, token, (size_t)(dot1 - token))) {
        why = verify_signature(key, token, (size_t)(dot2 - token), sig, n_sig)
                  ? check_claims((const char *)claims, audience, now_s, identity)
                  : "token has a wrong signature";
    }
    free(claims);
    free(sig);
    return why;
}
