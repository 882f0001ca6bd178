/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a PEM file in memory, which may be a private key: wiped when it is freed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "certs/cert_set.h"
#include "core/base/rc.h"

struct cert_bytes {
    uint8_t *data; /**< owned, by OpenSSL's allocator; NULL: nothing */
    size_t n;
};

/**
 * Read a file: a regular one of 1 byte to 1 MiB, so this never blocks.
 *
 * out      owned by the caller: cert_bytes_fini().
 * Returns  RC_OK; RC_INVALID with err->text filled; RC_NO_MEMORY.
 */
enum rc cert_bytes_read(const char *path, struct cert_bytes *out, struct cert_error *err) MUST_USE;

/** Wipe and free what it holds; it is empty then. */
void cert_bytes_fini(struct cert_bytes *b);
