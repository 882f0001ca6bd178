/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as they come from the wire, read and judged: what a VM writes so that istiod and xdsgate
 * might understand it differently does not get past both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gateway/registry/policy.h"
#include "tests/xds/node_fixture.h"
#include "xds/xds_request.h"

/** Field numbers of DiscoveryRequest. */
#define REQUEST_NODE 2
#define REQUEST_TYPE 4
#define REQUEST_ERROR 6

static char *web[] = {"web", NULL};
static struct policy_label app_is_web[] = {{"app", web}};
static struct policy_allow allow[] = {
    {.identity = "ns/vms/sa/web", .groups = web, .labels = app_is_web, .n_labels = 1}};
static const struct registration_opts opts = {.allow = allow, .n_allow = 1};

/** A request that is being written: what an agent sends, and more. */
struct wire {
    struct pb_out metadata;
    struct pb_out labels;        /**< of LABELS */
    struct pb_out static_labels; /**< of STATIC_LABELS */
    struct pb_out more;          /**< fields of the request */
};

static void begin(struct wire *w)
{
    *w = (struct wire){.metadata = {.n = 0}};
    pb_string_entry(&w->metadata, "NAMESPACE", "vms");
    pb_string_entry(&w->metadata, "SERVICE_ACCOUNT", "web");
    pb_string_entry(&w->metadata, "AUTO_REGISTER_GROUP", "web");
    pb_string_entry(&w->metadata, "INSTANCE_IPS", "192.168.7.11,172.17.0.1");
    pb_string_entry(&w->labels, "app", "web");
    pb_string_entry(&w->static_labels, "app", "web");
}

static void end(struct wire *w, struct pb_out *request)
{
    struct pb_out node = {0};
    node_put_map(&w->metadata, "LABELS", &w->labels);
    node_put_map(&w->metadata, "STATIC_LABELS", &w->static_labels);
    pb_text(&node, 1, "sidecar~192.168.7.11~vm1.vms~vms.svc.cluster.local");
    pb_message(&node, NODE_METADATA, &w->metadata);
    pb_message(request, REQUEST_NODE, &node);
    pb_text(request, REQUEST_TYPE, "type.googleapis.com/envoy.config.cluster.v3.Cluster");
    pb_put(request, w->more.data, w->more.n);
    pb_free(&w->more);
}

/* The rule that the request breaks; RULES: none. Frees it. */
static enum rule judge(struct wire *w)
{
    static const struct spiffe_id identity = {"cluster.local", "vms", "web"};
    struct policy_claim claim = {.identity = &identity, .verified = true};
    struct pb_out bytes = {0};
    struct xds_request request;
    struct policy_verdict v = {.rule = RULES};
    end(w, &bytes);
    const struct xds_piece piece = {bytes.data, bytes.n};
    assert_int_equal(addr_parse_ip("192.168.7.11", &claim.peer), RC_OK);
    assert_int_equal(xds_request_read(XDS_SOTW, &piece, 1, &request), RC_OK);
    claim.request = &request;
    bool broken = policy_judge_first(&opts, &claim, 0, &v);
    assert_int_equal(broken, v.rule != RULES);
    free(request.node);
    pb_free(&bytes);
    return v.rule;
}

static void test_policy_wire__an_agents_request__passes(void **state)
{
    struct wire w;
    (void)state;
    begin(&w);
    assert_int_equal(judge(&w), RULES);
}

/* istiod would take the last of them, whatever its letters. */
static void test_policy_wire__second_key__refused(void **state)
{
    static const char *const keys[] = {"INSTANCE_IPS", "instance_ips", "\305\277ERVICE_ACCOUNT",
                                       "auto_register_group", "Namespace"};
    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        struct wire w;
        begin(&w);
        pb_string_entry(&w.metadata, keys[i], "192.168.7.12");
        assert_int_equal(judge(&w), RULE_READABLE);
    }
}

static void test_policy_wire__second_node__refused(void **state)
{
    struct pb_out metadata = {0};
    struct pb_out node = {0};
    struct wire w;
    (void)state;
    begin(&w);
    pb_string_entry(&metadata, "NETWORK", "other");
    pb_message(&node, NODE_METADATA, &metadata);
    pb_message(&w.more, REQUEST_NODE, &node);
    assert_int_equal(judge(&w), RULE_READABLE);
}

static void test_policy_wire__label_of_another__refused_wherever_it_is(void **state)
{
    struct wire w;
    (void)state;
    begin(&w);
    pb_free(&w.labels);
    pb_string_entry(&w.labels, "app", "db");
    assert_int_equal(judge(&w), RULE_LABELS);
    begin(&w);
    pb_free(&w.static_labels);
    pb_string_entry(&w.static_labels, "app", "db");
    assert_int_equal(judge(&w), RULE_LABELS);
    begin(&w);
    pb_string_entry(&w.labels, "app", "db");
    assert_int_equal(judge(&w), RULE_READABLE);
}

/* Behind more of them than are kept, and behind longer ones. */
static void test_policy_wire__label_behind_many__refused(void **state)
{
    static const size_t lengths[] = {1, 63, 350};
    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        struct wire w;
        struct pb_out map = {0};
        char key[] = "label00";
        char value[351] = {0};
        begin(&w);
        for (size_t k = 0; k < lengths[i]; k++) {
            value[k] = 'x';
        }
        for (unsigned k = 0; k < XDS_NODE_LABELS; k++) {
            key[5] = (char)('0' + k / 10);
            key[6] = (char)('0' + k % 10);
            pb_string_entry(&map, key, value);
        }
        pb_string_entry(&map, "app", "db");
        pb_free(&w.labels);
        w.labels = map;
        assert_int_equal(judge(&w), RULE_LABELS);
    }
}

static void test_policy_wire__nack_first__refused(void **state)
{
    struct pb_out error = {0};
    struct wire w;
    (void)state;
    begin(&w);
    pb_number(&error, 1, 13);
    pb_message(&w.more, REQUEST_ERROR, &error);
    assert_int_equal(judge(&w), RULE_NACK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy_wire__an_agents_request__passes),
        cmocka_unit_test(test_policy_wire__second_key__refused),
        cmocka_unit_test(test_policy_wire__second_node__refused),
        cmocka_unit_test(test_policy_wire__label_of_another__refused_wherever_it_is),
        cmocka_unit_test(test_policy_wire__label_behind_many__refused),
        cmocka_unit_test(test_policy_wire__nack_first__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
