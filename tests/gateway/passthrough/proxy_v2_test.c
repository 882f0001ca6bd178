/* SPDX-License-Identifier: Apache-2.0 */
/* The header byte by byte, as haproxy's proxy-protocol.txt 2.2 has it. */
#include "gateway/passthrough/proxy_v2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SIGNATURE "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"

static struct addr address(const char *text)
{
    struct addr a;

    assert_int_equal(addr_parse(text, &a), RC_OK);
    return a;
}

/* Nothing may be written behind the length that is returned, nor behind the room. */
static void assert_header(const struct addr *from, const struct addr *to, const char *want,
                          size_t n)
{
    uint8_t out[PROXY_V2_MAX_BYTES + 8];

    memset(out, 0xa5, sizeof(out));
    size_t have = proxy_v2_write(from, to, out);

    assert_int_equal(have, n);
    assert_memory_equal(out, want, n);
    for (size_t i = n; i < sizeof(out); i++) {
        assert_int_equal(out[i], 0xa5);
    }
}

static void test_proxy_v2__ipv4__both_addresses_and_ports(void **state)
{
    static const char want[] = SIGNATURE "\x21\x11\x00\x0c"
                                         "\xc0\x00\x02\x07"
                                         "\x0a\x01\x02\x03"
                                         "\xfe\xdc"
                                         "\x3a\xa4";
    struct addr from = address("192.0.2.7:65244");
    struct addr to = address("10.1.2.3:15012");
    (void)state;

    assert_header(&from, &to, want, sizeof(want) - 1);
}

static void test_proxy_v2__ipv6__fills_its_room(void **state)
{
    static const char want[] =
        SIGNATURE "\x21\x21\x00\x24"
                  "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07"
                  "\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x12\x34"
                  "\x00\x01"
                  "\x3a\xa4";
    struct addr from = address("[2001:db8::7]:1");
    struct addr to = address("[fd00::1234]:15012");
    (void)state;

    assert_int_equal(sizeof(want) - 1, PROXY_V2_MAX_BYTES);
    assert_header(&from, &to, want, sizeof(want) - 1);
}

static void test_proxy_v2__families_differ_or_are_unknown__local(void **state)
{
    static const char want[] = SIGNATURE "\x20\x00\x00\x00";
    struct addr v4 = address("192.0.2.7:1");
    struct addr v6 = address("[2001:db8::7]:1");
    struct addr none = {.family = ADDR_NONE};
    (void)state;

    assert_header(&v4, &v6, want, sizeof(want) - 1);
    assert_header(&v6, &v4, want, sizeof(want) - 1);
    assert_header(&none, &none, want, sizeof(want) - 1);
    assert_header(&none, &v4, want, sizeof(want) - 1);
    assert_header(&v4, &none, want, sizeof(want) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proxy_v2__ipv4__both_addresses_and_ports),
        cmocka_unit_test(test_proxy_v2__ipv6__fills_its_room),
        cmocka_unit_test(test_proxy_v2__families_differ_or_are_unknown__local),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
