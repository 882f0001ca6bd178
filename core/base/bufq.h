/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue of bytes in chunks, with a cap. Chunks come from a pool that a worker shares among all
 * its queues, so that an empty queue costs nothing but this struct. Worker-local.
 *
 * Full is a state, not an error of the caller: bufq_append() takes all or nothing.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"

/** Payload of a chunk: one TLS record or DATA frame and a little. */
#define BUFQ_CHUNK_BYTES 16352

struct bufq_chunk;

/** Free chunks for reuse, and the sum of what is in use. Embedded; worker-local. */
struct bufq_pool {
    struct bufq_chunk *free; /**< owned */
    uint32_t n_free;         /**< 0 .. max_free */
    uint32_t max_free;       /**< chunks kept for reuse; the rest goes back to malloc */
    uint64_t used_bytes;     /**< memory of all chunks in queues */
};

struct bufq {
    struct bufq_pool *pool;  /**< borrowed; outlives the queue */
    struct bufq_chunk *head; /**< owned; NULL when empty */
    struct bufq_chunk *tail; /**< borrowed from the chain */
    size_t len;              /**< bytes queued */
    size_t cap;              /**< bytes that may be queued */
};

/** Make a pool that keeps up to max_free chunks. Never fails. */
void bufq_pool_init(struct bufq_pool *p, uint32_t max_free);

/** Give the kept chunks back. Every queue of the pool must be empty. */
void bufq_pool_fini(struct bufq_pool *p);

/** Make an empty queue of at most cap bytes. Never fails. */
void bufq_init(struct bufq *q, struct bufq_pool *pool, size_t cap);

/** Drop all bytes and chunks; the queue may be used again. */
void bufq_clear(struct bufq *q);

/** Append n bytes of data, all or none. RC_FULL over the cap, RC_NO_MEMORY. */
enum rc bufq_append(struct bufq *q, const void *data, size_t n) MUST_USE;

/** The first contiguous bytes; *n is 0 when the queue is empty. Borrowed until the next call. */
const uint8_t *bufq_peek(const struct bufq *q, size_t *n);

/** Remove n bytes, 0 .. q->len, from the front. */
void bufq_drain(struct bufq *q, size_t n);

/** Copy n bytes, 0 .. q->len - offset, from offset to dst without removing them. */
void bufq_copy(const struct bufq *q, size_t offset, void *dst, size_t n);
