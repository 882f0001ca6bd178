/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/cert_file.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include "certs/cert_internal.h"
#include "core/base/check.h"
#include "core/base/hex.h"

#define CERT_FILE_MAGIC 0xb58fb224U

struct cert_file {
    uint32_t magic;
    STACK_OF(X509) * certs; /* owned; may be empty */
    EVP_PKEY *key;          /* owned; NULL: none that can be read */
    enum cert_file_key kind;
};

/* ---- reading ---- */

/* What OpenSSL does not read may be a key all the same, as of SSH. */
static enum cert_file_key kind_of_unread(const struct cert_bytes *pem, const struct cert_error *err)
{
    static const char mark[] = "PRIVATE KEY-----";

    if (strcmp(err->text, CERT_ENCRYPTED) == 0) {
        return CERT_FILE_ENCRYPTED_KEY;
    }
    return memmem(pem->data, pem->n, mark, sizeof(mark) - 1) != NULL ? CERT_FILE_UNREADABLE_KEY
                                                                     : CERT_FILE_NO_KEY;
}

/* A file may have no key. */
static enum rc read_key(struct cert_file *f, const struct cert_bytes *pem, struct cert_error *err)
{
    enum rc rc = cert_parse_key(pem, NULL, &f->key, err);

    if (rc == RC_INVALID) {
        f->kind = kind_of_unread(pem, err);
        return RC_OK;
    }
    f->kind = CERT_FILE_KEY;
    return rc;
}

static enum rc read_all(struct cert_file *f, const struct cert_bytes *pem, struct cert_error *err)
{
    TRY(cert_parse_some(pem, &f->certs, err));
    TRY(read_key(f, pem, err));
    if (sk_X509_num(f->certs) == 0 && f->key == NULL && f->kind != CERT_FILE_ENCRYPTED_KEY) {
        return cert_fail(err, "has neither a PEM certificate nor a readable private key in it");
    }
    return RC_OK;
}

enum rc cert_file_parse(const struct cert_bytes *pem, struct cert_file **out,
                        struct cert_error *err)
{
    *err = (struct cert_error){.text = ""};
    struct cert_file *f = calloc(1, sizeof(*f));

    if (f == NULL) {
        return RC_NO_MEMORY;
    }
    f->magic = CERT_FILE_MAGIC;
    enum rc rc = read_all(f, pem, err);
    if (rc != RC_OK) {
        cert_file_free(&f);
        return rc;
    }
    *out = f;
    return RC_OK;
}

enum rc cert_file_load(const char *path, struct cert_file **out, struct cert_error *err)
{
    struct cert_bytes bytes = {NULL, 0};

    *err = (struct cert_error){.text = ""};
    TRY(cert_bytes_read(path, &bytes, err));
    enum rc rc = cert_file_parse(&bytes, out, err);
    cert_bytes_fini(&bytes);
    return rc;
}

void cert_file_free(struct cert_file **fp)
{
    struct cert_file *f = *fp;

    *fp = NULL;
    if (f == NULL) {
        return;
    }
    CHECK_MAGIC(f, CERT_FILE_MAGIC);
    f->magic = 0;
    sk_X509_pop_free(f->certs, X509_free);
    EVP_PKEY_free(f->key);
    free(f);
}

size_t cert_file_count(const struct cert_file *f)
{
    CHECK_MAGIC(f, CERT_FILE_MAGIC);
    return (size_t)sk_X509_num(f->certs);
}

enum cert_file_key cert_file_key(const struct cert_file *f)
{
    CHECK_MAGIC(f, CERT_FILE_MAGIC);
    return f->kind;
}

static X509 *at(const struct cert_file *f, size_t i)
{
    CHECK_MAGIC(f, CERT_FILE_MAGIC);
    CHECK(i < cert_file_count(f));
    return sk_X509_value(f->certs, (int)i);
}

static bool is_authority(X509 *x)
{
    return (X509_get_extension_flags(x) & EXFLAG_CA) != 0;
}

bool cert_file_is_roots(const struct cert_file *f)
{
    size_t n = cert_file_count(f);

    for (size_t i = 0; i < n; i++) {
        if (!is_authority(at(f, i))) {
            return false;
        }
    }
    return n > 0;
}

