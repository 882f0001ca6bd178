/* SPDX-License-Identifier: Apache-2.0 */
/* A report for people, and for scripts. */
#include <stdlib.h>

#include "core/doc/doc.h"
#include "gateway/doctor/report.h"

static const char *level_name(enum doctor_level level)
{
    return level == DOCTOR_BAD ? "bad" : "warning";
}

static void write_list(FILE *out, const char *title, char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        (void)fprintf(out, "%s %s\n", title, list[i]);
    }
}

void doctor_write_text(FILE *out, const struct doctor_report *r)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct doctor_finding *f = &r->findings[i];
        (void)fprintf(out, "%-8s %s: %s\n         -> %s\n", level_name(f->level),
                      doctor_id(f->cause), f->text, f->cure);
    }
    if (r->lost > 0) {
        (void)fprintf(out, "and %zu more\n", r->lost);
    }
    write_list(out, "looked at:", r->looked, r->n_looked);
    write_list(out, "not looked at:", r->skipped, r->n_skipped);
    if (r->n == 0) {
        (void)fprintf(out, "nothing found\n");
    }
}

/* Takes both; false: out of memory. */
static bool append(json_t *list, json_t *value)
{
    return json_array_append_new(list, value) == 0;
}

static json_t *texts(char *const *list, size_t n)
{
    json_t *out = json_array();

    for (size_t i = 0; i < n; i++) {
        if (out == NULL || !append(out, json_string(list[i]))) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static json_t *findings(const struct doctor_report *r)
{
    json_t *out = json_array();

    for (size_t i = 0; i < r->n; i++) {
        const struct doctor_finding *f = &r->findings[i];
        json_t *row = json_pack("{s:s, s:s, s:s, s:s}", "id", doctor_id(f->cause), "level",
                                level_name(f->level), "text", f->text, "command", f->cure);
        if (out == NULL || !append(out, row)) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

enum rc doctor_write_json(FILE *out, const struct doctor_report *r)
{
    json_t *all = json_pack("{s:o, s:I, s:o, s:o}", "findings", findings(r), "more",
                            (json_int_t)r->lost, "looked_at", texts(r->looked, r->n_looked),
                            "not_looked_at", texts(r->skipped, r->n_skipped));
    char *text = NULL;

    if (all == NULL) {
        return RC_NO_MEMORY;
    }
    enum rc rc = doc_write_json(all, &text, NULL);
    if (rc == RC_OK) {
        (void)fprintf(out, "%s\n", text);
    }
    free(text);
    json_decref(all);
    return rc;
}
