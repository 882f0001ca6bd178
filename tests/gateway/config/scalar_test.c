/* SPDX-License-Identifier: Apache-2.0 */
/* Words to values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/config/scalar.h"

static void test_scalar__types__as_in_yaml_1_2(void **state)
{
    static const struct {
        const char *text;
        enum scalar_type type;
    } cases[] = {
        {"", SCALAR_EMPTY},     {"~", SCALAR_EMPTY},       {"null", SCALAR_EMPTY},
        {"nul", SCALAR_TEXT},   {"true", SCALAR_BOOL},     {"False", SCALAR_BOOL},
        {"yes", SCALAR_TEXT},   {"off", SCALAR_TEXT},      {"0", SCALAR_INT},
        {"-12", SCALAR_INT},    {"+3", SCALAR_INT},        {"0x1f", SCALAR_INT},
        {"0o17", SCALAR_INT},   {"0x", SCALAR_TEXT},       {"0xg", SCALAR_TEXT},
        {"1.5", SCALAR_FLOAT},  {".5", SCALAR_FLOAT},      {"1.", SCALAR_FLOAT},
        {"1e3", SCALAR_FLOAT},  {"1e-3", SCALAR_FLOAT},    {"1e", SCALAR_TEXT},
        {"e1", SCALAR_TEXT},    {".", SCALAR_TEXT},        {"-", SCALAR_TEXT},
        {".inf", SCALAR_FLOAT}, {"-.INF", SCALAR_FLOAT},   {".nan", SCALAR_FLOAT},
        {"1.2.3", SCALAR_TEXT}, {"10.0.0.1", SCALAR_TEXT}, {"1:2", SCALAR_TEXT},
        {"30s", SCALAR_TEXT},   {"a", SCALAR_TEXT},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (scalar_type_of(cases[i].text) != cases[i].type) {
            print_error("%s\n", cases[i].text);
        }
        assert_int_equal(scalar_type_of(cases[i].text), cases[i].type);
    }
}

static void test_scalar__durations__units_and_round_trip(void **state)
{
    static const struct {
        const char *text;
        double seconds;
        const char *shortest;
    } cases[] = {
        {"0s", 0, "0s"},      {"1ms", 0.001, "1ms"}, {"250ms", 0.25, "250ms"},  {"1000ms", 1, "1s"},
        {"30s", 30, "30s"},   {"60s", 60, "60s"},    {"120s", 120, "2m"},       {"5m", 300, "5m"},
        {"90m", 5400, "90m"}, {"1h", 3600, "1h"},    {"3600000ms", 3600, "1h"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char buf[SCALAR_FORMAT_BYTES];
        double v = -1;
        assert_true(scalar_duration(cases[i].text, &v));
        assert_true(v > cases[i].seconds - 1e-9 && v < cases[i].seconds + 1e-9);
        assert_string_equal(scalar_format_duration(v, buf), cases[i].shortest);
    }
    static const char *const bad[] = {"",     "s",    "5",    "5 s",
                                      "5S",   "5sec", "05s",  "-5s",
                                      "5.5s", "5m3s", "5mss", "99999999999999999999s"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        double v = -1;
        assert_false(scalar_duration(bad[i], &v));
        assert_true(v < 0);
    }
}

static void test_scalar__sizes__units_and_round_trip(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
        const char *shortest;
    } cases[] = {
        {"0B", 0, "0"},
        {"1000B", 1000, "1000"},
        {"64KiB", 65536, "64KiB"},
        {"4MiB", 4194304, "4MiB"},
        {"1GiB", 1073741824, "1GiB"},
        {"1024KiB", 1048576, "1MiB"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char buf[SCALAR_FORMAT_BYTES];
        uint64_t v = 1;
        assert_true(scalar_size(cases[i].text, &v));
        assert_int_equal(v, cases[i].bytes);
        assert_string_equal(scalar_format_size(v, buf), cases[i].shortest);
    }
    static const char *const bad[] = {"",
                                      "KiB",
                                      "64",
                                      "64K",
                                      "64KB",
                                      "64kib",
                                      "64 KiB",
                                      "064KiB",
                                      "6.4KiB",
                                      "-1KiB",
                                      "9007199254740993B",
                                      "9007199254740992KiB",
                                      "1TiB"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t v = 7;
        assert_false(scalar_size(bad[i], &v));
        assert_int_equal(v, 7);
    }
}

static void test_scalar__octal_mode__only_permissions(void **state)
{
    uint32_t v = 0;
    (void)state;
    assert_true(scalar_octal_mode("0660", &v));
    assert_int_equal(v, 0660);
    assert_true(scalar_octal_mode("600", &v));
    assert_int_equal(v, 0600);
    static const char *const bad[] = {"",      "0",    "66",    "1660", "0680",
                                      "06600", "-660", "0o660", "rw-"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(scalar_octal_mode(bad[i], &v));
    }
}

static void test_scalar__host_names__resolver_sees_a_name(void **state)
{
    char label[66];
    char longest[512];
    (void)state;
    static const char *const good[] = {"a",  "A-b", "istiod.istio-system.svc", "a_b.c",
                                       "1a", "1.a", "xn--bcher-kva.example",   "0x.y"};
    static const char *const bad[] = {"",    ".",        "a.",   ".a",         "a..b",
                                      "-a",  "a-",       "a b",  "a/b",        "a:1",
                                      "*",   "\xc3\xa4", "1",    "127.1",      "1.2.3.4",
                                      "a.1", "0x7f.0x1", "a.0x", "0X7F000001", "a.0xff"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(scalar_is_host_name(good[i]));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (scalar_is_host_name(bad[i])) {
            print_error("%s\n", bad[i]);
        }
        assert_false(scalar_is_host_name(bad[i]));
    }
    memset(label, 'a', sizeof(label));
    label[63] = '\0';
    assert_true(scalar_is_host_name(label));
    (void)snprintf(longest, sizeof(longest), "%s.%s.%s.%.61s", label, label, label, label);
    assert_int_equal(strlen(longest), 253);
    assert_true(scalar_is_host_name(longest));
    (void)snprintf(longest, sizeof(longest), "%s.%s.%s.%.62s", label, label, label, label);
    assert_false(scalar_is_host_name(longest));
    label[63] = 'a';
    label[64] = '\0';
    assert_false(scalar_is_host_name(label));
}

static void test_scalar__localhost__in_every_spelling(void **state)
{
    (void)state;
    assert_true(scalar_is_localhost("localhost"));
    assert_true(scalar_is_localhost("LOCALHOST."));
    assert_true(scalar_is_localhost("a.localhost"));
    assert_false(scalar_is_localhost("alocalhost"));
    assert_false(scalar_is_localhost("localhost.example"));
    assert_false(scalar_is_localhost("ocalhost"));
    assert_false(scalar_is_localhost(""));
}

static void test_scalar__suggestions__near_words_only(void **state)
{
    static const char *const known[] = {"source_address", "identity", "tls", "endpoints", NULL};
    (void)state;
    assert_string_equal(scalar_suggest("source_adress", known), "source_address");
    assert_string_equal(scalar_suggest("sourceaddress", known), "source_address");
    assert_string_equal(scalar_suggest("idnetity", known), "identity");
    assert_string_equal(scalar_suggest("endpoint", known), "endpoints");
    assert_string_equal(scalar_suggest("tsl", known), "tls");
    assert_null(scalar_suggest("workers", known));
    assert_null(scalar_suggest("", known));
    char word[200];
    memset(word, 'a', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    assert_null(scalar_suggest(word, known));
    assert_int_equal(scalar_distance("abc", "acb"), 1);
    assert_int_equal(scalar_distance("abc", ""), 3);
    assert_int_equal(scalar_distance("kitten", "sitting"), 3);
}

static void test_scalar__names_headers_paths(void **state)
{
    (void)state;
    assert_true(scalar_is_name("a.B_c-9"));
    assert_false(scalar_is_name(""));
    assert_false(scalar_is_name("a b"));
    assert_false(scalar_is_name("a/b"));
    assert_true(scalar_is_header_name("x-a_b.c!"));
    assert_false(scalar_is_header_name("X-a"));
    assert_false(scalar_is_header_name(":path"));
    assert_false(scalar_is_header_name(""));
    assert_true(scalar_is_grpc_path("/a.B_1/C"));
    assert_false(scalar_is_grpc_path("/a.B"));
    assert_false(scalar_is_grpc_path("a.B/C"));
    assert_false(scalar_is_grpc_path("/a/b/c"));
    assert_false(scalar_is_grpc_path("/a/"));
    assert_false(scalar_is_grpc_path("//b"));
    assert_false(scalar_is_grpc_path("/a/*"));
    assert_false(scalar_is_grpc_path(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalar__types__as_in_yaml_1_2),
        cmocka_unit_test(test_scalar__durations__units_and_round_trip),
        cmocka_unit_test(test_scalar__sizes__units_and_round_trip),
        cmocka_unit_test(test_scalar__octal_mode__only_permissions),
        cmocka_unit_test(test_scalar__host_names__resolver_sees_a_name),
        cmocka_unit_test(test_scalar__localhost__in_every_spelling),
        cmocka_unit_test(test_scalar__suggestions__near_words_only),
        cmocka_unit_test(test_scalar__names_headers_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
