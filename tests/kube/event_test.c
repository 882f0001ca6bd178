/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* An exact copy on the heap: a read behind its end is seen by the sanitizer. */
static enum rc read_event(const char *line, size_t n, struct kube_event *out)
{
    char *copy = malloc(n > 0 ? n : 1);

    memcpy(copy, line, n);
    enum rc rc = kube_event_read(copy, n, out);
    free(copy);
    return rc;
}

static void test_event__each_type__change_version_and_object(void **state)
{
    static const struct {
        const char *line;
        enum kube_change change;
        const char *version;
        bool has_object;
        const char *error;
    } rows[] = {
        {"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"1\"}}}", KUBE_ADDED,
         "1", true, ""},
        {"{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"resourceVersion\":\"a-2\"}}}",
         KUBE_MODIFIED, "a-2", true, ""},
        {"{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"resourceVersion\":\"3\"}}}",
         KUBE_DELETED, "3", true, ""},
        {"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"4\"}}}",
         KUBE_BOOKMARK, "4", false, ""},
        {"{\"type\":\"ERROR\",\"object\":{\"code\":410,\"reason\":\"Expired\",\"message\":\"too\\n"
         "old\"}}",
         KUBE_GONE, "", false, "Expired: too?old"},
        {"{\"type\":\"ERROR\",\"object\":{\"code\":500}}", KUBE_ERROR, "", false, "error"},
        {"{\"type\":\"ERROR\",\"object\":{}}", KUBE_ERROR, "", false, "error"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct kube_event e;
        assert_int_equal(read_event(rows[i].line, strlen(rows[i].line), &e), RC_OK);
        assert_int_equal(e.change, rows[i].change);
        assert_string_equal(e.version, rows[i].version);
        assert_int_equal(e.object != NULL, rows[i].has_object);
        assert_string_equal(e.error.text, rows[i].error);
        kube_event_fini(&e);
    }
}

static void test_event__no_event__is_malformed(void **state)
{
    static const char *const rows[] = {
        "",
        "{}",
        "[]",
        "7",
        "{\"type\":\"ADDED\"}",
        "{\"type\":\"ADDED\",\"object\":null}",
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{}}}",
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"\"}}}",
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":7}}}",
        "{\"type\":\"added\",\"object\":{\"metadata\":{\"resourceVersion\":\"1\"}}}",
        "{\"type\":7,\"object\":{\"metadata\":{\"resourceVersion\":\"1\"}}}",
        "{\"object\":{\"metadata\":{\"resourceVersion\":\"1\"}}}",
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"1\"}}} {}",
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct kube_event e;
        if (read_event(rows[i], strlen(rows[i]), &e) != RC_PEER_MALFORMED) {
            fail_msg("%s", rows[i]);
        }
    }
}

static void test_event__every_cut__is_malformed(void **state)
{
    static const char line[] =
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"1\"}}}";
    (void)state;

    for (size_t n = 0; n < sizeof(line) - 1; n++) {
        struct kube_event e;
        assert_int_equal(read_event(line, n, &e), RC_PEER_MALFORMED);
    }
}

static void test_version__longest_and_longer(void **state)
{
    char version[KUBE_VERSION_BYTES + 1];
    char out[KUBE_VERSION_BYTES];
    (void)state;

    for (size_t n = KUBE_VERSION_BYTES - 1; n <= KUBE_VERSION_BYTES; n++) {
        memset(version, 'v', n);
        version[n] = '\0';
        json_t *v = json_pack("{s:{s:s}}", "metadata", "resourceVersion", version);
        assert_int_equal(kube_version_read(v, out),
                         n < KUBE_VERSION_BYTES ? RC_OK : RC_PEER_MALFORMED);
        json_decref(v);
    }
    assert_int_equal(strlen(out), KUBE_VERSION_BYTES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event__each_type__change_version_and_object),
        cmocka_unit_test(test_event__no_event__is_malformed),
        cmocka_unit_test(test_event__every_cut__is_malformed),
        cmocka_unit_test(test_version__longest_and_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
