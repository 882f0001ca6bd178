/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SipHash-2-4 (Aumasson and Bernstein, 2012): for tables whose keys a stranger chooses. Without the
 * key of the table, nobody can find values that meet in one bucket. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** Random, for each table another one. */
struct siphash_key {
    uint64_t k0;
    uint64_t k1;
};

/** The hash of n bytes. */
uint64_t siphash(const struct siphash_key *key, const void *data, size_t n);
