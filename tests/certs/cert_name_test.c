/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/cert_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LABEL63 "a23456789012345678901234567890123456789012345678901234567890123"

static void test_cert_name__good_names__are_taken_in_lower_case(void **state)
{
    static const struct {
        const char *text;
        enum cert_name_kind kind;
        const char *read;
    } rows[] = {
        {"istiod.istio-system.svc", CERT_NAME_DNS, "istiod.istio-system.svc"},
        {"Istiod.Istio-System.SVC", CERT_NAME_DNS, "istiod.istio-system.svc"},
        {"localhost", CERT_NAME_DNS, "localhost"},
        {"1.example.com", CERT_NAME_DNS, "1.example.com"},
        {"10.0.0.1a", CERT_NAME_DNS, "10.0.0.1a"},
        {"xn--bcher-kva.example", CERT_NAME_DNS, "xn--bcher-kva.example"},
        {"*.example.com", CERT_NAME_DNS, "*.example.com"},
        {LABEL63 ".example", CERT_NAME_DNS, LABEL63 ".example"},
        {"10.0.0.1", CERT_NAME_IP, "10.0.0.1"},
        {"fd00::1", CERT_NAME_IP, "fd00::1"},
        {"FD00::A", CERT_NAME_IP, "fd00::a"},
        {"2001:0DB8:0::0:1", CERT_NAME_IP, "2001:db8::1"},
        {"::ffff:10.0.0.1", CERT_NAME_IP, "::ffff:10.0.0.1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct cert_name name;
        const char *why = NULL;
        if (cert_name_read(rows[i].text, &name, &why) != RC_OK) {
            fail_msg("%s: %s", rows[i].text, why);
        }
        assert_int_equal(name.kind, rows[i].kind);
        assert_string_equal(name.text, rows[i].read);
    }
}

static void assert_refused(const char *text, const char *part)
{
    struct cert_name name;
    const char *why = NULL;

    memset(&name, 0x55, sizeof(name));
    assert_int_equal(cert_name_read(text, &name, &why), RC_INVALID);
    assert_non_null(why);
    if (strstr(why, part) == NULL) {
        fail_msg("%s: \"%s\" instead of \"%s\"", text, why, part);
    }
    assert_int_equal((unsigned char)name.text[0], 0x55); /* untouched */
}

static void test_cert_name__other_texts__are_refused(void **state)
{
    static const struct {
        const char *text;
        const char *part;
    } rows[] = {
        {"", "empty label"},
        {".", "empty label"},
        {"istiod.istio-system.svc.", "empty label"},
        {"istiod..svc", "empty label"},
        {".svc", "empty label"},
        {"b\xc3\xbc"
         "cher.example",
         "xn--"},
        {"a_b.example", "letters, digits and hyphens"},
        {"-a.example", "letters, digits and hyphens"},
        {"a-.example", "letters, digits and hyphens"},
        {"a b.example", "letters, digits and hyphens"},
        {"a\nb", "letters, digits and hyphens"},
        {"spiffe://cluster.local/ns/a/sa/b", "letters, digits and hyphens"},
        {"istiod.istio-system.svc:15012", "letters, digits and hyphens"},
        {LABEL63 "4.example", "63 characters"},
        {"10.0.0.256", "last label is a number"},
        {"10.0.0", "last label is a number"},
        {"7", "last label is a number"},
        {"fd00::1%eth0", "letters, digits and hyphens"},
        {"[fd00::1]", "letters, digits and hyphens"},
        {"*", "whole first label"},
        {"*.", "empty label"},
        {"*.com", "two labels"},
        {"*.*.example.com", "letters, digits and hyphens"},
        {"a.*.example.com", "whole first label"},
        {"istio*.example.com", "whole first label"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        assert_refused(rows[i].text, rows[i].part);
    }
}

static void test_cert_name__at_and_over_the_longest__is_taken_and_refused(void **state)
{
    struct cert_name name;
    const char *why = NULL;
    char text[300];

    (void)state;
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = i % 2 == 0 ? 'a' : '.';
    }
    text[253] = '\0';
    assert_int_equal(cert_name_read(text, &name, &why), RC_OK);
    assert_string_equal(name.text, text);

    text[253] = 'b';
    text[254] = '\0';
    assert_refused(text, "longer than 253");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cert_name__good_names__are_taken_in_lower_case),
        cmocka_unit_test(test_cert_name__other_texts__are_refused),
        cmocka_unit_test(test_cert_name__at_and_over_the_longest__is_taken_and_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
