/* SPDX-License-Identifier: Apache-2.0 */
/* The names that a serving certificate may be asked for. Pure. */
#pragma once

#include "core/base/rc.h"

/** "*." and a name of 253 characters, and the final zero. */
#define CERT_NAME_BYTES 256

enum cert_name_kind { CERT_NAME_DNS, CERT_NAME_IP };

struct cert_name {
    enum cert_name_kind kind;
    char text[CERT_NAME_BYTES]; /**< in lower case; an address in its usual notation */
};

/**
 * Read a name: a DNS name of letters, digits and hyphens (RFC 1123 2.1), also with "*" as its whole
 * first label when two labels or more follow; or an IPv4 or IPv6 address.
 *
 * text     borrowed.
 * why      on failure a static text that says what to write instead.
 * Returns  RC_OK; RC_INVALID.
 */
enum rc cert_name_read(const char *text, struct cert_name *out, const char **why) MUST_USE;
