/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/lines.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"

#define KUBE_LINES_MAGIC 0x11e50f3du
#define FIRST_BYTES 4096

void kube_lines_init(struct kube_lines *l, size_t max_bytes)
{
    CHECK(max_bytes > 0);
    *l = (struct kube_lines){.magic = KUBE_LINES_MAGIC, .max = max_bytes};
}

void kube_lines_fini(struct kube_lines *l)
{
    CHECK_MAGIC(l, KUBE_LINES_MAGIC);
    free(l->buf);
    *l = (struct kube_lines){0};
}

/* Room for one byte more than the longest line: a "\r" that belongs to the end. */
static enum rc keep(struct kube_lines *l, const char *bytes, size_t n)
{
    if (n > l->max + 1 - l->n) {
        return RC_PEER_LIMIT;
    }
    if (l->n + n > l->size) {
        size_t size = l->size > 0 ? l->size : FIRST_BYTES;
        while (size < l->n + n) {
            size *= 2;
        }
        char *buf = realloc(l->buf, size);
        if (buf == NULL) {
            return RC_NO_MEMORY;
        }
        l->buf = buf;
        l->size = size;
    }
    if (n > 0) {
        memcpy(l->buf + l->n, bytes, n);
        l->n += n;
    }
    return RC_OK;
}

static enum rc hand_over(const struct kube_lines *l, const char *line, size_t n,
                         kube_line_fn *on_line, void *arg)
{
    if (n > 0 && line[n - 1] == '\r') {
        n--;
    }
    if (n > l->max) {
        return RC_PEER_LIMIT;
    }
    return n == 0 || on_line(arg, line, n) ? RC_OK : RC_EOF;
}

enum rc kube_lines_feed(struct kube_lines *l, const char *bytes, size_t n, kube_line_fn *on_line,
                        void *arg)
{
    CHECK_MAGIC(l, KUBE_LINES_MAGIC);
    while (n > 0) {
        const char *end = memchr(bytes, '\n', n);
        size_t part = end != NULL ? (size_t)(end - bytes) : n;
        if (end == NULL) {
            return keep(l, bytes, part);
        }
        if (l->n == 0) {
            TRY(hand_over(l, bytes, part, on_line, arg));
        } else {
            TRY(keep(l, bytes, part));
            size_t whole = l->n;
            l->n = 0;
            TRY(hand_over(l, l->buf, whole, on_line, arg));
        }
        bytes += part + 1;
        n -= part + 1;
    }
    return RC_OK;
}
