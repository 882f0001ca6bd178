/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct row {
    const char *name;
    bool label;
    bool subdomain;
};

static void test_name__kubernetes__label_and_subdomain(void **state)
{
    static const struct row rows[] = {
        {"a", true, true},      {"istio-system", true, true}, {"1", true, true},
        {"a--b", true, true},   {"", false, false},           {"-a", false, false},
        {"a-", false, false},   {"A", false, false},          {"a_b", false, false},
        {"a b", false, false},  {"a/b", false, false},        {"a.b", false, true},
        {"a.b.c", false, true}, {".a", false, false},         {"a.", false, false},
        {"a..b", false, false}, {"a.-b", false, false},       {"a-.b", false, false},
        {"a\n", false, false},  {"\xc3\xa4", false, false},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (name_is_label(rows[i].name) != rows[i].label ||
            name_is_subdomain(rows[i].name) != rows[i].subdomain) {
            fail_msg("%s", rows[i].name);
        }
    }
}

static void test_name__length__63_and_253(void **state)
{
    char name[260];
    (void)state;

    memset(name, 'a', sizeof(name));
    name[63] = '\0';
    assert_true(name_is_label(name));
    name[63] = 'a';
    name[64] = '\0';
    assert_false(name_is_label(name));
    name[64] = 'a';
    name[253] = '\0';
    assert_true(name_is_subdomain(name));
    name[253] = 'a';
    name[254] = '\0';
    assert_false(name_is_subdomain(name));
}

static void test_name__variable__as_a_shell_has_it(void **state)
{
    (void)state;

    assert_true(name_is_variable("A"));
    assert_true(name_is_variable("_a1"));
    assert_false(name_is_variable(""));
    assert_false(name_is_variable("1a"));
    assert_false(name_is_variable("a-b"));
    assert_false(name_is_variable("a=b"));
}

static void test_name__word__visible_ascii(void **state)
{
    (void)state;

    assert_true(name_is_word("eyJ.a~!", 7));
    assert_true(name_is_word("ab", 1));
    assert_false(name_is_word("", 0));
    assert_false(name_is_word("a b", 3));
    assert_false(name_is_word("a\n", 2));
    assert_false(name_is_word("a\x7f", 2));
    assert_false(name_is_word("a\xff", 2));
    assert_false(name_is_word("a\0b", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name__kubernetes__label_and_subdomain),
        cmocka_unit_test(test_name__length__63_and_253),
        cmocka_unit_test(test_name__variable__as_a_shell_has_it),
        cmocka_unit_test(test_name__word__visible_ascii),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
