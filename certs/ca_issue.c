/* SPDX-License-Identifier: Apache-2.0 */
/* A serving certificate, signed by an authority. See ca.h. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "certs/ca.h"
#include "certs/ca_internal.h"
#include "certs/cert_internal.h"
#include "certs/cert_name.h"
#include "core/base/check.h"
#include "core/base/clock.h"

/* ---- what is asked for ---- */

static enum rc read_name(const char *text, struct cert_name *names, size_t *n,
                         struct cert_error *err)
{
    const char *why = NULL;

    if (cert_name_read(text, &names[*n], &why) != RC_OK) {
        return cert_fail(err, "is no name for a serving certificate: %s", why);
    }
    for (size_t i = 0; i < *n; i++) {
        if (strcmp(names[i].text, names[*n].text) == 0) {
            return RC_OK;
        }
    }
    (*n)++;
    return RC_OK;
}

enum rc ca_read_names(const char *const *texts, size_t n_texts, struct cert_name *names, size_t *n,
                      struct cert_error *err)
{
    err->blame = CERT_BLAME_NAME;
    *n = 0;
    if (n_texts == 0 || n_texts > CA_NAMES_MAX) {
        return cert_fail(err, "a certificate has 1 to %d names", CA_NAMES_MAX);
    }
    for (size_t i = 0; i < n_texts; i++) {
        err->index = i;
        TRY(read_name(texts[i], names, n, err));
    }
    err->index = 0;
    return RC_OK;
}

static enum rc find_times(const struct ca *ca, const struct ca_request *r, struct cert_outline *o,
                          struct cert_error *err)
{
    int64_t now = clock_wall();
    int64_t ca_from = 0;

    err->blame = CERT_BLAME_VALIDITY;
    if ((double)r->validity_s < CA_VALIDITY_MIN_S || (double)r->validity_s > CA_VALIDITY_MAX_S) {
        return cert_fail(err, "a certificate is made for 1 hour to 398 days");
    }
    err->blame = CERT_BLAME_CERTIFICATE;
    if (cert_read_time(X509_get0_notBefore(ca->x), &ca_from) != RC_OK) {
        return cert_fail(err, "has a malformed date");
    }
    o->from = now - CA_BACKDATE_S > ca_from ? now - CA_BACKDATE_S : ca_from;
    o->to = now + r->validity_s < ca->expiry ? now + r->validity_s : ca->expiry;
    return o->to - now >= (int64_t)CA_VALIDITY_MIN_S
               ? RC_OK
               : cert_fail(err, "ends, or its chain does, within the hour: nothing useful can be "
                                "signed by it any more");
}

/* ---- the certificate ---- */

static bool fill_name(GENERAL_NAME *to, const struct cert_name *name)
{
    unsigned char address[16];
    bool is_dns = name->kind == CERT_NAME_DNS;
    ASN1_STRING *s = is_dns ? ASN1_IA5STRING_new() : ASN1_OCTET_STRING_new();
    const void *data = is_dns ? (const void *)name->text : address;
    int n = (int)strlen(name->text);

    if (!is_dns && inet_pton(AF_INET, name->text, address) == 1) {
        n = 4;
    } else if (!is_dns && inet_pton(AF_INET6, name->text, address) == 1) {
        n = 16;
    }
    if (s == NULL || ASN1_STRING_set(s, data, n) != 1) {
        ASN1_STRING_free(s);
        return false;
    }
    GENERAL_NAME_set0_value(to, is_dns ? GEN_DNS : GEN_IPADD, s);
    return true;
}

static enum rc add_names(X509 *x, const struct cert_name *names, size_t n)
{
    GENERAL_NAMES *list = GENERAL_NAMES_new();
    bool ok = list != NULL;

