/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/admin/metrics.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/gateway/admin/metrics_text.h"

static const struct metrics_upstream upstreams[] = {
    {.name = "istiod",
     .usable = true,
     .new_streams_per_second = 12.5,
     .roots_expiry_s = 1810000000,
     .roots_missing = 2},
    {.name = "canary",
     .usable = false,
     .new_streams_per_second = 1,
     .discovered = true,
     .addresses_current = true,
     .addresses = 3},
};
static const struct metrics_certificate certificates[] = {
    {.listener = "istiod",
     .expiry_s = 1790000000,
     .roots_expiry_s = 1800000000,
     .roots_missing = 1},
};

static const struct metrics_cluster cluster = {.asked = true,
                                               .reachable = true,
                                               .requests_ok = 5,
                                               .requests_failed = 6,
                                               .tokens = 7,
                                               .roots_watched = true,
                                               .roots_current = true,
                                               .roots_known = true};

static struct metrics_input input(void)
{
    return (struct metrics_input){
        .version = "1.2.3",
        .start_time_s = 1700000000.25,
        .upstreams = upstreams,
        .n_upstreams = 2,
        .certificates = certificates,
        .n_certificates = 1,
        .reloads_ok = 3,
        .reloads_failed = 4,
        .cluster = &cluster,
        .last_reload_success_s = 1700000001,
    };
}

static char *page_of(const struct metrics_input *in)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    assert_non_null(f);
    metrics_write(f, in);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(strlen(text), n);
    return text;
}

static void read_page(const struct metrics_input *in, struct metrics_text *out)
{
    char *text = page_of(in);
    metrics_text_read(text, out);
    free(text);
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text);
    size_t m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Every counter gets a value of its own, so that no row can stand for another. */
static void test_metrics_write__every_counter__its_own_row_with_the_sum_of_the_workers(void **state)
{
    static const struct {
        const char *name;
        const char *labels;
    } rows[] = {
#define COUNTER(n, kind, metric, lab, help) {"xdsgate_" metric, sizeof(lab) > 1 ? "{" lab "}" : ""},
#include "core/base/counter.def"
#undef COUNTER
    };
    static struct metrics_text t;
    struct counters a = {0};
    struct counters b = {0};
    const struct counters *const workers[] = {&a, &b};
    struct metrics_input in = input();
    in.workers = workers;
    in.n_workers = 2;
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        a.v[i] = 1000 + i;
        b.v[i] = 7 * i;
    }

    read_page(&in, &t);

    (void)state;
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        assert_float_equal(metrics_text_value(&t, rows[i].name, rows[i].labels),
                           (double)(1000 + 8 * i), 0);
    }
}

static void test_metrics_write__ends__one_row_for_each_reason_but_none(void **state)
{
    static struct metrics_text t;
    struct counters a = {0};
    const struct counters *const workers[] = {&a};
    struct metrics_input in = input();
    char labels[128];
    in.workers = workers;
    in.n_workers = 1;
    for (size_t i = 0; i < END_COUNT; i++) {
        a.conn_ends[i] = 100 + i;
        a.stream_ends[i] = 500 + i;
    }

    read_page(&in, &t);

    (void)state;
    for (size_t i = END_NONE + 1; i < END_COUNT; i++) {
        snprintf(labels, sizeof(labels), "{reason=\"%s\"}", end_label((enum end_reason)i));
        assert_float_equal(metrics_text_value(&t, "xdsgate_connections_ended_total", labels),
                           (double)(100 + i), 0);
        assert_float_equal(metrics_text_value(&t, "xdsgate_streams_ended_total", labels),
                           (double)(500 + i), 0);
    }
    assert_false(metrics_text_has(&t, "xdsgate_streams_ended_total", "{reason=\"none\"}"));
}

