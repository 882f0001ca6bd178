/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses follow from what Kubernetes has said about a service. */
#include "gateway/cluster/service.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct upstream_discovery pods;
    struct upstream_discovery nodes;
    struct service *s;
    char why[SERVICE_WHY_BYTES];
};

static char istiod[] = "istiod";
static char istio_system[] = "istio-system";
static char port[] = "15012";

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->pods = (struct upstream_discovery){
        .on = true, .service = istiod, .ns = istio_system, .port = port};
    f->nodes = f->pods;
    f->nodes.addresses = UPSTREAM_NODES;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    service_free(&f->s);
    free(f);
    return 0;
}

static struct service *follow_pods(struct fixture *f)
{
    assert_int_equal(service_new(&f->pods, &f->s), RC_OK);
    return f->s;
}

static struct service *follow_nodes(struct fixture *f)
{
    assert_int_equal(service_new(&f->nodes, &f->s), RC_OK);
    return f->s;
}

/* ---- objects, with ' for " ---- */

static json_t *parse(const char *text)
{
    char json[8192];
    struct doc_error err;
    json_t *v = NULL;

    snprintf(json, sizeof(json), "%s", text);
    for (char *c = json; *c != '\0'; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    assert_int_equal(doc_parse_json(json, strlen(json), &err, &v), RC_OK);
    return v;
}

#define SLICE(name, family, rows)                                                              \
    "{'metadata': {'name': '" name "'}, 'addressType': '" family                               \
    "', 'ports': [{'name': 'https-dns', 'port': 15012}, {'port': 15010}], 'endpoints': [" rows \
    "]}"
#define POD(ip) "{'addresses': ['" ip "'], 'conditions': {'ready': true}, 'nodeName': 'n-" ip "'}"
#define UNREADY(ip) "{'addresses': ['" ip "'], 'conditions': {'ready': false}, 'nodeName': 'x'}"
#define NODE(internal, external)                                                             \
    "{'status': {'addresses': [{'type': 'Hostname', 'address': 'n'}, {'type': 'InternalIP'," \
    "'address': '" internal "'}, {'type': 'ExternalIP', 'address': '" external "'}]}}"
#define NODE_PORT(number) \
    "{'spec': {'ports': [{'name': 'https-dns', 'port': 15012, 'nodePort': " number "}]}}"

static enum rc list(struct service *s, const char *items)
{
    json_t *v = parse(items);
    enum rc rc = service_list_slices(s, v);
    json_decref(v);
    return rc;
}

static enum rc change(struct service *s, enum kube_change what, const char *slice)
{
    json_t *v = parse(slice);
    enum rc rc = service_change_slice(s, what, v);
    json_decref(v);
    return rc;
}

static void set_object(struct service *s, const char *text)
{
    json_t *v = parse(text);
    assert_int_equal(service_set_object(s, v), RC_OK);
    json_decref(v);
}

static void set_node(struct service *s, const char *name, const char *text)
{
    json_t *v = parse(text);
    assert_int_equal(service_set_node(s, name, v), RC_OK);
    json_decref(v);
}

/* The addresses in their order, with a blank behind each; "?" first: not all is known yet. */
static void expect(struct fixture *f, const char *expected)
{
    static struct service_found found;
    char text[4096] = "";
    char one[ADDR_TEXT_BYTES];

    enum rc rc = service_addresses(f->s, &found);
    size_t n = found.n;
    snprintf(f->why, sizeof(f->why), "%s", found.why);
    snprintf(text, sizeof(text), "%s", rc == RC_OK ? "" : n == 0 ? "?" : "? ");
    for (size_t i = 0; i < n; i++) {
        size_t at = strlen(text);
        snprintf(text + at, sizeof(text) - at, "%s ", addr_format(&found.addrs[i], one));
    }
    assert_string_equal(text, expected);
    assert_true(rc != RC_OK || (n == 0) == (f->why[0] != '\0'));
}

/* ---- pods ---- */

static void test_service__nothing_said__not_known(void **state)
{
    follow_pods(*state);

    expect(*state, "?");
}

static void test_service__several_slices_and_families__ready_pods_each_once(void **state)
{
    struct service *s = follow_pods(*state);

    assert_int_equal(
        list(s,
             "[" SLICE("a", "IPv4", POD("10.0.0.1") "," UNREADY("10.0.0.2")) "," SLICE(
                 "b", "IPv6", POD("fd00::1")) "," SLICE("c", "IPv4",
                                                        POD("10.0.0.3") "," POD(
                                                            "10.0.0.1")) "," SLICE("d", "FQDN",
                                                                                   POD("a.b")) "]"),
        RC_OK);

    expect(*state, "10.0.0.1:15012 [fd00::1]:15012 10.0.0.3:15012 ");
}

#define NAMED(ip, name) \
    "{'addresses': ['" ip "'], 'nodeName': 'n', 'targetRef': {'kind': 'Pod', 'name': '" name "'}}"

static void test_service__pods__known_by_name_and_nodes_are_not(void **state)
{
    static struct service_found found;
    struct service *s = follow_pods(*state);

    assert_int_equal(
        list(s, "[" SLICE("a", "IPv4", NAMED("10.0.0.1", "istiod-1") "," POD("10.0.0.2")) "]"),
        RC_OK);
    assert_int_equal(service_addresses(s, &found), RC_OK);
    assert_string_equal(found.pods[0], "istiod-1");
    assert_null(found.pods[1]);
    assert_int_equal(change(s, KUBE_MODIFIED, SLICE("a", "IPv4", NAMED("10.0.0.1", "istiod-2"))),
                     RC_OK);
    assert_int_equal(service_addresses(s, &found), RC_OK);
    assert_int_equal(found.n, 1);
    assert_string_equal(found.pods[0], "istiod-2");
}

static void test_service__node_port__nobody_knows_whose_it_is(void **state)
{
    static struct service_found found;
    struct service *s = follow_nodes(*state);

    set_object(s, NODE_PORT("31512"));
    assert_int_equal(list(s, "[" SLICE("a", "IPv4", NAMED("10.0.0.1", "istiod-1")) "]"), RC_OK);
    set_node(s, "n", NODE("192.168.0.1", "203.0.113.1"));

    assert_int_equal(service_addresses(s, &found), RC_OK);
    assert_int_equal(found.n, 1);
    assert_null(found.pods[0]);
}

static void test_service__changes__added_modified_removed(void **state)
{
    struct service *s = follow_pods(*state);
    assert_int_equal(list(s, "[" SLICE("a", "IPv4", POD("10.0.0.1")) "]"), RC_OK);

    assert_int_equal(change(s, KUBE_ADDED, SLICE("b", "IPv4", POD("10.0.0.2"))), RC_OK);
    expect(*state, "10.0.0.1:15012 10.0.0.2:15012 ");
    assert_int_equal(change(s, KUBE_MODIFIED, SLICE("a", "IPv4", UNREADY("10.0.0.1"))), RC_OK);
    expect(*state, "10.0.0.2:15012 ");
    assert_int_equal(change(s, KUBE_MODIFIED, SLICE("a", "IPv4", POD("10.0.0.4"))), RC_OK);
    assert_int_equal(change(s, KUBE_DELETED, SLICE("b", "IPv4", POD("10.0.0.2"))), RC_OK);
    expect(*state, "10.0.0.4:15012 ");
    assert_int_equal(change(s, KUBE_DELETED, SLICE("z", "IPv4", "")), RC_OK);
    expect(*state, "10.0.0.4:15012 ");
}

static void test_service__another_list__what_is_not_in_it_is_gone(void **state)
{
    struct service *s = follow_pods(*state);
    assert_int_equal(list(s, "[" SLICE("a", "IPv4", POD("10.0.0.1")) "]"), RC_OK);

    assert_int_equal(list(s, "[" SLICE("b", "IPv4", POD("10.0.0.2")) "]"), RC_OK);

    expect(*state, "10.0.0.2:15012 ");
}

static void test_service__none__certain_and_says_why(void **state)
{
    struct fixture *f = *state;
    struct service *s = follow_pods(f);

    assert_int_equal(list(s, "[]"), RC_OK);
    expect(f, "");
    assert_string_equal(f->why, "there is no service istio-system/istiod with endpoints");
    assert_int_equal(list(s, "[" SLICE("a", "IPv4", UNREADY("10.0.0.1")) "]"), RC_OK);
    expect(f, "");
    assert_string_equal(f->why, "no pod of service istio-system/istiod with port 15012 is ready");
    f->pods.port = istiod; /* no such name */
    assert_int_equal(list(s, "[" SLICE("a", "IPv4", POD("10.0.0.1")) "]"), RC_OK);
    expect(f, "");
}

static void test_service__what_makes_no_sense__leaves_what_was_there(void **state)
{
    static const char *const bad[] = {
        "{}",
        "7",
        "null",
        "{'metadata': {'name': 'a'}}",
        "{'metadata': {'name': 5}, 'addressType': 'IPv4'}",
        "{'metadata': {'name': 'a'}, 'addressType': 'IPv4', 'endpoints': 7}",
    };
    struct service *s = follow_pods(*state);
    assert_int_equal(list(s, "[" SLICE("a", "IPv4", POD("10.0.0.1")) "]"), RC_OK);

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char items[256];
        snprintf(items, sizeof(items), "[%s]", bad[i]);
        assert_int_equal(list(s, items), RC_PEER_MALFORMED);
        assert_int_equal(change(s, KUBE_MODIFIED, bad[i]), RC_PEER_MALFORMED);
    }

    expect(*state, "10.0.0.1:15012 ");
}

