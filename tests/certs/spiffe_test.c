/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/spiffe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* Parse an exact copy on the heap, without a final zero. */
static enum rc parse_copy(const char *uri, size_t n, struct spiffe_id *out)
{
    char *copy = malloc(n > 0 ? n : 1);
    memcpy(copy, uri, n);
    enum rc rc = spiffe_parse(copy, n, out);
    free(copy);
    return rc;
}

static enum rc parse_text(const char *uri, struct spiffe_id *out)
{
    return parse_copy(uri, strlen(uri), out);
}

/* n times c. */
static void repeat(char buf[300], char c, size_t n)
{
    assert_true(n < 300);
    memset(buf, c, n);
    buf[n] = '\0';
}

static void test_spiffe__identity_of_a_vm__has_three_parts(void **state)
{
    struct spiffe_id id;

    (void)state;
    assert_int_equal(parse_text("spiffe://cluster.local/ns/vms/sa/web-vm.v2", &id), RC_OK);

    assert_string_equal(id.trust_domain, "cluster.local");
    assert_string_equal(id.ns, "vms");
    assert_string_equal(id.sa, "web-vm.v2");
}

static void test_spiffe__good_identities__format_back(void **state)
{
    static const char *const rows[] = {
        "spiffe://cluster.local/ns/vms/sa/web",
        "spiffe://td1/ns/a/sa/b",
        "spiffe://0.1.2/ns/0/sa/9",
        "spiffe://my_td.example-1.com/ns/a-b/sa/c.d-e.f",
        "spiffe://cluster.local/ns/ns/sa/sa",
    };
    char buf[SPIFFE_URI_BYTES];
    struct spiffe_id id;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(parse_text(rows[i], &id), RC_OK);
        assert_int_equal(spiffe_format(&id, buf), strlen(rows[i]));
        assert_string_equal(buf, rows[i]);
    }
}

static void test_spiffe__anything_else__is_malformed(void **state)
{
    static const char *const rows[] = {
        "",
        "spiffe",
        "spiffe://",
        "SPIFFE://cluster.local/ns/vms/sa/web",
        "https://cluster.local/ns/vms/sa/web",
        " spiffe://cluster.local/ns/vms/sa/web",
        "spiffe://cluster.local/ns/vms/sa/web ",
        "spiffe://cluster.local/ns/vms/sa/web\n",
        "spiffe://cluster.local/ns/vms/sa/web/",
        "spiffe://cluster.local/ns/vms/sa/web/x",
        "spiffe://cluster.local/ns/vms/sa/",
        "spiffe://cluster.local/ns//sa/web",
        "spiffe:///ns/vms/sa/web",
        "spiffe://cluster.local//ns/vms/sa/web",
        "spiffe://cluster.local/ns/vms//sa/web",
        "spiffe://cluster.local/NS/vms/sa/web",
        "spiffe://cluster.local/sa/web/ns/vms",
        "spiffe://cluster.local/ns/vms/web",
        "spiffe://cluster.local/vms/web",
        "spiffe://cluster.local:80/ns/vms/sa/web",
        "spiffe://user@cluster.local/ns/vms/sa/web",
        "spiffe://cluster.local/ns/vms/sa/web?x",
        "spiffe://cluster.local/ns/vms/sa/web#x",
        "spiffe://cluster.local/ns/vms/sa/%77eb",
        "spiffe://cluster.local/ns/VMS/sa/web",
        "spiffe://Cluster.local/ns/vms/sa/web",
        "spiffe://cluster.local/ns/vms/sa/Web",
        "spiffe://cluster.local/ns/v.ms/sa/web",
        "spiffe://cluster.local/ns/v_ms/sa/web",
        "spiffe://cluster.local/ns/vms/sa/we_b",
        "spiffe://cluster.local/ns/-vms/sa/web",
        "spiffe://cluster.local/ns/vms-/sa/web",
        "spiffe://cluster.local/ns/vms/sa/.web",
        "spiffe://cluster.local/ns/vms/sa/web.",
        "spiffe://cluster.local/ns/vms/sa/we..b",
        "spiffe://cluster.local/ns/vms/sa/we.-b",
        "spiffe://cluster.local/ns/vms/sa/we-.b",
        "spiffe://cluster..local/ns/vms/sa/web",
        "spiffe://.local/ns/vms/sa/web",
        "spiffe://*/ns/vms/sa/web",
        "spiffe://cluster.local/ns/*/sa/web",
        "spiffe://cluster.local/ns/vms/sa/*",
        "spiffe://cluster.local/ns/vms/sa/web,URI=spiffe://x",
        "spiffe://cluster.local/ns/vms/sa/web;By=x",
        "spiffe://cluster.local/ns/vms/sa/\"web\"",
        "spiffe://cluster.local/ns/vms/sa/w\xc3\xa9z",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct spiffe_id id = {.ns = "untouched"};
        if (parse_text(rows[i], &id) != RC_PEER_MALFORMED) {
            fail_msg("accepted: %s", rows[i]);
        }
        assert_string_equal(id.ns, "untouched");
    }
}

static void test_spiffe__zero_byte_inside__is_malformed(void **state)
{
    static const char uri[] = "spiffe://cluster.local/ns/vms/sa/web";
    struct spiffe_id id;

    (void)state;
    for (size_t i = 0; i < sizeof(uri) - 1; i++) {
        char copy[sizeof(uri)];
        memcpy(copy, uri, sizeof(uri));
        copy[i] = '\0';
        assert_int_equal(parse_copy(copy, sizeof(uri) - 1, &id), RC_PEER_MALFORMED);
    }
    assert_int_equal(parse_copy(uri, sizeof(uri), &id), RC_PEER_MALFORMED);
}

