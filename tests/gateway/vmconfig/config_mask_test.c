/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/vmconfig/config_mask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NAME "ISTIO_META_WASM_IMAGE_PULL_SECRET"

/* On the heap, exactly as long: a write behind its end is seen by the sanitizer. */
static void assert_masked(const char *before, const char *after, size_t n)
{
    uint8_t *copy = malloc(n);

    assert_non_null(copy);
    memcpy(copy, before, n);
    config_mask(copy, n);
    assert_memory_equal(copy, after, n);
    free(copy);
}

#define ASSERT_MASKED(before, after)                      \
    do {                                                  \
        assert_int_equal(sizeof(before), sizeof(after));  \
        assert_masked(before, after, sizeof(before) - 1); \
    } while (0)

static void test_config_mask__nothing_secret__as_it_was(void **state)
{
    static const char *const texts[] = {
        "a",  "outbound|80||web.vms.svc", "-----BEGIN CERTIFICATE", "mentions " NAME " only",
        NAME, "PRIVATE KEY----"};
    (void)state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_masked(texts[i], texts[i], strlen(texts[i]));
    }
}

static void test_config_mask__private_keys__only_their_lines_stay(void **state)
{
    (void)state;
    ASSERT_MASKED("x-----BEGIN PRIVATE KEY-----abc-----END PRIVATE KEY-----y",
                  "x-----BEGIN PRIVATE KEY-----***-----END PRIVATE KEY-----y");
    ASSERT_MASKED("-----BEGIN EC PRIVATE KEY-----abc-----END EC PRIVATE KEY-----public",
                  "-----BEGIN EC PRIVATE KEY-----***-----END EC PRIVATE KEY-----public");
    ASSERT_MASKED("BEGIN PRIVATE KEY-----1-----END PRIVATE KEY-----"
                  "BEGIN RSA PRIVATE KEY-----2-----END RSA PRIVATE KEY-----",
                  "BEGIN PRIVATE KEY-----*-----END PRIVATE KEY-----"
                  "BEGIN RSA PRIVATE KEY-----*-----END RSA PRIVATE KEY-----");
    ASSERT_MASKED("BEGIN PRIVATE KEY-----cut", "BEGIN PRIVATE KEY-----***");
    ASSERT_MASKED("BEGIN PRIVATE KEY-----a-----END CERTIFICATE-----BEGIN PRIVATE KEY-----b",
                  "BEGIN PRIVATE KEY-----*-----END CERTIFICATE-----BEGIN PRIVATE KEY-----*");
    ASSERT_MASKED("BEGIN PRIVATE KEY-----a-----END", "BEGIN PRIVATE KEY-----*-----END");
}

static void test_config_mask__pull_secret__its_value_alone(void **state)
{
    (void)state;
    ASSERT_MASKED("env\n\x21" NAME "\x12\x05hunteROTHER", "env\n\x21" NAME "\x12\x05*****ROTHER");
    ASSERT_MASKED("\n\x21" NAME "\x12\x81\x80\x00sx", "\n\x21" NAME "\x12\x81\x80\x00*x");
    ASSERT_MASKED("\n\x21" NAME "\x12\x02"
                  "ab"
                  "\n\x21" NAME "\x12\x02"
                  "cd",
                  "\n\x21" NAME "\x12\x02"
                  "**"
                  "\n\x21" NAME "\x12\x02"
                  "**");
}

/* Written as nobody writes it: all of it goes. */
static void test_config_mask__pull_secret_elsewhere__everything(void **state)
{
    static const char *const texts[] = {
        "\x12\x02"
        "ab\n\x21" NAME,       /* the value before the key */
        "x\n\x21" NAME "\x12", /* cut */
        "x\n\x21" NAME "\x12\x05"
        "abcd", /* longer than there is */
        "x\n\x21" NAME "\x12\xff\xff\xff\xff\xff\xff"
        "abcd",
    };
    char stars[128];
    (void)state;

    memset(stars, '*', sizeof(stars));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_masked(texts[i], stars, strlen(texts[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_mask__nothing_secret__as_it_was),
        cmocka_unit_test(test_config_mask__private_keys__only_their_lines_stay),
        cmocka_unit_test(test_config_mask__pull_secret__its_value_alone),
        cmocka_unit_test(test_config_mask__pull_secret_elsewhere__everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
