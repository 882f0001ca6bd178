/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/sandbox/istiod/authn.h"

#include <stdlib.h>
#include <string.h>

#include "integration/sandbox/common/os.h"
#include "integration/sandbox/common/pki.h"
#include "integration/sandbox/common/token.h"
#include "tests/integration/sandbox/unit.h"

#define WEB "spiffe://cluster.local/ns/vms/sa/web"

/** One mesh for all tests of this file. */
struct mesh {
    EVP_PKEY *root_key;
    X509 *root;
    EVP_PKEY *token_key;
    struct cidr_list gateways;
    struct authn_rules rules;
    char *bearer; /* a token that holds */
};

static int set_up(void **state)
{
    struct mesh *m = sbx_alloc(sizeof(*m));
    struct token_claims claims = {"vms", "web", "istio-ca", 1000, 5000};
    struct text bearer = {0};
    char *token;

    m->root_key = pki_key_new(false);
    m->root = pki_root_new(m->root_key, "cluster.local");
    m->token_key = pki_key_new(false);
    m->rules = (struct authn_rules){
        .trust_domain = "cluster.local",
        .cluster_id = "Kubernetes",
        .audience = "istio-ca",
        .token_key = m->token_key,
        .gateways = &m->gateways,
    };
    token = token_mint(m->token_key, &claims);
    text_addf(&bearer, "Bearer %s", token);
    m->bearer = text_take(&bearer);
    free(token);
    *state = m;
    return cidr_add(&m->gateways, "10.77.0.2/32") ? 0 : -1;
}

static int tear_down(void **state)
{
    struct mesh *m = *state;

    EVP_PKEY_free(m->root_key);
    X509_free(m->root);
    EVP_PKEY_free(m->token_key);
    cidr_fini(&m->gateways);
    free(m->bearer);
    free(m);
    return 0;
}

static char *cert_with(struct mesh *m, const char *san1, const char *san2)
{
    struct names sans = {0};
    int64_t now_s = os_wall_s();
    struct pki_leaf leaf = {m->root, m->root_key, m->token_key, &sans, now_s, now_s + 60};
    char *pem;

    names_add(&sans, san1);
    if (san2 != NULL) {
        names_add(&sans, san2);
    }
    pem = pki_leaf_sign(&leaf);
    names_fini(&sans);
    return pem;
}

static enum auth_method check(struct mesh *m, const struct authn_input *in, const char *want_id)
{
    struct names ids = {0};
    struct text why = {0};
    enum auth_method method = authn_check(&m->rules, in, 2000, &ids, &why);

    if (want_id != NULL) {
        assert_int_equal(ids.n, 1);
        assert_string_equal(ids.v[0], want_id);
    } else {
        assert_int_equal(method, AUTH_NONE);
        assert_int_equal(ids.n, 0);
        assert_true(why.len > 0);
    }
    names_fini(&ids);
    text_fini(&why);
    return method;
}

static void test_authn__all_three_shown__certificate_wins_over_token_over_header(void **state)
{
    struct mesh *m = *state;
    char *cert = cert_with(m, "spiffe://cluster.local/ns/vms/sa/by-cert", NULL);
    struct authn_input in = {
        .cert_pem = cert,
        .authorization = m->bearer,
        .cluster_id = "",
        .xfcc = "URI=spiffe://cluster.local/ns/vms/sa/by-header",
        .peer_address = "10.77.0.2",
    };

    assert_int_equal(check(m, &in, "spiffe://cluster.local/ns/vms/sa/by-cert"), AUTH_CERT);
    in.cert_pem = NULL;
    assert_int_equal(check(m, &in, WEB), AUTH_TOKEN);
    in.authorization = "Bearer stale";
    assert_int_equal(check(m, &in, "spiffe://cluster.local/ns/vms/sa/by-header"), AUTH_XFCC);
    in.xfcc = NULL;
    assert_int_equal(check(m, &in, NULL), AUTH_NONE);
    free(cert);
}

static void test_authn__certificate_the_handshake_would_refuse__ends_it(void **state)
{
    struct mesh *m = *state;
    char *two = cert_with(m, WEB, "spiffe://cluster.local/ns/vms/sa/other");
    char *foreign = cert_with(m, "spiffe://other.local/ns/vms/sa/web", NULL);
    char *nameless = cert_with(m, "web.example", NULL);
    struct authn_input in = {.authorization = m->bearer};

    in.cert_pem = two;
    check(m, &in, NULL);
    in.cert_pem = foreign;
    check(m, &in, NULL);
    in.cert_pem = nameless;
    check(m, &in, NULL);
    free(two);
    free(foreign);
    free(nameless);
}

static void test_authn__header_from_anybody_else__is_not_believed(void **state)
{
    struct mesh *m = *state;
    struct authn_input in = {.xfcc = "URI=" WEB, .peer_address = "10.77.0.3"};

    check(m, &in, NULL);
    in.peer_address = "127.0.0.1";
    assert_int_equal(check(m, &in, WEB), AUTH_XFCC);
}

static void test_authn__clusterid__empty_or_ours(void **state)
{
    struct mesh *m = *state;
    struct authn_input in = {.authorization = m->bearer, .cluster_id = "Kubernetes"};

    assert_int_equal(check(m, &in, WEB), AUTH_TOKEN);
    in.cluster_id = "elsewhere";
    check(m, &in, NULL);
    in.cluster_id = NULL;
    assert_int_equal(check(m, &in, WEB), AUTH_TOKEN);
}

static void test_authn__bearer__is_case_sensitive_as_in_istiod(void **state)
{
    struct mesh *m = *state;
    char *lower = sbx_strdup(m->bearer);
    struct authn_input in = {.authorization = lower};

    lower[0] = 'b';
    check(m, &in, NULL);
    free(lower);
}

static void test_authn_matches_node__namespace_and_account__trust_domain_not_compared(void **state)
{
    struct names ids = {0};

    (void)state;
    names_add(&ids, "spiffe://any.domain/ns/vms/sa/web");
    names_add(&ids, "dns.name");
    assert_true(authn_matches_node(&ids, "vms", "web"));
    assert_true(authn_matches_node(&ids, "vms", ""));
    assert_false(authn_matches_node(&ids, "vms", "web2"));
    assert_false(authn_matches_node(&ids, "vms", "we"));
    assert_false(authn_matches_node(&ids, "vm", "web"));
    assert_false(authn_matches_node(&ids, "vm", ""));
    names_fini(&ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_authn__all_three_shown__certificate_wins_over_token_over_header, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(test_authn__certificate_the_handshake_would_refuse__ends_it,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_authn__header_from_anybody_else__is_not_believed,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_authn__clusterid__empty_or_ours, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_authn__bearer__is_case_sensitive_as_in_istiod, set_up,
                                        tear_down),
        cmocka_unit_test(test_authn_matches_node__namespace_and_account__trust_domain_not_compared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
