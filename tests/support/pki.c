/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/pki.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#define DAY_S (24L * 3600L)

static void need(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "pki: %s failed\n", what);
        ERR_print_errors_fp(stderr);
        abort();
    }
}

static void add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;

    if (value == NULL) {
        return;
    }
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    need(ext != NULL, value);
    need(X509_add_ext(x, ext, -1) == 1, "X509_add_ext");
    X509_EXTENSION_free(ext);
}

static void set_serial(X509 *x)
{
    static long serial = 1000;
    need(ASN1_INTEGER_set(X509_get_serialNumber(x), serial++) == 1, "serial");
}

struct pki_cert pki_make(const struct pki_cert *issuer, const struct pki_spec *spec)
{
    struct pki_cert c = {.x = X509_new()};
    X509_NAME *subject = X509_NAME_new();

    c.key = spec->rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
    need(c.x != NULL && c.key != NULL && subject != NULL, "new");
    const struct pki_cert *by = issuer != NULL ? issuer : &c;
    if (spec->name != NULL) {
        need(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                        (const unsigned char *)spec->name, -1, -1, 0) == 1,
             "name");
    }
    need(X509_set_version(c.x, X509_VERSION_3) == 1, "version");
    set_serial(c.x);
    need(X509_set_subject_name(c.x, subject) == 1, "subject");
    X509_NAME_free(subject);
    need(X509_set_issuer_name(c.x, X509_get_subject_name(by->x)) == 1, "issuer");
    need(X509_gmtime_adj(X509_getm_notBefore(c.x), spec->from_s) != NULL, "start");
    need(X509_gmtime_adj(X509_getm_notAfter(c.x), spec->to_s != 0 ? spec->to_s : DAY_S) != NULL,
         "end");
    need(X509_set_pubkey(c.x, c.key) == 1, "public key");
    add_extension(c.x, by->x, NID_basic_constraints,
                  spec->ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    add_extension(c.x, by->x, NID_key_usage, spec->usage);
    add_extension(c.x, by->x, NID_ext_key_usage, spec->ext_usage);
    add_extension(c.x, by->x, NID_subject_alt_name, spec->san);
    add_extension(c.x, by->x, NID_name_constraints, spec->constraints);
    need(X509_sign(c.x, by->key, EVP_sha256()) > 0, "sign");
    return c;
}

struct pki_cert pki_make_root(const char *name)
{
    return pki_make(NULL, &(struct pki_spec){.name = name,
                                             .ca = true,
                                             .usage = "critical,keyCertSign,cRLSign",
                                             .from_s = -DAY_S,
                                             .to_s = 365 * DAY_S});
}

struct pki_cert pki_make_workload(const struct pki_cert *issuer, const char *san)
{
    return pki_make(issuer, &(struct pki_spec){.san = san,
                                               .usage = "critical,digitalSignature,keyEncipherment",
                                               .ext_usage = "serverAuth,clientAuth",
                                               .from_s = -60});
}

struct pki_cert pki_make_server(const struct pki_cert *issuer, const char *san)
{
    return pki_make(issuer, &(struct pki_spec){.san = san,
                                               .usage = "critical,digitalSignature,keyEncipherment",
                                               .ext_usage = "serverAuth",
                                               .from_s = -60});
}

void pki_free(struct pki_cert *c)
{
    X509_free(c->x);
    EVP_PKEY_free(c->key);
    *c = (struct pki_cert){NULL, NULL};
}

void pki_write_certs(const char *path, const struct pki_cert *const *certs, size_t n)
{
    FILE *f = fopen(path, "we");

    need(f != NULL, path);
    for (size_t i = 0; i < n; i++) {
        need(PEM_write_X509(f, certs[i]->x) == 1, path);
    }
    need(fclose(f) == 0, path);
}

void pki_write_cert(const char *path, const struct pki_cert *c)
{
    pki_write_certs(path, &c, 1);
}

void pki_write_key(const char *path, const struct pki_cert *c, const char *passphrase)
{
    FILE *f = fopen(path, "we");
    const EVP_CIPHER *cipher = passphrase != NULL ? EVP_aes_128_cbc() : NULL;
    const unsigned char *text = (const unsigned char *)passphrase;
    int n = passphrase != NULL ? (int)strlen(passphrase) : 0;

    need(f != NULL, path);
    need(PEM_write_PrivateKey(f, c->key, cipher, text, n, NULL, NULL) == 1, path);
    need(fclose(f) == 0, path);
}

void pki_write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    need(f != NULL, path);
    need(fputs(text, f) >= 0, path);
    need(fclose(f) == 0, path);
}