    for (size_t i = 0; ok && i < n; i++) {
        GENERAL_NAME *one = GENERAL_NAME_new();
        ok = one != NULL && fill_name(one, &names[i]) && sk_GENERAL_NAME_push(list, one) > 0;
        if (!ok) {
            GENERAL_NAME_free(one);
        }
    }
    ok = ok && X509_add1_ext_i2d(x, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(list);
    return ok ? RC_OK : RC_NO_MEMORY;
}

static enum rc complete(const struct ca *ca, X509 *x, const struct cert_name *names, size_t n)
{
    TRY(cert_add_extension(x, ca->x, NID_basic_constraints, "critical,CA:FALSE"));
    TRY(cert_add_extension(x, ca->x, NID_key_usage, "critical,digitalSignature"));
    TRY(cert_add_extension(x, ca->x, NID_ext_key_usage, "serverAuth"));
    TRY(cert_add_extension(x, ca->x, NID_subject_key_identifier, "hash"));
    TRY(cert_add_extension(x, ca->x, NID_authority_key_identifier, "keyid,issuer"));
    TRY(add_names(x, names, n));
    return cert_sign(x, ca->key);
}

/* ---- is it good? ---- */

static bool is_for(X509 *x, const struct cert_name *name)
{
    const unsigned flags =
        X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
    char asked[CERT_NAME_BYTES + 1];

    if (name->kind == CERT_NAME_IP) {
        return X509_check_ip_asc(x, name->text, 0) == 1;
    }
    /* Any first label stands for the wildcard. */
    bool wild = name->text[0] == '*';
    snprintf(asked, sizeof(asked), "%s%s", wild ? "a" : "", wild ? name->text + 1 : name->text);
    return X509_check_host(x, asked, strlen(asked), flags, NULL) == 1;
}

enum rc ca_check_result(const struct cert_question *question, const struct cert_name *names,
                        size_t n, struct cert_error *err)
{
    char why[CERT_WHY_BYTES];

    err->blame = CERT_BLAME_CERTIFICATE;
    enum rc rc = cert_chain_verify(question, NULL, why, sizeof(why));
    if (rc == RC_PEER_DENIED) {
        return cert_fail(err, "signs nothing that a VM would believe: %s", why);
    }
    TRY(rc);
    err->blame = CERT_BLAME_NAME;
    for (size_t i = 0; i < n; i++) {
        if (!is_for(question->leaf, &names[i])) {
            return cert_fail(err, "%s is no name that clients would look for", names[i].text);
        }
    }
    return RC_OK;
}

/* ---- what is given out ---- */

static bool is_valid_now(const X509 *x)
{
    return X509_cmp_current_time(X509_get0_notBefore(x)) < 0 &&
           X509_cmp_current_time(X509_get0_notAfter(x)) > 0;
}

/* A file may have an authority twice, with one name and one key: it was renewed. */
static X509 *find_issuer(const struct ca *ca, X509 *x)
{
    for (int i = 0; i < sk_X509_num(ca->between); i++) {
        X509 *candidate = sk_X509_value(ca->between, i);
        if (is_valid_now(candidate) && X509_check_issued(candidate, x) == X509_V_OK &&
            X509_verify(x, X509_get0_pubkey(candidate)) == 1) {
            return candidate;
        }
    }
    return NULL;
}

/*
 * The certificate and what lies between it and a root, in order: all that does not vouch for
 * itself. Also when the roots file has an intermediate: some VMs may know the root only.
 */
static enum rc find_chain(const struct ca *ca, X509 *x, STACK_OF(X509) * chain)
{
    bool ok = sk_X509_push(chain, x) > 0;
    X509 *next = ca->x;

    /* Certificates that have signed each other would go round for ever. */
    for (int i = 0; ok && next != NULL && i <= sk_X509_num(ca->between); i++) {
        if (X509_self_signed(next, 0) == 1) {
            break;
        }
        ok = sk_X509_push(chain, next) > 0;
        next = find_issuer(ca, next);
    }
    ERR_clear_error();
    return ok ? RC_OK : RC_NO_MEMORY;
}

static enum rc write_all(const struct ca *ca, X509 *x, STACK_OF(X509) * chain, const EVP_PKEY *key,
                         struct ca_issued *out)
{
    TRY(cert_write_chain(chain, &out->chain));
    TRY(cert_write_key(key, &out->key));
    TRY(cert_write_chain(ca->roots, &out->roots));
    if (cert_read_time(X509_get0_notAfter(x), &out->to) != RC_OK) {
        return RC_NO_MEMORY;
    }
    return RC_OK;
}

/* What a VM gets to see, and nothing else, is what has to be good. */
static enum rc give_out(const struct ca *ca, X509 *x, const EVP_PKEY *key,
                        const struct cert_name *names, size_t n, struct ca_issued *out,
                        struct cert_error *err)
{
    STACK_OF(X509) *chain = sk_X509_new_null(); /* of borrowed certificates */
    const struct cert_question question = {
        .leaf = x, .between = chain, .roots = ca->roots, .server = true};
    enum rc rc = chain != NULL ? find_chain(ca, x, chain) : RC_NO_MEMORY;

    if (rc == RC_OK) {
        rc = ca_check_result(&question, names, n, err);
    }
    if (rc == RC_OK) {
        rc = write_all(ca, x, chain, key, out);
    }
    sk_X509_free(chain);
    return rc;
}

static enum rc issue(const struct ca *ca, const struct ca_request *r, EVP_PKEY *key,
                     const struct cert_name *names, size_t n, struct ca_issued *out,
                     struct cert_error *err)
{
    struct cert_outline outline = {.organization = "xdsgate", .key = key, .issuer = ca->x};

    TRY(find_times(ca, r, &outline, err));
    X509 *x = cert_make(&outline);
    enum rc rc = x == NULL ? RC_NO_MEMORY : complete(ca, x, names, n);
    if (rc == RC_OK) {
        rc = give_out(ca, x, key, names, n, out, err);
    }
    X509_free(x);
    return rc;
}

enum rc ca_issue(const struct ca *ca, const struct ca_request *request, struct ca_issued *out,
                 struct cert_error *err)
{
    struct ca_issued made = {.to = 0};
    size_t n = 0;

    CHECK_MAGIC(ca, CA_MAGIC);
    *err = (struct cert_error){.text = ""};
    struct cert_name *names = calloc(CA_NAMES_MAX, sizeof(*names));
    EVP_PKEY *key = names != NULL ? cert_make_key(request->key) : NULL;
    enum rc rc = key == NULL ? RC_NO_MEMORY
                             : ca_read_names(request->names, request->n_names, names, &n, err);
    if (rc == RC_OK) {
        rc = issue(ca, request, key, names, n, &made, err);
    }
    EVP_PKEY_free(key);
    free(names);
    ERR_clear_error();
    if (rc != RC_OK) {
        ca_issued_fini(&made);
        return rc;
    }
    *out = made;
    return RC_OK;
}

void ca_issued_fini(struct ca_issued *i)
{
    cert_bytes_fini(&i->chain);
    cert_bytes_fini(&i->key);
    cert_bytes_fini(&i->roots);
}
