/* SPDX-License-Identifier: Apache-2.0 */
/* What an API server says is not trusted to be well-formed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/doctor/cluster_internal.h"
#include "tests/gateway/doctor/report_fixture.h"

static const struct members_whose all = {.ns = "vms"};

static const char *const nonsense[] = {
    "{}",
    "[]",
    "1",
    "{\"items\": {}}",
    "{\"items\": [1, null, [], {}, \"x\"]}",
    "{\"items\": [{\"metadata\": 1, \"spec\": [], \"status\": \"x\"}]}",
    "{\"items\": [{\"spec\": {\"address\": 7, \"template\": 1, \"probe\": []}}]}",
    "{\"items\": [{\"status\": {\"conditions\": [1, {\"type\": 1, \"status\": {}}]}}]}",
    "{\"items\": [{\"metadata\": {\"annotations\": {\"istio.io/disconnectedAt\": \"soon\"}}}]}",
    "{\"items\": [{\"metadata\": {\"name\": \"x\", \"annotations\": "
    "{\"istio.io/autoRegistrationGroup\": \"x\"}}, "
    "\"spec\": {\"template\": {\"labels\": [1]}, \"metadata\": {\"labels\": {\"a\": 1}}}}]}",
    "{\"spec\": {\"template\": {\"spec\": {\"containers\": [{\"env\": [1, {\"name\": 2}]}]}}}}",
    "{\"items\": [{\"metadata\": {\"name\": \"a\"}, \"spec\": {\"ports\": [1, {\"port\": []}]}}]}",
};

static void test_checks__nonsense__nothing_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        json_t *v = parse(nonsense[i]);
        members_check_entries(v, "vms", NULL, 0, &report);
        members_check_entries(v, "vms", "x", 0, &report);
        members_check_groups(v, "vms", NULL, &report);
        members_check_labels(v, v, &all, &report);
        members_check_labels(v, v, &(struct members_whose){.ns = "vms", .only = "x"}, &report);
        assert_false(members_have_account(v, "web"));
        members_check_clusters(v, "one", NULL, &report);
        istiod_check_services(v, "istio-system", false, true, &report);
        json_decref(v);
    }
    assert_int_equal(report.n, 0);
}

static void test_checks__nothing_at_all__nothing_found(void **state)
{
    (void)state;
    members_check_entries(NULL, "vms", NULL, 0, &report);
    members_check_groups(NULL, "vms", NULL, &report);
    members_check_labels(NULL, NULL, &all, &report);
    assert_false(members_have_account(NULL, "web"));
    assert_int_equal(report.n, 0);
}

static void test_deployment__nonsense__defaults_of_istiod_count(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        json_t *v = parse(nonsense[i]);
        istiod_check_deployment(v, "istio-system", "istiod", NULL, 0, &report);
        json_decref(v);
    }
    assert_int_equal(report.n, 1);
    assert_int_equal(report.findings[0].cause, DOCTOR_GRACE_PERIOD);
}

#define DEPLOYMENT(env)                                                              \
    "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"istio-proxy\"}," \
    "{\"name\":\"discovery\",\"env\":[" env "]}]}}}}"
#define ENV(name, value) "{\"name\":\"" name "\",\"value\":\"" value "\"}"
#define LONG ENV("PILOT_WORKLOAD_ENTRY_GRACE_PERIOD", "1h2m3s")

static void check_trusted(const char *deployment, const char *passthrough)
{
    struct doctor_upstream u = {.name = "raw", .passes = true};
    json_t *v = parse(deployment);

    assert_int_equal(
        addr_parse_ip(passthrough, strchr(passthrough, ':') != NULL ? &u.source_v6 : &u.source_v4),
        RC_OK);
    istiod_check_deployment(v, "istio-system", "istiod", &u, 1, &report);
    json_decref(v);
}

static void test_trusted__one_address__fine(void **state)
{
    (void)state;
    check_trusted(DEPLOYMENT(LONG "," ENV("TRUSTED_GATEWAY_CIDR", "10.0.0.1/32,fd00::1/128")),
                  "10.0.0.2");
    assert_int_equal(report.n, 0);
}

static void test_trusted__v6_net_with_the_source__both_said(void **state)
{
    (void)state;
    check_trusted(DEPLOYMENT(LONG "," ENV("TRUSTED_GATEWAY_CIDR", "10.0.0.1/32,fd00::/64")),
                  "fd00::2");
    assert_int_equal(report.n, 2);
    assert_int_equal(report.findings[0].cause, DOCTOR_TRUSTED_TOO_WIDE);
    assert_int_equal(report.findings[1].cause, DOCTOR_TRUSTED_PASSTHROUGH);
    assert_non_null(strstr(report.findings[0].cure, "instead of fd00::/64, name each gateway"));
    assert_non_null(strstr(report.findings[1].cure, "instead of fd00::/64, name each gateway"));
}

/* Other gateways are in that list, too. */
static void test_trusted__cures__only_name_entries_of_their_family(void **state)
{
    struct doctor_upstream list[2] = {{.name = "istiod", .xfcc = true},
                                      {.name = "raw", .passes = true}};
    json_t *v = parse(DEPLOYMENT(LONG "," ENV("TRUSTED_GATEWAY_CIDR", "10.0.0.9/32,fd00::/64,"
                                                                      "10.0.0.0/24")));

    (void)state;
    assert_int_equal(addr_parse_ip("10.0.0.2", &list[0].source_v4), RC_OK);
    assert_int_equal(addr_parse_ip("fd00::2", &list[0].source_v6), RC_OK);
    assert_int_equal(addr_parse_ip("10.0.0.9", &list[1].source_v4), RC_OK);
    istiod_check_deployment(v, "istio-system", "istiod", list, 2, &report);
    json_decref(v);

    static const char *const cures[] = {
        "instead of 10.0.0.9/32, name each gateway (this one: 10.0.0.2/32)",
        "instead of fd00::/64, name each gateway (this one: fd00::2/128)",
        "instead of 10.0.0.0/24, name each gateway (this one: 10.0.0.2/32)",
    };
    assert_int_equal(report.n, 3);
    for (size_t i = 0; i < report.n; i++) {
        assert_non_null(strstr(report.findings[i].cure, cures[i]));
        assert_null(strstr(report.findings[i].cure, "CIDR="));
    }
}

