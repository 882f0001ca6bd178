/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/probe/istiod_sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certs/cert_name.h"
#include "core/base/check.h"

#define CREATE "/istio.v1.auth.IstioCertificateService/CreateCertificate"

/* Statuses of gRPC. */
enum { OK = 0, UNAUTHENTICATED = 16 };

/* ---- what is asked ---- */

/* One element of all names: "DNS=a;DNS=b". Only characters of DNS names get into it. */
static enum rc make_xfcc(const struct istiod_sign_opts *o, char **out, char *why)
{
    char *text = NULL;
    size_t size = 0;
    enum rc rc = RC_OK;
    FILE *f = open_memstream(&text, &size);

    for (size_t i = 0; f != NULL && rc == RC_OK && i < o->n_names; i++) {
        struct cert_name name;
        const char *wrong = "only DNS names can be asked for";
        if (cert_name_read(o->names[i], &name, &wrong) != RC_OK || name.kind != CERT_NAME_DNS) {
            (void)snprintf(why, ISTIOD_SIGN_WHY_BYTES, "%.100s: %.200s", o->names[i], wrong);
            rc = RC_INVALID;
        } else {
            (void)fprintf(f, "%sDNS=%s", i > 0 ? ";" : "", name.text);
        }
    }
    if (f == NULL || fclose(f) != 0) {
        rc = RC_NO_MEMORY;
    }
    if (rc != RC_OK) {
        free(text);
        return rc;
    }
    *out = text;
    return RC_OK;
}

static size_t put_varint(uint8_t *to, uint64_t v)
{
    size_t n = 0;

    for (; v >= 0x80; v >>= 7) {
        to[n++] = (uint8_t)(v | 0x80);
    }
    to[n++] = (uint8_t)v;
    return n;
}

/* IstioCertificateRequest: 1 csr, 3 validity_duration in seconds (istio
 * security/v1alpha1/ca.proto).
 */
static enum rc make_message(const struct cert_bytes *csr, int64_t validity_s, uint8_t **out,
                            size_t *n)
{
    uint8_t *m = malloc(csr->n + 32);

    if (m == NULL) {
        return RC_NO_MEMORY;
    }
    *n = 0;
    m[(*n)++] = 1 << 3 | 2;
    *n += put_varint(m + *n, csr->n);
    memcpy(m + *n, csr->data, csr->n);
    *n += csr->n;
    m[(*n)++] = 3 << 3;
    *n += put_varint(m + *n, (uint64_t)validity_s);
    *out = m;
    return RC_OK;
}

/* ---- what is answered ---- */

static bool get_varint(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
        uint8_t b = *(*at)++;
        *out |= (uint64_t)(b & 0x7f) << shift;
        if ((b & 0x80) == 0) {
            return true;
        }
    }
    return false;
}

/* IstioCertificateResponse: 1 cert_chain, repeated. Nothing else may be in it. Elements are
 * borrowed from the message. */
static bool read_elements(const struct call_answer *a, struct cert_bytes *elements, size_t *n)
{
    const uint8_t *at = a->data;
    const uint8_t *end = at + a->n;
    uint64_t tag = 0;
    uint64_t len = 0;

    *n = 0;
    while (at < end) {
        if (!get_varint(&at, end, &tag) || tag != (1 << 3 | 2) || !get_varint(&at, end, &len) ||
            len > (uint64_t)(end - at) || *n == CSR_ANSWER_MAX) {
            return false;
        }
        elements[(*n)++] = (struct cert_bytes){(uint8_t *)(uintptr_t)at, (size_t)len};
        at += len;
    }
    return true;
}

static enum rc take_elements(const struct istiod_sign_opts *o, const struct call_answer *a,
                             const struct cert_bytes *key, struct ca_issued *out, char *why)
{
    struct cert_bytes elements[CSR_ANSWER_MAX];
    struct csr_answer answer = {
        .elements = elements, .key = key, .names = o->names, .n_names = o->n_names};
    struct cert_error err;

    if (a->data == NULL || !read_elements(a, elements, &answer.n)) {
        (void)snprintf(why, ISTIOD_SIGN_WHY_BYTES, "istiod's answer is no certificate");
        return RC_PEER_MALFORMED;
    }
    enum rc rc = csr_take_answer(&answer, out, &err);
    if (rc == RC_INVALID) {
        (void)snprintf(why, ISTIOD_SIGN_WHY_BYTES, "istiod's certificate %s", err.text);
        return RC_PEER_MALFORMED;
    }
    return rc;
}

static enum rc judge(const struct call_answer *a, char *why)
{
    if (a->end == CALL_STATUS && a->status == OK) {
        return RC_OK;
    }
    if (a->end == CALL_STATUS && a->status == UNAUTHENTICATED) {
        (void)snprintf(why, ISTIOD_SIGN_WHY_BYTES,
                       "istiod does not trust the address that this comes from "
                       "(TRUSTED_GATEWAY_CIDR): %s",
                       a->why);
        return RC_PEER_DENIED;
    }
    if (a->end == CALL_STATUS) {
        (void)snprintf(why, ISTIOD_SIGN_WHY_BYTES, "istiod refuses, status %d: %s", a->status,
                       a->why);
        return RC_PEER_DENIED;
    }
    (void)snprintf(why, ISTIOD_SIGN_WHY_BYTES, "%s", a->why);
    return a->end == CALL_NO_ANSWER || a->end == CALL_NO_TLS ? RC_UNREACHABLE : RC_PEER_MALFORMED;
}

/* ---- all of it ---- */

static enum rc call(const struct istiod_sign_opts *o, const struct cert_bytes *csr,
                    const char *xfcc, struct call_answer *a)
{
    uint8_t *message = NULL;
    size_t n = 0;

    TRY(make_message(csr, o->validity_s, &message, &n));
    const struct call_request request = {.path = CREATE, .xfcc = xfcc, .data = message, .n = n};
    enum rc rc = call_run(&o->way, &request, a);
    free(message);
    return rc;
}

static enum rc sign(const struct istiod_sign_opts *o, const char *xfcc, struct ca_issued *out,
                    char *why)
{
    struct cert_bytes csr = {NULL, 0};
    struct cert_bytes key = {NULL, 0};
    struct call_answer a = {.data = NULL};
    enum rc rc = csr_make(o->key, &csr, &key);

    if (rc == RC_OK) {
        rc = call(o, &csr, xfcc, &a);
    }
    if (rc == RC_OK) {
        rc = judge(&a, why);
    }
    if (rc == RC_OK) {
        rc = take_elements(o, &a, &key, out, why);
    }
    call_answer_fini(&a);
    cert_bytes_fini(&csr);
    cert_bytes_fini(&key);
    return rc;
}

enum rc istiod_sign(const struct istiod_sign_opts *o, struct ca_issued *out, char *why)
{
    char *xfcc = NULL;

    CHECK(o->n_names > 0 && o->validity_s > 0);
    (void)snprintf(why, ISTIOD_SIGN_WHY_BYTES, "%s", rc_text(RC_NO_MEMORY));
    TRY(make_xfcc(o, &xfcc, why));
    enum rc rc = sign(o, xfcc, out, why);
    free(xfcc);
    return rc;
}
