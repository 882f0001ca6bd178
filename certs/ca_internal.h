/* SPDX-License-Identifier: Apache-2.0 */
/* Between ca.c, which reads an authority, ca_issue.c, which signs with it, and csr.c, which has
 * others sign. */
#pragma once

#include <stdint.h>

#include <openssl/x509.h>

#include "certs/ca.h"
#include "certs/cert_internal.h"
#include "certs/cert_name.h"

#define CA_MAGIC 0x8c4fac3cU

/** New certificates begin so long ago: for clocks that are behind. */
#define CA_BACKDATE_S 600

struct ca {
    uint32_t magic;
    X509 *x;                  /* owned */
    EVP_PKEY *key;            /* owned */
    STACK_OF(X509) * between; /* owned; it and what lies above it, in any order */
    STACK_OF(X509) * roots;   /* owned; one or more */
    int64_t expiry;           /* the first end in its chain; seconds since 1970 */
};

/**
 * Read names; one that comes twice is read once.
 *
 * names    room for CA_NAMES_MAX; *n of them are filled.
 * Returns  RC_OK; RC_INVALID with *err filled: which and why.
 */
enum rc ca_read_names(const char *const *texts, size_t n_texts, struct cert_name *names, size_t *n,
                      struct cert_error *err) MUST_USE;

/** Would a VM believe it, under each of these names? RC_OK; RC_INVALID with *err filled;
 * RC_NO_MEMORY. */
enum rc ca_check_result(const struct cert_question *question, const struct cert_name *names,
                        size_t n, struct cert_error *err) MUST_USE;
