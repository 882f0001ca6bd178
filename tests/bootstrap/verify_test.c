/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/bootstrap/verify_fixture.h"

static void test_verify__all_is_well__no_findings_and_one_server(void **state)
{
    look(state);

    assert_int_equal(report.n, 0);
    assert_int_equal(verify_worst(&report), VERIFY_GOOD);
    assert_int_equal(report.n_servers, 1);
    assert_string_equal(report.servers[0].host, "istiod.istio-system.svc");
    assert_string_equal(report.servers[0].port, "15012");
    assert_int_equal(report.servers[0].n_addresses, 1);
    assert_string_equal(report.servers[0].addresses[0], "10.0.0.5");
    assert_string_equal(report.servers[0].roots, at(state, ROOT_AT));
}

static void test_verify__file_missing__named(void **state)
{
    static const char *const needed[] = {ENV_AT, MESH_AT, ROOT_AT, HOSTS_AT};

    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(rename(at(state, needed[i]), at(state, "/aside")), 0);
        look(state);
        assert_true(has(needed[i], "is missing"));
        assert_int_equal(verify_worst(&report), VERIFY_BAD);
        assert_int_equal(rename(at(state, "/aside"), at(state, needed[i])), 0);
    }
}

static void test_verify__folder_instead_of_a_file__said(void **state)
{
    assert_int_equal(unlink(at(state, ENV_AT)), 0);
    assert_int_equal(mkdir(at(state, ENV_AT), 0755), 0);

    look(state);

    expect_only(VERIFY_BAD, ENV_AT, "cannot be read: not a file");
}

static void test_verify__modes_too_wide__bad(void **state)
{
    assert_int_equal(chmod(at(state, TOKEN_AT), 0640), 0);
    look(state);
    expect_only(VERIFY_BAD, TOKEN_AT, "others may read it (mode 0640)");

    assert_int_equal(chmod(at(state, TOKEN_AT), 0600), 0);
    assert_int_equal(chmod(at(state, ENV_AT), 0666), 0);
    look(state);
    expect_only(VERIFY_BAD, ENV_AT, "others may write it (mode 0666)");
}

static void test_verify__agent_is_somebody_else__cannot_read_nor_write(void **state)
{
    look_as(state, 4711);

    assert_true(has(TOKEN_AT, "istio-proxy cannot read it"));
    assert_true(has(KEY_AT, "istio-proxy cannot read it"));
    assert_true(has("/etc/certs", "istio-proxy cannot write"));
    assert_false(has(ENV_AT, "istio-proxy"));
}

static void test_verify__no_user__said(void **state)
{
    look_as(state, VERIFY_NO_USER);

    expect_only(VERIFY_BAD, "istio-proxy", "there is no such user");
}

static void test_verify__cluster_id_differs__said_without_values(void **state)
{
    put(state, ENV_AT, "ISTIO_META_CLUSTER_ID=two\nISTIO_NAMESPACE=vms\nSERVICE_ACCOUNT=web\n",
        0644);

    look(state);

    expect_only(VERIFY_BAD, ENV_AT, "ISTIO_META_CLUSTER_ID is not what " MESH_AT " says");
}

static void test_verify__namespaces_differ__said(void **state)
{
    put(state, ENV_AT, "ISTIO_NAMESPACE=vms\nPOD_NAMESPACE=other\nSERVICE_ACCOUNT=web\n", 0644);

    look(state);

    assert_true(has(ENV_AT, "ISTIO_NAMESPACE and POD_NAMESPACE differ"));
    assert_true(has(ENV_AT, "POD_NAMESPACE is not what"));
}

static void test_verify__settings_malformed__line_is_named(void **state)
{
    put(state, ENV_AT, "A=1\nB=$(id)\n", 0644);
    put(state, MESH_AT, "defaultConfig:\n  a: [\n", 0644);

    look(state);

    assert_true(has(ENV_AT, "line 2"));
    assert_true(has(MESH_AT, "line 3"));
}

