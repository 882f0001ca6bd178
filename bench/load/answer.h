/* SPDX-License-Identifier: Apache-2.0 */
/* The answer to a command: one JSON object in one line on standard output. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bench/load/tally.h"
#include "bench/load/times.h"

/** On the stack of who answers. */
struct answer {
    bool has_fields;
};

/** Begin the object. */
void answer_open(struct answer *a);

/** Add a field of this name, which needs no escaping. */
void answer_int(struct answer *a, const char *name, uint64_t value);
void answer_num(struct answer *a, const char *name, double value);
void answer_bool(struct answer *a, const char *name, bool value);
void answer_text(struct answer *a, const char *name, const char *value);

/** Add an object with a field for each row: its text and how often it was seen. */
void answer_tally(struct answer *a, const char *name, const struct tally *t);

/** Add p50, p90, p99 and max, multiplied by scale and named with this unit ("ms": "p50_ms"). */
void answer_times(struct answer *a, const struct times *t, double scale, const char *unit);

/** End the line and write it out. */
void answer_close(struct answer *a);

/** A whole answer: {"error": text}. */
void answer_error(const char *text);
