/* SPDX-License-Identifier: Apache-2.0 */
/* A table for a terminal: columns as wide as their widest cell, three blanks between them, as
 * kubectl and istioctl write theirs. What strangers said is made harmless here. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "core/base/rc.h"

/** Characters. A longer text is cut, so that one VM with a long name leaves the table readable. */
#define TABLE_CELL_WIDTH 64

struct table {
    char **cells; /**< owned, row by row; the first row is the head */
    size_t n_cells;
    size_t room;
    size_t n_columns;
    bool failed; /**< a cell could not be copied */
};

/** An empty table of n columns. */
void table_init(struct table *t, size_t n_columns);

/** The next cell, from left to right and from top to bottom: a copy of text, "-" for NULL and "",
 * with "…" for the end of one that has more than TABLE_CELL_WIDTH characters. */
void table_add(struct table *t, const char *text);

/** The same, whatever its width: of what the operator has said, not a VM. */
void table_add_whole(struct table *t, const char *text);

/** Write it. RC_OK; RC_NO_MEMORY: nothing was written. */
enum rc table_write(const struct table *t, FILE *out) MUST_USE;

/** Free what it has. */
void table_fini(struct table *t);
