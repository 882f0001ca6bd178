/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/sandbox/istiod/registry.h"

#include <stdlib.h>
#include <string.h>

#include "tests/integration/sandbox/unit.h"

static struct node node_of(const char *group, const char *address)
{
    return (struct node){
        .id = sbx_strdup("sidecar~x~vm.vms~vms"),
        .name = sbx_strdup("vm.vms"),
        .name_space = sbx_strdup("vms"),
        .service_account = sbx_strdup("web"),
        .group = sbx_strdup(group),
        .workload_entry = sbx_strdup(""),
        .address = sbx_strdup(address),
        .network = sbx_strdup(""),
        .cluster_id = sbx_strdup(""),
        .istio_version = sbx_strdup(""),
    };
}

static struct entry *connect_ok(struct registry *r, const struct node *n)
{
    struct text why = {0};
    struct entry *e = NULL;

    assert_int_equal(registry_connect(r, n, &e, &why), REGISTER_OK);
    return e;
}

static void test_registry__new_vm__gets_an_entry_named_by_group_and_address(void **state)
{
    struct registry r;
    struct node n = node_of("web", "fd00::1");
    struct entry *e;

    (void)state;
    registry_init(&r, 10000);
    assert_true(registry_add_group(&r, "vms/web"));

    e = connect_ok(&r, &n);

    assert_string_equal(e->name, "web-fd00--1");
    assert_true(e->automatic);
    assert_int_equal(r.created, 1);
    node_fini(&n);
    registry_fini(&r);
}

static void test_registry__network__is_part_of_the_name(void **state)
{
    struct registry r;
    struct node n = node_of("web", "10.0.0.1");

    (void)state;
    free(n.network);
    n.network = sbx_strdup("site-a");
    registry_init(&r, 10000);
    assert_true(registry_add_group(&r, "vms/web"));
    assert_string_equal(connect_ok(&r, &n)->name, "web-10.0.0.1-site-a");
    node_fini(&n);
    registry_fini(&r);
}

static void test_registry__missing_group__is_failed_precondition(void **state)
{
    struct registry r;
    struct node n = node_of("web", "10.0.0.1");
    struct text why = {0};
    struct entry *e = NULL;

    (void)state;
    registry_init(&r, 10000);
    assert_true(registry_add_group(&r, "other/web"));
    assert_false(registry_add_group(&r, "web"));

    assert_int_equal(registry_connect(&r, &n, &e, &why), REGISTER_NO_GROUP);

    assert_non_null(strstr(text_str(&why), "cannot find WorkloadGroup vms/web"));
    assert_null(e);
    text_fini(&why);
    node_fini(&n);
    registry_fini(&r);
}

static void test_registry__gone_for_the_grace__is_deleted_and_not_before(void **state)
{
    struct registry r;
    struct node n = node_of("web", "10.0.0.1");

    (void)state;
    registry_init(&r, 10000);
    assert_true(registry_add_group(&r, "vms/web"));
    registry_disconnect(&r, connect_ok(&r, &n), 5000);

    registry_sweep(&r, 14999);
    assert_non_null(r.entries);
    registry_sweep(&r, 15000);

    assert_null(r.entries);
    assert_int_equal(r.deleted, 1);
    node_fini(&n);
    registry_fini(&r);
}

static void test_registry__back_within_the_grace__is_kept_with_its_health(void **state)
{
    struct registry r;
    struct node n = node_of("web", "10.0.0.1");
    struct entry *e;

    (void)state;
    registry_init(&r, 10000);
    assert_true(registry_add_group(&r, "vms/web"));
    e = connect_ok(&r, &n);
    entry_set_health(e, true, "");
    registry_disconnect(&r, e, 5000);

    assert_ptr_equal(connect_ok(&r, &n), e);
    registry_sweep(&r, 1000000);

    assert_ptr_equal(r.entries, e);
    assert_string_equal(entry_health_name(e), "True");
    assert_int_equal(r.kept, 1);
    node_fini(&n);
    registry_fini(&r);
}

static void test_registry__two_streams__grace_begins_with_the_last(void **state)
{
    struct registry r;
    struct node n = node_of("web", "10.0.0.1");
    struct entry *e;

    (void)state;
    registry_init(&r, 10000);
    assert_true(registry_add_group(&r, "vms/web"));
    e = connect_ok(&r, &n);
    (void)connect_ok(&r, &n);

    registry_disconnect(&r, e, 0);
    registry_sweep(&r, 50000);
    assert_ptr_equal(r.entries, e);
    registry_disconnect(&r, e, 50000);
    registry_sweep(&r, 60000);

    assert_null(r.entries);
    node_fini(&n);
    registry_fini(&r);
}

static void test_registry__entry_by_hand__stays_but_loses_its_condition(void **state)
{
    struct registry r;
    struct node n = node_of("", "10.0.0.1");
    struct text why = {0};
    struct entry *e = NULL;

    (void)state;
    registry_init(&r, 10000);
    free(n.workload_entry);
    n.workload_entry = sbx_strdup("db-1");
    assert_int_equal(registry_connect(&r, &n, &e, &why), REGISTER_UNKNOWN);
    assert_true(registry_add_entry(&r, "vms/db-1"));

    e = connect_ok(&r, &n);
    entry_set_health(e, false, "down");
    assert_string_equal(entry_health_name(e), "False");
    registry_disconnect(&r, e, 0);
    registry_sweep(&r, 10000);

    assert_ptr_equal(r.entries, e);
    assert_string_equal(entry_health_name(e), "Unknown");
    text_fini(&why);
    node_fini(&n);
    registry_fini(&r);
}

static void test_registry__node_without_group__gets_no_entry(void **state)
{
    struct registry r;
    struct node n = node_of("", "10.0.0.1");

    (void)state;
    registry_init(&r, 10000);
    assert_null(connect_ok(&r, &n));
    registry_disconnect(&r, NULL, 0);
    node_fini(&n);
    registry_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registry__new_vm__gets_an_entry_named_by_group_and_address),
        cmocka_unit_test(test_registry__network__is_part_of_the_name),
        cmocka_unit_test(test_registry__missing_group__is_failed_precondition),
        cmocka_unit_test(test_registry__gone_for_the_grace__is_deleted_and_not_before),
        cmocka_unit_test(test_registry__back_within_the_grace__is_kept_with_its_health),
        cmocka_unit_test(test_registry__two_streams__grace_begins_with_the_last),
        cmocka_unit_test(test_registry__entry_by_hand__stays_but_loses_its_condition),
        cmocka_unit_test(test_registry__node_without_group__gets_no_entry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
