/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static struct addr parse_ip(const char *text)
{
    struct addr a;
    assert_int_equal(addr_parse_ip(text, &a), RC_OK);
    return a;
}

static void test_addr__good_addresses_with_ports__format_back(void **state)
{
    static const struct {
        const char *text;
        const char *back;
    } rows[] = {
        {"10.0.0.1:15012", "10.0.0.1:15012"},
        {"0.0.0.0:1", "0.0.0.0:1"},
        {"255.255.255.255:65535", "255.255.255.255:65535"},
        {"127.0.0.1:0", "127.0.0.1:0"},
        {"[::1]:15012", "[::1]:15012"},
        {"[::]:15012", "[::]:15012"},
        {"[FD00::00AB]:80", "[fd00::ab]:80"},
        {"[::ffff:10.0.0.1]:80", "10.0.0.1:80"},
        {"[fe80::1%7]:80", "[fe80::1%7]:80"},
        {"[fe80::1%lo]:80", "[fe80::1%1]:80"},
        {"[febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535",
         "[febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535"},
    };
    char buf[ADDR_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct addr a;
        assert_int_equal(addr_parse(rows[i].text, &a), RC_OK);
        assert_string_equal(addr_format(&a, buf), rows[i].back);
    }
}

static void test_addr__bad_addresses_with_ports__are_invalid(void **state)
{
    static const char *const rows[] = {
        "",
        ":",
        "10.0.0.1",
        "10.0.0.1:",
        ":15012",
        "10.0.0.1:65536",
        "10.0.0.1:99999999999999999999999",
        "10.0.0.1:-1",
        "10.0.0.1:+1",
        "10.0.0.1: 1",
        "10.0.0.1:1 ",
        "10.0.0.1:0080",
        "10.0.0.1:0x50",
        " 10.0.0.1:80",
        "10.0.0:80",
        "10.0.0.256:80",
        "010.0.0.1:80",
        "10.0.0.1.:80",
        "localhost:80",
        "istiod.istio-system.svc:15012",
        "::1",
        "::1:80",
        "[::1]",
        "[::1]80",
        "[::1]:",
        "[::1:80",
        "::1]:80",
        "[]:80",
        "[10.0.0.1]:80",
        "[::1]]:80",
        "[[::1]]:80",
        "[::1%1]:80",
        "[fe80::1%]:80",
        "[fe80::1%0]:80",
        "[fe80::1%4294967296]:80",
        "[fe80::1%no-such-interface]:80",
        "[12345::]:80",
        "[1:2:3:4:5:6:7:8:9]:80",
        "10.0.0.1:80/8",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct addr a = {.family = 77};
        if (addr_parse(rows[i], &a) != RC_INVALID) {
            fail_msg("accepted: %s", rows[i]);
        }
        assert_int_equal(a.family, 77); /* untouched */
    }
}

static void test_addr__every_prefix_of_an_address__is_invalid_or_another_port(void **state)
{
    const char *const full = "[fd00::1]:15012";
    char text[32];
    struct addr a;

    (void)state;
    for (size_t n = 0; n < strlen("[fd00::1]:"); n++) {
        snprintf(text, sizeof(text), "%.*s", (int)n, full);
        assert_int_equal(addr_parse(text, &a), RC_INVALID);
    }
    assert_int_equal(addr_parse("[fd00::1]:1501", &a), RC_OK);
    assert_int_equal(a.port, 1501);
}

