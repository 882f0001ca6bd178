/* SPDX-License-Identifier: Apache-2.0 */
/* The labels of a Node, which are in two maps of its metadata. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/xds/node_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* A map that is read before its key might be labels. */
static void test_xds_labels__map_before_another_key__leaves_no_labels(void **state)
{
    struct pb_out metadata = {0};
    struct pb_out value = {0};
    struct pb_out entry = {0};
    struct pb_out map = {0};
    (void)state;

    pb_string_entry(&map, "app", "web");
    node_put_map(&metadata, "LABELS", &map);
    for (int i = 0; i < 100; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "key%d", i);
        pb_string_entry(&map, key, "of PROXY_CONFIG");
    }
    pb_string_entry(&map, "app", "web");
    pb_string_entry(&map, "app", "twice");
    pb_message(&value, VALUE_STRUCT, &map);
    pb_message(&entry, 2, &value);
    pb_text(&entry, 1, "PROXY_CONFIG");
    pb_message(&metadata, 1, &entry);
    pb_string_entry(&map, "version", "v1");
    node_put_map(&metadata, "STATIC_LABELS", &map);

    struct xds_node *out = node_read_metadata(&metadata);
    node_assert_labels(out, "app=web version=v1 ");
    assert_true(out->has_proxy_config);
    assert_false(out->odd);
    assert_false(out->cut);
    free(out);
}

static void test_xds_labels__labels_or_proxy_config_that_are_no_map__are_odd(void **state)
{
    static const char *const names[] = {"LABELS", "STATIC_LABELS", "PROXY_CONFIG"};
    (void)state;

    for (size_t i = 0; i < COUNT(names); i++) {
        struct pb_out metadata = {0};
        pb_string_entry(&metadata, names[i], "text");
        struct xds_node *out = node_read_metadata(&metadata);
        assert_int_equal(out->n_labels, 0);
        assert_false(out->has_proxy_config);
        assert_true(out->odd);
        free(out);
    }
}

static void test_xds_labels__label_that_is_no_string__is_left_out_and_odd(void **state)
{
    struct pb_out metadata = {0};
    struct pb_out value = {0};
    struct pb_out inner = {0};
    struct pb_out map = {0};
    (void)state;

    pb_string_entry(&map, "a", "1");
    pb_number(&value, 4, 1);
    pb_value_entry(&map, "b", &value);
    pb_string_entry(&inner, "LABELS", "deep");
    node_put_map(&map, "c", &inner);
    pb_string_entry(&map, "d", "");
    node_put_map(&metadata, "LABELS", &map);
    struct xds_node *out = node_read_metadata(&metadata);
    node_assert_labels(out, "a=1 d= ");
    assert_true(out->odd);
    free(out);
}

static void test_xds_labels__labels_of_both_maps__come_once_and_those_of_labels_first(void **state)
{
    struct pb_out metadata = {0};
    struct pb_out map = {0};
    (void)state;

    pb_string_entry(&map, "both", "1");
    pb_string_entry(&map, "static", "2");
    pb_string_entry(&map, "differs", "static");
    node_put_map(&metadata, "STATIC_LABELS", &map);
    pb_string_entry(&map, "labels", "3");
    pb_string_entry(&map, "differs", "labels");
    pb_string_entry(&map, "both", "1");
    node_put_map(&metadata, "LABELS", &map);
    struct xds_node *out = node_read_metadata(&metadata);
    node_assert_labels(out, "both=1 labels=3 differs=labels static=2 differs=static ");
    assert_string_equal(xds_node_label(out, "differs"), "labels");
    assert_string_equal(xds_node_label(out, "static"), "2");
    assert_null(xds_node_label(out, "stat"));
    assert_null(xds_node_label(out, "statics"));
    assert_false(out->odd);
    free(out);
}

static void test_xds_labels__label_twice_or_with_equals_sign__is_odd(void **state)
{
    static const char *const rows[][2][2] = {
        {{"app", "web"}, {"app", "bank"}},
        {{"app", "web"}, {"app", "web"}},
        {{"app=web", "x"}, {"tier", "front"}},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct pb_out metadata = {0};
        struct pb_out map = {0};
        for (size_t k = 0; k < 2; k++) {
            pb_string_entry(&map, rows[i][k][0], rows[i][k][1]);
        }
        node_put_map(&metadata, "LABELS", &map);
        struct xds_node *out = node_read_metadata(&metadata);
        assert_true(out->odd);
        free(out);
    }
}

/* What STATIC_LABELS had first must not hide a second value in LABELS. */
static void test_xds_labels__label_twice_and_known_before__is_odd(void **state)
{
    (void)state;

    for (int last = 0; last <= 1; last++) {
        struct pb_out metadata = {0};
        struct pb_out map = {0};
        pb_string_entry(&map, "app", "web");
        node_put_map(&metadata, "STATIC_LABELS", &map);
        pb_string_entry(&map, "app", last == 1 ? "web" : "bank");
        pb_string_entry(&map, "app", last == 1 ? "bank" : "web");
        node_put_map(&metadata, "LABELS", &map);
        struct xds_node *out = node_read_metadata(&metadata);
        assert_true(out->odd);
        free(out);
    }
}

