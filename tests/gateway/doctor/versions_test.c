/* SPDX-License-Identifier: Apache-2.0 */
/* Which agents go with which istiod, by texts that others have written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/doctor/cluster_internal.h"

static struct doctor_report report;

static int set_up(void **state)
{
    (void)state;
    doctor_report_init(&report);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    doctor_report_fini(&report);
    return 0;
}

static json_t *parse(const char *text)
{
    struct doc_error err;
    json_t *out = NULL;

    assert_int_equal(doc_parse_json(text, strlen(text), &err, &out), RC_OK);
    return out;
}

static void check(const char *deployment, const char *vms, const char *revision)
{
    const struct versions_whose who = {"istio-system",
                                       revision != NULL ? "istiod-canary" : "istiod", revision};
    json_t *d = parse(deployment);
    json_t *v = parse(vms);

    doctor_report_fini(&report);
    doctor_report_init(&report);
    versions_check(d, &who, v, &report);
    json_decref(d);
    json_decref(v);
}

#define IMAGE(image)                                                          \
    "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"proxy\"," \
    "\"image\":\"x:1.2.3\"},{\"name\":\"discovery\",\"image\":\"" image "\"}]}}}}"
#define VM(version, rest) \
    "{\"vms\":[{\"name\":\"a\",\"state\":\"connected\",\"version\":" version rest "}]}"

static void test_versions__istiod_one_ahead_or_the_same__nothing_found(void **state)
{
    static const char *const fine[] = {
        "\"1.31.0\"",  "\"1.31.7\"",  "\"1.30.1\"", "\"1.31-alpha.0123\"",
        "\"1.30\"",    "\"unknown\"", "\"\"",       "null",
        "7",           "\"1.\"",      "\"1.x\"",    "\"1.99999\"",
        "\"99999.1\"", "\"1.2x\""};
    char vms[256];

    (void)state;
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        (void)snprintf(vms, sizeof(vms), VM("%s", ""), fine[i]);
        check(IMAGE("docker.io/istio/pilot:1.31.0"), vms, NULL);
        assert_int_equal(report.n, 0);
        assert_int_equal(report.n_skipped, 0);
    }
}

static void test_versions__too_old_or_ahead_or_of_another_major__said(void **state)
{
    static const char *const others[] = {"1.29.9", "1.32.0", "2.31.0", "0.31.0", "1.3.0", "1.29"};
    char vms[256];

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        (void)snprintf(vms, sizeof(vms), VM("\"%s\"", ""), others[i]);
        check(IMAGE("docker.io/istio/pilot:1.31.0"), vms, NULL);
        assert_int_equal(report.n, 1);
        assert_int_equal(report.findings[0].cause, DOCTOR_VERSION_SKEW);
        assert_non_null(strstr(report.findings[0].text, others[i]));
    }
}

static void test_versions__of_istiod__by_tag_or_label(void **state)
{
    static const struct {
        const char *deployment;
        bool known;
    } rows[] = {
        {IMAGE("registry:5000/istio/pilot:1.31.0-distroless@sha256:0123"), true},
        {IMAGE("pilot:1.31"), true},
        {IMAGE("registry:5000/istio/pilot"), false},
        {IMAGE("istio/pilot@sha256:1.31"), false},
        {IMAGE("istio/pilot:latest"), false},
        {IMAGE(""), false},
        {"{\"metadata\":{\"labels\":{\"app.kubernetes.io/version\":\"1.31.0\"}},\"spec\":{"
         "\"template\":{\"spec\":{\"containers\":[{\"image\":\"istio/pilot:latest\"}]}}}}",
         true},
        {"{}", false},
        {"[]", false},
        {"{\"spec\":{\"template\":{\"spec\":{\"containers\":[1,{\"image\":7}]}}}}", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check(rows[i].deployment, VM("\"1.20.0\"", ""), NULL);
        assert_int_equal(report.n, rows[i].known ? 1 : 0);
        assert_int_equal(report.n_skipped, rows[i].known ? 0 : 1);
    }
}

static void test_versions__vms_of_another_istiod__are_not_compared(void **state)
{
    static const struct {
        const char *rest;
        const char *revision;
        bool counts;
    } rows[] = {
        {",\"istiod\":\"istiod-5f4b9-x2x\"", NULL, true},
        {",\"istiod\":\"istiod-canary-5f4b9-x2x\"", NULL, false},
        {",\"istiod\":\"istiod\"", NULL, false},
        {",\"istiod\":\"istiod-canary-5f4b9-x2x\"", "canary", true},
        {",\"istiod\":\"istiod-5f4b9-x2x\",\"revision\":\"canary\"", "canary", false},
        {",\"revision\":\"default\"", NULL, true},
        {",\"revision\":\"canary\"", NULL, false},
        {",\"revision\":\"canary\"", "canary", true},
        {"", "canary", false},
        {",\"state\":\"disconnected\"", NULL, false},
    };
    char vms[256];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool connected = strstr(rows[i].rest, "state") == NULL;
        (void)snprintf(vms, sizeof(vms),
                       "{\"vms\":[7,{\"name\":\"a\",\"version\":\"1.20.0\"%s%s}]}", rows[i].rest,
                       connected ? ",\"state\":\"connected\"" : "");
        check(IMAGE("istio/pilot:1.31.0"), vms, rows[i].revision);
        assert_int_equal(report.n, rows[i].counts ? 1 : 0);
    }
}

static void test_versions__more_than_are_named__one_finding_with_their_number(void **state)
{
    char longest[201] = "";
    json_t *d = parse(IMAGE("istio/pilot:1.31.0"));
    json_t *v = json_pack("{s:[]}", "vms");
    const struct versions_whose who = {"istio-system", "istiod", NULL};

    (void)state;
    memset(longest, 'x', sizeof(longest) - 1);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(
            json_array_append_new(json_object_get(v, "vms"),
                                  json_pack("{s:s,s:s,s:s}", "name", longest, "version", "1.20.0",
                                            "state", "connected")),
            0);
    }
    versions_check(d, &who, v, &report);
    json_decref(d);
    json_decref(v);
    assert_int_equal(report.n, 1);
    assert_non_null(strstr(report.findings[0].text, " and 4 more"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_versions__istiod_one_ahead_or_the_same__nothing_found,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_versions__too_old_or_ahead_or_of_another_major__said,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_versions__of_istiod__by_tag_or_label, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_versions__vms_of_another_istiod__are_not_compared,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_versions__more_than_are_named__one_finding_with_their_number, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
