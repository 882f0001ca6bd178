/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/ca.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "certs/ca_internal.h"
#include "certs/cert_internal.h"
#include "core/base/check.h"
#include "core/base/clock.h"

#define DAY_S INT64_C(86400)
#define OWN_CA_LIFE_S (3650 * DAY_S)

/* ---- reading one ---- */

static enum rc add_copy(STACK_OF(X509) * to, X509 *x)
{
    if (X509_up_ref(x) != 1) {
        return RC_NO_MEMORY;
    }
    if (sk_X509_push(to, x) <= 0) {
        X509_free(x);
        return RC_NO_MEMORY;
    }
    return RC_OK;
}

/* The first of its file is the authority, others are chain. */
static enum rc read_certificate(struct ca *ca, const struct cert_bytes *pem, struct cert_error *err)
{
    err->blame = CERT_BLAME_CERTIFICATE;
    TRY(cert_parse_chain(pem, &ca->between, err));
    X509 *first = sk_X509_value(ca->between, 0);
    if (X509_up_ref(first) != 1) {
        return RC_NO_MEMORY;
    }
    ca->x = first;
    return RC_OK;
}

static enum rc read_chain(struct ca *ca, const struct cert_bytes *pem, struct cert_error *err)
{
    STACK_OF(X509) * chain;
    enum rc rc = RC_OK;

    if (pem->n == 0) {
        return RC_OK;
    }
    err->blame = CERT_BLAME_CHAIN;
    TRY(cert_parse_chain(pem, &chain, err));
    for (int i = 0; i < sk_X509_num(chain) && rc == RC_OK; i++) {
        rc = add_copy(ca->between, sk_X509_value(chain, i));
    }
    sk_X509_pop_free(chain, X509_free);
    return rc;
}

/* Without a file of roots: itself, or what vouches for itself in the chain. */
static enum rc find_roots(struct ca *ca, struct cert_error *err)
{
    ca->roots = sk_X509_new_null();
    if (ca->roots == NULL) {
        return RC_NO_MEMORY;
    }
    if (X509_self_signed(ca->x, 1) == 1) {
        return add_copy(ca->roots, ca->x);
    }
    for (int i = 0; i < sk_X509_num(ca->between); i++) {
        if (X509_self_signed(sk_X509_value(ca->between, i), 1) == 1) {
            TRY(add_copy(ca->roots, sk_X509_value(ca->between, i)));
        }
    }
    err->blame = CERT_BLAME_CERTIFICATE;
    return sk_X509_num(ca->roots) > 0
               ? RC_OK
               : cert_fail(err, "is no root itself, and its chain has none: the root certificate "
                                "is needed, too");
}

static enum rc read_roots(struct ca *ca, const struct cert_bytes *pem, struct cert_error *err)
{
    if (pem->n == 0) {
        return find_roots(ca, err);
    }
    err->blame = CERT_BLAME_ROOTS;
    return cert_parse_chain(pem, &ca->roots, err);
}

static enum rc read_key(struct ca *ca, const struct ca_opts *opts, struct cert_error *err)
{
    err->blame = CERT_BLAME_PRIVATE_KEY;
    TRY(cert_parse_key(&opts->key, opts->passphrase, &ca->key, err));
    ERR_clear_error();
    bool fits = X509_check_private_key(ca->x, ca->key) == 1;
    ERR_clear_error();
    return fits ? RC_OK : cert_fail(err, "is not the key of the authority's certificate");
}

/* ---- checking it ---- */

static enum rc check_authority(struct ca *ca, struct cert_error *err)
{
    err->blame = CERT_BLAME_CERTIFICATE;
    if ((X509_get_extension_flags(ca->x) & EXFLAG_CA) == 0) {
        return cert_fail(err, "is not the certificate of an authority (basic constraints)");
    }
    /* Without the extension OpenSSL says that every bit is set. */
    if ((X509_get_key_usage(ca->x) & KU_KEY_CERT_SIGN) == 0) {
        return cert_fail(err, "may not sign certificates (key usage)");
    }
    return RC_OK;
}

static enum rc find_expiry(struct ca *ca, STACK_OF(X509) * chain, struct cert_error *err)
{
    ca->expiry = INT64_MAX;
    for (int i = 0; i < sk_X509_num(chain); i++) {
        int64_t end = 0;
        if (cert_read_time(X509_get0_notAfter(sk_X509_value(chain, i)), &end) != RC_OK) {
            return cert_fail(err, "has a malformed date in its chain");
        }
        ca->expiry = end < ca->expiry ? end : ca->expiry;
    }
    return RC_OK;
}

