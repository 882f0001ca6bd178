/* SPDX-License-Identifier: Apache-2.0 */
/* Each rule about the first request: claims and verdicts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gateway/registry/policy_fixture.h"

static char *web[] = {"web", NULL};
static char *many[] = {"a", "b", "c", "d", "e", "f", NULL};
static char *net_a[] = {"net-a", NULL};
static char *net_or_none[] = {"net-a", "", NULL};
static char *types[] = {"type.googleapis.com/example.v1.Thing", NULL};

static struct addr_net sites[] = {
    {.base = {.family = ADDR_V4, .ip = {10, 9, 0, 0}}, .prefix = 16},
    {.base = {.family = ADDR_V6, .ip = {0xfd, 0, 0, 7}}, .prefix = 64},
};
static const struct registration_opts behind_nat = {.address_networks = sites,
                                                    .n_address_networks = COUNT_OF(sites)};

static struct policy_label app_is_web[] = {{"app", web}};
static struct policy_allow one_group[] = {{.identity = "ns/vms/sa/web", .groups = web}};
static const struct registration_opts groups = {.allow = one_group, .n_allow = 1};

static struct policy_allow one_entry[] = {
    {.identity = "ns/vms/sa/*", .groups = web, .entries = many}};
static const struct registration_opts entries = {.allow = one_entry, .n_allow = 1};

static struct policy_allow others_first[] = {
    {.identity = "ns/other/sa/web", .networks = net_a},
    {.identity = "ns/vms/sa/w*", .networks = net_a},
    {.identity = "ns/vms/sa/web", .groups = web},
    {.identity = "ns/*/sa/*", .groups = many},
};
static const struct registration_opts first_match = {.allow = others_first,
                                                     .n_allow = COUNT_OF(others_first)};

static struct policy_allow one_network[] = {{.identity = "ns/*/sa/*", .networks = net_a}};
static const struct registration_opts networks = {.allow = one_network, .n_allow = 1};

static struct policy_allow network_or_none[] = {{.identity = "ns/*/sa/*", .networks = net_or_none}};
static const struct registration_opts no_network = {.allow = network_or_none, .n_allow = 1};

static struct policy_allow one_label[] = {
    {.identity = "ns/vms/sa/web", .labels = app_is_web, .n_labels = 1}};
static const struct registration_opts labels = {.allow = one_label, .n_allow = 1};

static struct policy_allow free_entry[] = {{.identity = "ns/vms/sa/*"}};
static const struct registration_opts everything = {.allow = free_entry, .n_allow = 1};

static const struct registration_opts more_types = {.extra_types = types};

/* ---- each rule ---- */

static void test_policy__what_agents_send__passes(void **state)
{
    static const struct row rows[] = {
        {"an agent", .broken = NOTHING},
        {"with a token", NOTHING, .token = true},
        {"delta, state of the world, any type of an agent", NOTHING, .type = XDS_WADS},
        {"more names", NOTHING,
         .set = {{XDS_NODE_GROUP, "web"}, {XDS_NODE_NETWORK, "n"}, {XDS_NODE_ENTRY, "e"}}},
        {"labels", NOTHING, .labels = "app=db\0=", .n_labels = 2},
        {"cut, where that takes nothing away", NOTHING, .cut = true},
        {"with everything allowed by an entry", NOTHING,
         .set = {{XDS_NODE_GROUP, "web"}, {XDS_NODE_NETWORK, "n"}, {XDS_NODE_ENTRY, "e"}},
         .labels = "app=db", .n_labels = 1, .opts = &everything, .cut = true},
    };
    (void)state;
    TRY_ROWS(rows);
}

static void test_policy__readable__one_meaning(void **state)
{
    static const struct row rows[] = {
        {"unread", RULE_READABLE, "it is compressed", .no_request = true,
         .unread = "it is compressed"},
        {"unread, nobody knows why", RULE_READABLE, "it cannot be read", .no_request = true},
        {"odd request", RULE_READABLE, "in two ways: a field", .odd_request = true},
        {"odd node", RULE_READABLE, "in two ways: a key", .odd_node = true},
        {"no node", RULE_READABLE, "no node", .no_node = true},
        {"health first", RULE_READABLE, "istiod passes over", .type = XDS_HEALTH,
         .url = "type.googleapis.com/istio.v1.HealthInformation"},
        {"health first, unhealthy", RULE_READABLE, "istiod passes over", .type = XDS_HEALTH,
         .nack = true, .url = "type.googleapis.com/istio.v1.HealthInformation"},
    };
    (void)state;
    TRY_ROWS(rows);
}