static void test_xds_labels__more_labels_than_are_kept__are_cut(void **state)
{
    (void)state;

    for (unsigned n = XDS_NODE_LABELS; n <= XDS_NODE_LABELS + 1; n++) {
        struct pb_out metadata = {0};
        node_put_labels(&metadata, "STATIC_LABELS", n, 10);
        node_put_labels(&metadata, "LABELS", n, 10);
        struct xds_node *out = node_read_metadata(&metadata);
        assert_int_equal(out->n_labels, XDS_NODE_LABELS);
        assert_int_equal(out->cut, n > XDS_NODE_LABELS);
        assert_false(out->odd);
        free(out);
    }
}

static void test_xds_labels__label_longer_than_its_room__is_cut_with_its_key_whole(void **state)
{
    char long_key[XDS_LABEL_BYTES];
    struct pb_out metadata = {0};
    struct pb_out map = {0};
    (void)state;

    node_put_labels(&metadata, "LABELS", 1, XDS_LABEL_BYTES - sizeof("key0="));
    struct xds_node *out = node_read_metadata(&metadata);
    assert_int_equal(strlen(out->labels), XDS_LABEL_BYTES - 1);
    assert_false(out->cut);
    free(out);

    node_put_labels(&metadata, "LABELS", 1, XDS_LABEL_BYTES - sizeof("key0=") + 1);
    out = node_read_metadata(&metadata);
    assert_int_equal(strlen(out->labels), XDS_LABEL_BYTES - 1);
    assert_true(out->cut);
    free(out);

    memset(long_key, 'k', sizeof(long_key));
    long_key[sizeof(long_key) - 1] = '\0';
    pb_string_entry(&map, long_key, "");
    node_put_map(&metadata, "LABELS", &map);
    out = node_read_metadata(&metadata);
    assert_int_equal(out->n_labels, 0); /* it would have no "=" */
    assert_true(out->cut);
    free(out);
}

/* They would be compared with each other for seconds. */
static void test_xds_labels__nul_in_a_key__is_odd(void **state)
{
    struct pb_out metadata = {0};
    struct pb_out value = {0};
    struct pb_out entry = {0};
    struct pb_out map = {0};
    (void)state;

    pb_text(&value, 3, "web");
    pb_bytes(&entry, 1, "app\0", 4);
    pb_message(&entry, 2, &value);
    pb_message(&map, 1, &entry);
    node_put_map(&metadata, "LABELS", &map);
    struct xds_node *out = node_read_metadata(&metadata);
    node_assert_labels(out, "app =web ");
    assert_true(out->odd);
    free(out);
}

static void test_xds_labels__key_of_an_entry_twice__is_odd(void **state)
{
    struct pb_out metadata = {0};
    struct pb_out value = {0};
    struct pb_out entry = {0};
    struct pb_out map = {0};
    (void)state;

    pb_text(&value, 3, "web");
    pb_text(&entry, 1, "tier");
    pb_text(&entry, 1, "app");
    pb_message(&entry, 2, &value);
    pb_message(&map, 1, &entry);
    node_put_map(&metadata, "LABELS", &map);
    struct xds_node *out = node_read_metadata(&metadata);
    node_assert_labels(out, "app=web ");
    assert_true(out->odd);
    free(out);
}

static void test_xds_labels__more_bytes_than_are_kept__are_cut(void **state)
{
    struct pb_out metadata = {0};
    (void)state;

    node_put_labels(&metadata, "LABELS", 21, 300); /* 10 of 306 bytes, 11 of 307 */
    struct xds_node *out = node_read_metadata(&metadata);
    assert_int_equal(out->n_labels, 20);
    assert_string_equal(out->text[XDS_NODE_NETWORK], "");
    assert_true(out->cut);
    free(out);
}

static void test_xds_labels__labels_without_end__are_given_up(void **state)
{
    struct pb_out metadata = {0};
    struct pb_out map = {0};
    (void)state;

    for (int i = 0; i < 5000; i++) {
        pb_string_entry(&map, "key", "value");
    }
    node_put_map(&metadata, "LABELS", &map);
    struct xds_node *out = node_read_metadata(&metadata);
    node_assert_labels(out, "key=value ");
    assert_true(out->cut);
    assert_true(out->odd);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xds_labels__map_before_another_key__leaves_no_labels),
        cmocka_unit_test(test_xds_labels__labels_or_proxy_config_that_are_no_map__are_odd),
        cmocka_unit_test(test_xds_labels__label_that_is_no_string__is_left_out_and_odd),
        cmocka_unit_test(test_xds_labels__labels_of_both_maps__come_once_and_those_of_labels_first),
        cmocka_unit_test(test_xds_labels__label_twice_or_with_equals_sign__is_odd),
        cmocka_unit_test(test_xds_labels__label_twice_and_known_before__is_odd),
        cmocka_unit_test(test_xds_labels__more_labels_than_are_kept__are_cut),
        cmocka_unit_test(test_xds_labels__label_longer_than_its_room__is_cut_with_its_key_whole),
        cmocka_unit_test(test_xds_labels__nul_in_a_key__is_odd),
        cmocka_unit_test(test_xds_labels__key_of_an_entry_twice__is_odd),
        cmocka_unit_test(test_xds_labels__more_bytes_than_are_kept__are_cut),
        cmocka_unit_test(test_xds_labels__labels_without_end__are_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
