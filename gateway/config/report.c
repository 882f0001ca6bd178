/* SPDX-License-Identifier: Apache-2.0 */
/* Collected configuration errors. See report.h. */
#include "gateway/config/report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/hex.h"

/** Characters of the file's own text that an error line repeats. */
#define QUOTE_MAX_CHARS 60

/** The longest message, with room for two quoted texts. */
#define LINE_BYTES 1024

void report_init(struct report *r, const char *path)
{
    *r = (struct report){.path = path};
}

void report_fini(struct report *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->lines[i].text);
    }
    free(r->lines);
    *r = (struct report){.path = r->path};
}

static bool make_room(struct report *r)
{
    if (r->n < r->cap) {
        return true;
    }
    size_t cap = r->cap == 0 ? 16 : r->cap * 2;
    struct report_line *lines = realloc(r->lines, cap * sizeof(*lines));
    if (lines == NULL) {
        return false;
    }
    r->lines = lines;
    r->cap = cap;
    return true;
}

void report_add(struct report *r, uint32_t line, uint32_t column, const char *fmt, ...)
{
    if (r->n == REPORT_MAX_LINES) {
        r->left_out++;
        return;
    }
    char text[LINE_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    char *copy = strdup(text);
    if (copy == NULL || !make_room(r)) {
        free(copy);
        r->no_memory = true;
        return;
    }
    r->lines[r->n++] = (struct report_line){.line = line, .column = column, .text = copy};
}

static bool comes_after(const struct report_line *a, const struct report_line *b)
{
    return a->line != b->line ? a->line > b->line : a->column > b->column;
}

/* Insertion sort: stable, few lines, and they come nearly in order. */
static void sort_lines(struct report *r)
{
    for (size_t i = 1; i < r->n; i++) {
        struct report_line l = r->lines[i];
        size_t k = i;
        for (; k > 0 && comes_after(&r->lines[k - 1], &l); k--) {
            r->lines[k] = r->lines[k - 1];
        }
        r->lines[k] = l;
    }
}

void report_write(struct report *r, FILE *f)
{
    sort_lines(r);
    for (size_t i = 0; i < r->n; i++) {
        const struct report_line *l = &r->lines[i];
        (void)fprintf(f, "%s:%u:%u: %s\n", r->path, (unsigned)l->line, (unsigned)l->column,
                      l->text);
    }
    if (r->left_out > 0) {
        (void)fprintf(f, "%s: %zu more errors\n", r->path, r->left_out);
    }
}

bool report_any(const struct report *r)
{
    return r->n > 0;
}

const char *report_quote(char *buf, const char *text, size_t n)
{
    size_t o = 0;
    buf[o++] = '"';
    for (size_t i = 0; i < n && i < QUOTE_MAX_CHARS; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c < 0x7f) {
            buf[o++] = (char)c;
            continue;
        }
        buf[o++] = '\\';
        buf[o++] = 'x';
        (void)hex_write(&buf[o], &c, 1);
        o += 2;
    }
    buf[o++] = '"';
    buf[o] = '\0';
    if (n > QUOTE_MAX_CHARS) {
        (void)snprintf(buf + o, REPORT_QUOTE_BYTES - o, "...");
    }
    return buf;
}