static enum rc check_chain(struct ca *ca, struct cert_error *err)
{
    const struct cert_question question = {
        .leaf = ca->x, .between = ca->between, .roots = ca->roots};
    STACK_OF(X509) * chain;
    char why[CERT_WHY_BYTES];
    enum rc rc = cert_chain_verify(&question, &chain, why, sizeof(why));

    if (rc == RC_PEER_DENIED) {
        return cert_fail(err, "is not good at this moment, by its roots: %s", why);
    }
    TRY(rc);
    rc = find_expiry(ca, chain, err);
    sk_X509_pop_free(chain, X509_free);
    return rc;
}

static enum rc read_all(struct ca *ca, const struct ca_opts *opts, struct cert_error *err)
{
    TRY(read_certificate(ca, &opts->certificate, err));
    TRY(read_chain(ca, &opts->chain, err));
    TRY(read_roots(ca, &opts->roots, err));
    TRY(check_authority(ca, err));
    TRY(read_key(ca, opts, err));
    err->blame = CERT_BLAME_CERTIFICATE;
    return check_chain(ca, err);
}

enum rc ca_load(const struct ca_opts *opts, struct ca **out, struct cert_error *err)
{
    *err = (struct cert_error){.text = ""};
    struct ca *ca = calloc(1, sizeof(*ca));

    if (ca == NULL) {
        return RC_NO_MEMORY;
    }
    ca->magic = CA_MAGIC;
    enum rc rc = read_all(ca, opts, err);
    ERR_clear_error();
    if (rc != RC_OK) {
        ca_free(&ca);
        return rc;
    }
    *out = ca;
    return RC_OK;
}

void ca_free(struct ca **cap)
{
    struct ca *ca = *cap;

    *cap = NULL;
    if (ca == NULL) {
        return;
    }
    CHECK_MAGIC(ca, CA_MAGIC);
    ca->magic = 0;
    X509_free(ca->x);
    EVP_PKEY_free(ca->key); /* wipes it */
    sk_X509_pop_free(ca->between, X509_free);
    sk_X509_pop_free(ca->roots, X509_free);
    free(ca);
}

int64_t ca_expiry(const struct ca *ca)
{
    CHECK_MAGIC(ca, CA_MAGIC);
    return ca->expiry;
}

/* ---- making one ---- */

static enum rc complete_own(X509 *x, EVP_PKEY *key)
{
    TRY(cert_add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
    TRY(cert_add_extension(x, x, NID_key_usage, "critical,keyCertSign,cRLSign"));
    TRY(cert_add_extension(x, x, NID_subject_key_identifier, "hash"));
    return cert_sign(x, key);
}

/* Two of them must not have the same name: a chain is found by names. */
static bool make_name(char *buf, size_t size)
{
    unsigned char random[4];

    if (RAND_bytes(random, sizeof(random)) != 1) {
        return false;
    }
    snprintf(buf, size, "xdsgate CA %02x%02x%02x%02x", random[0], random[1], random[2], random[3]);
    return true;
}

static enum rc make_own(EVP_PKEY *key, struct cert_bytes *certificate)
{
    char name[32];

    if (key == NULL || !make_name(name, sizeof(name))) {
        return RC_NO_MEMORY;
    }
    const struct cert_outline outline = {.organization = "xdsgate",
                                         .common_name = name,
                                         .key = key,
                                         .from = clock_wall() - CA_BACKDATE_S,
                                         .to = clock_wall() + OWN_CA_LIFE_S};
    X509 *x = cert_make(&outline);
    STACK_OF(X509) *one = sk_X509_new_null();
    enum rc rc = x == NULL || one == NULL ? RC_NO_MEMORY : complete_own(x, key);
    if (rc == RC_OK) {
        rc = add_copy(one, x);
    }
    if (rc == RC_OK) {
        rc = cert_write_chain(one, certificate);
    }
    sk_X509_pop_free(one, X509_free);
    X509_free(x);
    return rc;
}

enum rc ca_make(struct cert_bytes *certificate, struct cert_bytes *key)
{
    struct cert_bytes made = {0};
    EVP_PKEY *pair = cert_make_key(CA_KEY_P256);
    enum rc rc = make_own(pair, &made);

    if (rc == RC_OK) {
        rc = cert_write_key(pair, key);
    }
    EVP_PKEY_free(pair);
    ERR_clear_error();
    if (rc != RC_OK) {
        cert_bytes_fini(&made);
        return rc;
    }
    *certificate = made;
    return RC_OK;
}
