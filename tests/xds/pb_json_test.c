/* SPDX-License-Identifier: Apache-2.0 */
/* What golden files cannot say: depth, sizes, missing memory, and the call for resources. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/countdown_malloc.h"
#include "tests/xds/pb_out.h"
#include "tests/xds/pb_types_fixture.h"
#include "xds/pb_json.h"

static const char ONE_URL[] = "type.googleapis.com/kinds.One";
static const char ANY_URL[] = "type.googleapis.com/google.protobuf.Any";

static struct pb_types *types;

static int set_up(void **state)
{
    (void)state;
    types = pb_types_of_kinds();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pb_types_free(&types);
    return 0;
}

/* Owned by the caller. */
static char *write_json(const char *type, const struct pb_out *message, enum rc expected)
{
    char *json = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&json, &n);

    assert_non_null(out);
    assert_int_equal(pb_json_write(types, type, message->data, message->n, SIZE_MAX, out),
                     expected);
    assert_int_equal(fclose(out), 0);
    return json;
}

static void assert_any(const char *url, const void *value, size_t n, const char *expected)
{
    char *json = NULL;
    size_t n_json = 0;
    FILE *out = open_memstream(&json, &n_json);

    assert_non_null(out);
    assert_int_equal(pb_json_write_any(types, url, value, n, SIZE_MAX, out), RC_OK);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(json, expected);
    free(json);
}

static void put_any(struct pb_out *o, const char *url, struct pb_out *value)
{
    pb_text(o, 1, url);
    pb_message(o, 2, value);
}

/* n messages inside of each other. */
static struct pb_out nested(size_t n)
{
    struct pb_out o = {0};

    for (size_t i = 1; i < n; i++) {
        struct pb_out outer = {0};
        pb_message(&outer, 17, &o);
        o = outer;
    }
    return o;
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;

    for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what)) {
        n++;
    }
    return n;
}

static void test_pb_json__as_deep_as_allowed__is_written(void **state)
{
    struct pb_out o = nested(PB_JSON_DEPTH);
    (void)state;

    char *json = write_json("kinds.One", &o, RC_OK);
    assert_int_equal(count(json, "{\"one\":"), PB_JSON_DEPTH - 1);
    free(json);
    pb_free(&o);
}

static void test_pb_json__deeper__is_malformed(void **state)
{
    struct pb_out o = nested(PB_JSON_DEPTH + 1);
    struct pb_out deep = nested(2000);
    (void)state;

    free(write_json("kinds.One", &o, RC_PEER_MALFORMED));
    free(write_json("kinds.One", &deep, RC_PEER_MALFORMED));
    pb_free(&o);
    pb_free(&deep);
}

static void test_pb_json__an_any_that_is_too_deep__does_not_break_the_rest(void **state)
{
    struct pb_out deep = nested(PB_JSON_DEPTH + 1);
    struct pb_out any = {0};
    struct pb_out o = {0};
    (void)state;

    put_any(&any, ONE_URL, &deep);
    pb_message(&o, 1, &any);
    char *json = write_json("kinds.Known", &o, RC_OK);
    assert_non_null(strstr(json, "\"unreadable_type_url\":\"type.googleapis.com/kinds.One\""));
    free(json);
    pb_free(&o);
}

/* Each is tried before it is written: that must not double at every one. */
static void test_pb_json__anys_in_anys__are_read_twice_not_exponentially(void **state)
{
    struct pb_out o = {0};
    (void)state;

    pb_number(&o, 3, 1);
    struct pb_out any = {0};
    put_any(&any, ONE_URL, &o);
    for (int i = 0; i < 60; i++) {
        struct pb_out outer = {0};
        put_any(&outer, ANY_URL, &any);
        any = outer;
    }
    char *json = write_json("google.protobuf.Any", &any, RC_OK);
    assert_int_equal(count(json, "google.protobuf.Any\",\"value\":{\"@type\""), 60);
    assert_non_null(strstr(json, "\"an_int32\":1"));
    free(json);
    for (int i = 0; i < 100; i++) { /* and there is an end of it */
        struct pb_out outer = {0};
        put_any(&outer, ANY_URL, &any);
        any = outer;
    }
    json = write_json("google.protobuf.Any", &any, RC_OK);
    assert_int_equal(count(json, "unreadable_type_url"), 1);
    assert_null(strstr(json, "an_int32"));
    free(json);
    pb_free(&any);
}

static void test_pb_json__unknown_type__is_not_found(void **state)
{
    struct pb_out o = {0};
    (void)state;

    free(write_json("kinds.Two", &o, RC_NOT_FOUND));
    free(write_json("kinds.Color", &o, RC_NOT_FOUND));
    free(write_json("", &o, RC_NOT_FOUND));
}

static void test_pb_json_any__a_resource__has_its_type(void **state)
{
    (void)state;

    assert_any(ONE_URL, "\x18\x05", 2,
               "{\"@type\":\"type.googleapis.com/kinds.One\",\"an_int32\":5}");
    assert_any(ONE_URL, NULL, 0, "{\"@type\":\"type.googleapis.com/kinds.One\"}");
    assert_any("", NULL, 0, "{}");
    assert_any("type.googleapis.com/google.protobuf.BoolValue", "\x08\x01", 2,
               "{\"@type\":\"type.googleapis.com/google.protobuf.BoolValue\",\"value\":true}");
}

