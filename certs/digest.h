/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4), of bytes that lie in pieces. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"

#define DIGEST_BYTES 32

/** Borrowed bytes. */
struct digest_piece {
    const void *data;
    size_t n;
};

/** The digest of n pieces, as if they were one. RC_OK; RC_NO_MEMORY. */
enum rc digest_sha256(const struct digest_piece *pieces, size_t n,
                      uint8_t out[DIGEST_BYTES]) MUST_USE;
