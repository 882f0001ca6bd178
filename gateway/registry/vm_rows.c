/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/registry/vm_rows.h"

#include <stdlib.h>
#include <string.h>

/* Nonces of an istiod whose clock shows UTC, with a counter of four digits, and the zero: what is
 * longer makes all rows longer. */
#define NONCE_USUAL_BYTES 62

_Static_assert(sizeof(struct xds_sync) <= UINT8_MAX, "stride is too small");

static size_t round_up(size_t n)
{
    return (n + 7) / 8 * 8;
}

/* What a row of this nonce needs. */
static size_t stride_for(size_t n_nonce)
{
    size_t room = n_nonce < NONCE_USUAL_BYTES ? NONCE_USUAL_BYTES : n_nonce + 1;
    size_t n = round_up(offsetof(struct xds_sync, nonce) + room);

    return n < sizeof(struct xds_sync) ? n : sizeof(struct xds_sync);
}

static uint8_t find(const struct vm_rows *rows, uint8_t type)
{
    uint8_t i = 0;

    while (i < rows->n && rows->types[i] != type) {
        i++;
    }
    return i;
}

/* Room for n rows of stride bytes, which are not smaller than those that are there. */
static bool reserve(struct vm_rows *rows, uint8_t n, size_t stride)
{
    uint8_t *bytes = malloc(n * stride);

    if (bytes == NULL) {
        return false;
    }
    for (uint8_t i = 0; i < rows->n; i++) {
        memcpy(bytes + i * stride, rows->bytes + (size_t)i * rows->stride, rows->stride);
        memset(bytes + i * stride + rows->stride, 0, stride - rows->stride);
    }
    free(rows->bytes);
    rows->bytes = bytes;
    rows->cap = n;
    rows->stride = (uint8_t)stride;
    return true;
}

void vm_rows_get(const struct vm_rows *rows, uint8_t i, struct xds_sync *out)
{
    memcpy(out, rows->bytes + (size_t)i * rows->stride, rows->stride);
    memset((uint8_t *)out + rows->stride, 0, sizeof(*out) - rows->stride);
}

bool vm_rows_load(const struct vm_rows *rows, enum xds_type type, struct xds_sync *out)
{
    uint8_t i = find(rows, (uint8_t)type);

    if (i == rows->n) {
        memset(out, 0, sizeof(*out));
        out->type = (uint8_t)type;
        return false;
    }
    vm_rows_get(rows, i, out);
    return true;
}

const void *vm_rows_store(struct vm_rows *rows, const struct xds_sync *s)
{
    uint8_t i = find(rows, s->type);
    size_t stride = stride_for(strlen(s->nonce));

    if (stride < rows->stride) {
        stride = rows->stride;
    }
    if ((i == rows->cap || stride > rows->stride) &&
        !reserve(rows, i == rows->cap ? (uint8_t)(i + 1) : rows->cap, stride)) {
        return NULL;
    }
    uint8_t *row = rows->bytes + i * stride;
    memcpy(row, s, stride);
    if (i == rows->n) {
        rows->types[rows->n++] = s->type;
    }
    return row;
}

void vm_rows_reset(struct vm_rows *rows)
{
    rows->n = 0;
}

void vm_rows_fini(struct vm_rows *rows)
{
    free(rows->bytes);
    *rows = (struct vm_rows){NULL, 0, 0, 0, {0}};
}
