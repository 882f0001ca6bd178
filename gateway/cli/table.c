/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/table.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/show.h"

#define GAP 3

void table_init(struct table *t, size_t n_columns)
{
    *t = (struct table){.n_columns = n_columns};
}

static bool make_room(struct table *t)
{
    if (t->n_cells < t->room) {
        return true;
    }
    size_t room = t->room == 0 ? 256 : 2 * t->room;
    char **cells = realloc(t->cells, room * sizeof(*cells));
    if (cells == NULL) {
        return false;
    }
    t->cells = cells;
    t->room = room;
    return true;
}

/* One that is wider than a cell may be ends with "…". text: UTF-8, with room for that. */
static void cut(char *text)
{
    static const char mark[] = "\xe2\x80\xa6";
    size_t width = 0;
    char *last = text; /* the last character that fits, which the mark takes the place of */

    for (char *c = text; *c != '\0'; c++) {
        if (((unsigned char)*c & 0xc0) == 0x80) {
            continue;
        }
        width++;
        if (width == TABLE_CELL_WIDTH) {
            last = c;
        } else if (width > TABLE_CELL_WIDTH) {
            memcpy(last, mark, sizeof(mark));
            return;
        }
    }
}

/* NULL: it could not be made, and the table has failed. */
static char *add(struct table *t, const char *text)
{
    const char *from = text == NULL || *text == '\0' ? "-" : text;
    size_t n = strlen(from);
    char *cell = t->failed || !make_room(t) ? NULL : malloc(SHOW_CLEAN_BYTES(n));

    if (cell == NULL) {
        t->failed = true;
        return NULL;
    }
    (void)show_clean(from, n, cell);
    t->cells[t->n_cells++] = cell;
    return cell;
}

void table_add(struct table *t, const char *text)
{
    char *cell = add(t, text);

    if (cell != NULL) {
        cut(cell);
    }
}

void table_add_whole(struct table *t, const char *text)
{
    (void)add(t, text);
}

/* Characters, not bytes; the text is UTF-8. */
static size_t width_of(const char *text)
{
    size_t n = 0;

    for (; *text != '\0'; text++) {
        n += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return n;
}

static void write_row(const struct table *t, size_t first, const size_t *widths, FILE *out)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        const char *cell = t->cells[first + i];
        bool last = i + 1 == t->n_columns;
        int pad = last ? 0 : (int)(widths[i] - width_of(cell) + GAP);
        (void)fprintf(out, "%s%*s", cell, pad, "");
    }
    (void)fputc('\n', out);
}

enum rc table_write(const struct table *t, FILE *out)
{
    size_t *widths = t->failed ? NULL : calloc(t->n_columns, sizeof(*widths));

    if (widths == NULL) {
        return RC_NO_MEMORY;
    }
    for (size_t i = 0; i < t->n_cells; i++) {
        size_t n = width_of(t->cells[i]);
        size_t column = i % t->n_columns;
        widths[column] = n > widths[column] ? n : widths[column];
    }
    for (size_t i = 0; i + t->n_columns <= t->n_cells; i += t->n_columns) {
        write_row(t, i, widths, out);
    }
    free(widths);
    return RC_OK;
}

void table_fini(struct table *t)
{
    for (size_t i = 0; i < t->n_cells; i++) {
        free(t->cells[i]);
    }
    free(t->cells);
    *t = (struct table){.n_cells = 0};
}
