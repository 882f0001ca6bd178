/* SPDX-License-Identifier: Apache-2.0 */
/* What is a HOST:PORT, and what is none. */
#include "gateway/cli/host_port.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_host_port__good__split_without_brackets(void **state)
{
    static const struct {
        const char *text;
        const char *host;
        uint16_t port;
    } rows[] = {{"istiod.example:15012", "istiod.example", 15012},
                {"10.0.0.11:1", "10.0.0.11", 1},
                {"[2001:db8::11]:65535", "2001:db8::11", 65535},
                {"[fe80::1%eth0]:00080", "fe80::1%eth0", 80},
                {"a:1", "a", 1}};
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char *host = NULL;
        uint16_t port = 0;
        assert_int_equal(host_port_read(rows[i].text, &host, &port), RC_OK);
        assert_string_equal(host, rows[i].host);
        assert_int_equal(port, rows[i].port);
        free(host);
    }
}

static void test_host_port__bad__is_refused(void **state)
{
    static const char *const texts[] = {"",       ":",       "istiod",   "istiod:",   ":15012",
                                        "a:0",    "a:65536", "a:99999",  "a:15o12",   "a:+1",
                                        "a: 1",   "a:1 ",    "a:000001", "::1:15012", "[]:1",
                                        "[::1]1", "[::1]:",  "[::1]",    "[:1",       "a:-1"};
    (void)state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        char *host = (char *)1;
        uint16_t port = 7;
        if (host_port_read(texts[i], &host, &port) != RC_INVALID) {
            fail_msg("'%s' was taken", texts[i]);
        }
        assert_ptr_equal(host, (char *)1);
        assert_int_equal(port, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_port__good__split_without_brackets),
        cmocka_unit_test(test_host_port__bad__is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