static void test_metrics_write__turns__added_up_bucket_by_bucket_over_the_workers(void **state)
{
    static struct metrics_text t;
    struct counters a = {.turns = {.sum = 1500000, .buckets = {[0] = 1, [9] = 2, [10] = 3}}};
    struct counters b = {.turns = {.sum = 500000, .buckets = {[0] = 10}}};
    const struct counters *const workers[] = {&a, &b};
    struct metrics_input in = input();
    in.workers = workers;
    in.n_workers = 2;

    read_page(&in, &t);

    (void)state;
    static const char bucket[] = "xdsgate_loop_turn_seconds_bucket";
    assert_float_equal(metrics_text_value(&t, bucket, "{le=\"0.0001\"}"), 11, 0);
    assert_float_equal(metrics_text_value(&t, bucket, "{le=\"0.5\"}"), 11, 0);
    assert_float_equal(metrics_text_value(&t, bucket, "{le=\"2.5\"}"), 13, 0);
    assert_float_equal(metrics_text_value(&t, bucket, "{le=\"+Inf\"}"), 16, 0);
    assert_float_equal(metrics_text_value(&t, "xdsgate_loop_turn_seconds_count", ""), 16, 0);
    assert_float_equal(metrics_text_value(&t, "xdsgate_loop_turn_seconds_sum", ""), 2, 1e-9);
}

static void test_metrics_write__vms__their_own_rows(void **state)
{
    static struct metrics_text t;
    static const char lost[] = "xdsgate_vm_config_lost_total";
    const struct metrics_number one = {"one", 1};
    const struct metrics_vms vms = {
        .states = &one,
        .n_states = 1,
        .healths = &one,
        .n_healths = 1,
        .tally = {.reconnects = {[END_NONE] = 7, [END_PING_TIMEOUT] = 5}},
        .config = {.budget = 1000, .bytes = 700, .vms = 3, .losses = {11, 12, 13}}};
    struct metrics_input in = input();
    in.vms = &vms;

    read_page(&in, &t);

    (void)state;
    assert_float_equal(
        metrics_text_value(&t, "xdsgate_vm_reconnects_total", "{reason=\"ping_timeout\"}"), 5, 0);
    assert_false(metrics_text_has(&t, "xdsgate_vm_reconnects_total", "{reason=\"none\"}"));
    assert_float_equal(metrics_text_value(&t, "xdsgate_vm_config_budget_bytes", ""), 1000, 0);
    assert_float_equal(metrics_text_value(&t, "xdsgate_vm_config_bytes", ""), 700, 0);
    assert_float_equal(metrics_text_value(&t, "xdsgate_vm_config_vms", ""), 3, 0);
    assert_float_equal(metrics_text_value(&t, lost, "{reason=\"full\"}"), 11, 0);
    assert_float_equal(metrics_text_value(&t, lost, "{reason=\"unreadable\"}"), 12, 0);
    assert_float_equal(metrics_text_value(&t, lost, "{reason=\"incomplete\"}"), 13, 0);
}

static void test_metrics_write__names__prefix_total_and_base_units(void **state)
{
    static struct metrics_text t;
    static const char *const not_base[] = {"_ms", "_msec", "_milliseconds", "_kb",     "_kib",
                                           "_mb", "_bits", "_minutes",      "_percent"};
    struct metrics_input in = input();

    read_page(&in, &t);

    (void)state;
    assert_true(t.n > COUNTER_COUNT);
    for (size_t i = 0; i < t.n; i++) {
        const struct metrics_sample *s = &t.samples[i];
        bool process = strncmp(s->name, "process_", 8) == 0;
        if (!process && strncmp(s->name, "xdsgate_", 8) != 0) {
            fail_msg("no prefix: %s", s->name);
        }
        if ((strcmp(s->kind, "counter") == 0) != ends_with(s->name, "_total")) {
            fail_msg("%s is a %s", s->name, s->kind);
        }
        for (size_t k = 0; k < sizeof(not_base) / sizeof(not_base[0]); k++) {
            assert_null(strstr(s->name, not_base[k]));
        }
    }
}

