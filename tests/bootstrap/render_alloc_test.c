/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of reading and rendering fails once, ours and jansson's: the result is always
 * RC_NO_MEMORY, and nothing is lost (the address sanitizer counts). libyaml's and those of stdio
 * are not caught.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/bootstrap/render_fixture.h"
#include "tests/support/countdown_malloc.h"

static const char group[] =
    "metadata:\n  name: vm\n  namespace: vms\n  annotations:\n"
    "    proxy.istio.io/config: '{concurrency: 0, proxyMetadata: {A: b}, drainDuration: 1m}'\n"
    "spec:\n  metadata: {labels: {app: a}}\n  probe: {httpGet: {httpHeaders: [{name: x}]}}\n"
    "  template: {ports: {http: 80, '': 81}, labels: {x: z}}\n";
static const char mesh[] =
    "defaultConfig: {tracing: {customTags: {a: {literal: {value: ''}}}}, new: [1.5], meshId: m}\n";

/* Of vms/default, until 2000. */
#define TOKEN               \
    "eyJhbGciOiJSUzI1NiJ9." \
    "eyJleHAiOjIwMDAsInN1YiI6InN5c3RlbTpzZXJ2aWNlYWNjb3VudDp2bXM6ZGVmYXVsdCJ9.c2ln"

static enum rc read_both(json_t **g, json_t **m)
{
    struct doc_error err;
    TRY(doc_parse_yaml(group, sizeof(group) - 1, &err, g));
    return doc_parse_yaml(mesh, sizeof(mesh) - 1, &err, m);
}

static enum rc run(void *arg)
{
    char why[300];
    struct bundle b;
    json_t *g = NULL;
    json_t *m = NULL;
    (void)arg;
    bundle_init(&b);
    enum rc rc = read_both(&g, &m);
    if (rc == RC_OK) {
        struct bundle_opts o = {.workload_group = g,
                                .mesh_config = m,
                                .root_cert = ROOT_PEM,
                                .token = "t",
                                .istio_namespace = "istio-system",
                                .revision = "r",
                                .gateways = {"192.0.2.1"},
                                .n_gateways = 1,
                                .gateway_name = "gw.example.com",
                                .gateway_root = ROOT_PEM,
                                .internal_ip = "10.0.0.1",
                                .autoregister = true,
                                .dns_capture = true};
        rc = bundle_render(&o, &b, why, sizeof(why));
        assert_int_equal(b.n, rc == RC_OK ? 6 : 0);
        assert_string_equal(why, "");
    }
    json_decref(g);
    json_decref(m);
    bundle_fini(&b);
    return rc;
}

static enum rc run_renewal(void *arg)
{
    char why[300];
    struct bundle b;
    json_t *g = NULL;
    struct doc_error err;
    (void)arg;
    bundle_init(&b);
    enum rc rc = doc_parse_yaml(group, sizeof(group) - 1, &err, &g);
    if (rc == RC_OK) {
        struct bundle_opts o = {.workload_group = g,
                                .root_cert = ROOT_PEM,
                                .gateway_root = ROOT_PEM,
                                .token = TOKEN,
                                .now_s = 1000};
        rc = bundle_render_renewal(&o, &b, why, sizeof(why));
        assert_int_equal(b.n, rc == RC_OK ? 3 : 0);
        assert_string_equal(why, "");
    }
    json_decref(g);
    bundle_fini(&b);
    return rc;
}

static void test_renewal__each_allocation_fails__no_memory(void **state)
{
    (void)state;
    assert_in_range(countdown_fail_each(run_renewal, NULL, RC_OK), 50, 100000);
}

static void test_render__each_allocation_fails__no_memory(void **state)
{
    (void)state;
    assert_int_equal(run(NULL), RC_OK);
    assert_in_range(countdown_fail_each(run, NULL, RC_OK), 200, 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_render__each_allocation_fails__no_memory),
        cmocka_unit_test(test_renewal__each_allocation_fails__no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