/* ---- texts ---- */

/* n bytes as printable ASCII; a backslash is escaped as well, so nothing can look escaped that is
 * not. Cut at size. */
static void escape(char *buf, size_t size, const unsigned char *p, size_t n)
{
    size_t used = 0;

    for (size_t i = 0; i < n && used + 5 <= size; i++) {
        if (p[i] > 0x20 && p[i] < 0x7f && p[i] != '\\') {
            buf[used++] = (char)p[i];
        } else {
            used += (size_t)snprintf(buf + used, size - used, "\\x%02x", p[i]);
        }
    }
    buf[used] = '\0';
}

static enum rc write_subject(const X509_NAME *name, char buf[CERT_SUBJECT_BYTES])
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;

    if (bio == NULL || X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) < 0) {
        BIO_free(bio);
        return RC_NO_MEMORY;
    }
    long n = BIO_get_mem_data(bio, &data);
    snprintf(buf, CERT_SUBJECT_BYTES, "%.*s", n > 0 ? (int)n : 0, n > 0 ? data : "");
    BIO_free(bio);
    return RC_OK;
}

/* Cut at size. */
static void write_hex(char *buf, size_t size, const unsigned char *p, size_t n)
{
    (void)hex_write(buf, p, n < HEX_FITS(size) ? n : HEX_FITS(size));
}

static void write_address(char *buf, size_t size, const ASN1_OCTET_STRING *ip)
{
    int family = ASN1_STRING_length(ip) == 4 ? AF_INET : AF_INET6;
    bool is_address = family == AF_INET || ASN1_STRING_length(ip) == 16;

    if (!is_address || inet_ntop(family, ASN1_STRING_get0_data(ip), buf, (socklen_t)size) == NULL) {
        snprintf(buf, size, "(a malformed address)");
    }
}

static void write_name(char *buf, size_t size, const GENERAL_NAME *name)
{
    const ASN1_IA5STRING *text = NULL;

    switch (name->type) {
    case GEN_DNS:
        text = name->d.dNSName;
        break;
    case GEN_URI:
        text = name->d.uniformResourceIdentifier;
        break;
    case GEN_EMAIL:
        text = name->d.rfc822Name;
        break;
    case GEN_IPADD:
        write_address(buf, size, name->d.iPAddress);
        return;
    default:
        snprintf(buf, size, "(a name of another kind)");
        return;
    }
    escape(buf, size, ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
}

static void write_key(char *buf, size_t size, const EVP_PKEY *key)
{
    char group[24] = "";

    if (key == NULL) {
        snprintf(buf, size, "unknown");
    } else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
               EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1) {
        const char *nist = EC_curve_nid2nist(OBJ_txt2nid(group));
        snprintf(buf, size, "EC %s", nist != NULL ? nist : group);
    } else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) {
        snprintf(buf, size, "RSA %d", EVP_PKEY_get_bits(key));
    } else {
        const char *name = EVP_PKEY_get0_type_name(key);
        snprintf(buf, size, "%.24s", name != NULL ? name : "unknown");
    }
}

/* ---- what a certificate says ---- */

static enum rc read_names(X509 *x, struct cert_info *out)
{
    char text[CERT_SUBJECT_BYTES];
    int critical = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, &critical, NULL);
    int n = sk_GENERAL_NAME_num(names);
    enum rc rc = RC_OK;

    if (names == NULL) {
        return critical == -1 ? RC_OK : RC_INVALID; /* -1: there is no such extension */
    }
    out->names = calloc((size_t)n + 1, sizeof(char *));
    for (int i = 0; out->names != NULL && i < n; i++) {
        write_name(text, sizeof(text), sk_GENERAL_NAME_value(names, i));
        out->names[i] = strdup(text);
        if (out->names[i] == NULL) {
            rc = RC_NO_MEMORY;
            break;
        }
        out->n_names++;
    }
    GENERAL_NAMES_free(names);
    return out->names == NULL ? RC_NO_MEMORY : rc;
}