static void test_addr__very_long_text__is_invalid(void **state)
{
    char text[5000];
    struct addr a;
    struct addr_net net;

    (void)state;
    memset(text, '1', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(addr_parse(text, &a), RC_INVALID);
    assert_int_equal(addr_parse_ip(text, &a), RC_INVALID);
    assert_int_equal(addr_net_parse(text, &net), RC_INVALID);
}

static void test_addr__parse_ip__takes_no_port_and_no_brackets(void **state)
{
    struct addr a;

    (void)state;
    assert_int_equal(addr_parse_ip("10.77.0.2", &a), RC_OK);
    assert_int_equal(a.family, ADDR_V4);
    assert_int_equal(a.port, 0);
    assert_int_equal(addr_parse_ip("fd00::2", &a), RC_OK);
    assert_int_equal(a.family, ADDR_V6);
    assert_int_equal(addr_parse_ip("10.77.0.2:1", &a), RC_INVALID);
    assert_int_equal(addr_parse_ip("[::1]", &a), RC_INVALID);
    assert_int_equal(addr_parse_ip("10.77.0.2/8", &a), RC_INVALID);
    assert_int_equal(addr_parse_ip("", &a), RC_INVALID);
}

static void test_addr__mapped_ipv6__is_ipv4_everywhere(void **state)
{
    struct addr parsed = parse_ip("::ffff:192.168.7.1");
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(80), .sin6_scope_id = 3};
    struct sockaddr_storage ss;
    struct addr a;

    (void)state;
    assert_int_equal(parsed.family, ADDR_V4);
    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.168.7.1", &in6.sin6_addr), 1);
    memset(&ss, 0, sizeof(ss));
    memcpy(&ss, &in6, sizeof(in6));
    addr_from_sockaddr((const struct sockaddr *)&ss, &a);
    assert_int_equal(a.family, ADDR_V4);
    assert_int_equal(a.port, 80);
    assert_int_equal(a.scope, 0);
    assert_true(addr_same_ip(&a, &parsed));
}

static void test_addr__sockaddr_there_and_back__is_the_same(void **state)
{
    static const char *const rows[] = {"10.1.2.3:15012", "[fd00::1:2]:443", "[fe80::9%4]:1"};
    char buf[ADDR_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct addr a;
        struct addr b;
        struct sockaddr_storage ss;
        assert_int_equal(addr_parse(rows[i], &a), RC_OK);
        socklen_t n = addr_to_sockaddr(&a, &ss);
        assert_int_equal(n, a.family == ADDR_V4 ? sizeof(struct sockaddr_in)
                                                : sizeof(struct sockaddr_in6));
        addr_from_sockaddr((const struct sockaddr *)&ss, &b);
        assert_string_equal(addr_format(&b, buf), rows[i]);
    }
}

static void test_addr__foreign_family__is_none(void **state)
{
    struct sockaddr_storage ss = {.ss_family = AF_UNIX};
    struct addr a = {.family = ADDR_V4};
    char buf[ADDR_TEXT_BYTES];

    (void)state;
    addr_from_sockaddr((const struct sockaddr *)&ss, &a);

    assert_int_equal(a.family, ADDR_NONE);
    assert_string_equal(addr_format(&a, buf), "-");
    assert_string_equal(addr_format_ip(&a, buf), "-");
    assert_false(addr_is_loopback(&a));
}