/* Nothing is what an id says that has no four parts: with readable off, the others still hold. */
static void test_policy__id_without_four_parts__no_rule_is_passed_by(void **state)
{
    static const char *const ids[] = {
        "", "~", "sidecar", "sidecar~192.168.7.11~vm1.vms", GOOD_ID "~x", "sidecar~~~~~",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        const struct row row = {.set = {{XDS_NODE_ID, ids[i]}}};
        struct made m;
        struct policy_verdict v;
        claim_make(&row, &m);
        assert_int_equal(claim_find(&m, 0, &v), RULE_READABLE);
        assert_non_null(strstr(v.detail, "TYPE~IP~NAME~DOMAIN"));
        m.opts.actions[RULE_READABLE] = POLICY_OFF;
        assert_int_equal(claim_find(&m, 0, &v), RULE_SIDECAR);
        assert_int_equal(claim_find(&m, RULE_NAMESPACE, &v), RULE_NAMESPACE);
        assert_int_equal(claim_find(&m, RULE_ADDRESS, &v), RULE_ADDRESS);
    }
}

#define ID_OF(type) type "~192.168.7.11~vm1.vms~vms.svc.cluster.local"

static void test_policy__sidecar__nothing_else(void **state)
{
    static const struct row rows[] = {
        {"router", RULE_SIDECAR, "\"router\"", .set = {{XDS_NODE_ID, ID_OF("router")}}},
        {"ztunnel", RULE_SIDECAR, "\"ztunnel\"", .set = {{XDS_NODE_ID, ID_OF("ztunnel")}}},
        {"waypoint", RULE_SIDECAR, "\"waypoint\"", .set = {{XDS_NODE_ID, ID_OF("waypoint")}}},
        {"capitals", RULE_SIDECAR, "\"Sidecar\"", .set = {{XDS_NODE_ID, ID_OF("Sidecar")}}},
        {"longer", RULE_SIDECAR, "\"sidecars\"", .set = {{XDS_NODE_ID, ID_OF("sidecars")}}},
        {"shorter", RULE_SIDECAR, "\"sideca\"", .set = {{XDS_NODE_ID, ID_OF("sideca")}}},
        {"none", RULE_SIDECAR, "\"\"", .set = {{XDS_NODE_ID, ID_OF("")}}},
    };
    (void)state;
    TRY_ROWS(rows);
}

#define ID_WITH(name, domain) "sidecar~192.168.7.11~" name "~" domain

static void test_policy__namespace__the_identitys_in_all_places(void **state)
{
    static const struct row rows[] = {
        {"only the domain", NOTHING, .set = {{XDS_NODE_NAMESPACE, ""}}},
        {"a domain that names none", NOTHING, .set = {{XDS_NODE_ID, ID_WITH("vm1.vms", "local")}}},
        {"no domain", NOTHING, .set = {{XDS_NODE_ID, ID_WITH("vm1.vms", "")}}},
        {"no name", NOTHING, .set = {{XDS_NODE_ID, ID_WITH(".vms", "vms.svc")}}},
        {"metadata", RULE_NAMESPACE, "NAMESPACE says namespace \"prod\", its certificate",
         .set = {{XDS_NODE_NAMESPACE, "prod"}}},
        {"metadata, longer", RULE_NAMESPACE, "\"vms2\"", .set = {{XDS_NODE_NAMESPACE, "vms2"}}},
        {"metadata, shorter", RULE_NAMESPACE, "\"vm\"", .set = {{XDS_NODE_NAMESPACE, "vm"}}},
        {"metadata, blank", RULE_NAMESPACE, "\"vms \"", .set = {{XDS_NODE_NAMESPACE, "vms "}}},
        {"token", RULE_NAMESPACE, "its token is for \"vms\"", .set = {{XDS_NODE_NAMESPACE, "prod"}},
         .token = true},
        {"identity", RULE_NAMESPACE, "its certificate is for \"prod\"",
         .identity = "ns/prod/sa/web"},
        {"domain", RULE_NAMESPACE, "the domain in its node id says namespace \"prod\"",
         .set = {{XDS_NODE_ID, ID_WITH("vm1.vms", "prod.svc.cluster.local")}}},
        {"domain alone", RULE_NAMESPACE, "the domain in its node id says namespace \"prod\"",
         .set = {{XDS_NODE_ID, ID_WITH("vm1.vms", "prod.svc")}, {XDS_NODE_NAMESPACE, ""}}},
        {"domain with an empty part", RULE_NAMESPACE, "\"\"",
         .set = {{XDS_NODE_ID, ID_WITH("vm1.vms", ".vms.svc")}}},
        {"name", RULE_NAMESPACE, "the name in its node id says namespace \"prod\"",
         .set = {{XDS_NODE_ID, ID_WITH("vm1.prod", "vms.svc")}}},
        {"name with dots", NOTHING, .set = {{XDS_NODE_ID, ID_WITH("vm1.prod.vms", "vms.svc")}}},
        {"name with dots, another's", RULE_NAMESPACE, "\"prod\"",
         .set = {{XDS_NODE_ID, ID_WITH("vm1.vms.prod", "vms.svc")}}},
        {"name without namespace", RULE_NAMESPACE, "the name in its node id says namespace \"\"",
         .set = {{XDS_NODE_ID, ID_WITH("vms", "vms.svc")}}},
        {"none anywhere", RULE_NAMESPACE, "no NAMESPACE",
         .set = {{XDS_NODE_ID, ID_WITH("vm1.vms", "local")}, {XDS_NODE_NAMESPACE, ""}}},
    };
    (void)state;
    TRY_ROWS(rows);
}

