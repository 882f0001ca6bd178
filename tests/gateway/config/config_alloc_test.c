/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of a reading fails once: the result is always RC_NO_MEMORY, and nothing is lost
 * (the address sanitizer counts). The linker puts the functions below in front of the allocator's;
 * those of libyaml and OpenSSL are not caught.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gateway/config/fixture.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

/* Allocations until one fails; 0: none will. */
static size_t countdown;

static bool fails(void)
{
    return countdown > 0 && --countdown == 0;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
    return fails() ? NULL : __real_strndup(s, n);
}

/* Fails the first, the second, ... allocation until a reading gets through; that one must say
 * `last`. */
static void fail_each(struct fixture *f, const char *text, enum rc last)
{
    FILE *errors = fopen("/dev/null", "w");
    assert_non_null(errors);
    fixture_write(f, text);
    size_t n = 0;
    for (;;) {
        struct config *c = NULL;
        countdown = ++n;
        enum rc rc = config_load(f->path, errors, &c);
        bool through = countdown > 0;
        countdown = 0;
        if (through) {
            assert_int_equal(rc, last);
            config_free(&c);
            break;
        }
        assert_int_equal(rc, RC_NO_MEMORY);
        assert_null(c);
    }
    assert_true(n > 20);
    assert_int_equal(fclose(errors), 0);
}

static void test_alloc__good_file__no_memory_or_config(void **state)
{
    char *text = fixture_example("full.yaml");
    fail_each(*state, text, RC_OK);
    free(text);
}

static void test_alloc__small_file__no_memory_or_config(void **state)
{
    char *text = fixture_example("small.yaml");
    fail_each(*state, text, RC_OK);
    free(text);
}

static void test_alloc__bad_file__no_memory_or_errors(void **state)
{
    fail_each(*state,
              "version: 2\n"
              "listeners:\n"
              "- {nam: a, bind: [x], routes: [{sni: [\"*\", 5], mode: terminate, upstream: v, "
              "headers: [x]}]}\n"
              "upstreams:\n"
              "- {name: u, endpoints: [\"a:1\", b], tls: {server_name: a, roots: [/none]}, "
              "identity: xfcc}\n"
              "- {name: u, endpoints: [\"10.0.0.1:1\"], source_address: [0.0.0.0]}\n",
              RC_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc__good_file__no_memory_or_config),
        cmocka_unit_test(test_alloc__small_file__no_memory_or_config),
        cmocka_unit_test(test_alloc__bad_file__no_memory_or_errors),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