static void test_metrics_write__rows_of_the_input__all_there(void **state)
{
    static struct metrics_text t;
    struct metrics_input in = input();

    read_page(&in, &t);

    (void)state;
    assert_float_equal(metrics_text_value(&t, "xdsgate_build_info", "{version=\"1.2.3\"}"), 1, 0);
    assert_float_equal(metrics_text_value(&t, "xdsgate_upstream_usable", "{upstream=\"istiod\"}"),
                       1, 0);
    assert_float_equal(metrics_text_value(&t, "xdsgate_upstream_usable", "{upstream=\"canary\"}"),
                       0, 0);
    assert_float_equal(
        metrics_text_value(&t, "xdsgate_upstream_new_streams_per_second", "{upstream=\"istiod\"}"),
        12.5, 0);
    assert_float_equal(metrics_text_value(&t, "xdsgate_discovery_current", "{upstream=\"canary\"}"),
                       1, 0);
    assert_float_equal(
        metrics_text_value(&t, "xdsgate_discovery_addresses", "{upstream=\"canary\"}"), 3, 0);
    assert_false(metrics_text_has(&t, "xdsgate_discovery_addresses", "{upstream=\"istiod\"}"));
    assert_float_equal(metrics_text_value(&t, "xdsgate_certificate_expiry_timestamp_seconds",
                                          "{listener=\"istiod\"}"),
                       1790000000, 0);
    assert_float_equal(metrics_text_value(&t, "xdsgate_client_roots_expiry_timestamp_seconds",
                                          "{listener=\"istiod\"}"),
                       1800000000, 0);
    assert_float_equal(metrics_text_value(&t, "xdsgate_upstream_roots_expiry_timestamp_seconds",
                                          "{upstream=\"istiod\"}"),
                       1810000000, 0);
    assert_float_equal(metrics_text_value(&t, "xdsgate_reloads_total", "{result=\"ok\"}"), 3, 0);
    assert_float_equal(metrics_text_value(&t, "xdsgate_reloads_total", "{result=\"failed\"}"), 4,
                       0);
    assert_float_equal(
        metrics_text_value(&t, "xdsgate_config_last_reload_success_timestamp_seconds", ""),
        1700000001, 0);
    assert_float_equal(metrics_text_value(&t, "xdsgate_kubernetes_reachable", ""), 1, 0);
    assert_float_equal(metrics_text_value(&t, "xdsgate_token_requests_total", "{result=\"ok\"}"), 5,
                       0);
    assert_float_equal(
        metrics_text_value(&t, "xdsgate_token_requests_total", "{result=\"failed\"}"), 6, 0);
    assert_float_equal(metrics_text_value(&t, "xdsgate_tokens", ""), 7, 0);
    assert_float_equal(metrics_text_value(&t, "xdsgate_mesh_roots_current", ""), 1, 0);
    assert_float_equal(
        metrics_text_value(&t, "xdsgate_client_roots_missing", "{listener=\"istiod\"}"), 1, 0);
    assert_float_equal(
        metrics_text_value(&t, "xdsgate_upstream_roots_missing", "{upstream=\"istiod\"}"), 2, 0);
    assert_false(metrics_text_has(&t, "xdsgate_upstream_roots_missing", "{upstream=\"canary\"}"));
}

static void test_metrics_write__no_cluster__says_nothing_of_it(void **state)
{
    struct metrics_input in = input();
    (void)state;
    in.cluster = NULL;

    char *text = page_of(&in);

    assert_null(strstr(text, "xdsgate_token_requests"));
    assert_null(strstr(text, "xdsgate_kubernetes"));
    assert_null(strstr(text, "roots_missing"));
    assert_null(strstr(text, "mesh_roots"));
    free(text);
}

static void test_metrics_write__published_roots_unknown__none_is_called_missing(void **state)
{
    struct metrics_cluster c = cluster;
    struct metrics_input in = input();

    (void)state;
    c.roots_current = false;
    c.roots_known = false;
    in.cluster = &c;
    char *text = page_of(&in);

    assert_non_null(strstr(text, "xdsgate_mesh_roots_current 0\n"));
    assert_null(strstr(text, "roots_missing"));
    free(text);
}

static void test_metrics_write__cluster_not_asked_yet__not_said_to_be_away(void **state)
{
    const struct metrics_cluster quiet = {.tokens = 0};
    struct metrics_input in = input();
    (void)state;
    in.cluster = &quiet;

    char *text = page_of(&in);

    assert_non_null(strstr(text, "xdsgate_token_requests"));
    assert_null(strstr(text, "xdsgate_kubernetes_reachable"));
    free(text);
}