static void test_service__change_before_the_list__is_malformed(void **state)
{
    struct service *s = follow_pods(*state);

    assert_int_equal(change(s, KUBE_ADDED, SLICE("a", "IPv4", POD("10.0.0.1"))), RC_PEER_MALFORMED);

    expect(*state, "?");
}

static json_t *many_pods(size_t n)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < n; i++) {
        char ip[32];
        snprintf(ip, sizeof(ip), "10.1.%zu.%zu", i / 250, i % 250);
        json_array_append_new(rows, json_pack("{s:[s]}", "addresses", ip));
    }
    return json_pack("{s:{s:s}, s:s, s:[{s:i}], s:o}", "metadata", "name", "many", "addressType",
                     "IPv4", "ports", "port", 15012, "endpoints", rows);
}

static void test_service__too_many__bounded(void **state)
{
    struct fixture *f = *state;
    struct service *s = follow_pods(f);
    static struct service_found found;
    json_t *items = json_array();
    json_array_append_new(items, many_pods(SERVICE_ADDRESSES_MAX + 1));

    assert_int_equal(service_list_slices(s, items), RC_OK);
    json_decref(items);
    assert_int_equal(service_addresses(s, &found), RC_OK);
    assert_int_equal(found.n, SERVICE_ADDRESSES_MAX);
    assert_true(found.cut);
    for (size_t i = 1; i <= SERVICE_SLICES_MAX; i++) {
        char text[256];
        snprintf(text, sizeof(text), "{'metadata': {'name': 's-%zu'}, 'addressType': 'IPv4'}", i);
        assert_int_equal(change(s, KUBE_ADDED, text), i < SERVICE_SLICES_MAX ? RC_OK : RC_FULL);
    }
    assert_int_equal(service_addresses(s, &found), RC_OK);
    assert_int_equal(found.n, SERVICE_ADDRESSES_MAX);
    assert_true(found.cut);
}