static void test_addr__networks__hold_what_they_should(void **state)
{
    static const struct {
        const char *net;
        const char *in;  /* NULL: none to try */
        const char *out; /* NULL: none to try */
    } rows[] = {
        {"192.168.7.0/24", "192.168.7.255", "192.168.8.0"},
        {"192.168.7.0/24", "192.168.7.0", "192.168.6.255"},
        {"10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
        {"10.128.0.0/9", "10.128.0.1", "10.127.255.255"},
        {"192.168.7.4/30", "192.168.7.7", "192.168.7.8"},
        {"192.168.7.9", "192.168.7.9", "192.168.7.8"},
        {"192.168.7.9/32", "192.168.7.9", "192.168.7.8"},
        {"0.0.0.0/0", "255.1.2.3", "::1"},
        {"::/0", "fd00::1", "10.0.0.1"},
        {"fd00::/8", "fdff::1", "fe00::"},
        {"fd00:1::/33", "fd00:1:7fff::", "fd00:1:8000::"},
        {"fd00::5", "fd00::5", "fd00::4"},
        {"::ffff:10.0.0.0/104", "10.1.1.1", "11.0.0.0"},
        {"::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct addr_net net;
        assert_int_equal(addr_net_parse(rows[i].net, &net), RC_OK);
        struct addr in = parse_ip(rows[i].in);
        struct addr out = parse_ip(rows[i].out);
        in.port = 5;
        if (!addr_in_net(&in, &net) || addr_in_net(&out, &net)) {
            fail_msg("wrong for %s", rows[i].net);
        }
    }
}

static void test_addr__bad_networks__are_invalid(void **state)
{
    static const char *const rows[] = {
        "",
        "/",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/08",
        "10.0.0.0/8 ",
        "10.0.0.0/8/8",
        "10.0.0.1/8",
        "10.0.0.0/255.0.0.0",
        "192.168.7.128/24",
        "fd00::/129",
        "fd00::1/64",
        "fe80::%1/64",
        "[fd00::]/8",
        "::ffff:10.0.0.0/8",
        "::ffff:10.0.0.0/95",
        "::ffff:10.0.0.0/129",
        "vm-network",
        "*",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct addr_net net = {.prefix = 99};
        if (addr_net_parse(rows[i], &net) != RC_INVALID) {
            fail_msg("accepted: %s", rows[i]);
        }
        assert_int_equal(net.prefix, 99); /* untouched */
    }
}

static void test_addr__none__is_in_no_network(void **state)
{
    struct addr none = {.family = ADDR_NONE};
    struct addr_net net;

    (void)state;
    assert_int_equal(addr_net_parse("0.0.0.0/0", &net), RC_OK);
    assert_false(addr_in_net(&none, &net));
}

static void test_addr__loopback__is_what_connects_to_this_host(void **state)
{
    static const char *const yes[] = {"127.0.0.1", "127.255.0.9", "0.0.0.0",
                                      "::1",       "::",          "::ffff:127.0.0.1"};
    static const char *const no[] = {"128.0.0.1", "126.255.255.255", "10.0.0.1",
                                     "::2",       "fd00::1",         "1::"};

    (void)state;
    for (size_t i = 0; i < COUNT(yes); i++) {
        struct addr a = parse_ip(yes[i]);
        assert_true(addr_is_loopback(&a));
    }
    for (size_t i = 0; i < COUNT(no); i++) {
        struct addr a = parse_ip(no[i]);
        assert_false(addr_is_loopback(&a));
    }
}

static void test_addr__same_ip__ignores_the_port_only(void **state)
{
    struct addr a;
    struct addr b;

    (void)state;
    assert_int_equal(addr_parse("10.0.0.1:1", &a), RC_OK);
    assert_int_equal(addr_parse("10.0.0.1:2", &b), RC_OK);
    assert_true(addr_same_ip(&a, &b));
    b = parse_ip("10.0.0.2");
    assert_false(addr_same_ip(&a, &b));
    b = parse_ip("a00:1::"); /* the same first four bytes */
    assert_false(addr_same_ip(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addr__good_addresses_with_ports__format_back),
        cmocka_unit_test(test_addr__bad_addresses_with_ports__are_invalid),
        cmocka_unit_test(test_addr__every_prefix_of_an_address__is_invalid_or_another_port),
        cmocka_unit_test(test_addr__very_long_text__is_invalid),
        cmocka_unit_test(test_addr__parse_ip__takes_no_port_and_no_brackets),
        cmocka_unit_test(test_addr__mapped_ipv6__is_ipv4_everywhere),
        cmocka_unit_test(test_addr__sockaddr_there_and_back__is_the_same),
        cmocka_unit_test(test_addr__foreign_family__is_none),
        cmocka_unit_test(test_addr__networks__hold_what_they_should),
        cmocka_unit_test(test_addr__bad_networks__are_invalid),
        cmocka_unit_test(test_addr__none__is_in_no_network),
        cmocka_unit_test(test_addr__loopback__is_what_connects_to_this_host),
        cmocka_unit_test(test_addr__same_ip__ignores_the_port_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
