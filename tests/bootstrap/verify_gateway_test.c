/* SPDX-License-Identifier: Apache-2.0 */
/* A gateway with a root of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/bootstrap/verify_fixture.h"

#define GATEWAY_ROOT_AT "/var/lib/istio/envoy/gateway-root.pem"
#define GATEWAY_ENV                           \
    ENV "XDS_ROOT_CA='" GATEWAY_ROOT_AT "'\n" \
        "CA_ROOT_CA='" GATEWAY_ROOT_AT "'\n"

static void put_gateway_root(void **state, const char *path)
{
    struct pki_cert root = pki_make_root("gateway");

    pki_write_cert(at(state, path), &root);
    pki_free(&root);
}

static void test_verify__gateway_root__judges_both_servers(void **state)
{
    put(state, ENV_AT, GATEWAY_ENV, 0644);
    put_gateway_root(state, GATEWAY_ROOT_AT);
    look(state);
    assert_int_equal(report.n, 0);
    assert_int_equal(report.n_servers, 1);
    assert_string_equal(report.servers[0].roots, at(state, GATEWAY_ROOT_AT));
    assert_true(report.servers[0].own_roots);

    put(state, ROOT_AT, "nothing\n", 0644);
    look(state);
    assert_string_equal(report.servers[0].roots, at(state, GATEWAY_ROOT_AT));
}

/* One of the two, from sidecar.env, and an empty one in cluster.env that takes it back. */
static void test_verify__gateway_root_of_one__the_other_by_the_mesh(void **state)
{
    put_gateway_root(state, GATEWAY_ROOT_AT);
    put(state, SIDECAR_AT, "CA_ROOT_CA=" GATEWAY_ROOT_AT "\n", 0644);
    look(state);
    assert_int_equal(report.n, 0);
    assert_int_equal(report.n_servers, 2);
    assert_string_equal(report.servers[0].roots, at(state, ROOT_AT));
    assert_string_equal(report.servers[1].roots, at(state, GATEWAY_ROOT_AT));
    assert_false(report.servers[0].own_roots);
    assert_true(report.servers[1].own_roots);

    put(state, SIDECAR_AT, "PILOT_ADDRESS=10.0.0.9:15013\nCA_ROOT_CA=" GATEWAY_ROOT_AT "\n", 0644);
    look(state);
    assert_int_equal(report.n_servers, 2);
    assert_string_equal(report.servers[1].host, "10.0.0.9");
    assert_string_equal(report.servers[1].roots, at(state, GATEWAY_ROOT_AT));

    put(state, ENV_AT, ENV "CA_ROOT_CA=\n", 0644);
    look(state);
    assert_int_equal(report.n_servers, 1);
    assert_string_equal(report.servers[0].roots, at(state, ROOT_AT));
}

static void test_verify__gateway_root_missing_or_broken__named_and_nobody_judged(void **state)
{
    put(state, ENV_AT, GATEWAY_ENV, 0644);
    look(state);
    expect_only(VERIFY_BAD, GATEWAY_ROOT_AT, "is missing: " ENV_AT " names it (XDS_ROOT_CA)");
    assert_string_equal(report.servers[0].roots, "");

    put(state, GATEWAY_ROOT_AT, "nothing\n", 0644);
    look(state);
    expect_only(VERIFY_BAD, GATEWAY_ROOT_AT, "has neither");
    assert_string_equal(report.servers[0].roots, "");

    struct pki_cert old = pki_make(
        NULL, &(struct pki_spec){.name = "root", .ca = true, .from_s = -7200, .to_s = -3600});
    pki_write_cert(at(state, GATEWAY_ROOT_AT), &old);
    pki_free(&old);
    look(state);
    expect_only(VERIFY_BAD, GATEWAY_ROOT_AT, "expired ");
    assert_string_equal(report.findings[0].cure,
                        "xdsgate bundle renew --gateway-root FILE brings another, if this "
                        "machine's clock is right");

    struct pki_cert soon = pki_make(
        NULL, &(struct pki_spec){.name = "root", .ca = true, .from_s = -7200, .to_s = 86400});
    pki_write_cert(at(state, GATEWAY_ROOT_AT), &soon);
    pki_free(&soon);
    look(state);
    expect_only(VERIFY_WARN, GATEWAY_ROOT_AT, "one of its certificates expires in ");
    assert_string_equal(report.findings[0].cure,
                        "xdsgate bundle renew --gateway-root FILE brings another, when the gateway "
                        "has its new root");

    put_gateway_root(state, GATEWAY_ROOT_AT);
    assert_int_equal(chmod(at(state, GATEWAY_ROOT_AT), 0666), 0);
    look(state);
    expect_only(VERIFY_BAD, GATEWAY_ROOT_AT, "others may write it (mode 0666)");
}

