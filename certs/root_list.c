/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/root_list.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "certs/cert_internal.h"
#include "core/base/check.h"
#include "core/base/hex.h"

#define ROOT_LIST_MAGIC 0x2007115au

struct root_list {
    uint32_t magic;
    uint32_t refs;          /* atomic */
    STACK_OF(X509) * roots; /* owned; each once */
};

/* ---- its life ---- */

/* The stack is taken, also on failure. */
static enum rc make_list(STACK_OF(X509) * roots, struct root_list **out)
{
    struct root_list *l = roots != NULL ? calloc(1, sizeof(*l)) : NULL;

    if (l == NULL) {
        sk_X509_pop_free(roots, X509_free);
        return RC_NO_MEMORY;
    }
    *l = (struct root_list){.magic = ROOT_LIST_MAGIC, .refs = 1, .roots = roots};
    *out = l;
    return RC_OK;
}

enum rc root_list_new(struct root_list **out)
{
    return make_list(sk_X509_new_null(), out);
}

static bool has(const STACK_OF(X509) * certs, const X509 *cert)
{
    for (int i = 0; i < sk_X509_num(certs); i++) {
        if (X509_cmp(sk_X509_value(certs, i), cert) == 0) {
            return true;
        }
    }
    return false;
}

/* Move what is new from one stack to the other. */
static enum rc move_each_once(STACK_OF(X509) * from, STACK_OF(X509) * to)
{
    X509 *cert;

    while ((cert = sk_X509_shift(from)) != NULL) {
        /* Its extensions are read now, not by the workers that verify by it first, together. */
        (void)X509_check_purpose(cert, -1, 0);
        if (has(to, cert)) {
            X509_free(cert);
        } else if (sk_X509_push(to, cert) <= 0) {
            X509_free(cert);
            return RC_NO_MEMORY;
        }
    }
    return RC_OK;
}

static enum rc parse(const struct cert_bytes *pem, struct root_list **out, struct cert_error *err)
{
    STACK_OF(X509) *certs = NULL;

    TRY(cert_parse_chain(pem, &certs, err));
    if (sk_X509_num(certs) > ROOT_LIST_MAX) {
        int n = sk_X509_num(certs);
        sk_X509_pop_free(certs, X509_free);
        return cert_fail(err, "has %d certificates in it; %d are read", n, ROOT_LIST_MAX);
    }
    STACK_OF(X509) *roots = sk_X509_new_null();
    enum rc rc = roots != NULL ? move_each_once(certs, roots) : RC_NO_MEMORY;
    sk_X509_pop_free(certs, X509_free);
    ERR_clear_error();
    if (rc != RC_OK) {
        sk_X509_pop_free(roots, X509_free);
        return rc;
    }
    return make_list(roots, out);
}

enum rc root_list_parse(const char *pem, size_t n, struct root_list **out, struct cert_error *err)
{
    struct cert_bytes bytes = {n > 0 ? OPENSSL_memdup(pem, n) : NULL, n};

    *err = (struct cert_error){.blame = CERT_BLAME_ROOTS};
    if (n > 0 && bytes.data == NULL) {
        return RC_NO_MEMORY;
    }
    enum rc rc = parse(&bytes, out, err);
    cert_bytes_fini(&bytes);
    return rc;
}

struct root_list *root_list_ref(struct root_list *l)
{
    if (l != NULL) {
        CHECK_MAGIC(l, ROOT_LIST_MAGIC);
        __atomic_add_fetch(&l->refs, 1, __ATOMIC_RELAXED);
    }
    return l;
}

void root_list_unref(struct root_list **lp)
{
    struct root_list *l = *lp;

    *lp = NULL;
    if (l == NULL) {
        return;
    }
    CHECK_MAGIC(l, ROOT_LIST_MAGIC);
    if (__atomic_sub_fetch(&l->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        l->magic = 0;
        sk_X509_pop_free(l->roots, X509_free);
        free(l);
    }
}

/* ---- what is in it ---- */

size_t root_list_count(const struct root_list *l)
{
    CHECK_MAGIC(l, ROOT_LIST_MAGIC);
    return (size_t)sk_X509_num(l->roots);
}

bool root_list_same(const struct root_list *a, const struct root_list *b)
{
    if (a == NULL || b == NULL || a == b) {
        return a == b;
    }
    bool same = root_list_count(a) == root_list_count(b);
    for (int i = 0; same && i < sk_X509_num(a->roots); i++) {
        same = has(b->roots, sk_X509_value(a->roots, i));
    }
    return same;
}

/* ---- against what is believed ---- */

enum rc cert_add_roots(const struct root_list *l, X509_STORE *store, struct cert_roots *roots)
{
    CHECK_MAGIC(l, ROOT_LIST_MAGIC);
    STACK_OF(X509) *known = X509_STORE_get1_all_certs(store);
    enum rc rc = known != NULL ? RC_OK : RC_NO_MEMORY;

    for (int i = 0; rc == RC_OK && i < sk_X509_num(l->roots); i++) {
        X509 *cert = sk_X509_value(l->roots, i);
        if (has(known, cert)) {
            continue; /* what is believed stays the same, so the print does */
        }
        cert_note_root(cert, roots);
        rc = X509_STORE_add_cert(store, cert) == 1 ? RC_OK : RC_NO_MEMORY;
    }
    sk_X509_pop_free(known, X509_free);
    ERR_clear_error();
    return rc;
}

static void write_subject(const X509 *cert, struct root_gap *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;

    out->subject[0] = '\0';
    if (bio != NULL &&
        X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) >= 0) {
        long n = BIO_get_mem_data(bio, &text);
        size_t room = sizeof(out->subject) - 1;
        size_t used = n <= 0 ? 0 : (size_t)n < room ? (size_t)n : room;
        if (used > 0) {
            memcpy(out->subject, text, used);
        }
        out->subject[used] = '\0';
    }
    BIO_free(bio);
}

static void write_print(const X509 *cert, struct root_gap *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;

    _Static_assert(ROOT_PRINT_BYTES == HEX_BYTES(32), "SHA-256 has 32 bytes");
    (void)X509_digest(cert, EVP_sha256(), digest, &n);
    (void)hex_write(out->sha256, digest, n);
}

void cert_ctx_missing(const SSL_CTX *ctx, const struct root_list *l, struct root_gap *out)
{
    CHECK_MAGIC(l, ROOT_LIST_MAGIC);
    STACK_OF(X509) *known = X509_STORE_get1_all_certs(SSL_CTX_get_cert_store(ctx));
    struct cert_roots missing = {.print = CERT_PRINT_START};

    *out = (struct root_gap){.n = 0};
    for (int i = 0; known != NULL && i < sk_X509_num(l->roots); i++) {
        const X509 *cert = sk_X509_value(l->roots, i);
        if (has(known, cert) || X509_cmp_current_time(X509_get0_notAfter(cert)) < 0) {
            continue;
        }
        if (out->n++ == 0) {
            write_subject(cert, out);
            write_print(cert, out);
        }
        cert_note_root(cert, &missing);
    }
    out->print = out->n > 0 ? missing.print : 0;
    sk_X509_pop_free(known, X509_free);
    ERR_clear_error();
}