static enum rc list_pods(struct service *s, size_t n)
{
    json_t *items = json_pack("[o]", many_pods(n));
    enum rc rc = service_list_slices(s, items);

    json_decref(items);
    return rc;
}

static void expect_cut(const struct service *s, bool cut)
{
    static struct service_found found;

    assert_int_equal(service_addresses(s, &found), RC_OK);
    assert_int_equal(found.cut, cut);
}

static void test_service__as_many_as_there_may_be__nothing_is_cut(void **state)
{
    struct service *s = follow_pods(*state);

    assert_int_equal(list_pods(s, SERVICE_ADDRESSES_MAX), RC_OK);
    expect_cut(s, false);
    assert_int_equal(list_pods(s, KUBE_ENDPOINTS_MAX + 1), RC_OK);
    expect_cut(s, true);
    assert_int_equal(list(s, "[]"), RC_OK);
    expect_cut(s, false);
    for (size_t i = 0; i <= SERVICE_SLICES_MAX; i++) {
        char text[256];
        expect_cut(s, false);
        snprintf(text, sizeof(text), "{'metadata': {'name': 's-%zu'}, 'addressType': 'IPv4'}", i);
        assert_int_equal(change(s, KUBE_ADDED, text), i < SERVICE_SLICES_MAX ? RC_OK : RC_FULL);
    }
    expect_cut(s, true);
}

/* ---- nodes ---- */

static void expect_nodes(const struct service *s, const char *expected)
{
    const char *names[SERVICE_NODES_MAX];
    char text[1024] = "";
    size_t n = 0;

    service_nodes(s, names, &n);
    for (size_t i = 0; i < n; i++) {
        size_t at = strlen(text);
        snprintf(text + at, sizeof(text) - at, "%s ", names[i]);
    }
    assert_string_equal(text, expected);
}

