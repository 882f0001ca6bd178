/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of reading, copying and writing fails once, ours and jansson's: the result is
 * RC_NO_MEMORY, never half a document, and nothing is lost (the address sanitizer counts).
 * libyaml's and those of stdio are not caught.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/core/doc/doc_fixture.h"
#include "tests/support/countdown_malloc.h"

static const char text[] = "{\"a\": [1, 2.5, \"x\", {\"deep\": null}], \"long\": "
                           "\"0123456789012345678901234567890123456789\", \"t\": true}";

static enum rc run(void *arg)
{
    parse_fn *parse = arg;
    struct doc_error err;
    json_t *v = NULL;
    json_t *copy = NULL;
    char *written[3] = {NULL, NULL, NULL};
    enum rc rc = (*parse)(text, sizeof(text) - 1, &err, &v);
    if (rc == RC_OK) {
        rc = doc_copy(v, &copy);
    }
    if (rc == RC_OK) {
        assert_int_equal(json_equal(v, copy), 1);
        rc = doc_write_json(copy, &written[0], NULL);
    }
    if (rc == RC_OK) {
        rc = doc_write_json_as_set(copy, &written[1], NULL);
    }
    if (rc == RC_OK) {
        rc = doc_write_yaml(copy, &written[2], NULL);
    }
    for (size_t i = 0; i < 3; i++) {
        free(written[i]);
    }
    json_decref(copy);
    json_decref(v);
    return rc;
}

static void fail_each(parse_fn parse)
{
    assert_int_equal(run(&parse), RC_OK);
    assert_in_range(countdown_fail_each(run, &parse, RC_OK), 40, 100000);
}

static void test_doc__each_allocation_fails__no_memory(void **state)
{
    (void)state;
    fail_each(doc_parse_json);
    fail_each(doc_parse_yaml);
    fail_each(doc_parse_yaml_all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doc__each_allocation_fails__no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