static void read_uses(X509 *x, struct cert_info *out)
{
    bool any = (X509_get_extension_flags(x) & EXFLAG_XKUSAGE) == 0;
    uint32_t uses = X509_get_extended_key_usage(x);

    any = any || (uses & XKU_ANYEKU) != 0;
    out->for_servers = any || (uses & XKU_SSL_SERVER) != 0;
    out->for_clients = any || (uses & XKU_SSL_CLIENT) != 0;
    out->authority = is_authority(x);
    out->self_signed = X509_self_signed(x, 1) == 1;
}

static enum rc read_info(X509 *x, struct cert_info *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    const ASN1_INTEGER *serial = X509_get0_serialNumber(x);

    TRY(write_subject(X509_get_subject_name(x), out->subject));
    TRY(write_subject(X509_get_issuer_name(x), out->issuer));
    TRY(cert_read_time(X509_get0_notBefore(x), &out->from));
    TRY(cert_read_time(X509_get0_notAfter(x), &out->to));
    TRY(read_names(x, out));
    write_hex(out->serial, sizeof(out->serial), ASN1_STRING_get0_data(serial),
              (size_t)ASN1_STRING_length(serial));
    write_key(out->key, sizeof(out->key), X509_get0_pubkey(x));
    if (X509_digest(x, EVP_sha256(), digest, &n) != 1) {
        return RC_NO_MEMORY;
    }
    write_hex(out->sha256, sizeof(out->sha256), digest, n);
    read_uses(x, out);
    return RC_OK;
}

enum rc cert_file_info(const struct cert_file *f, size_t i, struct cert_info *out)
{
    *out = (struct cert_info){.n_names = 0};
    ERR_clear_error();
    enum rc rc = read_info(at(f, i), out);
    ERR_clear_error();
    if (rc != RC_OK) {
        cert_info_fini(out);
    }
    return rc;
}

void cert_info_fini(struct cert_info *info)
{
    for (size_t i = 0; i < info->n_names; i++) {
        free(info->names[i]);
    }
    free(info->names);
    info->names = NULL;
    info->n_names = 0;
}

/* ---- one file beside another ---- */

bool cert_file_fits(const struct cert_file *key, const struct cert_file *f, size_t i)
{
    CHECK_MAGIC(key, CERT_FILE_MAGIC);
    if (key->key == NULL) {
        return false;
    }
    ERR_clear_error();
    bool fits = X509_check_private_key(at(f, i), key->key) == 1;
    ERR_clear_error();
    return fits;
}

enum rc cert_file_verify(const struct cert_file *f, size_t i, const struct cert_file *roots,
                         char *anchor, char *why, size_t size)
{
    CHECK_MAGIC(roots, CERT_FILE_MAGIC);
    const struct cert_question question = {
        .leaf = at(f, i), .between = f->certs, .roots = roots->certs, .any_time = true};
    STACK_OF(X509) * chain;

    TRY(cert_chain_verify(&question, &chain, why, size));
    const X509 *last = sk_X509_value(chain, sk_X509_num(chain) - 1);
    enum rc rc = write_subject(X509_get_subject_name(last), anchor);
    sk_X509_pop_free(chain, X509_free);
    return rc;
}

static bool has(STACK_OF(X509) * certs, const X509 *x)
{
    for (int i = 0; i < sk_X509_num(certs); i++) {
        if (X509_cmp(sk_X509_value(certs, i), x) == 0) {
            return true;
        }
    }
    return false;
}

enum rc cert_file_join(const struct cert_file *a, const struct cert_file *b, struct cert_bytes *out,
                       size_t *added)
{
    CHECK_MAGIC(a, CERT_FILE_MAGIC);
    CHECK_MAGIC(b, CERT_FILE_MAGIC);
    STACK_OF(X509) *all = sk_X509_dup(a->certs); /* of borrowed certificates */
    enum rc rc = all != NULL ? RC_OK : RC_NO_MEMORY;

    *added = 0;
    for (int i = 0; rc == RC_OK && i < sk_X509_num(b->certs); i++) {
        X509 *x = sk_X509_value(b->certs, i);
        if (!has(all, x)) {
            rc = sk_X509_push(all, x) > 0 ? RC_OK : RC_NO_MEMORY;
            (*added)++;
        }
    }
    if (rc == RC_OK && *added > 0) {
        rc = cert_write_chain(all, out);
    }
    sk_X509_free(all);
    return rc;
}
