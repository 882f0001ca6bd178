/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/bufq.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"

/*
 * Small payloads (a health report, an ACK) get a small chunk: thousands of queues that hold 100
 * bytes each must not hold 16 KiB each.
 */
#define SMALL_CHUNK_BYTES 1000

struct bufq_chunk {
    struct bufq_chunk *next;
    uint32_t start;
    uint32_t end;
    uint32_t size;
    uint8_t data[];
};

void bufq_pool_init(struct bufq_pool *p, uint32_t max_free)
{
    *p = (struct bufq_pool){.max_free = max_free};
}

void bufq_pool_fini(struct bufq_pool *p)
{
    CHECK(p->used_bytes == 0);
    while (p->free != NULL) {
        struct bufq_chunk *c = p->free;
        p->free = c->next;
        free(c);
    }
    p->n_free = 0;
}

static struct bufq_chunk *get_chunk(struct bufq_pool *p, size_t want)
{
    uint32_t size = want <= SMALL_CHUNK_BYTES ? SMALL_CHUNK_BYTES : BUFQ_CHUNK_BYTES;
    struct bufq_chunk *c;

    if (size == BUFQ_CHUNK_BYTES && p->free != NULL) {
        c = p->free;
        p->free = c->next;
        p->n_free--;
    } else {
        c = malloc(sizeof(*c) + size);
        if (c == NULL) {
            return NULL;
        }
    }
    *c = (struct bufq_chunk){.size = size};
    p->used_bytes += size;
    return c;
}

static void put_chunk(struct bufq_pool *p, struct bufq_chunk *c)
{
    p->used_bytes -= c->size;
    if (c->size == BUFQ_CHUNK_BYTES && p->n_free < p->max_free) {
        c->next = p->free;
        p->free = c;
        p->n_free++;
    } else {
        free(c);
    }
}

void bufq_init(struct bufq *q, struct bufq_pool *pool, size_t cap)
{
    *q = (struct bufq){.pool = pool, .cap = cap};
}

void bufq_clear(struct bufq *q)
{
    while (q->head != NULL) {
        struct bufq_chunk *c = q->head;
        q->head = c->next;
        put_chunk(q->pool, c);
    }
    q->tail = NULL;
    q->len = 0;
}

/* Chunks for n bytes beyond what the tail can take; false when memory is short (none are kept). */
static bool reserve(struct bufq_pool *pool, size_t n, struct bufq_chunk **first)
{
    struct bufq_chunk **end = first;
    *first = NULL;
    while (n > 0) {
        struct bufq_chunk *c = get_chunk(pool, n);
        if (c == NULL) {
            while (*first != NULL) {
                c = *first;
                *first = c->next;
                put_chunk(pool, c);
            }
            return false;
        }
        *end = c;
        end = &c->next;
        n = n > c->size ? n - c->size : 0;
    }
    return true;
}

static size_t fill(struct bufq_chunk *c, const uint8_t *data, size_t n)
{
    size_t room = c->size - c->end;
    size_t take = n < room ? n : room;
    memcpy(c->data + c->end, data, take);
    c->end += (uint32_t)take;
    return take;
}

enum rc bufq_append(struct bufq *q, const void *data, size_t n)
{
    const uint8_t *p = data;
    struct bufq_chunk *more;

    if (n == 0) {
        return RC_OK;
    }
    if (n > q->cap || q->len > q->cap - n) {
        return RC_FULL;
    }
    size_t room = q->tail != NULL ? q->tail->size - q->tail->end : 0;
    if (!reserve(q->pool, n > room ? n - room : 0, &more)) {
        return RC_NO_MEMORY;
    }
    q->len += n;
    if (q->tail != NULL) {
        size_t done = fill(q->tail, p, n);
        p += done;
        n -= done;
        q->tail->next = more;
    } else {
        q->head = more;
    }
    for (struct bufq_chunk *c = more; c != NULL; c = c->next) {
        size_t done = fill(c, p, n);
        p += done;
        n -= done;
        q->tail = c;
    }
    CHECK(n == 0);
    return RC_OK;
}

const uint8_t *bufq_peek(const struct bufq *q, size_t *n)
{
    if (q->head == NULL) {
        *n = 0;
        return NULL;
    }
    *n = q->head->end - q->head->start;
    return q->head->data + q->head->start;
}

void bufq_drain(struct bufq *q, size_t n)
{
    CHECK(n <= q->len);
    q->len -= n;
    while (n > 0) {
        struct bufq_chunk *c = q->head;
        CHECK(c != NULL);
        size_t have = c->end - c->start;
        if (n < have) {
            c->start += (uint32_t)n;
            return;
        }
        n -= have;
        q->head = c->next;
        if (q->head == NULL) {
            q->tail = NULL;
        }
        put_chunk(q->pool, c);
    }
}

void bufq_copy(const struct bufq *q, size_t offset, void *dst, size_t n)
{
    uint8_t *out = dst;

    CHECK(offset <= q->len && n <= q->len - offset);
    for (const struct bufq_chunk *c = q->head; n > 0; c = c->next) {
        size_t have = c->end - c->start;
        if (offset >= have) {
            offset -= have;
            continue;
        }
        size_t take = have - offset < n ? have - offset : n;
        memcpy(out, c->data + c->start + offset, take);
        out += take;
        n -= take;
        offset = 0;
    }
}