static void test_trusted__garbage__passed_over(void **state)
{
    (void)state;
    check_trusted(DEPLOYMENT(LONG "," ENV("TRUSTED_GATEWAY_CIDR", ",, /,10.0.0.0/99,x")),
                  "10.0.0.2");
    assert_int_equal(report.n, 0);
}

/* ---- cluster IDs ---- */

#define VM(name, cluster, state, verified)                              \
    "{\"name\":\"" name "\",\"cluster\":" cluster ",\"state\":\"" state \
    "\",\"verified\":" verified "}"

static void check_clusters(const char *list)
{
    json_t *v = parse(list);

    members_check_clusters(v, "one", NULL, &report);
    json_decref(v);
}

static void test_clusters__those_that_come_in_or_say_the_same__nothing_found(void **state)
{
    (void)state;
    check_clusters("{\"vms\":[" VM("a", "\"one\"", "disconnected", "false") "," VM(
        "b", "\"two\"", "connected", "false") "," VM("c", "\"two\"", "disconnected",
                                                     "true") "," VM("d", "null", "connecting",
                                                                    "false") ",7]}");
    check_clusters("{\"vms\":{}}");
    check_clusters("[]");
    assert_int_equal(report.n, 0);
}

static void test_clusters__more_than_are_named__one_finding_with_their_number(void **state)
{
    char longest[201] = "";

    (void)state;
    memset(longest, 'x', sizeof(longest) - 1);
    json_t *v = json_pack("{s:[]}", "vms");
    for (int i = 0; i < 7; i++) {
        assert_int_equal(
            json_array_append_new(json_object_get(v, "vms"),
                                  json_pack("{s:s,s:s,s:s,s:b}", "name", longest, "cluster",
                                            longest, "state", "refused", "verified", 0)),
            0);
    }

    members_check_clusters(v, "one", NULL, &report);

    json_decref(v);
    assert_int_equal(report.n, 1);
    assert_int_equal(report.findings[0].cause, DOCTOR_VM_CLUSTER_ID);
    assert_non_null(strstr(report.findings[0].text, "than one, the mesh's: xxx"));
    assert_non_null(strstr(report.findings[0].text, " and 4 more"));
}

/* ---- labels ---- */

#define GROUP(template, metadata)                                          \
    "{\"items\":[{\"metadata\":{\"name\":\"web\"},\"spec\":{\"template\":" \
    "{\"labels\":" template "},\"metadata\":{\"labels\":" metadata "}}}]}"
#define ENTRY(name, labels)                                 \
    "{\"metadata\":{\"name\":\"" name "\",\"annotations\":" \
    "{\"istio.io/autoRegistrationGroup\":\"web\"}},\"spec\":{\"labels\":" labels "}}"

