/* SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap/bundle_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "core/base/check.h"

#define TEXT_MAGIC 0x7e97ac31u

/** 57 bytes are 76 characters. */
#define BASE64_LINE_BYTES 57

void text_init(struct text *t)
{
    *t = (struct text){.magic = TEXT_MAGIC, .error = RC_OK};
}

static void drop(struct text *t)
{
    if (t->data != NULL) {
        explicit_bzero(t->data, t->n);
        free(t->data);
    }
}

void text_fini(struct text *t)
{
    CHECK_MAGIC(t, TEXT_MAGIC);
    drop(t);
    text_init(t);
}

enum rc text_result(const struct text *t)
{
    CHECK_MAGIC(t, TEXT_MAGIC);
    return t->error;
}

/* Room for n more bytes. Not by realloc(), which would leave a copy behind. */
static bool make_room(struct text *t, size_t n)
{
    if (t->error != RC_OK) {
        return false;
    }
    if (n > TEXT_MAX_BYTES - t->n) {
        t->error = RC_FULL;
        return false;
    }
    if (n <= t->room - t->n) {
        return true;
    }
    size_t room = t->room > 0 ? t->room : 4096;
    while (room - t->n < n) {
        room *= 2;
    }
    char *data = malloc(room);
    if (data == NULL) {
        t->error = RC_NO_MEMORY;
        return false;
    }
    if (t->n > 0) {
        memcpy(data, t->data, t->n);
    }
    drop(t);
    t->data = data;
    t->room = room;
    return true;
}

void text_add(struct text *t, const void *data, size_t n)
{
    CHECK_MAGIC(t, TEXT_MAGIC);
    if (n > 0 && make_room(t, n)) {
        memcpy(t->data + t->n, data, n);
        t->n += n;
    }
}

void text_put(struct text *t, const char *string)
{
    text_add(t, string, strlen(string));
}

void text_printf(struct text *t, const char *fmt, ...)
{
    char buf[512];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(buf, sizeof(buf), fmt, args);
    va_end(args);
    text_put(t, buf);
}

void text_zeros(struct text *t, size_t n)
{
    CHECK_MAGIC(t, TEXT_MAGIC);
    if (n > 0 && make_room(t, n)) {
        memset(t->data + t->n, 0, n);
        t->n += n;
    }
}

void text_base64(struct text *t, const void *data, size_t n)
{
    const unsigned char *p = data;
    unsigned char line[BASE64_LINE_BYTES / 3 * 4 + 1];

    while (n > 0) {
        size_t part = n < BASE64_LINE_BYTES ? n : BASE64_LINE_BYTES;
        int len = EVP_EncodeBlock(line, p, (int)part);
        text_add(t, line, (size_t)len);
        text_put(t, "\n");
        p += part;
        n -= part;
    }
    explicit_bzero(line, sizeof(line));
}

void text_indented(struct text *t, const char *lines, size_t n, unsigned blanks)
{
    while (n > 0) {
        const char *end = memchr(lines, '\n', n);
        size_t len = end != NULL ? (size_t)(end - lines) : n;
        if (len > 0) {
            text_printf(t, "%*s", (int)blanks, "");
            text_add(t, lines, len);
        }
        text_put(t, "\n");
        size_t step = end != NULL ? len + 1 : len;
        lines += step;
        n -= step;
    }
}