static void test_verify__settings_empty__said(void **state)
{
    put(state, ENV_AT, "SERVICE_ACCOUNT=''\n", 0644);
    put(state, MESH_AT, "{}\n", 0644);

    look(state);

    assert_true(has(ENV_AT, "does not set ISTIO_NAMESPACE"));
    assert_true(has(ENV_AT, "does not set SERVICE_ACCOUNT"));
    assert_true(has(MESH_AT, "has no defaultConfig"));
}

static void test_verify__roots__expired_soon_expired_not_valid_yet(void **state)
{
    static const struct {
        long from;
        long to;
        enum verify_level level;
        const char *text;
    } table[] = {{-7200, -3600, VERIFY_BAD, "expired "},
                 {3600 * 5, 3600 * 9, VERIFY_BAD, "is not valid before"},
                 {-60, 86400 * 5, VERIFY_WARN, "one of its certificates expires in "}};

    for (size_t i = 0; i < 3; i++) {
        struct pki_cert c = pki_make(
            NULL, &(struct pki_spec){
                      .name = "root", .ca = true, .from_s = table[i].from, .to_s = table[i].to});
        pki_write_cert(at(state, ROOT_AT), &c);
        pki_free(&c);
        (void)unlink(at(state, CHAIN_AT));
        look(state);
        expect_only(table[i].level, ROOT_AT, table[i].text);
    }
}

static void test_verify__roots_are_none_or_have_a_key__bad(void **state)
{
    const struct ca_fixture *f = *state;
    put(state, ROOT_AT, "nothing\n", 0644);
    look(state);
    assert_true(has(ROOT_AT, "has neither"));
    assert_string_equal(report.servers[0].roots, "");

    pki_write_key(at(state, ROOT_AT), &f->root, NULL);
    look(state);
    assert_true(has(ROOT_AT, "has a private key in it"));
    assert_true(has(ROOT_AT, "has no certificate"));
}

static void test_verify__token_has_run_out__bad_only_without_a_certificate(void **state)
{
    put(state, TOKEN_AT, token(-7200, GOOD_CLAIMS), 0600);
    look(state);
    expect_only(VERIFY_WARN, TOKEN_AT, "ran out 2 h ago; while the certificate is good");

    unlink(at(state, CHAIN_AT));
    look(state);
    assert_true(has(TOKEN_AT, "ran out 2 h ago"));
    assert_true(has("agent", "neither a token nor a certificate"));
    assert_int_equal(verify_worst(&report), VERIFY_BAD);
}

static void test_verify__no_token__fine_with_a_certificate(void **state)
{
    unlink(at(state, TOKEN_AT));
    look(state);
    assert_int_equal(report.n, 0);

    unlink(at(state, CHAIN_AT));
    look(state);
    expect_only(VERIFY_BAD, "agent", "neither a token nor a certificate");
}

static void test_verify__token_of_another_account_or_audience__said(void **state)
{
    put(state, TOKEN_AT, token(3600, ",\"aud\":\"other\",\"sub\":\"system:serviceaccount:vms:db\""),
        0600);

    look(state);

    assert_true(has(TOKEN_AT, "is for system:serviceaccount:vms:db"));
    assert_true(has(TOKEN_AT, "is not for the audience istio-ca"));
}

static void test_verify__token_made_by_a_clock_that_is_ahead__this_one_is_behind(void **state)
{
    static const char *const dates[] = {"iat", "nbf"};
    char claims[300];

    for (size_t i = 0; i < 2; i++) {
        snprintf(claims, sizeof(claims), "%s,\"%s\":%lld", GOOD_CLAIMS, dates[i],
                 (long long)now + 60);
        put(state, TOKEN_AT, token(3600, claims), 0600);
        look(state);
        assert_int_equal(report.n, 0);

        snprintf(claims, sizeof(claims), "%s,\"%s\":%lld", GOOD_CLAIMS, dates[i],
                 (long long)now + 300);
        put(state, TOKEN_AT, token(3600, claims), 0600);
        look(state);
        expect_only(VERIFY_BAD, "clock",
                    "this machine's clock is 300 s behind the one that made the token");
    }
}

static void test_verify__dates_of_a_token_are_no_numbers__nothing_is_said(void **state)
{
    put(state, TOKEN_AT,
        token(3600, GOOD_CLAIMS ",\"iat\":\"tomorrow\",\"nbf\":-9223372036854775807"), 0600);

    look(state);

    assert_int_equal(report.n, 0);
}

