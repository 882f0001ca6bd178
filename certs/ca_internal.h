/* SPDX-License-Identifier: Apache-2.0 */
/* Between ca.c, which reads an authority, and ca_issue.c, which signs with it. */
#pragma once

#include <stdint.h>

#include <openssl/x509.h>

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
