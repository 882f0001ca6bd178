/* SPDX-License-Identifier: Apache-2.0 */
/* Spans and times as the commands about VMs show and read them. */
#include "gateway/cli/fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static void test_fleet_span__any__two_units_at_most_and_one_from_ten_on(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {{INT64_MIN, "0s"},
                {-1, "0s"},
                {0, "0s"},
                {999, "0s"},
                {SECOND, "1s"},
                {MINUTE - 1, "59s"},
                {MINUTE, "1m"},
                {MINUTE + SECOND, "1m1s"},
                {10 * MINUTE - 1, "9m59s"},
                {10 * MINUTE + 30 * SECOND, "10m"},
                {HOUR - 1, "59m"},
                {HOUR, "1h"},
                {HOUR + 59 * SECOND, "1h"},
                {HOUR + 2 * MINUTE, "1h2m"},
                {10 * HOUR + 59 * MINUTE, "10h"},
                {DAY - 1, "23h"},
                {DAY, "1d"},
                {3 * DAY + 4 * HOUR + 5 * MINUTE, "3d4h"},
                {10 * DAY + 23 * HOUR, "10d"},
                {INT64_MAX, "106751991167d"}};
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        char buf[FLEET_SPAN_BYTES];
        assert_ptr_equal(fleet_span(rows[i].ms, buf), buf);
        assert_string_equal(buf, rows[i].text);
    }
}

static int64_t time_of(const char *text)
{
    json_t *v = json_string(text);
    int64_t ms = fleet_time(v);

    json_decref(v);
    return ms;
}

static void test_fleet_time__as_the_api_writes_it__milliseconds(void **state)
{
    (void)state;

    assert_int_equal(time_of("1970-01-01T00:00:00.001Z"), 1);
    assert_int_equal(time_of("2026-11-22T01:02:03.456Z"), INT64_C(1795309323456));
    assert_int_equal(time_of("2026-11-22T01:02:03.056Z"), INT64_C(1795309323056));
    assert_int_equal(time_of("2026-11-22T01:02:03Z"), INT64_C(1795309323000));
    assert_int_equal(time_of("2024-02-29T23:59:59.999Z"), INT64_C(1709251199999));
}

static void test_fleet_time__no_time__0(void **state)
{
    json_t *number = json_integer(7);
    (void)state;

    assert_int_equal(fleet_time(NULL), 0);
    assert_int_equal(fleet_time(json_null()), 0);
    assert_int_equal(fleet_time(number), 0);
    assert_int_equal(time_of(""), 0);
    assert_int_equal(time_of("soon"), 0);
    assert_int_equal(time_of("2026-11-22"), 0);
    assert_int_equal(time_of("2026-11-22T01:02"), 0);
    json_decref(number);
}

static json_t *row_of(const char *id, const char *gateway, const char *since, const char *seen)
{
    return json_pack("{s:s?, s:s, s:s?, s:s?}", "id", id, "gateway", gateway, "connected_since",
                     since, "last_seen", seen);
}

/* Where the stream is; where it was seen last; a row without an id is nobody else's. */
static void test_fleet_keep_one_of_each__rows_with_one_id__the_one_that_counts(void **state)
{
    static const char early[] = "2026-11-22T01:02:03.456Z";
    static const char late[] = "2026-11-22T01:02:03.457Z";
    json_t *vms = json_pack("[o, o, o, o, o, o, o, o]", row_of("moved", "a", NULL, late),
                            row_of("gone", "a", NULL, early), row_of("twice", "a", early, late),
                            row_of("moved", "b", early, early), row_of("gone", "b", NULL, late),
                            row_of("twice", "b", late, early), row_of(NULL, "a", NULL, NULL),
                            row_of(NULL, "b", NULL, NULL));
    static const char *const kept[][2] = {
        {"twice", "a"}, {"moved", "b"}, {"gone", "b"}, {NULL, "a"}, {NULL, "b"}};
    (void)state;

    assert_true(fleet_keep_one_of_each(vms));
    assert_int_equal(json_array_size(vms), COUNT(kept));
    for (size_t i = 0; i < COUNT(kept); i++) {
        const json_t *vm = json_array_get(vms, i);
        const char *id = doc_text(vm, "id", NULL);
        assert_string_equal(id != NULL ? id : "", kept[i][0] != NULL ? kept[i][0] : "");
        assert_string_equal(doc_text(vm, "gateway", NULL), kept[i][1]);
    }
    json_decref(vms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fleet_span__any__two_units_at_most_and_one_from_ten_on),
        cmocka_unit_test(test_fleet_time__as_the_api_writes_it__milliseconds),
        cmocka_unit_test(test_fleet_time__no_time__0),
        cmocka_unit_test(test_fleet_keep_one_of_each__rows_with_one_id__the_one_that_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
