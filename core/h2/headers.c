/* SPDX-License-Identifier: Apache-2.0 */
#include "core/h2/headers.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/wipe.h"

/* Credentials are not left behind in memory that is free. */
static void free_arena(struct h2_headers *h)
{
    if (h->secret) {
        wipe_free(h->arena, h->len);
    } else {
        free(h->arena);
    }
}

void h2_headers_fini(struct h2_headers *h)
{
    free_arena(h);
    free(h->items);
    *h = (struct h2_headers){0};
}

/* Not by realloc(): it may leave a copy behind. */
static enum rc grow_arena(struct h2_headers *h, size_t more)
{
    size_t cap = h->cap == 0 ? 512 : h->cap;

    while (cap < h->len + more) {
        cap *= 2;
    }
    if (cap == h->cap) {
        return RC_OK;
    }
    char *p = malloc(cap);
    if (p == NULL) {
        return RC_NO_MEMORY;
    }
    if (h->len > 0) {
        memcpy(p, h->arena, h->len);
    }
    free_arena(h);
    h->arena = p;
    h->cap = cap;
    return RC_OK;
}

static enum rc grow_items(struct h2_headers *h)
{
    if (h->n < h->n_cap) {
        return RC_OK;
    }
    size_t cap = h->n_cap == 0 ? 12 : h->n_cap * 2;
    struct h2_header *p = realloc(h->items, cap * sizeof(*p));
    if (p == NULL) {
        return RC_NO_MEMORY;
    }
    h->items = p;
    h->n_cap = cap;
    return RC_OK;
}

static uint32_t put(struct h2_headers *h, const char *data, size_t n)
{
    uint32_t at = (uint32_t)h->len;
    if (n > 0) {
        memcpy(h->arena + h->len, data, n);
    }
    h->len += n;
    return at;
}

enum rc h2_headers_add(struct h2_headers *h, const char *name, size_t name_len, const char *value,
                       size_t value_len, bool never_index)
{
    TRY(grow_items(h));
    TRY(grow_arena(h, name_len + value_len));
    struct h2_header *i = &h->items[h->n++];
    i->name_len = (uint32_t)name_len;
    i->value_len = (uint32_t)value_len;
    i->name_at = put(h, name, name_len);
    i->value_at = put(h, value, value_len);
    i->never_index = never_index;
    h->secret = h->secret || never_index;
    return RC_OK;
}

enum rc h2_headers_add_str(struct h2_headers *h, const char *name, const char *value)
{
    return h2_headers_add(h, name, strlen(name), value, strlen(value), false);
}

const char *h2_header_name(const struct h2_headers *h, size_t i)
{
    CHECK(i < h->n);
    return h->arena + h->items[i].name_at;
}

const char *h2_header_value(const struct h2_headers *h, size_t i)
{
    CHECK(i < h->n);
    return h->arena + h->items[i].value_at;
}

bool h2_header_is(const struct h2_headers *h, size_t i, const char *name)
{
    size_t n = strlen(name);
    return h->items[i].name_len == n && memcmp(h2_header_name(h, i), name, n) == 0;
}

const char *h2_headers_find(const struct h2_headers *h, const char *name, size_t *len)
{
    for (size_t i = 0; i < h->n; i++) {
        if (h2_header_is(h, i, name)) {
            *len = h->items[i].value_len;
            return h2_header_value(h, i);
        }
    }
    return NULL;
}

size_t h2_headers_count(const struct h2_headers *h, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < h->n; i++) {
        count += h2_header_is(h, i, name);
    }
    return count;
}

size_t h2_headers_bytes(const struct h2_headers *h)
{
    return h->len + 32 * h->n;
}

void h2_headers_take(struct h2_headers *h, struct h2_headers *other)
{
    h2_headers_fini(h);
    *h = *other;
    *other = (struct h2_headers){0};
}