static void test_metrics_write__no_upstreams_no_certificates__no_head_without_samples(void **state)
{
    static struct metrics_text t;
    struct metrics_input in = input();
    in.n_upstreams = 0;
    in.n_certificates = 0;

    read_page(&in, &t); /* the reader refuses a HELP without samples */

    (void)state;
    for (size_t i = 0; i < t.n; i++) {
        assert_null(strstr(t.samples[i].name, "upstream_usable"));
        assert_null(strstr(t.samples[i].name, "discovery"));
        assert_null(strstr(t.samples[i].name, "certificate"));
    }
}

static void test_metrics_write__hostile_label_values__escaped(void **state)
{
    static const struct metrics_upstream hostile[] = {
        {.name = "a\"} 1\nxdsgate_forged_total 7\n\\", .usable = true}};
    static struct metrics_text t;
    struct metrics_input in = input();
    in.upstreams = hostile;
    in.n_upstreams = 1;

    read_page(&in, &t);

    (void)state;
    assert_float_equal(
        metrics_text_value(&t, "xdsgate_upstream_usable",
                           "{upstream=\"a\\\"} 1\\nxdsgate_forged_total 7\\n\\\\\"}"),
        1, 0);
}

static void test_metrics_write__gauge_below_zero__is_seen(void **state)
{
    static struct metrics_text t;
    struct counters a = {0};
    const struct counters *const workers[] = {&a};
    struct metrics_input in = input();
    in.workers = workers;
    in.n_workers = 1;
    counter_add(&a.v[COUNTER_STREAMS_OPEN], -1);

    read_page(&in, &t);

    (void)state;
    assert_float_equal(metrics_text_value(&t, "xdsgate_streams", ""), -1, 0);
}

static void test_metrics_write__process__what_the_kernel_says(void **state)
{
    static struct metrics_text before;
    static struct metrics_text after;
    struct metrics_input in = input();
    int fds[8];

    read_page(&in, &before);
    for (size_t i = 0; i < 8; i++) {
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert_true(fds[i] >= 0);
    }
    read_page(&in, &after);
    for (size_t i = 0; i < 8; i++) {
        close(fds[i]);
    }

    (void)state;
    assert_float_equal(metrics_text_value(&after, "process_open_fds", ""),
                       metrics_text_value(&before, "process_open_fds", "") + 8, 0);
    assert_true(metrics_text_value(&after, "process_max_fds", "") >=
                metrics_text_value(&after, "process_open_fds", ""));
    assert_true(metrics_text_value(&after, "process_resident_memory_bytes", "") > 100000);
    assert_float_equal(metrics_text_value(&after, "process_start_time_seconds", ""), 1700000000.25,
                       0);
    assert_true(metrics_text_value(&after, "process_cpu_seconds_total", "") >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_metrics_write__every_counter__its_own_row_with_the_sum_of_the_workers),
        cmocka_unit_test(test_metrics_write__ends__one_row_for_each_reason_but_none),
        cmocka_unit_test(test_metrics_write__turns__added_up_bucket_by_bucket_over_the_workers),
        cmocka_unit_test(test_metrics_write__vms__their_own_rows),
        cmocka_unit_test(test_metrics_write__names__prefix_total_and_base_units),
        cmocka_unit_test(test_metrics_write__rows_of_the_input__all_there),
        cmocka_unit_test(test_metrics_write__no_cluster__says_nothing_of_it),
        cmocka_unit_test(test_metrics_write__cluster_not_asked_yet__not_said_to_be_away),
        cmocka_unit_test(test_metrics_write__published_roots_unknown__none_is_called_missing),
        cmocka_unit_test(test_metrics_write__no_upstreams_no_certificates__no_head_without_samples),
        cmocka_unit_test(test_metrics_write__hostile_label_values__escaped),
        cmocka_unit_test(test_metrics_write__gauge_below_zero__is_seen),
        cmocka_unit_test(test_metrics_write__process__what_the_kernel_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