static void test_verify__token_broken__said_without_it(void **state)
{
    put(state, TOKEN_AT, "eyJhbGciOiJ\nSUzI1NiJ9.x.y\n", 0600);
    look(state);
    expect_only(VERIFY_BAD, TOKEN_AT, "is not one word");

    put(state, TOKEN_AT, "eyJhbGciOiJSUzI1NiJ9.secretsecret", 0600);
    look(state);
    expect_only(VERIFY_BAD, TOKEN_AT, "the token is not a JWT");
    assert_null(strstr(report.findings[0].text, "secret"));
}

static void test_verify__nothing_survives_a_reboot__said(void **state)
{
    unlink(at(state, TMPFILES_AT));
    look(state);
    expect_only(VERIFY_WARN, TOKEN_AT, "is gone after a reboot");

    put(state, TMPFILES_AT, "", 0644);
    unlink(at(state, COPY_AT));
    look(state);
    expect_only(VERIFY_WARN, TOKEN_AT, "is gone after a reboot");
}

static void test_verify__hosts__no_line_or_a_useless_address(void **state)
{
    put(state, HOSTS_AT, "10.0.0.5 other # istiod.istio-system.svc\n", 0644);
    look(state);
    expect_only(VERIFY_WARN, HOSTS_AT, "has no line for istiod.istio-system.svc");

    put(state, HOSTS_AT, "169.254.1.1 x ISTIOD.istio-system.svc\n fd00::5\tistiod.istio-system.svc",
        0644);
    look(state);
    expect_only(VERIFY_BAD, HOSTS_AT, "is link-local");
    assert_string_equal(report.servers[0].addresses[0], "fd00::5");
}

static void test_verify__servers__as_the_start_script_finds_them(void **state)
{
    put(state, HOSTS_AT, "10.0.0.5 istiod-canary.istio-system.svc istiod.istio-system.svc\n", 0644);
    put(state, ENV_AT,
        "ISTIO_NAMESPACE=vms\nSERVICE_ACCOUNT=web\nCA_ADDR=istiod-canary.istio-system.svc:15012\n",
        0644);
    look(state);
    assert_int_equal(report.n_servers, 2);
    assert_string_equal(report.servers[1].host, "istiod-canary.istio-system.svc");

    put(state, ENV_AT,
        "ISTIO_NAMESPACE=vms\nSERVICE_ACCOUNT=web\nPILOT_ADDRESS='[fd00::7]:31012'\n", 0644);
    look(state);
    assert_int_equal(report.n, 0);
    assert_int_equal(report.n_servers, 1);
    assert_string_equal(report.servers[0].host, "fd00::7");
    assert_string_equal(report.servers[0].port, "31012");

    put(state, ENV_AT, "ISTIO_NAMESPACE=vms\nSERVICE_ACCOUNT=web\nCA_ADDR=host:port\n", 0644);
    look(state);
    expect_only(VERIFY_BAD, ENV_AT, "names a control plane that is no HOST:PORT: host:port");
}

static void test_verify__servers__port_of_its_own_and_what_sidecar_env_says(void **state)
{
    put(state, ENV_AT, "ISTIO_NAMESPACE=vms\nSERVICE_ACCOUNT=web\nISTIO_PILOT_PORT=15112\n", 0644);
    look(state);
    assert_int_equal(report.n_servers, 1);
    assert_string_equal(report.servers[0].host, "istiod.istio-system.svc");
    assert_string_equal(report.servers[0].port, "15112");

    put(state, ENV_AT, "ISTIO_NAMESPACE=vms\nSERVICE_ACCOUNT=web\nCA_ADDR=''\n", 0644);
    put(state, SIDECAR_AT,
        "# ours\nPILOT_ADDRESS=10.0.0.9:15013\nISTIO_PILOT_PORT=1\nCA_ADDR=10.0.0.8:1\n", 0644);
    look(state);
    assert_int_equal(report.n, 0);
    assert_int_equal(report.n_servers, 1); /* CA_ADDR of cluster.env comes later, and is empty */
    assert_string_equal(report.servers[0].host, "10.0.0.9");
    assert_string_equal(report.servers[0].port, "15013");

    put(state, SIDECAR_AT, "CA_ADDR=x:y\n", 0644);
    put(state, ENV_AT, "ISTIO_NAMESPACE=vms\nSERVICE_ACCOUNT=web\n", 0644);
    look(state);
    expect_only(VERIFY_BAD, SIDECAR_AT, "names a control plane that is no HOST:PORT: x:y");

    put(state, SIDECAR_AT, "PILOT_ADDRESS=$(hostname):1\n", 0644);
    look(state);
    expect_only(VERIFY_WARN, SIDECAR_AT, "what it sets is not looked at: line 1");
}

