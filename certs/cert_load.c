/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PEM files into OpenSSL objects, with errors that a person can act on. Files are read at once and
 * bounded, so that a pipe, a device or a huge file named by mistake cannot stop the daemon; the
 * copy of a key is wiped.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "certs/cert_internal.h"
#include "core/base/file_read.h"
#include "core/base/wipe.h"

/** A root bundle of a whole operating system is 200 KB. */
#define FILE_MAX_BYTES (1024 * 1024)

enum rc cert_fail(struct cert_error *err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    for (char *p = err->text; *p != '\0'; p++) {
        if (iscntrl((unsigned char)*p)) {
            *p = '?';
        }
    }
    return RC_INVALID;
}

const char *cert_openssl_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = code != 0 ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return text != NULL ? text : "unknown reason";
}

/* ---- bytes of a file ---- */

void cert_bytes_fini(struct cert_bytes *b)
{
    OPENSSL_clear_free(b->data, b->n);
    *b = (struct cert_bytes){NULL, 0};
}

static enum rc fail_read(struct cert_error *err, enum rc rc)
{
    switch (rc) {
    case RC_SYSTEM:
        return cert_fail(err, "cannot be opened: %s", strerror(errno));
    case RC_FULL:
        return cert_fail(err, "is larger than 1 MiB");
    case RC_INVALID:
        return cert_fail(err, "is not a regular file");
    default:
        return rc;
    }
}

enum rc cert_bytes_read(const char *path, struct cert_bytes *out, struct cert_error *err)
{
    char *text = NULL;
    size_t n = 0;
    enum rc rc = file_read(path, FILE_MAX_BYTES, NULL, &text, &n);

    if (rc != RC_OK) {
        return fail_read(err, rc);
    }
    uint8_t *data = n > 0 ? OPENSSL_memdup(text, n) : NULL;
    wipe_free(text, n);
    if (n == 0) {
        return cert_fail(err, "is empty");
    }
    if (data == NULL) {
        return RC_NO_MEMORY;
    }
    *out = (struct cert_bytes){data, n};
    return RC_OK;
}

/* ---- PEM ---- */

struct asked {
    const char *passphrase; /* borrowed; NULL: there is none */
    bool was_asked;
};

/* Never ask at a terminal. */
static int give_passphrase(char *buf, int size, int rwflag, void *u)
{
    struct asked *asked = u;

    (void)rwflag;
    asked->was_asked = true;
    size_t n = asked->passphrase != NULL ? strlen(asked->passphrase) : 0;
    if (n == 0 || n > (size_t)size) {
        return -1;
    }
    memcpy(buf, asked->passphrase, n);
    return (int)n;
}

static enum rc open_pem(const struct cert_bytes *pem, BIO **out, struct cert_error *err)
{
    if (pem->n == 0) {
        return cert_fail(err, "is empty");
    }
    if (pem->n > FILE_MAX_BYTES) {
        return cert_fail(err, "is larger than 1 MiB");
    }
    *out = BIO_new_mem_buf(pem->data, (int)pem->n);
    return *out != NULL ? RC_OK : RC_NO_MEMORY;
}

