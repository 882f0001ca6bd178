/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/doctor/report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/doc/doc.h"

#define REPORT_MAGIC 0xd0c7012eu

#define ISTIO_SYSTEM "istio-system"

/** Of what is put into one place of a sentence. */
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
    free(r->cluster);
    free(r->istio_option);
    free(r->system);
    free(r->istiod);
    doctor_report_init(r);
}

/* ---- whom commands are for ---- */

char *doctor_quote(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./:@%+,=";

    if (*word != '\0' && word[strspn(word, plain)] == '\0') {
        return strdup(word);
    }
    char *out = calloc(1, 4 * strlen(word) + 3);
    char *p = out;
    if (out == NULL) {
        return NULL;
    }
    *p++ = '\'';
    for (const char *c = word; *c != '\0'; c++) {
        if (*c == '\'') {
            p = stpcpy(p, "'\\'");
        }
        *p++ = *c;
    }
    *p = '\'';
    return out;
}

char *doctor_kubectl_flags(const char *kubeconfig, const char *context)
{
    char *file = doctor_quote(kubeconfig != NULL ? kubeconfig : "");
    char *name = doctor_quote(context != NULL ? context : "");
    char *out = NULL;

    if (file != NULL && name != NULL &&
        asprintf(&out, "%s%s%s%s", kubeconfig != NULL ? " --kubeconfig " : "",
                 kubeconfig != NULL ? file : "", context != NULL ? " --context " : "",
                 context != NULL ? name : "") < 0) {
        out = NULL;
    }
    free(file);
    free(name);
    return out;
}

char *doctor_of_revision(const char *name, const char *revision)
{
    bool has = revision != NULL && strcmp(revision, "default") != 0;
    char *out = NULL;

    return asprintf(&out, "%s%s%s", name, has ? "-" : "", has ? revision : "") < 0 ? NULL : out;
}

/* A copy of what is formatted; NULL: out of memory, which the report notes. */
static char *format(struct doctor_report *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static char *format(struct doctor_report *r, const char *fmt, ...)
{
    va_list args;
    char *out = NULL;

    va_start(args, fmt);
    if (vasprintf(&out, fmt, args) < 0) {
        out = NULL;
        r->short_of_memory = true;
    }
    va_end(args);
    return out;
}

void doctor_report_aim(struct doctor_report *r, const char *kubeconfig, const char *context,
                       const char *istio_namespace, const char *revision)
{
    CHECK_MAGIC(r, REPORT_MAGIC);
    CHECK(r->cluster == NULL && r->system == NULL);
    r->cluster = doctor_kubectl_flags(kubeconfig, context);
    r->short_of_memory = r->short_of_memory || r->cluster == NULL;
    if (istio_namespace != NULL) {
        r->system = format(r, "%s", istio_namespace);
        r->istio_option = strcmp(istio_namespace, ISTIO_SYSTEM) != 0
                              ? format(r, " -i %s", istio_namespace)
                              : NULL;
    }
    r->istiod = doctor_of_revision("istiod", revision);
    r->short_of_memory = r->short_of_memory || r->istiod == NULL;
}

/* ---- texts ---- */

/* The place that begins at p, "{1}", or -1. */
static int place_at(const char *p)
{
    bool is_place = p[0] == '{' && p[1] >= '1' && p[1] <= '0' + DOCTOR_PLACES_MAX && p[2] == '}';

    return is_place ? p[1] - '1' : -1;
}

/* What "{cluster}" and the like at p stand for; NULL: no such place. *n: its length. */
static const char *named_at(const struct doctor_report *r, const char *p, size_t *n)
{
    const struct {
        const char *place;
        const char *value;
    } names[] = {{"{cluster}", r->cluster != NULL ? r->cluster : ""},
                 {"{istio}", r->istio_option != NULL ? r->istio_option : ""},
                 {"{system}", r->system != NULL ? r->system : ISTIO_SYSTEM},
                 {"{istiod}", r->istiod != NULL ? r->istiod : "istiod"}};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        *n = strlen(names[i].place);
        if (strncmp(p, names[i].place, *n) == 0) {
            return names[i].value;
        }
    }
    return NULL;
}

/* At most max bytes, and no part of a character of UTF-8. */
static void put(FILE *out, const char *text, size_t max)
{
    size_t n = strnlen(text, max);

    while (n > 0 && text[n] != '\0' && ((unsigned char)text[n] & 0xc0) == 0x80) {
        n--;
    }
    (void)fwrite(text, 1, n, out);
}

/* A text of the table with its places filled in; owned by the caller. NULL: out of memory. */
static char *fill(const struct doctor_report *r, const char *text, const char *const *places,
                  size_t max)
{
    char *filled = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&filled, &size);

    for (const char *p = text; out != NULL && *p != '\0';) {
        size_t n = 3;
        int i = place_at(p);
        CHECK(i < 0 || places[i] != NULL);
        const char *value = i < 0 ? named_at(r, p, &n) : places[i];
        if (value == NULL) {
            (void)fputc(*p++, out);
            continue;
        }
        put(out, value, max);
        p += n;
    }
    if (out == NULL || fclose(out) != 0) {
        free(filled);
        return NULL;
    }
    doc_make_printable(filled);
    return filled;
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
                               .text = fill(r, rows[cause].text, places, PLACE_MAX_BYTES),
                               .cure =
                                   fill(r, rows[cause].cure, places, DOCTOR_CURE_PLACE_MAX_BYTES)};
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

bool doctor_has(const struct doctor_report *r, enum doctor_cause cause)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->findings[i].cause == cause) {
            return true;
        }
    }
    return false;
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
    doc_make_printable(text);
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

void doctor_names_add(struct doctor_names *t, const char *name, const char *says)
{
    if (t->n++ < DOCTOR_NAMES_MAX) {
        t->len += (size_t)snprintf(t->text + t->len, sizeof(t->text) - t->len, "%s%.63s (%.63s)",
                                   t->len > 0 ? ", " : "", name, says);
    } else {
        (void)snprintf(t->more, sizeof(t->more), " and %zu more", t->n - DOCTOR_NAMES_MAX);
    }
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