static void test_policy__service_account__the_identitys_or_none(void **state)
{
    static const struct row rows[] = {
        {"none said", NOTHING, .set = {{XDS_NODE_SERVICE_ACCOUNT, ""}}},
        {"another", RULE_SERVICE_ACCOUNT, "\"db\", its certificate is for \"web\"",
         .set = {{XDS_NODE_SERVICE_ACCOUNT, "db"}}},
        {"longer", RULE_SERVICE_ACCOUNT, "\"web-admin\", its token is for",
         .set = {{XDS_NODE_SERVICE_ACCOUNT, "web-admin"}}, .token = true},
        {"identity", RULE_SERVICE_ACCOUNT, "is for \"db\"", .identity = "ns/vms/sa/db"},
    };
    (void)state;
    TRY_ROWS(rows);
}

/* With neither certificate nor token nothing is one's own. */
static void test_policy__no_identity__claims_nothing(void **state)
{
    const struct row row = {.identity = "", .set = {{XDS_NODE_GROUP, "web"}}, .opts = &everything};
    struct made m;
    struct policy_verdict v;
    (void)state;
    claim_make(&row, &m);
    assert_int_equal(claim_find(&m, 0, &v), RULE_NAMESPACE);
    assert_non_null(strstr(v.detail, "neither a certificate nor a token"));
    assert_int_equal(claim_find(&m, RULE_NAMESPACE + 1, &v), RULE_SERVICE_ACCOUNT);
    assert_non_null(strstr(v.detail, "neither a certificate nor a token"));
    assert_int_equal(claim_find(&m, RULE_SERVICE_ACCOUNT + 1, &v), RULE_GROUP);
    assert_non_null(strstr(v.detail, "without certificate and token is in no entry"));
    assert_int_equal(claim_find(&m, RULE_GROUP + 1, &v), NOTHING);
}

#define ID_AT(ip) "sidecar~" ip "~vm1.vms~vms.svc.cluster.local"
#define AT(ip, ips)                    \
    {                                  \
        {XDS_NODE_ID, ID_AT(ip)},      \
        {                              \
            XDS_NODE_INSTANCE_IPS, ips \
        }                              \
    }