static void test_pb_json_any__what_cannot_be_read__says_so(void **state)
{
    (void)state;

    assert_any("x/y.z", "\xfb\xff", 2,
               "{\"@type\":\"type.googleapis.com/google.protobuf.Struct\",\"value\":"
               "{\"unknown_type_url\":\"x/y.z\",\"base64\":\"+/8=\"}}");
    assert_any(ONE_URL, "\x18", 1,
               "{\"@type\":\"type.googleapis.com/google.protobuf.Struct\",\"value\":"
               "{\"unreadable_type_url\":\"type.googleapis.com/kinds.One\","
               "\"base64\":\"[redacted]\"}}");
}

static void test_pb_json_any__more_than_may_be__is_full(void **state)
{
    char room[512];
    FILE *out = fmemopen(room, sizeof(room), "w");
    (void)state;

    assert_non_null(out);
    assert_int_equal(pb_json_write_any(types, ONE_URL, NULL, 0, 40, out), RC_FULL);
    assert_int_equal(pb_json_write_any(types, "x/y", (const uint8_t *)"a", 1, 100, out), RC_FULL);
    assert_int_equal(
        pb_json_write_any(types, ONE_URL, (const uint8_t *)"a", INT32_MAX + 1UL, 100, out),
        RC_FULL);
    assert_int_equal(
        pb_json_write(types, "kinds.One", (const uint8_t *)"a", INT32_MAX + 1UL, 100, out),
        RC_PEER_MALFORMED);
    assert_int_equal(fclose(out), 0);
}

/* When there is no room any more, the rest is not read: it ends with what is malformed. Frees o. */
static void assert_stops(struct pb_out *o)
{
    static char json[256];
    FILE *out = fmemopen(json, sizeof(json), "w");

    assert_non_null(out);
    assert_int_equal(pb_json_write(types, "kinds.Many", o->data, o->n, 100, out), RC_FULL);
    assert_int_equal(fclose(out), 0);
    assert_in_range(strlen(json), 1, 100);
    pb_free(o);
}

static void test_pb_json__no_room__stops(void **state)
{
    struct pb_out packed = {0};
    struct pb_out o = {0};
    (void)state;

    for (int i = 0; i < 1000; i++) {
        pb_bytes(&o, 17, "\x18\x01", 2);
    }
    pb_bytes(&o, 17, "\x18", 1);
    assert_stops(&o);
    for (int i = 0; i < 1000; i++) {
        pb_bytes(&o, 17, "", 0); /* in a message there is nothing to stop at */
    }
    pb_bytes(&o, 17, "\x18", 1);
    assert_stops(&o);
    for (int i = 0; i < 1000; i++) {
        pb_varint(&packed, 1);
    }
    pb_put(&packed, "\x80", 1);
    pb_message(&o, 3, &packed);
    assert_stops(&o);
}

struct attempt {
    struct pb_out message;
    char room[4096];
};

static enum rc write_once(void *arg)
{
    struct attempt *a = arg;
    FILE *out = fmemopen(a->room, sizeof(a->room), "w");

    assert_non_null(out);
    enum rc rc =
        pb_json_write(types, "kinds.Known", a->message.data, a->message.n, sizeof(a->room), out);
    assert_int_equal(fclose(out), 0);
    return rc;
}

/* A message that uses all that allocates: a deep chain, a map, an Any, more places than the stacks
 * begin with. */
static struct pb_out costly(void)
{
    struct pb_out o = {0};
    struct pb_out fields = {0};
    struct pb_out any = {0};
    struct pb_out one = nested(30);

    for (int i = 0; i < 200; i++) {
        pb_string_entry(&fields, i % 2 == 0 ? "a" : "b", "c");
    }
    put_any(&any, ONE_URL, &one);
    pb_message(&o, 5, &fields);
    pb_message(&o, 1, &any);
    return o;
}

static void test_pb_json__no_memory__says_so_and_loses_nothing(void **state)
{
    struct attempt a = {.message = costly()};
    (void)state;

    assert_in_range(countdown_fail_each(write_once, &a, RC_OK), 6, 100);
    assert_non_null(strstr(a.room, "\"struct\":{\"a\":\"c\",\"b\":\"c\"}"));
    pb_free(&a.message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pb_json__as_deep_as_allowed__is_written),
        cmocka_unit_test(test_pb_json__deeper__is_malformed),
        cmocka_unit_test(test_pb_json__an_any_that_is_too_deep__does_not_break_the_rest),
        cmocka_unit_test(test_pb_json__anys_in_anys__are_read_twice_not_exponentially),
        cmocka_unit_test(test_pb_json__unknown_type__is_not_found),
        cmocka_unit_test(test_pb_json_any__a_resource__has_its_type),
        cmocka_unit_test(test_pb_json_any__what_cannot_be_read__says_so),
        cmocka_unit_test(test_pb_json_any__more_than_may_be__is_full),
        cmocka_unit_test(test_pb_json__no_room__stops),
        cmocka_unit_test(test_pb_json__no_memory__says_so_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
