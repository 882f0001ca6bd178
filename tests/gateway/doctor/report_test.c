/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/doctor/report.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/doc/doc.h"
#include "tests/gateway/doctor/report_fixture.h"

/* ---- the table ---- */

static void test_causes__ids__lower_case_words_and_unique(void **state)
{
    (void)state;
    for (int i = 0; i < DOCTOR_CAUSES; i++) {
        const char *id = doctor_id((enum doctor_cause)i);
        assert_true(strlen(id) > 0);
        for (const char *c = id; *c != '\0'; c++) {
            assert_true(islower((unsigned char)*c) || *c == '-');
        }
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(id, doctor_id((enum doctor_cause)k));
        }
    }
}

static unsigned places_of(const char *text)
{
    unsigned found = 0;

    for (const char *p = strchr(text, '{'); p != NULL; p = strchr(p + 1, '{')) {
        if (isdigit((unsigned char)p[1]) && p[2] == '}') {
            assert_in_range(p[1], '1', '0' + DOCTOR_PLACES_MAX);
            found |= 1U << (p[1] - '1');
        }
    }
    return found;
}

static void test_causes__texts__one_line_without_a_stop_and_places_without_a_gap(void **state)
{
    (void)state;
    for (int i = 0; i < DOCTOR_CAUSES; i++) {
        const char *text = doctor_cause_text((enum doctor_cause)i);
        const char *cure = doctor_cause_cure((enum doctor_cause)i);
        unsigned places = places_of(text) | places_of(cure);
        assert_true(strlen(text) > 0 && strlen(cure) > 0);
        assert_null(strpbrk(text, "\n\t"));
        assert_null(strpbrk(cure, "\n\t"));
        assert_int_not_equal(text[strlen(text) - 1], '.');
        assert_int_equal(places & (places + 1), 0);
    }
}

static void test_causes__commands__no_place_that_nobody_fills(void **state)
{
    static const char *const names[] = {"{cluster}", "{istio}", "{system}", "{istiod}"};

    (void)state;
    for (int i = 0; i < DOCTOR_CAUSES; i++) {
        const char *cure = doctor_cause_cure((enum doctor_cause)i);
        for (const char *p = strchr(cure, '{'); p != NULL; p = strchr(p + 1, '{')) {
            bool known = isdigit((unsigned char)p[1]) != 0 || !islower((unsigned char)p[1]);
            for (size_t k = 0; k < 4; k++) {
                known = known || strncmp(p, names[k], strlen(names[k])) == 0;
            }
            assert_true(known);
        }
        assert_null(strstr(cure, "kubectl -n")); /* of which cluster? */
        assert_null(strstr(cure, "istio-system"));
    }
}

/* ---- whom commands are for ---- */

static void test_report__nobody_aims__what_kubectl_takes_by_itself(void **state)
{
    (void)state;
    doctor_find(&report, DOCTOR_UPSTREAM_SILENT, "a", "b", "c", NULL);

    assert_string_equal(report.findings[0].cure,
                        "kubectl -n istio-system logs deployment/istiod --tail=20");
}

static void test_report__aimed__at_that_cluster_and_that_istiod(void **state)
{
    (void)state;
    doctor_report_aim(&report, "/home/o'neil/my config", "edge", "mesh", "canary");
    doctor_find(&report, DOCTOR_UPSTREAM_SILENT, "a", "b", "c", NULL);
    doctor_find(&report, DOCTOR_SERVING_ENDS, "a", "b", "c", "d", NULL);

    assert_string_equal(report.findings[0].cure,
                        "kubectl --kubeconfig '/home/o'\\''neil/my config' --context edge -n mesh "
                        "logs deployment/istiod-canary --tail=20");
    assert_non_null(strstr(report.findings[1].cure, " --context edge -i mesh --renew --output d"));
}

static void test_report__aimed_at_the_defaults__says_no_more_than_needed(void **state)
{
    (void)state;
    doctor_report_aim(&report, NULL, NULL, "istio-system", "default");
    doctor_find(&report, DOCTOR_SERVING_ENDS, "a", "b", "c", "d", NULL);
    doctor_find(&report, DOCTOR_XDS_OPEN, "a", "b", NULL);

    assert_string_equal(report.findings[0].cure,
                        "xdsgate cert issue --from-cluster --renew --output d");
    assert_non_null(strstr(report.findings[1].cure, "deployment/istiod XDS_AUTH-"));
}

/* ---- findings ---- */

static void test_report__places__filled_and_printable(void **state)
{
    (void)state;
    doctor_find(&report, DOCTOR_VM_PORT, "7", "a\nb\x1b[m", "{1}", NULL);

    assert_int_equal(report.n, 1);
    assert_string_equal(report.findings[0].text,
                        "process 7 (a?b?[m) listens on port {1}, which Istio's Envoy needs");
    assert_string_equal(report.findings[0].cure, "ss -ltnp 'sport = :{1}'");
    assert_int_equal(report.findings[0].level, DOCTOR_BAD);
}