static void test_policy__address__the_peers(void **state)
{
    static const struct row rows[] = {
        {"only the id", NOTHING, .set = AT("192.168.7.11", "")},
        {"others behind it", NOTHING, .set = AT("192.168.7.11", "192.168.7.11,10.0.0.1,x")},
        {"mapped peer", NOTHING, .peer = "::ffff:192.168.7.11"},
        {"mapped claim", NOTHING, .set = AT("::ffff:192.168.7.11", "::ffff:c0a8:70b")},
        {"IPv6, other letters", NOTHING, .set = AT("fd00:7::1", "FD00:7:0:0::0001"),
         .peer = "fd00:7::1"},
        {"another's, both", RULE_ADDRESS,
         "the address in its node id is 192.168.7.12, but it "
         "comes from 192.168.7.11",
         .set = AT("192.168.7.12", "192.168.7.12")},
        {"another's in the id", RULE_ADDRESS, "in its node id is 192.168.7.12",
         .set = AT("192.168.7.12", "192.168.7.11")},
        {"another's in the metadata", RULE_ADDRESS, "first of INSTANCE_IPS is 192.168.7.12",
         .set = AT("192.168.7.11", "192.168.7.12,192.168.7.11")},
        {"of another host", RULE_ADDRESS, "comes from 192.168.7.12", .peer = "192.168.7.12"},
        {"of another family", RULE_ADDRESS, "comes from ::192.168.7.11", .peer = "::c0a8:70b"},
        {"peer unknown", RULE_ADDRESS, "an unknown address", .peer = ""},
        {"no address in the id", RULE_ADDRESS, "node id is no IP address: \"\"",
         .set = AT("", "192.168.7.11")},
        {"a name in the id", RULE_ADDRESS, "\"vm1\"", .set = AT("vm1", "192.168.7.11")},
        {"a name in the metadata", RULE_ADDRESS, "INSTANCE_IPS is no IP address: \"vm1\"",
         .set = AT("192.168.7.11", "vm1,192.168.7.11")},
        {"empty first", RULE_ADDRESS, "INSTANCE_IPS is no IP address: \"\"",
         .set = AT("192.168.7.11", ",192.168.7.11")},
        {"a blank", RULE_ADDRESS, "no IP address: \"192.168.7.11 \"",
         .set = AT("192.168.7.11", "192.168.7.11 ,x")},
        {"leading zeros", RULE_ADDRESS, "no IP address",
         .set = AT("192.168.7.11", "192.168.007.011")},
        {"with a port", RULE_ADDRESS, "no IP address", .set = AT("192.168.7.11:1", "")},
        {"with a scope", RULE_ADDRESS, "no IP address", .set = AT("fe80::1%lo", ""),
         .peer = "fe80::1"},
        {"a very long one", RULE_ADDRESS, "no IP address",
         .set = AT("192.168.7.11", "192.168.7.11                                               "
                                   "                                                           ")},
    };
    (void)state;
    TRY_ROWS(rows);
}

static void test_policy__address_networks__others_in_them(void **state)
{
    static const struct row rows[] = {
        {"in it", NOTHING, .set = AT("10.9.8.7", "10.9.8.7"), .opts = &behind_nat},
        {"in it, mapped", NOTHING, .set = AT("::ffff:10.9.8.7", "10.9.8.7"), .opts = &behind_nat},
        {"in the other", NOTHING, .set = AT("fd00:7::9", "fd00:7::9"), .opts = &behind_nat},
        {"the peer's own", NOTHING, .opts = &behind_nat},
        {"in none", RULE_ADDRESS, "10.10.8.7", .set = AT("10.10.8.7", "10.10.8.7"),
         .opts = &behind_nat},
        {"one of both", RULE_ADDRESS, "192.168.7.12", .set = AT("10.9.8.7", "192.168.7.12"),
         .opts = &behind_nat},
        {"two of them", RULE_ADDRESS, "two addresses, 10.9.8.7 in its node id and 10.9.8.8",
         .set = AT("10.9.8.7", "10.9.8.8"), .opts = &behind_nat},
        {"peer unknown", NOTHING, .set = AT("10.9.8.7", ""), .opts = &behind_nat, .peer = ""},
    };
    (void)state;
    TRY_ROWS(rows);
}

