/* SPDX-License-Identifier: Apache-2.0 */
/* How often each text was seen: a few rows, and one for all further ones. */
#pragma once

#include <stdint.h>

#define TALLY_ROWS 24
#define TALLY_TEXT_BYTES 120

struct tally_row {
    char text[TALLY_TEXT_BYTES]; /**< cut when longer */
    uint64_t n;
};

struct tally {
    struct tally_row rows[TALLY_ROWS]; /**< the last one is for everything that found no row */
    unsigned n_rows;
};

/** Forget everything. */
void tally_clear(struct tally *t);

/** Count text once more. */
void tally_add(struct tally *t, const char *text);
