/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/registry/policy_text.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void policy_text_init(struct policy_text *t, char *buf, size_t cap)
{
    *t = (struct policy_text){.buf = buf, .cap = cap};
    buf[0] = '\0';
}

void policy_text_add(struct policy_text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int wrote = vsnprintf(t->buf + t->n, t->cap - t->n, fmt, args);
    va_end(args);
    size_t room = t->cap - t->n - 1;
    size_t n = wrote > 0 ? (size_t)wrote : 0;
    t->n += n < room ? n : room;
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void policy_text_quote(struct policy_text *t, const char *s, size_t n)
{
    char quoted[POLICY_QUOTE_BYTES + 8];
    struct policy_text q;
    size_t i = 0;
    policy_text_init(&q, quoted, sizeof(quoted));
    for (; i < n && q.n < POLICY_QUOTE_BYTES; i++) {
        unsigned char c = (unsigned char)s[i];
        policy_text_add(&q, is_plain(c) ? "%c" : "\\x%02x", c);
    }
    policy_text_add(t, "\"%s\"%s", quoted, i < n ? "..." : "");
}

void policy_text_list(struct policy_text *t, char *const *list)
{
    size_t n = 0;
    for (; list[n] != NULL && n < POLICY_LIST_MAX; n++) {
        policy_text_add(t, "%s", n == 0 ? "" : ", ");
        policy_text_quote(t, list[n], strlen(list[n]));
    }
    size_t more = 0;
    while (list[n + more] != NULL) {
        more++;
    }
    if (more > 0) {
        policy_text_add(t, " and %zu more", more);
    }
}