static void check_labels(const char *groups, const char *entries)
{
    json_t *g = parse(groups);
    json_t *e = parse(entries);

    members_check_labels(g, e, &all, &report);
    json_decref(g);
    json_decref(e);
}

/* Which of the two counts depends on who has made the labels. */
static void test_labels__two_places_of_the_group__either_is_right(void **state)
{
    (void)state;
    check_labels(GROUP("{\"v\":\"1\"}", "{\"v\":\"2\"}"),
                 "{\"items\":[" ENTRY("a", "{\"v\":\"1\"}") "," ENTRY("b", "{\"v\":\"2\"}") "]}");
    assert_int_equal(report.n, 0);

    check_labels(GROUP("{\"v\":\"1\"}", "{\"v\":\"2\"}"),
                 "{\"items\":[" ENTRY("a", "{\"v\":\"3\"}") "," ENTRY("b", "{\"v\":\"3\"}") "]}");
    assert_int_equal(report.n, 1);
    assert_non_null(strstr(report.findings[0].text, "says v=1, but"));
}

static void test_labels__locality__is_never_a_label_of_an_entry(void **state)
{
    (void)state;
    check_labels(GROUP("{\"istio-locality\":\"a.b\"}", "{}"), "{\"items\":[" ENTRY("a", "{}") "]}");
    assert_int_equal(report.n, 0);
}

static void test_labels__that_a_shell_would_read__quoted_in_the_command(void **state)
{
    (void)state;
    check_labels(GROUP("{\"v\":\"$(x)\"}", "{}"), "{\"items\":[" ENTRY("a", "{}") "]}");
    assert_int_equal(report.n, 1);
    assert_non_null(strstr(report.findings[0].cure, "workloadentries a 'v=$(x)'  #"));
    assert_non_null(strstr(report.findings[0].text, ": a (without it)"));
}

#define V(value) "{\"v\":\"" value "\"}"

/* A VM's own labels win over those of its group. */
static void test_labels__of_single_vms__are_their_own(void **state)
{
    static const struct {
        const char *entries;
        const char *named; /* NULL: none */
    } rows[] = {
        {ENTRY("a", V("2")), NULL},
        {ENTRY("a", V("1")) "," ENTRY("b", V("2")), NULL},
        {ENTRY("a", V("2")) "," ENTRY("b", V("2")) "," ENTRY("c", V("1")), NULL},
        {ENTRY("a", V("2")) "," ENTRY("b", V("3")), NULL},
        {ENTRY("a", V("2")) "," ENTRY("b", V("2")), ": a (2), b (2)"},
        {ENTRY("a", V("2")) "," ENTRY("b", "{}"), ": b (without it)"},
        {ENTRY("a", V("2")) "," ENTRY("b", "{}") "," ENTRY("c", V("2")),
         ": a (2), b (without it), c (2)"},
    };
    char text[1024];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        doctor_report_fini(&report);
        (void)snprintf(text, sizeof(text), "{\"items\":[%s]}", rows[i].entries);
        check_labels(GROUP(V("1"), "{}"), text);
        assert_int_equal(report.n, rows[i].named != NULL ? 1 : 0);
        if (rows[i].named != NULL) {
            assert_non_null(strstr(report.findings[0].text, rows[i].named));
        }
    }
}

#define CHANGED(day)                                                                    \
    "{\"items\":[{\"metadata\":{\"name\":\"web\",\"managedFields\":["                   \
    "{\"time\":\"2026-01-01T00:00:00Z\"},{\"time\":\"2026-01-" day "T00:00:00Z\"},"     \
    "{\"subresource\":\"status\",\"time\":\"2027-01-01T00:00:00Z\"},7,{\"time\":[]}]}," \
    "\"spec\":{\"template\":{\"labels\":" V("1") "}}}]}"
#define MADE(name, day, value)                                                              \
    "{\"metadata\":{\"name\":\"" name "\",\"creationTimestamp\":\"2026-01-" day             \
    "T00:00:00Z\",\"annotations\":{\"istio.io/autoRegistrationGroup\":\"web\"}},\"spec\":{" \
    "\"labels\":" V(value) "}}"

