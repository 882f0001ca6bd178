/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/xds_type.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static enum xds_type type_of(const char *url)
{
    size_t n = strlen(url);
    char *copy = malloc(n > 0 ? n : 1); /* without a zero */

    memcpy(copy, url, n);
    enum xds_type type = xds_type_of(copy, n);
    free(copy);
    return type;
}

static void test_xds_type__urls_of_agents__have_their_names(void **state)
{
    static const char *const rows[][2] = {
        {"type.googleapis.com/envoy.config.cluster.v3.Cluster", "CDS"},
        {"type.googleapis.com/envoy.config.listener.v3.Listener", "LDS"},
        {"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment", "EDS"},
        {"type.googleapis.com/envoy.config.route.v3.RouteConfiguration", "RDS"},
        {"type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", "ECDS"},
        {"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "SDS"},
        {"type.googleapis.com/istio.networking.nds.v1.NameTable", "NDS"},
        {"type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig", "PCDS"},
        {"type.googleapis.com/istio.workload.Workload", "WDS"},
        {"type.googleapis.com/istio.workload.Address", "WADS"},
        {"type.googleapis.com/istio.v1.HealthInformation", "HEALTH"},
    };
    (void)state;

    assert_int_equal(COUNT(rows), XDS_TYPES + 1);
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_string_equal(xds_type_name(type_of(rows[i][0])), rows[i][1]);
        assert_string_equal(xds_type_url(type_of(rows[i][0])), rows[i][0]);
    }
}

static void test_xds_type__anything_else__is_other(void **state)
{
    static const char *const rows[] = {
        "",
        "type.googleapis.com/",
        "envoy.config.cluster.v3.Cluster",
        "istio.io/debug/syncz",
        "networking.istio.io/v1/VirtualService",
        "type.googleapis.com/envoy.config.cluster.v3.cluster",
        "type.googleapis.com//envoy.config.cluster.v3.Cluster",
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(type_of(rows[i]), XDS_OTHER);
    }
    assert_string_equal(xds_type_name(XDS_OTHER), "OTHER");
    assert_string_equal(xds_type_url(XDS_OTHER), "");
}

static void test_xds_type__cut_or_longer_url__is_other(void **state)
{
    char longer[120];
    (void)state;

    for (unsigned t = 0; t < XDS_OTHER; t++) {
        const char *url = xds_type_url((enum xds_type)t);
        for (size_t n = 0; n < strlen(url); n++) {
            assert_int_equal(xds_type_of(url, n), XDS_OTHER);
        }
        (void)snprintf(longer, sizeof(longer), "%sX", url);
        assert_int_equal(type_of(longer), XDS_OTHER);
    }
}

static void test_xds_type__flags__say_what_istiod_knows(void **state)
{
    (void)state;

    for (unsigned t = 0; t < XDS_TYPES; t++) {
        unsigned flags = xds_type_flags((enum xds_type)t);
        bool by_name = t == XDS_EDS || t == XDS_RDS || t == XDS_SDS || t == XDS_ECDS;
        assert_int_equal((flags & XDS_BY_NAME) != 0, by_name);
        assert_int_equal((flags & XDS_SECRET) != 0, t == XDS_SDS);
        assert_true((flags & (XDS_FROM_ENVOY | XDS_FROM_AGENT)) != 0);
    }
    assert_int_equal(xds_type_flags(XDS_HEALTH), 0);
    assert_int_equal(xds_type_flags(XDS_OTHER), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xds_type__urls_of_agents__have_their_names),
        cmocka_unit_test(test_xds_type__anything_else__is_other),
        cmocka_unit_test(test_xds_type__cut_or_longer_url__is_other),
        cmocka_unit_test(test_xds_type__flags__say_what_istiod_knows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
