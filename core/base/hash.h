/* SPDX-License-Identifier: Apache-2.0 */
/* FNV-1a, 32 bits: for tables and for fairness. Pure; no secret in it, so a stranger may make
 * values collide. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define HASH_START UINT32_C(2166136261)

/** h, HASH_START or what an earlier call gave, and n bytes more. */
static inline uint32_t hash_bytes(uint32_t h, const void *data, size_t n)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < n; i++) {
        h = (h ^ p[i]) * UINT32_C(16777619);
    }
    return h;
}
