/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys, certificates and requests by OpenSSL. PEM text is the form in which they travel between
 * the parts of the sandbox; OpenSSL's types stay inside one call where that is possible.
 */
#include "integration/sandbox/common/pki.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "integration/sandbox/common/os.h"

#define ROOT_LIFE_S (10LL * 365 * 24 * 3600)

EVP_PKEY *pki_key_new(bool rsa)
{
    return rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
}

/* The text of a memory BIO, which is freed. */
static char *bio_take(BIO *bio, bool ok)
{
    char *data = NULL;
    long n = BIO_get_mem_data(bio, &data);
    char *pem = ok && n > 0 ? sbx_strndup(data, (size_t)n) : NULL;

    BIO_free(bio);
    return pem;
}

static BIO *bio_of(const char *pem)
{
    ERR_clear_error();
    return BIO_new_mem_buf(pem, -1);
}

char *pki_key_pem(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());

    return bio_take(bio, PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
}

EVP_PKEY *pki_key_parse(const char *pem)
{
    BIO *bio = bio_of(pem);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

    BIO_free(bio);
    return key;
}

X509 *pki_cert_parse(const char *pem)
{
    BIO *bio = bio_of(pem);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    BIO_free(bio);
    return cert;
}

char *pki_cert_pem(X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());

    return bio_take(bio, PEM_write_bio_X509(bio, cert) == 1);
}

static bool set_serial(X509 *cert)
{
    unsigned char bytes[16];
    BIGNUM *bn;
    bool ok;

    if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
        return false;
    }
    bytes[0] &= 0x7f;
    bytes[0] |= 0x40;
    bn = BN_bin2bn(bytes, sizeof(bytes), NULL);
    ok = bn != NULL && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) != NULL;
    BN_free(bn);
    return ok;
}

static bool add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;
    bool ok;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ok = ext != NULL && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

static bool set_life(X509 *cert, int64_t from_s, int64_t to_s)
{
    return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)from_s) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)to_s) != NULL;
}