/* A file of somebody's own: no command replaces it. */
static void test_verify__roots_elsewhere__cure_names_the_file(void **state)
{
    put(state, ENV_AT, ENV "XDS_ROOT_CA=/etc/x.pem\nCA_ROOT_CA=/etc/x.pem\n", 0644);
    put(state, "/etc/x.pem", "nothing\n", 0644);
    look(state);
    expect_only(VERIFY_BAD, "/etc/x.pem", "has neither");
    assert_string_equal(report.findings[0].cure, "put the gateway's root there");

    put_gateway_root(state, "/etc/x.pem");
    look(state);
    assert_int_equal(report.n, 0);
    assert_false(report.servers[0].own_roots);
}

/* Go reads one of several files; every distribution has one of them. */
static void test_verify__roots_of_the_system__not_those_of_the_mesh(void **state)
{
    put(state, ENV_AT, ENV "XDS_ROOT_CA=SYSTEM\nCA_ROOT_CA=SYSTEM\n", 0644);

    look(state);

    assert_int_equal(report.n_servers, 1);
    assert_string_not_equal(report.servers[0].roots, at(state, ROOT_AT));
    assert_int_equal(report.n, report.servers[0].roots[0] == '\0' ? 1 : 0);
}

static void test_verify__gateway_root_that_cannot_be_seen__said(void **state)
{
    put(state, ENV_AT, ENV "XDS_ROOT_CA=etc/x.pem\nCA_ROOT_CA=etc/x.pem\n", 0644);

    look(state);

    expect_only(VERIFY_WARN, ENV_AT, "XDS_ROOT_CA is not looked at: etc/x.pem");
    assert_string_equal(report.servers[0].roots, "");
}

static void test_verify__gateway_root_in_a_folder__by_its_name_there(void **state)
{
    const struct ca_fixture *f = *state;
    put(state, "/b/cluster.env", GATEWAY_ENV, 0644);
    put(state, "/b/mesh.yaml", MESH, 0644);
    put(state, "/b/hosts", "10.0.0.5 istiod.istio-system.svc\n", 0644);
    put(state, "/b/istio-token", token(60, GOOD_CLAIMS), 0600);
    pki_write_cert(at(state, "/b/root-cert.pem"), &f->root);
    put_gateway_root(state, "/b/gateway-root.pem");
    look_at_folder(state);
    assert_int_equal(report.n, 0);
    assert_string_equal(report.servers[0].roots, at(state, "/b/gateway-root.pem"));

    unlink(at(state, "/b/gateway-root.pem"));
    look_at_folder(state);
    expect_only(VERIFY_BAD, "gateway-root.pem", "is missing: cluster.env names it (XDS_ROOT_CA)");

    put(state, "/b/cluster.env", ENV "XDS_ROOT_CA=/x.pem\nCA_ROOT_CA=/x.pem\n", 0644);
    look_at_folder(state);
    expect_only(VERIFY_WARN, "cluster.env", "XDS_ROOT_CA names a file that is not in this bundle");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_verify__gateway_root__judges_both_servers),
        TEST(test_verify__gateway_root_of_one__the_other_by_the_mesh),
        TEST(test_verify__gateway_root_missing_or_broken__named_and_nobody_judged),
        TEST(test_verify__roots_elsewhere__cure_names_the_file),
        TEST(test_verify__roots_of_the_system__not_those_of_the_mesh),
        TEST(test_verify__gateway_root_that_cannot_be_seen__said),
        TEST(test_verify__gateway_root_in_a_folder__by_its_name_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