/* Is the last error only that no further PEM block follows? */
static bool at_pem_end(void)
{
    unsigned long code = ERR_peek_last_error();
    return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

static enum rc read_certs(BIO *bio, STACK_OF(X509) * certs, struct cert_error *err)
{
    struct asked asked = {.passphrase = NULL};

    for (;;) {
        ERR_clear_error();
        X509 *x = PEM_read_bio_X509(bio, NULL, give_passphrase, &asked);
        if (x == NULL) {
            break;
        }
        if (sk_X509_push(certs, x) <= 0) {
            X509_free(x);
            return RC_NO_MEMORY;
        }
    }
    if (!at_pem_end()) {
        return cert_fail(err, "certificate %d in it is damaged: %s", sk_X509_num(certs) + 1,
                         cert_openssl_reason());
    }
    ERR_clear_error();
    return RC_OK;
}

enum rc cert_parse_some(const struct cert_bytes *pem, STACK_OF(X509) * *out, struct cert_error *err)
{
    BIO *bio = NULL;

    TRY(open_pem(pem, &bio, err));
    STACK_OF(X509) *certs = sk_X509_new_null();
    enum rc rc = certs == NULL ? RC_NO_MEMORY : read_certs(bio, certs, err);
    BIO_free(bio);
    if (rc != RC_OK) {
        ERR_clear_error();
        sk_X509_pop_free(certs, X509_free);
        return rc;
    }
    *out = certs;
    return RC_OK;
}

enum rc cert_parse_chain(const struct cert_bytes *pem, STACK_OF(X509) * *out,
                         struct cert_error *err)
{
    STACK_OF(X509) *certs = NULL;

    TRY(cert_parse_some(pem, &certs, err));
    if (sk_X509_num(certs) == 0) {
        sk_X509_free(certs);
        return cert_fail(err, "has no PEM certificate in it");
    }
    *out = certs;
    return RC_OK;
}

enum rc cert_load_chain(const char *path, STACK_OF(X509) * *out, struct cert_error *err)
{
    struct cert_bytes bytes = {0};

    TRY(cert_bytes_read(path, &bytes, err));
    enum rc rc = cert_parse_chain(&bytes, out, err);
    cert_bytes_fini(&bytes);
    return rc;
}

static enum rc read_key(BIO *bio, const char *passphrase, EVP_PKEY **out, struct cert_error *err)
{
    struct asked asked = {.passphrase = passphrase};

    ERR_clear_error();
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, &asked);
    if (key != NULL) {
        *out = key;
        return RC_OK;
    }
    if (asked.was_asked && passphrase == NULL) {
        return cert_fail(err, CERT_ENCRYPTED);
    }
    if (asked.was_asked) {
        return cert_fail(err, "cannot be decrypted: the passphrase is wrong, or the file damaged");
    }
    return cert_fail(err, "has no readable PEM private key in it: %s", cert_openssl_reason());
}

enum rc cert_parse_key(const struct cert_bytes *pem, const char *passphrase, EVP_PKEY **out,
                       struct cert_error *err)
{
    BIO *bio = NULL;

    TRY(open_pem(pem, &bio, err));
    enum rc rc = read_key(bio, passphrase, out, err);
    BIO_free(bio);
    ERR_clear_error();
    return rc;
}

enum rc cert_load_key(const char *path, EVP_PKEY **out, struct cert_error *err)
{
    struct cert_bytes bytes = {0};

    TRY(cert_bytes_read(path, &bytes, err));
    enum rc rc = cert_parse_key(&bytes, NULL, out, err);
    cert_bytes_fini(&bytes);
    return rc;
}

/* What a reload compares: other certificates, or in another order, give another print. */
static uint64_t add_print(uint64_t print, const X509 *cert)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;

    (void)X509_digest(cert, EVP_sha256(), digest, &n);
    for (unsigned int i = 0; i < n; i++) {
        print = (print ^ digest[i]) * 1099511628211u;
    }
    return print;
}

/* One with a malformed date verifies nothing. */
static void note_end(const X509 *cert, struct cert_roots *out)
{
    int64_t end = 0;

    if (cert_read_time(X509_get0_notAfter(cert), &end) == RC_OK && end > out->expiry) {
        out->expiry = end;
    }
}

void cert_note_root(const X509 *cert, struct cert_roots *out)
{
    out->print = add_print(out->print, cert);
    note_end(cert, out);
}

enum rc cert_parse_roots(const struct cert_bytes *pem, X509_STORE *store, struct cert_roots *out,
                         struct cert_error *err)
{
    STACK_OF(X509) *certs = NULL;
    enum rc rc = RC_OK;

    TRY(cert_parse_chain(pem, &certs, err));
    *out = (struct cert_roots){.print = CERT_PRINT_START};
    for (int i = 0; i < sk_X509_num(certs) && rc == RC_OK; i++) {
        ERR_clear_error();
        cert_note_root(sk_X509_value(certs, i), out);
        /* Its extensions are read now, not by the workers that verify by it first, together. */
        (void)X509_check_purpose(sk_X509_value(certs, i), -1, 0);
        if (X509_STORE_add_cert(store, sk_X509_value(certs, i)) != 1) {
            rc = cert_fail(err, "certificate %d in it cannot be used: %s", i + 1,
                           cert_openssl_reason());
        }
    }
    sk_X509_pop_free(certs, X509_free);
    return rc;
}

enum rc cert_load_roots(const char *path, X509_STORE *store, struct cert_roots *out,
                        struct cert_error *err)
{
    struct cert_bytes bytes = {0};

    TRY(cert_bytes_read(path, &bytes, err));
    enum rc rc = cert_parse_roots(&bytes, store, out, err);
    cert_bytes_fini(&bytes);
    return rc;
}
