/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of a reading fails once: the result is always RC_NO_MEMORY, and nothing is lost
 * (the address sanitizer counts). Those of libyaml and OpenSSL are not caught.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gateway/config/fixture.h"
#include "tests/support/countdown_malloc.h"

struct reading {
    const char *path;
    FILE *errors;
};

static enum rc run(void *arg)
{
    const struct reading *r = arg;
    struct config *c = NULL;
    enum rc rc = config_load(r->path, r->errors, &c);

    assert_true((rc == RC_OK) == (c != NULL));
    config_free(&c);
    return rc;
}

/* The reading that gets through must say `last`. */
static void fail_each(struct fixture *f, const char *text, enum rc last)
{
    struct reading r = {f->path, fopen("/dev/null", "w")};
    assert_non_null(r.errors);
    fixture_write(f, text);
    assert_true(countdown_fail_each(run, &r, last) > 20);
    assert_int_equal(fclose(r.errors), 0);
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
