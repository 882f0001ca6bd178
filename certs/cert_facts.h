/* SPDX-License-Identifier: Apache-2.0 */
/* What a certificate is told apart by: its key, its number, its days. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"

/** SHA-256 of the key (SubjectPublicKeyInfo, DER). */
#define CERT_KEY_BYTES 32

/** Serial number in lower-case hexadecimal digits: at most 20 bytes (RFC 5280, 4.1.2.2). */
#define CERT_SERIAL_BYTES 41

struct cert_facts {
    int64_t start;  /**< seconds since 1970 */
    int64_t expiry; /**< the same */
    uint8_t key[CERT_KEY_BYTES];
    char serial[CERT_SERIAL_BYTES]; /**< cut when it is longer than allowed */
};

/**
 * The facts of the first certificate of a PEM text.
 *
 * pem, n  borrowed; whatever stands before and behind the certificate does not matter.
 * out     filled with RC_OK only.
 * Returns RC_OK; RC_PEER_MALFORMED: no certificate, or one without a date or key; RC_NO_MEMORY.
 */
enum rc cert_facts_parse(const char *pem, size_t n, struct cert_facts *out) MUST_USE;
