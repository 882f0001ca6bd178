/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The errors of one reading of the configuration, collected and written in the order of the file.
 * Memory that runs out on the way is kept here too, so that the readers need not pass it up. One
 * thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** Lines that are kept; the rest is only counted (a file of the wrong kind has thousands). */
#define REPORT_MAX_LINES 1000

/** Room for report_quote(): 60 characters of at most 4 bytes, quotes, dots, a final zero. */
#define REPORT_QUOTE_BYTES 256

struct report_line {
    uint32_t line;   /**< 1 or more */
    uint32_t column; /**< 1 or more */
    char *text;      /**< owned */
};

struct report {
    const char *path;          /**< borrowed; the file's name as given */
    struct report_line *lines; /**< owned */
    size_t n;                  /**< 0 .. REPORT_MAX_LINES */
    size_t cap;
    size_t left_out; /**< errors beyond REPORT_MAX_LINES */
    bool no_memory;  /**< an allocation failed: the whole reading fails */
};

/** An empty report about path (borrowed). Never fails. */
void report_init(struct report *r, const char *path);

/** Free the lines. */
void report_fini(struct report *r);

/** Add an error at line and column, both 1 or more. Sets r->no_memory when it cannot be kept. */
void report_add(struct report *r, uint32_t line, uint32_t column, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/** Write all lines, sorted by position, as PATH:LINE:COLUMN: TEXT. Errors of f are ignored. */
void report_write(struct report *r, FILE *f);

/** Were there errors? */
bool report_any(const struct report *r);

/** Text of the file (n bytes) as it may be shown: in quotes, short, everything but printable ASCII
 * escaped. Into buf of REPORT_QUOTE_BYTES; returns buf. */
const char *report_quote(char *buf, const char *text, size_t n);
