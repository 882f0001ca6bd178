/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/csr.h"

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "certs/ca_internal.h"

/* ---- the request ---- */

/* Without a subject and without names, as an agent's: they are ignored. */
static X509_REQ *make_request(EVP_PKEY *key)
{
    X509_REQ *r = X509_REQ_new();

    if (r == NULL || X509_REQ_set_version(r, X509_REQ_VERSION_1) != 1 ||
        X509_REQ_set_pubkey(r, key) != 1 || X509_REQ_sign(r, key, EVP_sha256()) <= 0) {
        X509_REQ_free(r);
        return NULL;
    }
    return r;
}

static enum rc write_request(const X509_REQ *r, struct cert_bytes *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    bool ok = bio != NULL && PEM_write_bio_X509_REQ(bio, r) == 1;
    enum rc rc = ok ? cert_take_bytes(bio, out) : RC_NO_MEMORY;

    BIO_free(bio);
    return rc;
}

enum rc csr_make(enum ca_key kind, struct cert_bytes *request, struct cert_bytes *key)
{
    EVP_PKEY *pkey = cert_make_key(kind);
    X509_REQ *r = pkey != NULL ? make_request(pkey) : NULL;
    struct cert_bytes made = {NULL, 0};
    enum rc rc = r == NULL ? RC_NO_MEMORY : write_request(r, &made);

    if (rc == RC_OK) {
        rc = cert_write_key(pkey, key);
    }
    if (rc == RC_OK) {
        *request = made;
    } else {
        cert_bytes_fini(&made);
    }
    X509_REQ_free(r);
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return rc;
}

/* ---- the answer ---- */

struct taken {
    STACK_OF(X509) * chain; /* owned; the certificate first */
    STACK_OF(X509) * roots; /* owned */
    EVP_PKEY *key;          /* owned */
};

static enum rc add_element(STACK_OF(X509) * chain, const struct cert_bytes *pem,
                           struct cert_error *err)
{
    STACK_OF(X509) *some = NULL;

    TRY(cert_parse_chain(pem, &some, err));
    enum rc rc = RC_OK;
    while (rc == RC_OK && sk_X509_num(some) > 0) {
        X509 *x = sk_X509_shift(some);
        if (sk_X509_push(chain, x) <= 0) {
            X509_free(x);
            rc = RC_NO_MEMORY;
        }
    }
    sk_X509_pop_free(some, X509_free);
    return rc;
}

static enum rc read_answer(const struct csr_answer *a, struct taken *t, struct cert_error *err)
{
    t->chain = sk_X509_new_null();
    if (t->chain == NULL) {
        return RC_NO_MEMORY;
    }
    for (size_t i = 0; i + 1 < a->n; i++) {
        err->index = i;
        TRY(add_element(t->chain, &a->elements[i], err));
    }
    err->index = a->n - 1;
    TRY(cert_parse_chain(&a->elements[a->n - 1], &t->roots, err));
    err->index = 0;
    return cert_parse_key(a->key, NULL, &t->key, err);
}

static enum rc check(const struct csr_answer *a, const struct taken *t, struct cert_error *err)
{
    struct cert_name *names = calloc(CA_NAMES_MAX, sizeof(*names));
    const struct cert_question question = {
        .leaf = sk_X509_value(t->chain, 0), .between = t->chain, .roots = t->roots, .server = true};
    size_t n = 0;

    if (names == NULL) {
        return RC_NO_MEMORY;
    }
    enum rc rc = ca_read_names(a->names, a->n_names, names, &n, err);
    err->blame = CERT_BLAME_CERTIFICATE;
    if (rc == RC_OK && X509_check_private_key(question.leaf, t->key) != 1) {
        rc = cert_fail(err, "is for another key than the one that was asked for");
    }
    if (rc == RC_OK) {
        rc = ca_check_result(&question, names, n, err);
    }
    free(names);
    return rc;
}

static enum rc write_all(const struct taken *t, struct ca_issued *out)
{
    TRY(cert_write_chain(t->chain, &out->chain));
    TRY(cert_write_chain(t->roots, &out->roots));
    TRY(cert_write_key(t->key, &out->key));
    return cert_read_time(X509_get0_notAfter(sk_X509_value(t->chain, 0)), &out->to);
}

enum rc csr_take_answer(const struct csr_answer *answer, struct ca_issued *out,
                        struct cert_error *err)
{
    struct ca_issued made = {.to = 0};
    struct taken t = {.chain = NULL};

    *err = (struct cert_error){.blame = CERT_BLAME_CERTIFICATE};
    if (answer->n < 2 || answer->n > CSR_ANSWER_MAX) {
        return cert_fail(err, "came in %zu parts: there have to be the certificate and its roots",
                         answer->n);
    }
    enum rc rc = read_answer(answer, &t, err);
    if (rc == RC_OK) {
        rc = check(answer, &t, err);
    }
    if (rc == RC_OK) {
        rc = write_all(&t, &made);
    }
    sk_X509_pop_free(t.chain, X509_free);
    sk_X509_pop_free(t.roots, X509_free);
    EVP_PKEY_free(t.key);
    ERR_clear_error();
    if (rc != RC_OK) {
        ca_issued_fini(&made);
        return rc;
    }
    *out = made;
    return RC_OK;
}
