/* SPDX-License-Identifier: Apache-2.0 */
/* JSON by jansson. Its bounds are fixed when it is built, so ours are checked before it reads. */
#include <stdlib.h>
#include <string.h>

#include "core/doc/doc.h"
#include "core/doc/doc_internal.h"

/* A place in a text, kept while walking over it. */
struct place {
    uint32_t line;
    uint32_t column;
};

static void step(struct place *p, char c)
{
    if (c == '\n') {
        p->line++;
        p->column = 1;
    } else if (((unsigned char)c & 0xC0) != 0x80) {
        p->column++;
    }
}

/*
 * Depth and number of values, without reading: brackets and commas outside of strings. In a text
 * that is no JSON the numbers mean nothing, but jansson refuses that one anyway, and never makes
 * more of it than is counted here.
 */
static enum rc check_bounds(const char *text, size_t n, size_t max_values, struct doc_error *err)
{
    struct place at = {1, 1};
    size_t n_values = 1;
    size_t depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '"') {
            in_string = !in_string;
        } else if (in_string && c == '\\' && i + 1 < n) {
            step(&at, c);
            c = text[++i];
        } else if (!in_string && (c == '[' || c == '{')) {
            depth++;
            n_values++;
        } else if (!in_string && (c == ']' || c == '}')) {
            depth -= depth > 0;
        } else if (!in_string && c == ',') {
            n_values++;
        }
        if (depth > DOC_MAX_DEPTH) {
            return doc_fail(err, at.line, at.column, "nested deeper than %d levels", DOC_MAX_DEPTH);
        }
        if (n_values > max_values) {
            return doc_fail(err, at.line, at.column, "more than %zu values", max_values);
        }
        step(&at, c);
    }
    return RC_OK;
}

/* jansson's own texts quote what they stumbled over, which may be a secret. */
static const char *text_of(enum json_error_code code)
{
    switch (code) {
    case json_error_invalid_utf8:
        return "this is not UTF-8";
    case json_error_premature_end_of_input:
        return "the JSON text ends too early";
    case json_error_end_of_input_expected:
        return "something follows after the end of the JSON value";
    case json_error_duplicate_key:
        return "this key is already in the same object";
    case json_error_numeric_overflow:
        return "this number does not fit in 64 bits";
    case json_error_null_byte_in_key:
        return "this key holds a NUL";
    case json_error_stack_overflow:
        return "nested too deep";
    case json_error_unknown:
    case json_error_out_of_memory:
    case json_error_cannot_open_file:
    case json_error_invalid_argument:
    case json_error_invalid_syntax:
    case json_error_invalid_format:
    case json_error_wrong_type:
    case json_error_null_character:
    case json_error_null_value:
    case json_error_item_not_found:
    case json_error_index_out_of_range:
        break;
    }
    return "this is not JSON";
}

enum rc doc_parse_json(const char *text, size_t n, struct doc_error *err, json_t **out)
{
    TRY(doc_check_size(n, err));
    return doc_parse_json_within(text, n, DOC_MAX_VALUES, err, out);
}

enum rc doc_parse_json_within(const char *text, size_t n, size_t max_values, struct doc_error *err,
                              json_t **out)
{
    json_error_t e = {.line = 0};

    TRY(check_bounds(text, n, max_values, err));
    doc_memory_watch();
    json_t *v = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    if (doc_memory_was_short()) {
        json_decref(v);
        explicit_bzero(&e, sizeof(e));
        return RC_NO_MEMORY;
    }
    if (v != NULL) {
        *out = v;
        return RC_OK;
    }
    enum json_error_code code = json_error_code(&e);
    explicit_bzero(e.text, sizeof(e.text));
    return doc_fail(err, e.line > 0 ? (uint32_t)e.line : 1, e.column > 0 ? (uint32_t)e.column : 1,
                    "%s", text_of(code));
}

/* ---- writing ---- */

static enum rc write_json(const json_t *v, size_t flags, char **out, size_t *n)
{
    doc_memory_watch();
    char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | flags);
    if (text == NULL || doc_memory_was_short()) {
        if (text != NULL) {
            explicit_bzero(text, strlen(text));
        }
        free(text);
        return RC_NO_MEMORY;
    }
    if (n != NULL) {
        *n = strlen(text);
    }
    *out = text;
    return RC_OK;
}

enum rc doc_write_json(const json_t *v, char **out, size_t *n)
{
    return write_json(v, JSON_SORT_KEYS, out, n);
}

enum rc doc_write_json_as_set(const json_t *v, char **out, size_t *n)
{
    return write_json(v, 0, out, n);
}