static void test_report__the_same_twice__once(void **state)
{
    (void)state;
    doctor_find(&report, DOCTOR_VM_AGENT, NULL);
    doctor_find(&report, DOCTOR_VM_AGENT, NULL);
    doctor_looked(&report, "%s", "x");
    doctor_looked(&report, "%s", "x");

    assert_int_equal(report.n, 1);
    assert_int_equal(report.n_looked, 1);
}

static void test_report__too_many_and_too_long__bounded(void **state)
{
    char number[16];
    char *longer = calloc(1, 10001);

    (void)state;
    memset(longer, 'x', 10000);
    doctor_find(&report, DOCTOR_VM_FOLDER, longer, NULL);
    assert_true(strlen(report.findings[0].text) < 1000);
    for (int i = 0; i < DOCTOR_FINDINGS_MAX + 10; i++) {
        snprintf(number, sizeof(number), "%d", i);
        doctor_find(&report, DOCTOR_VM_FOLDER, number, NULL);
        doctor_skipped(&report, "%d", i);
    }

    assert_int_equal(report.n, DOCTOR_FINDINGS_MAX);
    assert_int_equal(report.lost, 11);
    assert_int_equal(report.n_skipped, DOCTOR_NOTES_MAX);
    free(longer);
}

/* Of a place that is cut, and of bytes that are none. */
static void test_report__no_utf8__json_all_the_same(void **state)
{
    char *text = NULL;
    size_t n = 0;
    char umlauts[802] = "x";
    FILE *out = open_memstream(&text, &n);

    (void)state;
    for (size_t i = 1; i < 801; i += 2) {
        memcpy(umlauts + i, "\xc3\xbc", 3);
    }
    doctor_find(&report, DOCTOR_VM_FOLDER, umlauts, NULL);
    doctor_find(&report, DOCTOR_VM_FOLDER, "a\xff", NULL);
    doctor_skipped(&report, "%s", "\xc3");
    doctor_looked(&report, "%s", "\xed\xa0\x80");

    assert_int_equal(doctor_write_json(out, &report), RC_OK);
    fclose(out);
    assert_non_null(strstr(report.findings[0].text, "\xc3\xbc is not there"));
    assert_string_equal(report.skipped[0], "?");
    assert_string_equal(report.looked[0], "???");
    assert_false(report.short_of_memory);
    free(text);
}

static void test_report__json__has_all_of_it(void **state)
{
    char *text = NULL;
    size_t n = 0;
    struct doc_error err;
    json_t *all = NULL;
    FILE *out = open_memstream(&text, &n);

    (void)state;
    doctor_find_at(&report, DOCTOR_WARN, DOCTOR_VM_AGENT, NULL);
    doctor_looked(&report, "this");
    doctor_skipped(&report, "that");
    assert_int_equal(doctor_write_json(out, &report), RC_OK);
    fclose(out);

    assert_int_equal(doc_parse_json(text, n, &err, &all), RC_OK);
    const json_t *row = json_array_get(doc_at(all, "findings", NULL), 0);
    assert_string_equal(doc_text(row, "id", NULL), "vm-agent");
    assert_string_equal(doc_text(row, "level", NULL), "warning");
    assert_string_equal(doc_text(row, "command", NULL), "systemctl restart istio");
    assert_string_equal(json_string_value(json_array_get(doc_at(all, "looked_at", NULL), 0)),
                        "this");
    assert_string_equal(json_string_value(json_array_get(doc_at(all, "not_looked_at", NULL), 0)),
                        "that");
    json_decref(all);
    free(text);
}

static void test_duration__each_unit__whole_numbers(void **state)
{
    char buf[32];

    (void)state;
    assert_string_equal(doctor_duration(-5, buf), "0 s");
    assert_string_equal(doctor_duration(119, buf), "119 s");
    assert_string_equal(doctor_duration(120, buf), "2 min");
    assert_string_equal(doctor_duration(7200, buf), "2 h");
    assert_string_equal(doctor_duration(3 * 86400 - 1, buf), "2 days");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_causes__ids__lower_case_words_and_unique),
        cmocka_unit_test(test_causes__texts__one_line_without_a_stop_and_places_without_a_gap),
        cmocka_unit_test(test_causes__commands__no_place_that_nobody_fills),
        cmocka_unit_test_setup_teardown(test_report__nobody_aims__what_kubectl_takes_by_itself,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_report__aimed__at_that_cluster_and_that_istiod, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_report__aimed_at_the_defaults__says_no_more_than_needed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_report__no_utf8__json_all_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_report__places__filled_and_printable, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_report__the_same_twice__once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_report__too_many_and_too_long__bounded, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_report__json__has_all_of_it, set_up, tear_down),
        cmocka_unit_test(test_duration__each_unit__whole_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
