/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of documents. Include after cmocka.h. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "core/doc/doc.h"

typedef enum rc (*parse_fn)(const char *text, size_t n, struct doc_error *err, json_t **out);

/** Read from a block of exactly that size, so that AddressSanitizer sees each byte too many. */
static inline enum rc parse_exact(parse_fn parse, const char *text, size_t n, struct doc_error *err,
                                  json_t **out)
{
    char *copy = malloc(n > 0 ? n : 1);
    assert_non_null(copy);
    for (size_t i = 0; i < n; i++) {
        copy[i] = text[i];
    }
    enum rc rc = parse(copy, n, err, out);
    free(copy);
    return rc;
}

/** The text must be read; the value is the caller's. */
static inline json_t *accept_bytes(parse_fn parse, const char *text, size_t n)
{
    struct doc_error err = {.line = 0};
    json_t *v = NULL;
    enum rc rc = parse_exact(parse, text, n, &err, &v);
    if (rc != RC_OK) {
        print_error("%.60s: %u:%u: %s\n", text, err.line, err.column, err.text);
    }
    assert_int_equal(rc, RC_OK);
    assert_non_null(v);
    return v;
}

static inline json_t *accept_text(parse_fn parse, const char *text)
{
    return accept_bytes(parse, text, strlen(text));
}

/** The text must be refused with this place and these words, and nothing must be handed out. */
static inline void refuse_bytes(parse_fn parse, const char *text, size_t n, uint32_t line,
                                uint32_t column, const char *what)
{
    struct doc_error err = {.line = 0};
    json_t *v = NULL;
    enum rc rc = parse_exact(parse, text, n, &err, &v);
    if (rc != RC_INVALID || err.line != line || err.column != column ||
        strstr(err.text, what) == NULL) {
        print_error("%.60s: expected %u:%u: %s, said %u:%u: %s\n", text, line, column, what,
                    err.line, err.column, err.text);
    }
    assert_int_equal(rc, RC_INVALID);
    assert_null(v);
    assert_int_equal(err.line, line);
    assert_int_equal(err.column, column);
    assert_non_null(strstr(err.text, what));
}

static inline void refuse_text(parse_fn parse, const char *text, uint32_t line, uint32_t column,
                               const char *what)
{
    refuse_bytes(parse, text, strlen(text), line, column, what);
}

/** The text must be read as what the JSON text says. */
static inline void assert_reads_as(parse_fn parse, const char *text, const char *json)
{
    json_t *v = accept_text(parse, text);
    char *said = NULL;
    assert_int_equal(doc_write_json(v, &said, NULL), RC_OK);
    assert_string_equal(said, json);
    free(said);
    json_decref(v);
}

/** n times `part`, then `end`; owned by the caller. */
static inline char *repeat(const char *part, size_t n, const char *end)
{
    size_t len = strlen(part);
    char *text = malloc(n * len + strlen(end) + 1);
    assert_non_null(text);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < len; j++) {
            text[i * len + j] = part[j];
        }
    }
    for (size_t j = 0; j <= strlen(end); j++) {
        text[n * len + j] = end[j];
    }
    return text;
}