static void test_service__node_ports__of_the_nodes_with_ready_pods(void **state)
{
    struct service *s = follow_nodes(*state);

    assert_int_equal(
        list(s, "[" SLICE("a", "IPv4", POD("10.0.0.1") "," UNREADY("10.0.0.2")) "," SLICE(
                    "b", "IPv6", POD("10.0.0.1") "," POD("10.0.0.3")) "]"),
        RC_OK);
    expect(*state, "?");
    expect_nodes(s, "n-10.0.0.1 n-10.0.0.3 ");
    set_object(s, NODE_PORT("31512"));
    expect(*state, "?");
    set_node(s, "n-10.0.0.1", NODE("192.168.0.1", "203.0.113.1"));
    expect(*state, "? 192.168.0.1:31512 ");
    set_node(s, "n-10.0.0.3", NODE("fd00::3", "203.0.113.3"));
    expect(*state, "192.168.0.1:31512 [fd00::3]:31512 ");
}

static void test_service__external_addresses_of_nodes(void **state)
{
    struct fixture *f = *state;
    f->nodes.node_address = UPSTREAM_EXTERNAL_IP;
    struct service *s = follow_nodes(f);

    assert_int_equal(list(s, "[" SLICE("a", "IPv4", POD("10.0.0.1")) "]"), RC_OK);
    set_object(s, NODE_PORT("31512"));
    set_node(s, "n-10.0.0.1", NODE("192.168.0.1", "203.0.113.1"));

    expect(f, "203.0.113.1:31512 ");
}

static void test_service__port_of_the_pods_does_not_matter_for_nodes(void **state)
{
    struct service *s = follow_nodes(*state);

    assert_int_equal(list(s, "[{'metadata': {'name': 'a'}, 'addressType': 'IPv4', 'ports': "
                             "[{'port': 1}], 'endpoints': [" POD("10.0.0.1") "]}]"),
                     RC_OK);
    set_object(s, NODE_PORT("31512"));
    set_node(s, "n-10.0.0.1", NODE("192.168.0.1", "203.0.113.1"));

    expect(*state, "192.168.0.1:31512 ");
}

static void test_service__another_node_port__other_addresses(void **state)
{
    struct service *s = follow_nodes(*state);
    assert_int_equal(list(s, "[" SLICE("a", "IPv4", POD("10.0.0.1")) "]"), RC_OK);
    set_object(s, NODE_PORT("31512"));
    set_node(s, "n-10.0.0.1", NODE("192.168.0.1", "203.0.113.1"));

    set_object(s, NODE_PORT("31513"));

    expect(*state, "192.168.0.1:31513 ");
}

static void test_service__no_node_address__certain_and_says_why(void **state)
{
    struct fixture *f = *state;
    struct service *s = follow_nodes(f);

    assert_int_equal(list(s, "[]"), RC_OK);
    assert_int_equal(service_set_object(s, NULL), RC_OK);
    expect(f, "");
    assert_string_equal(f->why, "there is no service istio-system/istiod");
    set_object(s, "{'spec': {'ports': [{'port': 15012}]}}");
    expect(f, "");
    assert_string_equal(f->why, "service istio-system/istiod has no node port for its port 15012");
    set_object(s, NODE_PORT("31512"));
    expect(f, "");
    assert_string_equal(f->why, "no pod of service istio-system/istiod is ready on a node");
    assert_int_equal(list(s, "[" SLICE("a", "IPv4", POD("10.0.0.1")) "]"), RC_OK);
    expect(f, "?");
    assert_int_equal(service_set_node(s, "n-10.0.0.1", NULL), RC_OK);
    expect(f, "");
    assert_string_equal(
        f->why, "no node with a ready pod of service istio-system/istiod has an InternalIP");
}

static void test_service__node_port_and_node_make_no_sense__leave_what_was_there(void **state)
{
    static const char *const bad[] = {"7", "{}", "{'spec': 7, 'status': {'addresses': 7}}"};
    struct service *s = follow_nodes(*state);
    assert_int_equal(list(s, "[" SLICE("a", "IPv4", POD("10.0.0.1")) "]"), RC_OK);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        json_t *v = parse(bad[i]);
        assert_int_equal(service_set_object(s, v), RC_PEER_MALFORMED);
        assert_int_equal(service_set_node(s, "n-10.0.0.1", v), RC_PEER_MALFORMED);
        expect(*state, "?");
        json_decref(v);
    }
    set_object(s, NODE_PORT("31512"));
    set_node(s, "n-10.0.0.1", NODE("192.168.0.1", "203.0.113.1"));

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        json_t *v = parse(bad[i]);
        assert_int_equal(service_set_object(s, v), RC_PEER_MALFORMED);
        assert_int_equal(service_set_node(s, "n-10.0.0.1", v), RC_PEER_MALFORMED);
        expect(*state, "192.168.0.1:31512 ");
        json_decref(v);
    }
}

