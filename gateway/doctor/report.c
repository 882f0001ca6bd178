/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/doctor/report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"

#define REPORT_MAGIC 0xd0c7012eu

/** Of what is put into one place. */
#define PLACE_MAX_BYTES 400

struct row {
    const char *id;
    enum doctor_level level;
    const char *text;
    const char *cure;
};

static const struct row rows[] = {
#define CAUSE(name, id, level, text, cure) {id, DOCTOR_##level, text, cure},
#include "gateway/doctor/causes.def"
#undef CAUSE
};

const char *doctor_id(enum doctor_cause cause)
{
    return rows[cause].id;
}

const char *doctor_cause_text(enum doctor_cause cause)
{
    return rows[cause].text;
}

const char *doctor_cause_cure(enum doctor_cause cause)
{
    return rows[cause].cure;
}

void doctor_report_init(struct doctor_report *r)
{
    memset(r, 0, sizeof(*r));
    r->magic = REPORT_MAGIC;
}

void doctor_report_fini(struct doctor_report *r)
{
    CHECK_MAGIC(r, REPORT_MAGIC);
    for (size_t i = 0; i < r->n; i++) {
        free(r->findings[i].text);
        free(r->findings[i].cure);
    }
    for (size_t i = 0; i < r->n_looked; i++) {
        free(r->looked[i]);
    }
    for (size_t i = 0; i < r->n_skipped; i++) {
        free(r->skipped[i]);
    }
    doctor_report_init(r);
}

/* ---- texts ---- */

static char printable(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f ? '?' : c;
}

/* The place that begins at p, "{1}", or -1. */
static int place_at(const char *p)
{
    bool is_place = p[0] == '{' && p[1] >= '1' && p[1] <= '0' + DOCTOR_PLACES_MAX && p[2] == '}';

    return is_place ? p[1] - '1' : -1;
}

/* A text of the table with its places filled in; owned by the caller. NULL: out of memory. */
static char *fill(const char *text, const char *const *places)
{
    char *out = calloc(1, strlen(text) + DOCTOR_PLACES_MAX * 2 * PLACE_MAX_BYTES + 1);
    size_t n = 0;

    if (out == NULL) {
        return NULL;
    }
    for (const char *p = text; *p != '\0'; p++) {
        int i = place_at(p);
        if (i < 0) {
            out[n++] = *p;
            continue;
        }
        CHECK(places[i] != NULL);
        for (size_t k = 0; places[i][k] != '\0' && k < PLACE_MAX_BYTES; k++) {
            out[n++] = printable(places[i][k]);
        }
        p += 2;
    }
    return out;
}

static bool is_there(const struct doctor_report *r, enum doctor_cause cause, const char *text)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->findings[i].cause == cause && strcmp(r->findings[i].text, text) == 0) {
            return true;
        }
    }
    return false;
}

static void add(struct doctor_report *r, enum doctor_level level, enum doctor_cause cause,
                va_list args)
{
    const char *places[DOCTOR_PLACES_MAX] = {NULL};

    CHECK_MAGIC(r, REPORT_MAGIC);
    CHECK(cause < DOCTOR_CAUSES);
    for (size_t i = 0; i < DOCTOR_PLACES_MAX; i++) {
        places[i] = va_arg(args, const char *);
        if (places[i] == NULL) {
            break;
        }
    }
    struct doctor_finding f = {.cause = cause,
                               .level = level,
                               .text = fill(rows[cause].text, places),
                               .cure = fill(rows[cause].cure, places)};
    bool whole = f.text != NULL && f.cure != NULL;
    r->short_of_memory = r->short_of_memory || !whole;
    bool is_new = whole && !is_there(r, cause, f.text);
    if (is_new && r->n < DOCTOR_FINDINGS_MAX) {
        r->findings[r->n++] = f;
        return;
    }
    r->lost += is_new;
    free(f.text);
    free(f.cure);
}

void doctor_find(struct doctor_report *r, enum doctor_cause cause, ...)
{
    va_list args;

    va_start(args, cause);
    add(r, rows[cause].level, cause, args);
    va_end(args);
}

void doctor_find_at(struct doctor_report *r, enum doctor_level level, enum doctor_cause cause, ...)
{
    va_list args;

    va_start(args, cause);
    add(r, level, cause, args);
    va_end(args);
}

/* ---- notes ---- */

static void note(struct doctor_report *r, char **list, size_t *n, const char *fmt, va_list args)
    __attribute__((format(printf, 4, 0)));

static void note(struct doctor_report *r, char **list, size_t *n, const char *fmt, va_list args)
{
    char *text = NULL;

    CHECK_MAGIC(r, REPORT_MAGIC);
    if (vasprintf(&text, fmt, args) < 0) {
        r->short_of_memory = true;
        return;
    }
    for (char *c = text; *c != '\0'; c++) {
        *c = printable(*c);
    }
    for (size_t i = 0; i < *n; i++) {
        if (strcmp(list[i], text) == 0) {
            free(text);
            return;
        }
    }
    if (*n == DOCTOR_NOTES_MAX) {
        free(text);
        return;
    }
    list[(*n)++] = text;
}

void doctor_looked(struct doctor_report *r, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    note(r, r->looked, &r->n_looked, fmt, args);
    va_end(args);
}

void doctor_skipped(struct doctor_report *r, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    note(r, r->skipped, &r->n_skipped, fmt, args);
    va_end(args);
}

const char *doctor_duration(int64_t seconds, char buf[32])
{
    static const struct {
        int64_t from;
        int64_t unit;
        const char *name;
    } units[] = {{2 * 86400, 86400, "days"}, {7200, 3600, "h"}, {120, 60, "min"}, {0, 1, "s"}};
    int64_t s = seconds > 0 ? seconds : 0;
    size_t i = 0;

    while (s < units[i].from) {
        i++;
    }
    (void)snprintf(buf, 32, "%lld %s", (long long)(s / units[i].unit), units[i].name);
    return buf;
}
