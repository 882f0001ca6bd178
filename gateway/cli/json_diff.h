/* SPDX-License-Identifier: Apache-2.0 */
/* What is different between two values of JSON, a line for each place. */
#pragma once

#include <stdio.h>

#include "core/doc/doc.h"

/**
 * Write, each line indented by some blanks:
 *
 *   PATH: BEFORE -> AFTER
 *   + PATH: AFTER
 *   - PATH: BEFORE
 *
 * Of lists of different lengths what both begin and end with is left out. Values are compact JSON,
 * cut when they are long, and harmless (core/base/show.h). Nothing is written for equal ones.
 *
 * before, after, out  borrowed.
 */
void json_diff_write(const json_t *before, const json_t *after, int indent, FILE *out);
