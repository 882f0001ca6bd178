/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/sandbox/istiod/cidr.h"

#include <stdlib.h>

#include "tests/integration/sandbox/unit.h"

static void test_cidr__empty_list__trusts_nobody(void **state)
{
    struct cidr_list l = {0};

    (void)state;
    assert_false(cidr_trusts(&l, "127.0.0.1"));
    assert_false(cidr_trusts(&l, "10.0.0.1"));
}

static void test_cidr__any_entry__trusts_it_and_loopback(void **state)
{
    struct cidr_list l = {0};

    (void)state;
    assert_true(cidr_add(&l, "10.77.0.2/32"));
    assert_true(cidr_add(&l, "192.168.8.0/21"));
    assert_true(cidr_add(&l, "fd00:1::/33"));

    assert_true(cidr_trusts(&l, "10.77.0.2"));
    assert_false(cidr_trusts(&l, "10.77.0.3"));
    assert_true(cidr_trusts(&l, "192.168.15.255"));
    assert_false(cidr_trusts(&l, "192.168.16.0"));
    assert_true(cidr_trusts(&l, "127.9.9.9"));
    assert_true(cidr_trusts(&l, "::1"));
    assert_true(cidr_trusts(&l, "fd00:1:7fff::1"));
    assert_false(cidr_trusts(&l, "fd00:1:8000::1"));
    assert_false(cidr_trusts(&l, ""));
    assert_false(cidr_trusts(&l, "host"));
    cidr_fini(&l);
}

static void test_cidr__malformed_entry__is_refused(void **state)
{
    struct cidr_list l = {0};

    (void)state;
    assert_false(cidr_add(&l, "10.0.0.1"));
    assert_false(cidr_add(&l, "10.0.0.1/33"));
    assert_false(cidr_add(&l, "10.0.0/8"));
    assert_false(cidr_add(&l, "/8"));
    assert_false(cidr_add(&l, "::/129"));
    assert_false(cidr_add(&l, "10.0.0.0/"));
}

static void expect_address(const char *peer, const char *want)
{
    char *got = peer_address(peer);

    assert_string_equal(got, want);
    free(got);
}

static void test_peer_address__forms_of_grpc_core__give_the_address(void **state)
{
    char *text = peer_text("ipv6:%5B::1%5D:9");

    (void)state;
    expect_address("ipv4:10.0.0.1:123", "10.0.0.1");
    expect_address("ipv6:[::1]:123", "::1");
    expect_address("ipv6:%5Bfd00::2%5D:1", "fd00::2");
    assert_string_equal(text, "[::1]:9");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cidr__empty_list__trusts_nobody),
        cmocka_unit_test(test_cidr__any_entry__trusts_it_and_loopback),
        cmocka_unit_test(test_cidr__malformed_entry__is_refused),
        cmocka_unit_test(test_peer_address__forms_of_grpc_core__give_the_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
