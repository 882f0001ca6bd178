/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/answer.h"

#include <stdio.h>

static void write_text(const char *text)
{
    (void)putchar('"');
    for (const char *p = text; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c >= 0x7f) {
            (void)printf("\\u%04x", c);
        } else {
            (void)printf(c == '"' || c == '\\' ? "\\%c" : "%c", c);
        }
    }
    (void)putchar('"');
}

static void write_name(struct answer *a, const char *name)
{
    (void)printf("%s\"%s\": ", a->has_fields ? ", " : "", name);
    a->has_fields = true;
}

void answer_open(struct answer *a)
{
    a->has_fields = false;
    (void)putchar('{');
}

void answer_int(struct answer *a, const char *name, uint64_t value)
{
    write_name(a, name);
    (void)printf("%llu", (unsigned long long)value);
}

void answer_num(struct answer *a, const char *name, double value)
{
    write_name(a, name);
    (void)printf("%.6f", value);
}

void answer_bool(struct answer *a, const char *name, bool value)
{
    write_name(a, name);
    (void)printf("%s", value ? "true" : "false");
}

void answer_text(struct answer *a, const char *name, const char *value)
{
    write_name(a, name);
    write_text(value);
}

void answer_tally(struct answer *a, const char *name, const struct tally *t)
{
    write_name(a, name);
    (void)putchar('{');
    for (unsigned i = 0; i < t->n_rows; i++) {
        (void)printf("%s", i > 0 ? ", " : "");
        write_text(t->rows[i].text);
        (void)printf(": %llu", (unsigned long long)t->rows[i].n);
    }
    (void)putchar('}');
}

void answer_times(struct answer *a, const struct times *t, double scale, const char *unit)
{
    static const struct {
        const char *name;
        double share;
    } rows[] = {{"p50", 0.50}, {"p90", 0.90}, {"p99", 0.99}};
    char name[16];

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)snprintf(name, sizeof(name), "%s_%s", rows[i].name, unit);
        answer_num(a, name, times_percentile(t, rows[i].share) * scale);
    }
    (void)snprintf(name, sizeof(name), "max_%s", unit);
    answer_num(a, name, t->max_s * scale);
}

void answer_close(struct answer *a)
{
    (void)a;
    (void)puts("}");
    (void)fflush(stdout);
}

void answer_error(const char *text)
{
    struct answer a;

    answer_open(&a);
    answer_text(&a, "error", text);
    answer_close(&a);
}
