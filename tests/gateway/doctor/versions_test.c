/* SPDX-License-Identifier: Apache-2.0 */
/* Which agents go with which istiod, by texts that others have written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/doctor/cluster_internal.h"
#include "tests/gateway/doctor/report_fixture.h"

/* Where VMs can come from, by the names of these upstreams. */
static struct config_upstream upstreams[] = {
    {.opts = {.name = "plain", .server_name = "istiod.istio-system.svc"}},
    {.opts = {.name = "canary", .server_name = "istiod-canary.istio-system.svc.cluster.local"}},
    {.opts = {.name = "elsewhere", .server_name = "istiod.istio-two.svc"}},
    {.opts = {.name = "own", .server_name = "mesh.example.com"}},
    {.opts = {.name = "nameless"}},
    {.opts = {.name = "followed",
              .server_name = "istiod.istio-system.svc",
              .discovery = {.on = true, .service = "istiod", .ns = "istio-system"}}},
    {.opts = {.name = "followed elsewhere",
              .server_name = "istiod.istio-system.svc",
              .discovery = {.on = true, .service = "istiod", .ns = "istio-two"}}},
};
static const struct config config = {.upstreams = upstreams,
                                     .n_upstreams = sizeof(upstreams) / sizeof(upstreams[0])};

static void check_as(const char *deployment, const char *vms, const struct versions_whose *who)
{
    json_t *d = parse(deployment);
    json_t *v = parse(vms);

    doctor_report_fini(&report);
    doctor_report_init(&report);
    versions_check(d, who, v, &report);
    json_decref(d);
    json_decref(v);
}

static void check(const char *deployment, const char *vms, const char *revision)
{
    const struct versions_whose who = {.ns = "istio-system",
                                       .deployment = revision != NULL ? "istiod-canary" : "istiod",
                                       .revision = revision,
                                       .config = &config};

    check_as(deployment, vms, &who);
}

#define IMAGE(image)                                                          \
    "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"proxy\"," \
    "\"image\":\"x:1.2.3\"},{\"name\":\"discovery\",\"image\":\"" image "\"}]}}}}"
#define VM(version, rest)                                                       \
    "{\"vms\":[{\"name\":\"a\",\"state\":\"connected\",\"upstream\":\"plain\"," \
    "\"version\":" version rest "}]}"

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
        {",\"upstream\":\"plain\"", NULL, true},
        {",\"upstream\":\"plain\"", "canary", false},
        {",\"upstream\":\"canary\"", NULL, false},
        {",\"upstream\":\"canary\"", "canary", true},
        {",\"upstream\":\"canary\",\"revision\":\"default\"", NULL, true},
        {",\"upstream\":\"canary\",\"istiod\":\"istiod-5f4b9-x2x\"", NULL, true},
        {",\"upstream\":\"elsewhere\"", NULL, false},
        {",\"upstream\":\"followed\"", NULL, true},
        {",\"upstream\":\"followed elsewhere\"", NULL, false},
        {",\"upstream\":\"followed elsewhere\",\"istiod\":\"istiod-5f4b9-x2x\"", NULL, false},
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
        assert_int_equal(report.n_skipped, 0);
        assert_int_equal(report.n_looked, 1);
    }
}

static void test_versions__of_vms_whose_istiod_is_not_known__counted_and_said(void **state)
{
    static const char *const rows[] = {"", ",\"upstream\":\"own\"", ",\"upstream\":\"nameless\"",
                                       ",\"upstream\":\"gone\"", ",\"upstream\":null"};
    char vms[512];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t placed = 0; placed < 2; placed++) {
            (void)snprintf(vms, sizeof(vms),
                           "{\"vms\":[{\"state\":\"connected\",\"version\":\"1.20.0\"%s},"
                           "{\"state\":\"connected\",\"version\":\"1.20.0\"%s}%s]}",
                           rows[i], rows[i],
                           placed == 0 ? ""
                                       : ",{\"state\":\"connected\",\"upstream\":\"plain\","
                                         "\"version\":\"1.31.0\"}");
            check(IMAGE("istio/pilot:1.31.0"), vms, NULL);
            assert_int_equal(report.n, 0);
            assert_int_equal(report.n_skipped, 1);
            assert_non_null(strstr(report.skipped[0], "versions of VMs (2) beside"));
            assert_int_equal(report.n_looked, placed);
        }
    }
}

static void
test_versions__where_another_cluster_is_looked_at__followed_ones_are_not_its(void **state)
{
    static const struct {
        const char *rest;
        bool counts;
    } rows[] = {
        {",\"upstream\":\"followed\"", false},
        {",\"upstream\":\"followed\",\"istiod\":\"istiod-5f4b9-x2x\"", false},
        {",\"upstream\":\"followed\",\"revision\":\"default\"", false},
        {",\"upstream\":\"plain\"", true},
    };
    const struct versions_whose who = {
        .ns = "istio-system", .deployment = "istiod", .config = &config, .gate_is_elsewhere = true};
    char vms[256];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)snprintf(vms, sizeof(vms),
                       "{\"vms\":[{\"state\":\"connected\",\"version\":\"1.20.0\"%s}]}",
                       rows[i].rest);
        check_as(IMAGE("istio/pilot:1.31.0"), vms, &who);
        assert_int_equal(report.n, rows[i].counts ? 1 : 0);
        assert_int_equal(report.n_skipped, rows[i].counts ? 0 : 1);
    }
}

static void test_versions__more_than_are_named__one_finding_with_their_number(void **state)
{
    char longest[201] = "";
    json_t *d = parse(IMAGE("istio/pilot:1.31.0"));
    json_t *v = json_pack("{s:[]}", "vms");
    const struct versions_whose who = {
        .ns = "istio-system", .deployment = "istiod", .config = &config};

    (void)state;
    memset(longest, 'x', sizeof(longest) - 1);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(
            json_array_append_new(json_object_get(v, "vms"),
                                  json_pack("{s:s,s:s,s:s,s:s}", "name", longest, "version",
                                            "1.20.0", "state", "connected", "upstream", "plain")),
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
            test_versions__of_vms_whose_istiod_is_not_known__counted_and_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_versions__where_another_cluster_is_looked_at__followed_ones_are_not_its, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_versions__more_than_are_named__one_finding_with_their_number, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
