/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/gateway/admin/metrics_text.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LINE_BYTES 1024
#define SEEN_MAX 256

struct reader {
    struct metrics_text *out;
    char help[128];    /**< the metric of the last HELP line */
    char current[128]; /**< the metric whose samples may come now */
    char kind[16];
    char seen[SEEN_MAX][128];
    size_t n_seen;
    bool had_sample; /**< of the current metric */
};

static size_t name_length(const char *s)
{
    size_t n = 0;
    while (islower((unsigned char)s[n]) || s[n] == '_') {
        n++;
    }
    return n;
}

static void take_name(const char **at, char *out, size_t size, const char *line)
{
    size_t n = name_length(*at);
    if (n == 0 || n >= size) {
        fail_msg("no name: %s", line);
    }
    memcpy(out, *at, n);
    out[n] = '\0';
    *at += n;
}

static void expect(const char **at, char c, const char *line)
{
    if (**at != c) {
        fail_msg("'%c' is missing: %s", c, line);
    }
    *at += 1;
}

static void begin_metric(struct reader *r, const char *name, const char *line)
{
    for (size_t i = 0; i < r->n_seen; i++) {
        if (strcmp(r->seen[i], name) == 0) {
            fail_msg("described twice: %s", line);
        }
    }
    assert_true(r->n_seen < SEEN_MAX);
    snprintf(r->seen[r->n_seen++], sizeof(r->seen[0]), "%s", name);
}

static void read_help(struct reader *r, const char *line)
{
    const char *at = line + strlen("# HELP ");

    take_name(&at, r->help, sizeof(r->help), line);
    expect(&at, ' ', line);
    if (*at == '\0' || at[strlen(at) - 1] == ' ') {
        fail_msg("no help, or a blank at its end: %s", line);
    }
    for (; *at != '\0'; at++) {
        if (*at == '\\' && at[1] != '\\' && at[1] != 'n') {
            fail_msg("bad escape: %s", line);
        }
    }
    begin_metric(r, r->help, line);
}

static void read_type(struct reader *r, const char *line)
{
    const char *at = line + strlen("# TYPE ");

    take_name(&at, r->current, sizeof(r->current), line);
    expect(&at, ' ', line);
    if (strcmp(r->current, r->help) != 0) {
        fail_msg("TYPE does not follow its HELP: %s", line);
    }
    if (strcmp(at, "counter") != 0 && strcmp(at, "gauge") != 0 && strcmp(at, "histogram") != 0) {
        fail_msg("unknown type: %s", line);
    }
    snprintf(r->kind, sizeof(r->kind), "%s", at);
    r->had_sample = false;
}

/* label="value", with the escapes that may be in a value. */
static void skip_label(const char **at, const char *line)
{
    char label[64];

    take_name(at, label, sizeof(label), line);
    expect(at, '=', line);
    expect(at, '"', line);
    while (**at != '"') {
        if (**at == '\\') {
            *at += 1;
            if (**at != '\\' && **at != '"' && **at != 'n') {
                fail_msg("bad escape: %s", line);
            }
        }
        if (**at == '\0') {
            fail_msg("no end of a value: %s", line);
        }
        *at += 1;
    }
    *at += 1;
}

static void skip_labels(const char **at, const char *line)
{
    if (**at != '{') {
        return;
    }
    do {
        *at += 1;
        skip_label(at, line);
    } while (**at == ',');
    expect(at, '}', line);
}

/* Is it a sample of the metric that was described last? */
static bool is_current(const struct reader *r, const char *name)
{
    static const char *const parts[] = {"_bucket", "_sum", "_count"};
    size_t n = strlen(r->current);

    if (strcmp(r->kind, "histogram") != 0) {
        return strcmp(name, r->current) == 0;
    }
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strncmp(name, r->current, n) == 0 && strcmp(name + n, parts[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void read_sample(struct reader *r, const char *line)
{
    const char *at = line;
    char *end = NULL;
    struct metrics_sample s = {0};

    take_name(&at, s.name, sizeof(s.name), line);
    if (!is_current(r, s.name)) {
        fail_msg("a sample that is not below its HELP and TYPE: %s", line);
    }
    const char *labels = at;
    skip_labels(&at, line);
    assert_true((size_t)(at - labels) < sizeof(s.labels));
    memcpy(s.labels, labels, (size_t)(at - labels));
    expect(&at, ' ', line);
    s.value = strtod(at, &end);
    if (end == at || *end != '\0') {
        fail_msg("no number: %s", line);
    }
    if (metrics_text_has(r->out, s.name, s.labels)) {
        fail_msg("comes twice: %s", line);
    }
    memcpy(s.kind, r->kind, sizeof(s.kind));
    assert_true(r->out->n < METRICS_TEXT_MAX);
    r->out->samples[r->out->n++] = s;
    r->had_sample = true;
}

void metrics_text_read(const char *text, struct metrics_text *out)
{
    struct reader r = {.out = out, .had_sample = true};
    char line[LINE_BYTES];

    out->n = 0;
    while (*text != '\0') {
        size_t n = strcspn(text, "\n");
        if (text[n] != '\n' || n >= sizeof(line)) {
            fail_msg("a line without an end, or too long: %.100s", text);
        }
        memcpy(line, text, n);
        line[n] = '\0';
        text += n + 1;
        if (strncmp(line, "# HELP ", 7) == 0) {
            if (!r.had_sample) {
                fail_msg("no sample before: %s", line);
            }
            read_help(&r, line);
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            read_type(&r, line);
        } else {
            read_sample(&r, line);
        }
    }
    assert_true(r.had_sample);
}

static const struct metrics_sample *find(const struct metrics_text *t, const char *name,
                                         const char *labels)
{
    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(t->samples[i].name, name) == 0 && strcmp(t->samples[i].labels, labels) == 0) {
            return &t->samples[i];
        }
    }
    return NULL;
}

bool metrics_text_has(const struct metrics_text *t, const char *name, const char *labels)
{
    return find(t, name, labels) != NULL;
}

double metrics_text_value(const struct metrics_text *t, const char *name, const char *labels)
{
    const struct metrics_sample *s = find(t, name, labels);
    if (s == NULL) {
        fail_msg("no sample %s%s", name, labels);
    }
    return s->value;
}
