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

static void set_alloc_funcs(void)
{
    json_set_alloc_funcs(malloc, wipe_and_free);
}

void doc_wipe_when_freed(void)
{
    /* It never fails with a pointer to an initialized once. */
    (void)pthread_once(&once, set_alloc_funcs);
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

/* ---- copying ---- */

static enum rc copy_object(const json_t *v, json_t *to)
{
    const char *key;
    json_t *value;

    /* jansson's iterators want an object that could be changed, and do not change it. */
    json_object_foreach((json_t *)(uintptr_t)v, key, value)
    {
        json_t *copy = NULL;
        TRY(doc_copy(value, &copy));
        if (json_object_set_new(to, key, copy) != 0) {
            return RC_NO_MEMORY;
        }
    }
    return RC_OK;
}

static enum rc copy_array(const json_t *v, json_t *to)
{
    for (size_t i = 0; i < json_array_size(v); i++) {
        json_t *copy = NULL;
        TRY(doc_copy(json_array_get(v, i), &copy));
        if (json_array_append_new(to, copy) != 0) {
            return RC_NO_MEMORY;
        }
    }
    return RC_OK;
}

enum rc doc_copy(const json_t *v, json_t **out)
{
    bool object = json_is_object(v);
    bool array = json_is_array(v);
    json_t *to = object ? json_object() : array ? json_array() : json_deep_copy(v);

    if (to == NULL) {
        return RC_NO_MEMORY;
    }
    enum rc rc = object ? copy_object(v, to) : array ? copy_array(v, to) : RC_OK;
    if (rc != RC_OK) {
        json_decref(to);
        return rc;
    }
    *out = to;
    return RC_OK;
}