static void test_verify__roots__malformed__said_and_no_date_of_it(void **state)
{
    struct pki_cert root = pki_make_root("odd");
    ASN1_OCTET_STRING *junk = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(junk, (const unsigned char *)"\x30\x05\x01", 3);
    X509_EXTENSION *names = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, junk);
    assert_int_equal(X509_add_ext(root.x, names, -1), 1);
    pki_write_cert(at(state, ROOT_AT), &root);

    look(state);

    assert_true(has(ROOT_AT, "has a malformed certificate"));
    assert_false(has(ROOT_AT, "expired "));
    assert_int_equal(verify_worst(&report), VERIFY_BAD);
    X509_EXTENSION_free(names);
    ASN1_OCTET_STRING_free(junk);
    pki_free(&root);
}

static void test_verify__certificate__expired_of_another_account_or_with_a_wrong_key(void **state)
{
    put_certificate(state, "web", -7200, -3600);
    look(state);
    expect_only(VERIFY_WARN, CHAIN_AT, "expired ");

    put_certificate(state, "web", -7200, 600);
    look(state);
    expect_only(VERIFY_WARN, CHAIN_AT, "expires in ");

    put_certificate(state, "db", -7200, 86400);
    look(state);
    expect_only(VERIFY_BAD, CHAIN_AT, "is for spiffe://cluster.local/ns/vms/sa/db");

    const struct ca_fixture *f = *state;
    put_certificate(state, "web", -7200, 86400);
    pki_write_key(at(state, KEY_AT), &f->root, NULL);
    look(state);
    expect_only(VERIFY_BAD, KEY_AT, "is not the key of " CHAIN_AT);

    unlink(at(state, KEY_AT));
    look(state);
    expect_only(VERIFY_BAD, KEY_AT, "is missing");

    put(state, CHAIN_AT, "nothing\n", 0644);
    look(state);
    expect_only(VERIFY_BAD, CHAIN_AT, "has neither");
}

/* As for somebody who is not root: what cannot be read is not judged. */
static void test_verify__secrets_that_cannot_be_read__nothing_else_said_of_them(void **state)
{
    static const char *const secrets[] = {KEY_AT, TOKEN_AT};

    for (size_t i = 0; i < 2; i++) {
        unlink(at(state, secrets[i]));
        assert_int_equal(mkdir(at(state, secrets[i]), 0755), 0);
        look(state);
        expect_only(VERIFY_BAD, secrets[i], "cannot be read: not a file");
        assert_int_equal(rmdir(at(state, secrets[i])), 0);
        unlink(at(state, CHAIN_AT));
    }
}

static void test_verify__certificate_of_another_root__warned(void **state)
{
    struct pki_cert other = pki_make_root("other");
    pki_write_cert(at(state, ROOT_AT), &other);
    pki_free(&other);

    look(state);

    expect_only(VERIFY_WARN, CHAIN_AT, "is not vouched for by " ROOT_AT);
}

/* ---- a bundle in a folder ---- */

static void test_verify__bundle_in_a_folder__good_then_with_an_old_token(void **state)
{
    const struct ca_fixture *f = *state;
    put(state, "/b/cluster.env", ENV, 0644);
    put(state, "/b/mesh.yaml", MESH, 0644);
    put(state, "/b/hosts", "10.0.0.5 istiod.istio-system.svc\n", 0644);
    put(state, "/b/istio-token", token(60, GOOD_CLAIMS), 0600);
    pki_write_cert(at(state, "/b/root-cert.pem"), &f->root);
    look_at_folder(state);
    assert_int_equal(report.n, 0);

    put(state, "/b/istio-token", token(-60, GOOD_CLAIMS), 0600);
    look_at_folder(state);
    expect_only(VERIFY_BAD, "istio-token", "ran out 60 s ago");

    unlink(at(state, "/b/istio-token"));
    look_at_folder(state);
    expect_only(VERIFY_WARN, "istio-token", "not there");

    put(state, "/b/istio-token", token(60, GOOD_CLAIMS), 0744);
    look_at_folder(state);
    expect_only(VERIFY_BAD, "istio-token", "others may read it (mode 0744)");
}

