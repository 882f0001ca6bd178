/* SPDX-License-Identifier: Apache-2.0 */
#include "core/doc/doc.h"

#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/doc/doc_internal.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void wipe_and_free(void *p)
{
    if (p != NULL) {
        explicit_bzero(p, malloc_usable_size(p));
        free(p);
    }
}

/* jansson (2.14) ignores in many places that there is no memory: it copies objects without some of
 * their values, cuts texts that it reads and leaves out keys that it writes. */
static _Thread_local bool was_short;

static void *allocate(size_t n)
{
    void *p = malloc(n);

    was_short = was_short || p == NULL;
    return p;
}

static void set_alloc_funcs(void)
{
    json_set_alloc_funcs(allocate, wipe_and_free);
}

void doc_memory_watch(void)
{
    /* It never fails with a pointer to an initialized once. */
    (void)pthread_once(&once, set_alloc_funcs);
    was_short = false;
}

bool doc_memory_was_short(void)
{
    return was_short;
}

enum rc doc_fail(struct doc_error *err, uint32_t line, uint32_t column, const char *fmt, ...)
{
    va_list ap;

    err->line = line;
    err->column = column;
    va_start(ap, fmt);
    (void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    return RC_INVALID;
}

enum rc doc_check_size(size_t n, struct doc_error *err)
{
    if (n > DOC_MAX_BYTES) {
        return doc_fail(err, 1, 1, "longer than %u bytes", DOC_MAX_BYTES);
    }
    return RC_OK;
}

static const json_t *walk(const json_t *v, va_list keys)
{
    const char *key;

    while (v != NULL && (key = va_arg(keys, const char *)) != NULL) {
        v = json_object_get(v, key);
    }
    return v;
}

const json_t *doc_at(const json_t *v, ...)
{
    va_list keys;

    va_start(keys, v);
    v = walk(v, keys);
    va_end(keys);
    return v;
}

const char *doc_text(const json_t *v, ...)
{
    va_list keys;

    va_start(keys, v);
    v = walk(v, keys);
    va_end(keys);
    const char *text = json_string_value(v);
    return text != NULL && strlen(text) == json_string_length(v) ? text : NULL;
}

bool doc_is_text(const json_t *v, const char *key, const char *text)
{
    const char *value = doc_text(v, key, NULL);

    return value != NULL && strcmp(value, text) == 0;
}

bool doc_set(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}

bool doc_append(json_t *list, json_t *value)
{
    return json_array_append_new(list, value) == 0;
}

void doc_make_utf8(char *text)
{
    json_t *v = json_string(text); /* NULL when it is none */

    for (char *c = text; v == NULL && *c != '\0'; c++) {
        *c = (char)((unsigned char)*c < 0x80 ? *c : '?');
    }
    json_decref(v);
}

void doc_make_printable(char *text)
{
    for (char *c = text; *c != '\0'; c++) {
        *c = (char)((unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c);
    }
    doc_make_utf8(text);
}

enum rc doc_copy(const json_t *v, json_t **out)
{
    doc_memory_watch();
    json_t *copy = json_deep_copy(v);
    if (doc_memory_was_short()) {
        json_decref(copy);
        return RC_NO_MEMORY;
    }
    *out = copy;
    return RC_OK;
}
