/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/xds_text.h"

#include <string.h>

#include "core/base/check.h"

static void replace_nul(char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        text[i] = text[i] == '\0' ? ' ' : text[i];
    }
}

void xds_text_add(struct xds_text *t, char *to, size_t room, const uint8_t *data, size_t n)
{
    CHECK(t->n < room && room <= UINT16_MAX);
    size_t left = room - 1 - t->n;
    size_t take = n < left ? n : left;

    if (t->bad || !utf8_feed(&t->utf8, data, n)) {
        t->bad = true;
        return;
    }
    memcpy(to + t->n, data, take);
    if (memchr(data, '\0', n) != NULL) {
        t->nul = true;
        replace_nul(to + t->n, take);
    }
    t->n = (uint16_t)(t->n + take);
    t->cut |= take < n;
}

bool xds_text_end(struct xds_text *t, char *to)
{
    t->bad |= !utf8_is_whole(&t->utf8);
    if (t->cut) {
        t->n = (uint16_t)utf8_whole_bytes(to, t->n);
    }
    to[t->n] = '\0';
    return !t->bad;
}
