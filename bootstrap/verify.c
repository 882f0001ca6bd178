/* SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bootstrap/verify_internal.h"
#include "core/base/check.h"

#define REPORT_MAGIC 0x5ee0b0d1u

void verify_init(struct verify_report *r)
{
    *r = (struct verify_report){.magic = REPORT_MAGIC};
}

void verify_fini(struct verify_report *r)
{
    CHECK_MAGIC(r, REPORT_MAGIC);
    for (size_t i = 0; i < r->n; i++) {
        free(r->findings[i].what);
        free(r->findings[i].text);
        free(r->findings[i].cure);
    }
    verify_init(r);
}

void verify_add(struct verify_report *r, enum verify_level level, const char *what,
                const char *cure, const char *fmt, ...)
{
    struct verify_finding f = {.level = level, .what = strdup(what), .cure = strdup(cure)};
    va_list args;

    CHECK_MAGIC(r, REPORT_MAGIC);
    r->worst = level > r->worst ? level : r->worst;
    va_start(args, fmt);
    int n = vasprintf(&f.text, fmt, args);
    va_end(args);
    if (n < 0 || f.what == NULL || f.cure == NULL || r->n == VERIFY_FINDINGS_MAX) {
        free(n < 0 ? NULL : f.text);
        free(f.what);
        free(f.cure);
        return;
    }
    /* What stands in a file may stand in a finding, and cut anywhere. */
    doc_make_printable(f.what);
    doc_make_printable(f.text);
    doc_make_printable(f.cure);
    r->findings[r->n++] = f;
}

enum verify_level verify_worst(const struct verify_report *r)
{
    CHECK_MAGIC(r, REPORT_MAGIC);
    return r->worst;
}

/* Something has to say who the VM is. */
static void check_identity(struct verify *v)
{
    bool unknown =
        v->files[V_TOKEN].unknown || v->files[V_CHAIN].unknown || v->files[V_KEY].unknown;

    if (v->token_good || v->chain_good || unknown) {
        return;
    }
    if (v->o->folder == NULL) {
        verify_add(v->r, VERIFY_BAD, "agent", "xdsgate bundle renew makes a new token",
                   "neither a token nor a certificate says who this VM is");
    } else if (!v->token_tried) {
        verify_add(v->r, VERIFY_WARN, "istio-token", "xdsgate bundle create makes one",
                   "not there: only a VM that has a certificate can do without");
    }
}

static enum rc look(struct verify *v)
{
    TRY(verify_load(v));
    TRY(verify_settings(v));
    TRY(verify_secrets(v));
    TRY(verify_gateway_roots(v));
    verify_hosts(v);
    check_identity(v);
    return RC_OK;
}

enum rc verify_files(const struct verify_opts *o, struct verify_report *r)
{
    CHECK_MAGIC(r, REPORT_MAGIC);
    struct verify *v = calloc(1, sizeof(*v));

    if (v == NULL) {
        return RC_NO_MEMORY;
    }
    v->o = o;
    v->r = r;
    enum rc rc = look(v);
    json_decref(v->env);
    json_decref(v->sidecar);
    json_decref(v->mesh);
    verify_unload(v);
    free(v);
    return rc;
}