static void test_service__forgotten__another_cluster_says_all_anew(void **state)
{
    struct service *s = follow_nodes(*state);
    assert_int_equal(list(s, "[" SLICE("a", "IPv4", POD("10.0.0.1")) "]"), RC_OK);
    set_object(s, NODE_PORT("31512"));
    set_node(s, "n-10.0.0.1", NODE("192.168.0.1", "203.0.113.1"));

    service_forget(s);
    expect(*state, "?");
    expect_nodes(s, "");
    assert_int_equal(list(s, "[" SLICE("a", "IPv4", POD("10.0.0.1")) "]"), RC_OK);
    expect(*state, "?");
    set_object(s, NODE_PORT("31777"));
    expect(*state, "?");
    set_node(s, "n-10.0.0.1", NODE("192.168.0.2", "203.0.113.1"));
    expect(*state, "192.168.0.2:31777 ");
}

static void test_service__more_nodes_than_there_may_be__cut(void **state)
{
    struct service *s = follow_nodes(*state);
    set_object(s, NODE_PORT("31512"));

    for (size_t n = SERVICE_NODES_MAX; n <= SERVICE_NODES_MAX + 1; n++) {
        json_t *rows = json_array();
        char name[64];
        for (size_t i = 0; i < n; i++) {
            snprintf(name, sizeof(name), "node-%zu", i);
            json_array_append_new(rows, json_pack("{s:s}", "nodeName", name));
        }
        json_t *items = json_pack("[{s:{s:s}, s:s, s:o}]", "metadata", "name", "many",
                                  "addressType", "IPv4", "endpoints", rows);
        assert_int_equal(service_list_slices(s, items), RC_OK);
        json_decref(items);
        for (size_t i = 0; i < SERVICE_NODES_MAX; i++) {
            snprintf(name, sizeof(name), "node-%zu", i);
            set_node(s, name, NODE("192.168.0.1", "203.0.113.1"));
        }
        expect_cut(s, n > SERVICE_NODES_MAX);
    }
}

static void test_service__nodes_come_and_go__more_than_are_kept(void **state)
{
    struct service *s = follow_nodes(*state);
    set_object(s, NODE_PORT("31512"));

    for (size_t i = 0; i < 3 * SERVICE_NODES_MAX; i++) {
        char items[512];
        char name[64];
        snprintf(name, sizeof(name), "node-%zu", i);
        snprintf(items, sizeof(items),
                 "[{'metadata': {'name': 'a'}, 'addressType': 'IPv4', 'endpoints': [{'nodeName': "
                 "'%s'}]}]",
                 name);
        assert_int_equal(list(s, items), RC_OK);
        expect(*state, "?");
        set_node(s, name, NODE("192.168.0.1", "203.0.113.1"));
        expect(*state, "192.168.0.1:31512 ");
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_service__nothing_said__not_known),
        TEST(test_service__several_slices_and_families__ready_pods_each_once),
        TEST(test_service__pods__known_by_name_and_nodes_are_not),
        TEST(test_service__node_port__nobody_knows_whose_it_is),
        TEST(test_service__changes__added_modified_removed),
        TEST(test_service__another_list__what_is_not_in_it_is_gone),
        TEST(test_service__none__certain_and_says_why),
        TEST(test_service__what_makes_no_sense__leaves_what_was_there),
        TEST(test_service__change_before_the_list__is_malformed),
        TEST(test_service__too_many__bounded),
        TEST(test_service__node_ports__of_the_nodes_with_ready_pods),
        TEST(test_service__external_addresses_of_nodes),
        TEST(test_service__port_of_the_pods_does_not_matter_for_nodes),
        TEST(test_service__another_node_port__other_addresses),
        TEST(test_service__no_node_address__certain_and_says_why),
        TEST(test_service__node_port_and_node_make_no_sense__leave_what_was_there),
        TEST(test_service__forgotten__another_cluster_says_all_anew),
        TEST(test_service__as_many_as_there_may_be__nothing_is_cut),
        TEST(test_service__more_nodes_than_there_may_be__cut),
        TEST(test_service__nodes_come_and_go__more_than_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