X509 *pki_root_new(EVP_PKEY *key, const char *organisation)
{
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    int64_t now_s = os_wall_s();
    bool ok = X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
              set_life(cert, now_s - 120, now_s + ROOT_LIFE_S) && X509_set_pubkey(cert, key) == 1;

    ok = ok && X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8,
                                          (const unsigned char *)organisation, -1, -1, 0) == 1;
    ok = ok && X509_set_issuer_name(cert, name) == 1;
    ok = ok && add_ext(cert, cert, NID_basic_constraints, "critical,CA:TRUE") &&
         add_ext(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
         add_ext(cert, cert, NID_subject_key_identifier, "hash");
    if (!ok || X509_sign(cert, key, EVP_sha256()) == 0) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

/* One SAN: an address becomes an IP, something with "://" a URI, the rest DNS. */
static GENERAL_NAME *san_new(const char *name)
{
    GENERAL_NAME *gen = GENERAL_NAME_new();
    unsigned char ip[16];
    size_t n_ip = inet_pton(AF_INET, name, ip) == 1    ? 4
                  : inet_pton(AF_INET6, name, ip) == 1 ? 16
                                                       : 0;
    ASN1_STRING *value;

    if (n_ip > 0) {
        value = ASN1_OCTET_STRING_new();
        (void)ASN1_STRING_set(value, ip, (int)n_ip);
        GENERAL_NAME_set0_value(gen, GEN_IPADD, value);
        return gen;
    }
    value = ASN1_IA5STRING_new();
    (void)ASN1_STRING_set(value, name, -1);
    GENERAL_NAME_set0_value(gen, strstr(name, "://") != NULL ? GEN_URI : GEN_DNS, value);
    return gen;
}

static GENERAL_NAMES *sans_new(const struct names *sans)
{
    GENERAL_NAMES *list = GENERAL_NAMES_new();

    for (size_t i = 0; i < sans->n; i++) {
        (void)sk_GENERAL_NAME_push(list, san_new(sans->v[i]));
    }
    return list;
}

char *pki_leaf_sign(const struct pki_leaf *leaf)
{
    X509 *cert = X509_new();
    GENERAL_NAMES *sans = sans_new(leaf->sans);
    char *pem = NULL;
    bool ok = X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
              set_life(cert, leaf->not_before_s, leaf->not_after_s) &&
              X509_set_pubkey(cert, leaf->key) == 1 &&
              X509_set_issuer_name(cert, X509_get_subject_name(leaf->issuer)) == 1;

    ok = ok &&
         add_ext(cert, leaf->issuer, NID_key_usage, "critical,digitalSignature,keyEncipherment") &&
         add_ext(cert, leaf->issuer, NID_ext_key_usage, "serverAuth,clientAuth") &&
         add_ext(cert, leaf->issuer, NID_basic_constraints, "critical,CA:FALSE") &&
         add_ext(cert, leaf->issuer, NID_authority_key_identifier, "keyid");
    ok = ok && X509_add1_ext_i2d(cert, NID_subject_alt_name, sans, 1, 0) == 1;
    if (ok && X509_sign(cert, leaf->issuer_key, EVP_sha256()) != 0) {
        pem = pki_cert_pem(cert);
    }
    GENERAL_NAMES_free(sans);
    X509_free(cert);
    return pem;
}

static bool csr_add_san(X509_REQ *csr, const char *uri)
{
    struct names one = {0};
    GENERAL_NAMES *sans;
    STACK_OF(X509_EXTENSION) *exts = NULL;
    bool ok;

    names_add(&one, uri);
    sans = sans_new(&one);
    ok = X509V3_add1_i2d(&exts, NID_subject_alt_name, sans, 1, X509V3_ADD_DEFAULT) == 1 &&
         X509_REQ_add_extensions(csr, exts) == 1;
    sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
    GENERAL_NAMES_free(sans);
    names_fini(&one);
    return ok;
}

char *pki_csr_new(EVP_PKEY *key, const char *uri)
{
    X509_REQ *csr = X509_REQ_new();
    BIO *bio = BIO_new(BIO_s_mem());
    bool ok =
        X509_REQ_set_version(csr, X509_REQ_VERSION_1) == 1 && X509_REQ_set_pubkey(csr, key) == 1;

    ok = ok && csr_add_san(csr, uri) && X509_REQ_sign(csr, key, EVP_sha256()) != 0 &&
         PEM_write_bio_X509_REQ(bio, csr) == 1;
    X509_REQ_free(csr);
    return bio_take(bio, ok);
}

EVP_PKEY *pki_csr_key(const char *pem)
{
    BIO *bio = bio_of(pem);
    X509_REQ *csr = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
    EVP_PKEY *key = csr == NULL ? NULL : X509_REQ_get_pubkey(csr);

    if (key != NULL && X509_REQ_verify(csr, key) != 1) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    X509_REQ_free(csr);
    BIO_free(bio);
    return key;
}

static void add_ip(struct names *out, const ASN1_OCTET_STRING *ip)
{
    char text[INET6_ADDRSTRLEN];
    int family = ASN1_STRING_length(ip) == 4 ? AF_INET : AF_INET6;

    if (family == AF_INET6 && ASN1_STRING_length(ip) != 16) {
        return;
    }
    if (inet_ntop(family, ASN1_STRING_get0_data(ip), text, sizeof(text)) != NULL) {
        names_add(out, text);
    }
}

bool pki_cert_sans(const char *pem, struct names *out, size_t *n_uri)
{
    X509 *cert = pki_cert_parse(pem);
    GENERAL_NAMES *list;
    size_t uris = 0;

    if (cert == NULL) {
        return false;
    }
    list = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(list); i++) {
        const GENERAL_NAME *gen = sk_GENERAL_NAME_value(list, i);

        if (gen->type == GEN_IPADD) {
            add_ip(out, gen->d.iPAddress);
        } else if (gen->type == GEN_URI || gen->type == GEN_DNS) {
            char *s = sbx_strndup((const char *)ASN1_STRING_get0_data(gen->d.ia5),
                                  (size_t)ASN1_STRING_length(gen->d.ia5));

            uris += gen->type == GEN_URI;
            names_add(out, s);
            free(s);
        }
    }
    GENERAL_NAMES_free(list);
    X509_free(cert);
    if (n_uri != NULL) {
        *n_uri = uris;
    }
    return true;
}

int64_t pki_cert_not_after(const char *pem)
{
    X509 *cert = pki_cert_parse(pem);
    struct tm tm = {0};
    int64_t when = 0;

    if (cert != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1) {
        when = (int64_t)timegm(&tm);
    }
    X509_free(cert);
    return when;
}