/* What a VM has that has registered after the change it was not left with by it. */
static void test_labels__of_vms_that_came_after_the_change__are_their_own(void **state)
{
    static const struct {
        const char *entries;
        size_t n;
    } rows[] = {
        {MADE("a", "02", "2") "," MADE("b", "02", "2"), 1},
        {MADE("a", "02", "2") "," MADE("b", "02", "2") "," MADE("c", "04", "1"), 1},
        {MADE("a", "02", "2") "," MADE("b", "02", "2") "," MADE("c", "04", "3"), 1},
        {MADE("a", "02", "2") "," MADE("b", "04", "2"), 0},
        {MADE("a", "04", "2") "," MADE("b", "04", "2"), 0},
    };
    char text[1024];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        doctor_report_fini(&report);
        (void)snprintf(text, sizeof(text), "{\"items\":[%s]}", rows[i].entries);
        check_labels(CHANGED("03"), text);
        assert_int_equal(report.n, rows[i].n);
        if (report.n > 0) {
            assert_non_null(strstr(report.findings[0].text, ": a (2), b (2)"));
            assert_null(strstr(report.findings[0].text, "c ("));
        }
    }
}

/* What a rule names was meant. */
static void test_labels__that_its_account_may_have__are_its_own(void **state)
{
    static char *values[] = {"1", "2", NULL};
    static char *others[] = {"3", NULL};
    struct policy_label labels[] = {{"other", others}, {"v", values}};
    struct policy_label foreign[] = {{"v", others}};
    struct policy_allow allow[] = {
        {.identity = "ns/vms/sa/db", .labels = foreign, .n_labels = 1},
        {.identity = "ns/vms/sa/*", .labels = labels, .n_labels = 2},
        {.identity = "ns/*/sa/*", .labels = foreign, .n_labels = 1},
    };
    struct config_listener listeners[] = {{.name = "none"},
                                          {.registration = {.allow = allow, .n_allow = 3}}};
    const struct config config = {.listeners = listeners, .n_listeners = 2};
    static const struct {
        const char *value;
        size_t n;
    } rows[] = {{"2", 0}, {"3", 1}, {"4", 1}};
    char text[1024];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        doctor_report_fini(&report);
        (void)snprintf(text, sizeof(text),
                       "{\"items\":[" ENTRY("a", V("%s")) "," ENTRY("b", V("%s")) "]}",
                       rows[i].value, rows[i].value);
        json_t *g = parse(GROUP(V("1"), "{}"));
        json_t *e = parse(text);
        members_check_labels(g, e, &(struct members_whose){.ns = "vms", .config = &config},
                             &report);
        json_decref(g);
        json_decref(e);
        assert_int_equal(report.n, rows[i].n);
    }
}

static void test_labels__of_very_many__the_command_is_whole(void **state)
{
    json_t *g = parse(GROUP("{\"v\":\"1\"}", "{}"));
    json_t *e = parse("{\"items\":[]}");

    (void)state;
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(
            json_array_append_new(json_object_get(e, "items"), parse(ENTRY("a-b-c", "{}"))), 0);
    }
    members_check_labels(g, e, &all, &report);
    json_decref(g);
    json_decref(e);
    assert_int_equal(report.n, 1);
    assert_non_null(strstr(report.findings[0].text, "and 1997 more"));
    assert_non_null(strstr(report.findings[0].cure, " a-b-c v=1  # without"));
}

static void test_labels__of_long_names__none_is_cut_in_the_command(void **state)
{
    char name[254] = "";
    char text[1024];
    char end[300];
    json_t *g = parse(GROUP("{\"v\":\"1\"}", "{}"));
    json_t *e = parse("{\"items\":[]}");

    (void)state;
    memset(name, 'x', sizeof(name) - 1);
    (void)snprintf(text, sizeof(text), ENTRY("%s", "{}"), name);
    (void)snprintf(end, sizeof(end), " %s v=1  # without", name);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(json_array_append_new(json_object_get(e, "items"), parse(text)), 0);
    }
    members_check_labels(g, e, &all, &report);
    json_decref(g);
    json_decref(e);
    assert_int_equal(report.n, 1);
    assert_non_null(strstr(report.findings[0].cure, end));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_checks__nonsense__nothing_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_checks__nothing_at_all__nothing_found, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_deployment__nonsense__defaults_of_istiod_count, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_trusted__one_address__fine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_trusted__v6_net_with_the_source__both_said, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_trusted__cures__only_name_entries_of_their_family,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_trusted__garbage__passed_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_clusters__those_that_come_in_or_say_the_same__nothing_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_clusters__more_than_are_named__one_finding_with_their_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_labels__two_places_of_the_group__either_is_right,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_labels__locality__is_never_a_label_of_an_entry, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_labels__that_a_shell_would_read__quoted_in_the_command,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_labels__of_single_vms__are_their_own, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_labels__of_vms_that_came_after_the_change__are_their_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_labels__that_its_account_may_have__are_its_own, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_labels__of_very_many__the_command_is_whole, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_labels__of_long_names__none_is_cut_in_the_command,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
