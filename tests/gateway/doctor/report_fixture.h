/* SPDX-License-Identifier: Apache-2.0 */
/* A report for each test, and JSON as an API server sends it. After <cmocka.h>. */
#pragma once

#include "core/doc/doc.h"
#include "gateway/doctor/report.h"

static struct doctor_report report;

static inline int set_up(void **state)
{
    (void)state;
    doctor_report_init(&report);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    doctor_report_fini(&report);
    return 0;
}

static inline json_t *parse(const char *text)
{
    struct doc_error err;
    json_t *out = NULL;

    assert_int_equal(doc_parse_json(text, strlen(text), &err, &out), RC_OK);
    return out;
}
