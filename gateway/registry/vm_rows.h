/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a VM is with each type that it has asked for. A row is a struct xds_sync without what is
 * behind its nonce: nonces of istiod have two thirds of the room that they may have, and rows are
 * most of what a VM costs. Pure, but for memory, which only a new type or a longer nonce wants.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xds/xds_sync.h"

/** Begins as {0}. */
struct vm_rows {
    uint8_t *bytes;           /**< owned; room for cap rows of stride bytes */
    uint8_t n;                /**< rows in use */
    uint8_t cap;              /**< rows that there is room for */
    uint8_t stride;           /**< bytes of a row */
    uint8_t types[XDS_TYPES]; /**< of each row, enum xds_type */
};

/** The row of a type; {0} with its type when there is none. True: there is one. */
bool vm_rows_load(const struct vm_rows *rows, enum xds_type type, struct xds_sync *out);

/** Keep a row. Returns where it lies until the next change; NULL: there is no memory for it, and it
 * is as it was. */
const void *vm_rows_store(struct vm_rows *rows, const struct xds_sync *s);

/** Copy row i, 0 .. n - 1. */
void vm_rows_get(const struct vm_rows *rows, uint8_t i, struct xds_sync *out);

/** A new stream: no type has been asked for. Keeps the memory. */
void vm_rows_reset(struct vm_rows *rows);

/** Free what it holds. */
void vm_rows_fini(struct vm_rows *rows);
