/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/tally.h"

#include <stdio.h>
#include <string.h>

void tally_clear(struct tally *t)
{
    memset(t, 0, sizeof(*t));
}

void tally_add(struct tally *t, const char *text)
{
    struct tally_row *row;

    for (unsigned i = 0; i < t->n_rows; i++) {
        if (strncmp(t->rows[i].text, text, TALLY_TEXT_BYTES - 1) == 0) {
            t->rows[i].n++;
            return;
        }
    }
    if (t->n_rows < TALLY_ROWS) {
        t->n_rows++;
    }
    row = &t->rows[t->n_rows - 1];
    (void)snprintf(row->text, sizeof(row->text), "%s",
                   t->n_rows < TALLY_ROWS ? text : "everything else");
    row->n++;
}
