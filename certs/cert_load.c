/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PEM files into OpenSSL objects, with errors that a person can act on. Files are read at once and
 * bounded, so that a pipe, a device or a huge file named by mistake cannot stop the daemon; the
 * copy of a key is wiped.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "certs/cert_internal.h"

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

struct file_bytes {
    uint8_t *data; /* owned */
    size_t n;
};

static void free_bytes(struct file_bytes *b)
{
    OPENSSL_clear_free(b->data, b->n);
    *b = (struct file_bytes){NULL, 0};
}

static enum rc read_all(int fd, struct file_bytes *b, struct cert_error *err)
{
    size_t done = 0;

    while (done < b->n) {
        ssize_t n = read(fd, b->data + done, b->n - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return cert_fail(err, "cannot be read: %s", strerror(errno));
        }
        if (n == 0) {
            return cert_fail(err, "became shorter while it was read");
        }
        done += (size_t)n;
    }
    return RC_OK;
}

static enum rc read_fd(int fd, struct file_bytes *out, struct cert_error *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return cert_fail(err, "cannot be read: %s", strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        return cert_fail(err, "is not a regular file");
    }
    if (st.st_size == 0) {
        return cert_fail(err, "is empty");
    }
    if (st.st_size > FILE_MAX_BYTES) {
        return cert_fail(err, "is larger than 1 MiB");
    }
    struct file_bytes b = {OPENSSL_malloc((size_t)st.st_size), (size_t)st.st_size};
    if (b.data == NULL) {
        return RC_NO_MEMORY;
    }
    enum rc rc = read_all(fd, &b, err);
    if (rc != RC_OK) {
        free_bytes(&b);
        return rc;
    }
    *out = b;
    return RC_OK;
}

static enum rc read_file(const char *path, struct file_bytes *out, struct cert_error *err)
{
    /* Without O_NONBLOCK, opening a pipe would wait for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return cert_fail(err, "cannot be opened: %s", strerror(errno));
    }
    enum rc rc = read_fd(fd, out, err);
    close(fd);
    return rc;
}

/* ---- PEM ---- */

/* Never ask at a terminal. Says in *u that a passphrase was wanted. */
static int refuse_passphrase(char *buf, int size, int rwflag, void *u)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    *(bool *)u = true;
    return -1;
}

/* Is the last error only that no further PEM block follows? */
static bool at_pem_end(void)
{
    unsigned long code = ERR_peek_last_error();
    return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

static enum rc read_certs(BIO *bio, STACK_OF(X509) * certs, struct cert_error *err)
{
    bool asked = false;

    for (;;) {
        ERR_clear_error();
        X509 *x = PEM_read_bio_X509(bio, NULL, refuse_passphrase, &asked);
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
    return sk_X509_num(certs) > 0 ? RC_OK : cert_fail(err, "has no PEM certificate in it");
}

enum rc cert_load_chain(const char *path, STACK_OF(X509) * *out, struct cert_error *err)
{
    struct file_bytes bytes = {0};

    TRY(read_file(path, &bytes, err));
    BIO *bio = BIO_new_mem_buf(bytes.data, (int)bytes.n);
    STACK_OF(X509) *certs = sk_X509_new_null();
    enum rc rc = bio == NULL || certs == NULL ? RC_NO_MEMORY : read_certs(bio, certs, err);
    BIO_free(bio);
    free_bytes(&bytes);
    if (rc != RC_OK) {
        ERR_clear_error();
        sk_X509_pop_free(certs, X509_free);
        return rc;
    }
    *out = certs;
    return RC_OK;
}

static enum rc read_key(BIO *bio, EVP_PKEY **out, struct cert_error *err)
{
    bool asked = false;

    ERR_clear_error();
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, &asked);
    if (key != NULL) {
        *out = key;
        return RC_OK;
    }
    if (asked) {
        return cert_fail(err, "is encrypted; write the key without a passphrase");
    }
    return cert_fail(err, "has no readable PEM private key in it: %s", cert_openssl_reason());
}

enum rc cert_load_key(const char *path, EVP_PKEY **out, struct cert_error *err)
{
    struct file_bytes bytes = {0};

    TRY(read_file(path, &bytes, err));
    BIO *bio = BIO_new_mem_buf(bytes.data, (int)bytes.n);
    enum rc rc = bio == NULL ? RC_NO_MEMORY : read_key(bio, out, err);
    BIO_free(bio);
    free_bytes(&bytes);
    ERR_clear_error();
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

enum rc cert_load_roots(const char *path, X509_STORE *store, uint64_t *print,
                        struct cert_error *err)
{
    STACK_OF(X509) * certs;
    enum rc rc = RC_OK;

    TRY(cert_load_chain(path, &certs, err));
    *print = 14695981039346656037u;
    for (int i = 0; i < sk_X509_num(certs) && rc == RC_OK; i++) {
        ERR_clear_error();
        *print = add_print(*print, sk_X509_value(certs, i));
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