static void test_policy__group__those_of_the_first_entry(void **state)
{
    static const struct row rows[] = {
        {"its own", NOTHING, .set = {{XDS_NODE_GROUP, "web"}}, .opts = &groups},
        {"none", NOTHING, .opts = &groups},
        {"another", RULE_GROUP,
         "WorkloadGroup \"db\"; ns/vms/sa/web may register with \"web\": "
         "add it to `groups` of \"ns/vms/sa/web\" in registration.allow",
         .set = {{XDS_NODE_GROUP, "db"}}, .opts = &groups},
        {"a longer one", RULE_GROUP, "\"web2\"", .set = {{XDS_NODE_GROUP, "web2"}},
         .opts = &groups},
        {"an identity of no entry", RULE_GROUP, "ns/vms/sa/db is in no entry",
         .set = {{XDS_NODE_GROUP, "web"}, {XDS_NODE_SERVICE_ACCOUNT, "db"}},
         .identity = "ns/vms/sa/db", .opts = &groups},
        {"no entry, no group", NOTHING, .set = {{XDS_NODE_SERVICE_ACCOUNT, "db"}},
         .identity = "ns/vms/sa/db", .opts = &groups},
        {"the first that matches", NOTHING, .set = {{XDS_NODE_GROUP, "web"}}, .opts = &first_match},
        {"not a later one", RULE_GROUP, "\"a\"", .set = {{XDS_NODE_GROUP, "a"}},
         .opts = &first_match},
        {"nor an earlier one", NOTHING, .set = {{XDS_NODE_NETWORK, "x"}}, .opts = &first_match},
        {"an entry, groups given", RULE_GROUP,
         "WorkloadEntry \"a\"; ns/vms/sa/web may speak for "
         "none: add it to `entries`",
         .set = {{XDS_NODE_ENTRY, "a"}}, .opts = &groups},
        {"an entry beside a good group", RULE_GROUP, "WorkloadEntry \"a\"",
         .set = {{XDS_NODE_GROUP, "web"}, {XDS_NODE_ENTRY, "a"}}, .opts = &groups},
        {"an entry that is named", NOTHING, .set = {{XDS_NODE_ENTRY, "c"}}, .opts = &entries},
        {"another entry", RULE_GROUP, "may speak for \"a\", \"b\", \"c\", \"d\" and 2 more",
         .set = {{XDS_NODE_ENTRY, "web"}}, .opts = &entries},
        {"an entry's name as a group", RULE_GROUP, "WorkloadGroup \"a\"",
         .set = {{XDS_NODE_GROUP, "a"}}, .opts = &entries},
        {"an entry, no group given", NOTHING, .set = {{XDS_NODE_ENTRY, "a"}}, .opts = &labels},
        {"an entry, identity of no entry", RULE_GROUP, "is in no entry",
         .set = {{XDS_NODE_ENTRY, "a"}, {XDS_NODE_SERVICE_ACCOUNT, "db"}},
         .identity = "ns/vms/sa/db", .opts = &labels},
    };
    (void)state;
    TRY_ROWS(rows);
}

#define NETWORK_LABEL "topology.istio.io/network="

static void test_policy__network__those_of_the_entry(void **state)
{
    static const struct row rows[] = {
        {"its own", NOTHING, .set = {{XDS_NODE_NETWORK, "net-a"}}, .opts = &networks},
        {"another", RULE_NETWORK,
         "its network is \"net-b\"; ns/vms/sa/web may claim \"net-a\": add",
         .set = {{XDS_NODE_NETWORK, "net-b"}}, .opts = &networks},
        {"none", RULE_NETWORK, "its network is \"\"", .opts = &networks},
        {"none, allowed", NOTHING, .opts = &no_network},
        {"the label", NOTHING, .set = {{XDS_NODE_NETWORK, "net-a"}},
         .labels = NETWORK_LABEL "net-a", .n_labels = 1, .opts = &networks},
        {"an empty label", NOTHING, .set = {{XDS_NODE_NETWORK, "net-a"}}, .labels = NETWORK_LABEL,
         .n_labels = 1, .opts = &networks},
        {"another by the label", RULE_NETWORK,
         "by the label topology.istio.io/network, is "
         "\"net-b\"",
         .set = {{XDS_NODE_NETWORK, "net-a"}}, .labels = "a=b\0" NETWORK_LABEL "net-b",
         .n_labels = 2, .opts = &networks},
        {"another by the label alone", RULE_NETWORK, "\"net-b\"", .labels = NETWORK_LABEL "net-b",
         .n_labels = 1, .opts = &no_network},
        {"another behind an empty label", RULE_NETWORK, "\"net-b\"",
         .labels = NETWORK_LABEL "\0" NETWORK_LABEL "net-b", .n_labels = 2, .opts = &no_network},
        {"labels that are not shown", RULE_NETWORK, "more labels",
         .set = {{XDS_NODE_NETWORK, "net-a"}}, .opts = &networks, .cut = true},
        {"identity of no entry", NOTHING,
         .set = {{XDS_NODE_NETWORK, "x"}, {XDS_NODE_SERVICE_ACCOUNT, "db"}},
         .identity = "ns/vms/sa/db", .opts = &groups},
    };
    (void)state;
    TRY_ROWS(rows);
}

