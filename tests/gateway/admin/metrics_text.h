/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A strict reader of Prometheus text format 0.0.4, for tests: every line must be well-formed, HELP
 * and TYPE come once and before the samples, samples of one metric stand together, no sample comes
 * twice. Anything else ends the test.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define METRICS_TEXT_MAX 512

struct metrics_sample {
    char name[128];
    char labels[256]; /**< as written, with the braces; "" without */
    char kind[16];    /**< counter or gauge */
    double value;
};

struct metrics_text {
    struct metrics_sample samples[METRICS_TEXT_MAX];
    size_t n;
};

/** Read a whole page. text is borrowed. */
void metrics_text_read(const char *text, struct metrics_text *out);

/** The value of one sample; the test fails when there is none. labels: "" or "{a=\"b\"}". */
double metrics_text_value(const struct metrics_text *t, const char *name, const char *labels);

/** Is there such a sample? */
bool metrics_text_has(const struct metrics_text *t, const char *name, const char *labels);
