/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of this folder. */
#pragma once

#include <stdbool.h>

#include "core/doc/doc.h"

/** What a plain scalar of YAML is. */
enum doc_kind {
    DOC_TEXT,
    DOC_NULL,
    DOC_BOOL,
    DOC_INTEGER,
    DOC_REAL,
    DOC_ENDLESS /**< infinity or not-a-number: JSON has no such thing */
};

struct doc_scalar {
    enum doc_kind kind;
    bool truth;         /**< of a DOC_BOOL */
    json_int_t integer; /**< of a DOC_INTEGER */
    double real;        /**< of a DOC_REAL; finite */
};

/** What n bytes without quotes mean. Never fails. */
struct doc_scalar doc_resolve(const char *text, size_t n);

/** Would some reader of YAML take these n bytes, without quotes, for something else than text? More
 * careful than doc_resolve(), which speaks for one reader only. */
bool doc_needs_quotes(const char *text, size_t n);

/** Let jansson wipe what it frees, from now on, and note in this thread when there is no memory for
 * it. Any thread, cheap. */
void doc_memory_watch(void);

/** Was there no memory for jansson in this thread since doc_memory_watch()? Then what it made is
 * not to be trusted, whatever it says. */
bool doc_memory_was_short(void);

/** Fill err. Returns RC_INVALID. */
enum rc doc_fail(struct doc_error *err, uint32_t line, uint32_t column, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/** The text is longer than DOC_MAX_BYTES: RC_INVALID. */
enum rc doc_check_size(size_t n, struct doc_error *err) MUST_USE;
