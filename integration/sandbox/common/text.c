/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strings of the sandbox: a growing text, a list of names, numbers.
 * Memory that cannot be had ends the process; nothing here returns NULL.
 */
#include "integration/sandbox/common/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *or_die(void *p)
{
    if (p == NULL) {
        fputs("sandbox: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *sbx_alloc(size_t n_bytes)
{
    return or_die(calloc(1, n_bytes == 0 ? 1 : n_bytes));
}

char *sbx_strndup(const char *s, size_t n)
{
    return or_die(strndup(s, n));
}

char *sbx_strdup(const char *s)
{
    return or_die(strdup(s == NULL ? "" : s));
}

static void text_reserve(struct text *t, size_t n_more)
{
    size_t need = t->len + n_more + 1;

    if (need <= t->cap) {
        return;
    }
    t->cap = need < 128 ? 128 : need * 2;
    t->p = or_die(realloc(t->p, t->cap));
}

void text_add_n(struct text *t, const char *s, size_t n)
{
    text_reserve(t, n);
    if (n > 0) {
        memcpy(t->p + t->len, s, n);
    }
    t->len += n;
    t->p[t->len] = '\0';
}

void text_add(struct text *t, const char *s)
{
    text_add_n(t, s, strlen(s));
}

void text_addf(struct text *t, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        return;
    }
    text_reserve(t, (size_t)n);
    va_start(ap, fmt);
    (void)vsnprintf(t->p + t->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    t->len += (size_t)n;
}

const char *text_str(const struct text *t)
{
    return t->p == NULL ? "" : t->p;
}

char *text_take(struct text *t)
{
    char *p = t->p == NULL ? sbx_strdup("") : t->p;

    *t = (struct text){0};
    return p;
}

void text_fini(struct text *t)
{
    free(t->p);
    *t = (struct text){0};
}

void names_add(struct names *l, const char *s)
{
    if (l->n == l->cap) {
        l->cap = l->cap == 0 ? 4 : l->cap * 2;
        l->v = or_die(realloc(l->v, l->cap * sizeof(l->v[0])));
    }
    l->v[l->n++] = sbx_strdup(s);
}

bool names_has(const struct names *l, const char *s)
{
    for (size_t i = 0; i < l->n; i++) {
        if (strcmp(l->v[i], s) == 0) {
            return true;
        }
    }
    return false;
}

bool names_remove(struct names *l, const char *s)
{
    for (size_t i = 0; i < l->n; i++) {
        if (strcmp(l->v[i], s) == 0) {
            free(l->v[i]);
            l->v[i] = l->v[--l->n];
            return true;
        }
    }
    return false;
}

void names_fini(struct names *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->v[i]);
    }
    free(l->v);
    *l = (struct names){0};
}

void names_split(struct names *out, const char *s, char sep)
{
    while (*s != '\0') {
        const char *end = strchr(s, sep);
        size_t n = end == NULL ? strlen(s) : (size_t)(end - s);

        if (n > 0) {
            char *part = sbx_strndup(s, n);

            names_add(out, part);
            free(part);
        }
        s += n;
        if (*s == sep) {
            s++;
        }
    }
}

bool sbx_parse_number(const char *s, int64_t min, int64_t max, int64_t *out)
{
    char *end = NULL;
    long long v;

    if (*s == '\0' || strspn(s, "-0123456789") != strlen(s)) {
        return false;
    }
    errno = 0;
    v = strtoll(s, &end, 10);
    if (errno != 0 || *end != '\0' || v < min || v > max) {
        return false;
    }
    *out = v;
    return true;
}