static void test_policy__labels__values_of_the_entry(void **state)
{
    static const struct row rows[] = {
        {"none", NOTHING, .opts = &labels},
        {"its own", NOTHING, .labels = "app=web", .n_labels = 1, .opts = &labels},
        {"free ones", NOTHING, .labels = "apps=db\0ap=db\0App=db\0x=app=db", .n_labels = 4,
         .opts = &labels},
        {"another's", RULE_LABELS, "label \"app\" as \"db\"; ns/vms/sa/web may claim \"web\": add",
         .labels = "app=db", .n_labels = 1, .opts = &labels},
        {"another's behind its own", RULE_LABELS, "as \"db\"", .labels = "x=y\0app=web\0app=db",
         .n_labels = 3, .opts = &labels},
        {"empty", RULE_LABELS, "as \"\"", .labels = "app=", .n_labels = 1, .opts = &labels},
        {"without a value", RULE_LABELS, "as \"\"", .labels = "app", .n_labels = 1,
         .opts = &labels},
        {"with more behind it", RULE_LABELS, "as \"web=db\"", .labels = "app=web=db", .n_labels = 1,
         .opts = &labels},
        {"labels that are not shown", RULE_LABELS, "more labels", .labels = "app=web",
         .n_labels = 1, .opts = &labels, .cut = true},
        {"identity of no entry", NOTHING, .set = {{XDS_NODE_SERVICE_ACCOUNT, "db"}},
         .labels = "app=db", .n_labels = 1, .identity = "ns/vms/sa/db", .opts = &labels},
    };
    (void)state;
    TRY_ROWS(rows);
}

static void test_policy__type__agents_types(void **state)
{
    static const struct row rows[] = {
        {"debug", RULE_TYPE, "asks for \"istio.io/debug/syncz\"", .type = XDS_OTHER,
         .url = "istio.io/debug/syncz"},
        {"a collection", RULE_TYPE, "\"networking.istio.io/v1/Gateway\"", .type = XDS_OTHER,
         .url = "networking.istio.io/v1/Gateway"},
        {"none", RULE_TYPE, "asks for \"\"", .type = XDS_OTHER, .url = ""},
        {"an extra one", NOTHING, .type = XDS_OTHER, .url = "type.googleapis.com/example.v1.Thing",
         .opts = &more_types},
        {"nearly an extra one", RULE_TYPE, "example.v1.Things\"", .type = XDS_OTHER,
         .url = "type.googleapis.com/example.v1.Things", .opts = &more_types},
        {"another generator", RULE_TYPE, "generator \"api\"", .set = {{XDS_NODE_GENERATOR, "api"}}},
        {"another generator, extra type", RULE_TYPE, "generator \"event\"", .type = XDS_OTHER,
         .url = "type.googleapis.com/example.v1.Thing", .opts = &more_types,
         .set = {{XDS_NODE_GENERATOR, "event"}}},
    };
    (void)state;
    TRY_ROWS(rows);
}

static void test_policy__nack_first__nothing_was_asked_for(void **state)
{
    static const struct row rows[] = {
        {"nack", RULE_NACK, "rejects \"" CDS_URL "\", which it has not asked for", .nack = true},
    };
    (void)state;
    TRY_ROWS(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy__what_agents_send__passes),
        cmocka_unit_test(test_policy__readable__one_meaning),
        cmocka_unit_test(test_policy__id_without_four_parts__no_rule_is_passed_by),
        cmocka_unit_test(test_policy__sidecar__nothing_else),
        cmocka_unit_test(test_policy__namespace__the_identitys_in_all_places),
        cmocka_unit_test(test_policy__service_account__the_identitys_or_none),
        cmocka_unit_test(test_policy__no_identity__claims_nothing),
        cmocka_unit_test(test_policy__address__the_peers),
        cmocka_unit_test(test_policy__address_networks__others_in_them),
        cmocka_unit_test(test_policy__group__those_of_the_first_entry),
        cmocka_unit_test(test_policy__network__those_of_the_entry),
        cmocka_unit_test(test_policy__labels__values_of_the_entry),
        cmocka_unit_test(test_policy__type__agents_types),
        cmocka_unit_test(test_policy__nack_first__nothing_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