static void test_verify__empty_folder__four_files_are_missing(void **state)
{
    (void)at(state, "/b/x");

    look_at_folder(state);

    assert_int_equal(verify_worst(&report), VERIFY_BAD);
    assert_true(has("cluster.env", "is missing"));
    assert_true(has("mesh.yaml", "is missing"));
    assert_true(has("root-cert.pem", "is missing"));
    assert_true(has("hosts", "is missing"));
}

static void test_verify_add__more_than_fit__worst_counts_and_text_is_printable(void **state)
{
    (void)state;

    for (unsigned i = 0; i < VERIFY_FINDINGS_MAX; i++) {
        verify_add(&report, VERIFY_GOOD, "a", "", "one\ntwo\033");
    }
    verify_add(&report, VERIFY_BAD, "b", "", "last");

    assert_int_equal(report.n, VERIFY_FINDINGS_MAX);
    assert_int_equal(verify_worst(&report), VERIFY_BAD);
    assert_string_equal(report.findings[0].text, "one?two?");
}

static void test_verify_add__cut_in_the_middle_of_a_letter__stays_utf8(void **state)
{
    (void)state;

    verify_add(&report, VERIFY_GOOD, "a", "", "%.4s", "h\xc3\xb6st\xc3\xa9");
    verify_add(&report, VERIFY_GOOD, "a", "", "%.2s", "h\xc3\xb6st");

    assert_string_equal(report.findings[0].text, "h\xc3\xb6s");
    assert_string_equal(report.findings[1].text, "h?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_verify__all_is_well__no_findings_and_one_server),
        TEST(test_verify__file_missing__named),
        TEST(test_verify__folder_instead_of_a_file__said),
        TEST(test_verify__modes_too_wide__bad),
        TEST(test_verify__agent_is_somebody_else__cannot_read_nor_write),
        TEST(test_verify__no_user__said),
        TEST(test_verify__cluster_id_differs__said_without_values),
        TEST(test_verify__namespaces_differ__said),
        TEST(test_verify__settings_malformed__line_is_named),
        TEST(test_verify__settings_empty__said),
        TEST(test_verify__roots__expired_soon_expired_not_valid_yet),
        TEST(test_verify__roots__malformed__said_and_no_date_of_it),
        TEST(test_verify__roots_are_none_or_have_a_key__bad),
        TEST(test_verify__token_has_run_out__bad_only_without_a_certificate),
        TEST(test_verify__no_token__fine_with_a_certificate),
        TEST(test_verify__token_of_another_account_or_audience__said),
        TEST(test_verify__token_made_by_a_clock_that_is_ahead__this_one_is_behind),
        TEST(test_verify__dates_of_a_token_are_no_numbers__nothing_is_said),
        TEST(test_verify__token_broken__said_without_it),
        TEST(test_verify__nothing_survives_a_reboot__said),
        TEST(test_verify__hosts__no_line_or_a_useless_address),
        TEST(test_verify__servers__as_the_start_script_finds_them),
        TEST(test_verify__servers__port_of_its_own_and_what_sidecar_env_says),
        TEST(test_verify__certificate__expired_of_another_account_or_with_a_wrong_key),
        TEST(test_verify__secrets_that_cannot_be_read__nothing_else_said_of_them),
        TEST(test_verify__certificate_of_another_root__warned),
        TEST(test_verify__bundle_in_a_folder__good_then_with_an_old_token),
        TEST(test_verify__empty_folder__four_files_are_missing),
        TEST(test_verify_add__more_than_fit__worst_counts_and_text_is_printable),
        TEST(test_verify_add__cut_in_the_middle_of_a_letter__stays_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
