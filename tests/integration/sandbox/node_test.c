/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/sandbox/istiod/node.h"

#include "google/protobuf/struct.pb-c.h"
#include "integration/sandbox/common/text.h"
#include "tests/integration/sandbox/unit.h"

/** A Node with one metadata string, all of it on the stack of the test. */
struct fixture {
    Envoy__Config__Core__V3__Node node;
    Google__Protobuf__Struct metadata;
    Google__Protobuf__Struct__FieldsEntry entry;
    Google__Protobuf__Struct__FieldsEntry *entries;
    Google__Protobuf__Value value;
};

static void fill(struct fixture *f, char *id, char *key, char *value)
{
    envoy__config__core__v3__node__init(&f->node);
    google__protobuf__struct__init(&f->metadata);
    google__protobuf__struct__fields_entry__init(&f->entry);
    google__protobuf__value__init(&f->value);
    f->value.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    f->value.string_value = value;
    f->entry.key = key;
    f->entry.value = &f->value;
    f->entries = &f->entry;
    f->metadata.n_fields = 1;
    f->metadata.fields = &f->entries;
    f->node.id = id;
    f->node.metadata = &f->metadata;
}

static char id[] = "sidecar~10.0.0.9~vm-1.vms~apps.svc.cluster.local";
static char instance_ips[] = "INSTANCE_IPS";
static char name_space[] = "NAMESPACE";

static void test_node__metadata__wins_over_the_id(void **state)
{
    struct fixture f;
    struct node n;
    char ips[] = "10.0.0.1,fd00::1";
    char vms[] = "vms";

    (void)state;
    fill(&f, id, instance_ips, ips);
    assert_null(node_read(&n, &f.node));
    assert_string_equal(n.address, "10.0.0.1");
    assert_string_equal(n.name, "vm-1.vms");
    assert_string_equal(n.name_space, "apps");
    node_fini(&n);

    fill(&f, id, name_space, vms);
    assert_null(node_read(&n, &f.node));
    assert_string_equal(n.name_space, "vms");
    assert_string_equal(n.address, "10.0.0.9");
    assert_string_equal(n.group, "");
    node_fini(&n);
}

static void test_node__one_bad_instance_ip__falls_back_to_the_id(void **state)
{
    struct fixture f;
    struct node n;
    char ips[] = "10.0.0.1,nonsense";

    (void)state;
    fill(&f, id, instance_ips, ips);
    assert_null(node_read(&n, &f.node));
    assert_string_equal(n.address, "10.0.0.9");
    node_fini(&n);
}

static void test_node__nothing_usable__is_refused(void **state)
{
    struct fixture f;
    struct node n;
    char empty[] = "";
    char three[] = "sidecar~10.0.0.9~vm-1.vms";
    char no_ip[] = "sidecar~x~vm-1.vms~vms";

    (void)state;
    assert_non_null(node_read(&n, NULL));
    fill(&f, empty, name_space, empty);
    assert_string_equal(node_read(&n, &f.node), "missing node information");
    fill(&f, three, name_space, empty);
    assert_non_null(node_read(&n, &f.node));
    fill(&f, no_ip, name_space, empty);
    assert_non_null(node_read(&n, &f.node));
}

static void test_node__value_that_is_no_string__counts_as_empty(void **state)
{
    struct fixture f;
    struct node n;

    (void)state;
    fill(&f, id, name_space, NULL);
    f.value.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
    f.value.number_value = 5;
    assert_null(node_read(&n, &f.node));
    assert_string_equal(n.name_space, "apps");
    node_fini(&n);
    f.entry.value = NULL;
    assert_null(node_read(&n, &f.node));
    node_fini(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node__metadata__wins_over_the_id),
        cmocka_unit_test(test_node__one_bad_instance_ip__falls_back_to_the_id),
        cmocka_unit_test(test_node__nothing_usable__is_refused),
        cmocka_unit_test(test_node__value_that_is_no_string__counts_as_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
