/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New keys and certificates. What fails here fails for want of memory or of random numbers; what
 * people may get wrong has been checked before.
 */
#include <string.h>
#include <time.h>

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "certs/cert_internal.h"

#define SERIAL_BITS 128

EVP_PKEY *cert_make_key(enum ca_key kind)
{
    switch (kind) {
    case CA_KEY_RSA_2048:
        return EVP_RSA_gen(2048);
    case CA_KEY_RSA_3072:
        return EVP_RSA_gen(3072);
    case CA_KEY_P256:
        break;
    }
    return EVP_EC_gen("P-256");
}

static bool set_serial(X509 *x)
{
    BIGNUM *n = BN_new();
    bool ok = n != NULL && BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
              BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;

    BN_free(n);
    return ok;
}

static bool add_name(X509_NAME *name, const char *field, const char *text)
{
    return text == NULL || X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                                      (const unsigned char *)text, -1, -1, 0) == 1;
}

static bool set_names(X509 *x, const struct cert_outline *o)
{
    X509_NAME *subject = X509_NAME_new();
    bool ok = subject != NULL && add_name(subject, "O", o->organization) &&
              add_name(subject, "CN", o->common_name) && X509_set_subject_name(x, subject) == 1;

    X509_NAME_free(subject);
    return ok &&
           X509_set_issuer_name(x, X509_get_subject_name(o->issuer != NULL ? o->issuer : x)) == 1;
}

static bool set_times(X509 *x, int64_t from, int64_t to)
{
    return ASN1_TIME_set(X509_getm_notBefore(x), (time_t)from) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(x), (time_t)to) != NULL;
}

X509 *cert_make(const struct cert_outline *o)
{
    X509 *x = X509_new();

    if (x == NULL || X509_set_version(x, X509_VERSION_3) != 1 || !set_serial(x) ||
        !set_names(x, o) || !set_times(x, o->from, o->to) || X509_set_pubkey(x, o->key) != 1) {
        X509_free(x);
        ERR_clear_error();
        return NULL;
    }
    return x;
}

enum rc cert_add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = ext != NULL && X509_add_ext(x, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    ERR_clear_error();
    return ok ? RC_OK : RC_NO_MEMORY;
}

enum rc cert_sign(X509 *x, EVP_PKEY *key)
{
    int nid = NID_undef;
    /* Ed25519 and Ed448 allow no other hash than their own. */
    bool has_own = EVP_PKEY_get_default_digest_nid(key, &nid) == 2 && nid == NID_undef;
    bool ok = X509_sign(x, key, has_own ? NULL : EVP_sha256()) > 0;

    ERR_clear_error();
    return ok ? RC_OK : RC_NO_MEMORY;
}

/* The bio's own copy is wiped when it is freed (BUF_MEM_free()). */
enum rc cert_take_bytes(BIO *bio, struct cert_bytes *out)
{
    char *data = NULL;
    long n = BIO_get_mem_data(bio, &data);
    uint8_t *copy = n > 0 ? OPENSSL_memdup(data, (size_t)n) : NULL;

    if (copy == NULL) {
        return RC_NO_MEMORY;
    }
    *out = (struct cert_bytes){copy, (size_t)n};
    return RC_OK;
}

enum rc cert_write_chain(STACK_OF(X509) * certs, struct cert_bytes *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    bool ok = bio != NULL;

    for (int i = 0; ok && i < sk_X509_num(certs); i++) {
        ok = PEM_write_bio_X509(bio, sk_X509_value(certs, i)) == 1;
    }
    enum rc rc = ok ? cert_take_bytes(bio, out) : RC_NO_MEMORY;
    BIO_free(bio);
    ERR_clear_error();
    return rc;
}

enum rc cert_write_key(const EVP_PKEY *key, struct cert_bytes *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    bool ok = bio != NULL && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;
    enum rc rc = ok ? cert_take_bytes(bio, out) : RC_NO_MEMORY;

    BIO_free(bio);
    ERR_clear_error();
    return rc;
}
