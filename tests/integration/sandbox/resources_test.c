/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/sandbox/istiod/resources.h"

#include "envoy/config/cluster/v3/cluster.pb-c.h"
#include "tests/integration/sandbox/unit.h"

static size_t total(const struct resource_set *set, enum xds_type type)
{
    size_t n = 0;

    for (size_t i = 0; i < set->n[type]; i++) {
        n += set->of[type][i].n_bytes;
    }
    return n;
}

static void test_resources__each_type__has_about_the_size_asked_for(void **state)
{
    struct resource_set set;

    (void)state;
    resources_make(&set, 7, 100000);
    for (int type = 0; type < XDS_TYPES; type++) {
        assert_in_range(total(&set, (enum xds_type)type), 100000, 102000);
    }
    resources_fini(&set);
}

static void test_resources__clusters__want_endpoints_that_are_there(void **state)
{
    struct resource_set set;

    (void)state;
    resources_make(&set, 1, 0);
    assert_int_equal(set.n[XDS_CDS], set.n[XDS_EDS]);
    for (size_t i = 0; i < set.n[XDS_CDS]; i++) {
        Envoy__Config__Cluster__V3__Cluster *c = envoy__config__cluster__v3__cluster__unpack(
            NULL, set.of[XDS_CDS][i].n_bytes, set.of[XDS_CDS][i].bytes);

        assert_non_null(c);
        assert_string_equal(c->eds_cluster_config->service_name, set.of[XDS_EDS][i].name);
        envoy__config__cluster__v3__cluster__free_unpacked(c, NULL);
    }
    resources_fini(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resources__each_type__has_about_the_size_asked_for),
        cmocka_unit_test(test_resources__clusters__want_endpoints_that_are_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