static void test_spiffe__truncated_at_every_byte__is_malformed_until_the_last_part(void **state)
{
    static const char uri[] = "spiffe://cluster.local/ns/vms/sa/web";
    const size_t start_of_sa = sizeof(uri) - 1 - strlen("web");
    struct spiffe_id id;

    (void)state;
    for (size_t n = 0; n <= start_of_sa; n++) {
        assert_int_equal(parse_copy(uri, n, &id), RC_PEER_MALFORMED);
    }
    assert_int_equal(parse_copy(uri, start_of_sa + 1, &id), RC_OK);
    assert_string_equal(id.sa, "w");
}

static void test_spiffe__longest_parts__fit_and_one_more_does_not(void **state)
{
    char uri[2000];
    char buf[SPIFFE_URI_BYTES];
    struct spiffe_id id;
    char td[300];
    char ns[300];
    char sa[300];

    (void)state;
    for (int extra = 0; extra < 8; extra++) {
        repeat(td, 't', extra & 1 ? 254 : 253);
        repeat(ns, 'n', extra & 2 ? 64 : 63);
        repeat(sa, 's', extra & 4 ? 254 : 253);
        snprintf(uri, sizeof(uri), "spiffe://%s/ns/%s/sa/%s", td, ns, sa);
        assert_int_equal(parse_text(uri, &id), extra == 0 ? RC_OK : RC_PEER_MALFORMED);
        if (extra == 0) {
            assert_int_equal(spiffe_format(&id, buf), strlen(uri));
            assert_string_equal(buf, uri);
        }
    }
}

static void test_spiffe__good_patterns__are_accepted(void **state)
{
    static const char *const rows[] = {"ns/vms/sa/web", "ns/vms/sa/*", "ns/*/sa/web", "ns/*/sa/*",
                                       "ns/istio-system-vms/sa/a.b"};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(spiffe_pattern_check(rows[i]), RC_OK);
    }
}

static void test_spiffe__bad_patterns__are_invalid(void **state)
{
    static const char *const rows[] = {
        "",
        "*",
        "ns/vms",
        "ns/vms/sa",
        "ns/vms/sa/",
        "ns//sa/web",
        "vms/web",
        "/ns/vms/sa/web",
        "ns/vms/sa/web/",
        "ns/vms/sa/web*",
        "ns/vm*/sa/web",
        "ns/**/sa/web",
        "ns/Vms/sa/web",
        "ns/vms/sa/we b",
        "ns/istio-system/sa/web",
        "ns/istio-system/sa/*",
        "ns/kube-system/sa/*",
        "spiffe://cluster.local/ns/vms/sa/web",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (spiffe_pattern_check(rows[i]) != RC_INVALID) {
            fail_msg("accepted: %s", rows[i]);
        }
    }
}

static void test_spiffe__allowed__follows_the_patterns(void **state)
{
    static const struct {
        const char *pattern;
        const char *ns;
        const char *sa;
        bool allowed;
    } rows[] = {
        {"ns/vms/sa/web", "vms", "web", true},
        {"ns/vms/sa/web", "vms", "web2", false},
        {"ns/vms/sa/web2", "vms", "web", false},
        {"ns/vms/sa/web", "vms2", "web", false},
        {"ns/vms/sa/*", "vms", "anything", true},
        {"ns/vms/sa/*", "other", "anything", false},
        {"ns/*/sa/web", "other", "web", true},
        {"ns/*/sa/web", "other", "db", false},
        {"ns/*/sa/*", "other", "db", true},
        {"ns/*/sa/*", "istio-system", "istiod", false},
        {"ns/*/sa/*", "kube-system", "default", false},
        {"ns/istio-system/sa/istiod", "istio-system", "istiod", false},
        {"nonsense", "vms", "web", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *const patterns[] = {"ns/none/sa/none", rows[i].pattern, NULL};
        struct spiffe_id id = {.trust_domain = "cluster.local"};
        snprintf(id.ns, sizeof(id.ns), "%s", rows[i].ns);
        snprintf(id.sa, sizeof(id.sa), "%s", rows[i].sa);
        if (spiffe_allowed(&id, patterns) != rows[i].allowed) {
            fail_msg("wrong for row %zu", i);
        }
    }
}

static void test_spiffe__no_patterns__allow_nobody(void **state)
{
    const char *const none[] = {NULL};
    struct spiffe_id id = {.trust_domain = "cluster.local", .ns = "vms", .sa = "web"};

    (void)state;
    assert_false(spiffe_allowed(&id, none));
    assert_false(spiffe_allowed(&id, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spiffe__identity_of_a_vm__has_three_parts),
        cmocka_unit_test(test_spiffe__good_identities__format_back),
        cmocka_unit_test(test_spiffe__anything_else__is_malformed),
        cmocka_unit_test(test_spiffe__zero_byte_inside__is_malformed),
        cmocka_unit_test(test_spiffe__truncated_at_every_byte__is_malformed_until_the_last_part),
        cmocka_unit_test(test_spiffe__longest_parts__fit_and_one_more_does_not),
        cmocka_unit_test(test_spiffe__good_patterns__are_accepted),
        cmocka_unit_test(test_spiffe__bad_patterns__are_invalid),
        cmocka_unit_test(test_spiffe__allowed__follows_the_patterns),
        cmocka_unit_test(test_spiffe__no_patterns__allow_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
