/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/objects.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kube/text.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* JSON with ' for " */
static json_t *parse(const char *text)
{
    struct doc_error err;
    json_t *v = NULL;
    char *copy = strdup(text);

    for (char *p = copy; *p != '\0'; p++) {
        *p = *p == '\'' ? '"' : *p;
    }
    assert_int_equal(doc_parse_json(copy, strlen(copy), &err, &v), RC_OK);
    free(copy);
    return v;
}

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct kube_endpoints));
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static enum rc read_slice(const char *text, const char *port, struct kube_endpoints *out)
{
    json_t *v = parse(text);
    enum rc rc = kube_slice_read(v, port, out);
    json_decref(v);
    return rc;
}

/* ---- slices ---- */

#define SLICE                                                                           \
    "{'addressType': 'IPv4', 'ports': [{'name': 'grpc-xds', 'port': 15010},"            \
    "{'name': 'https-dns', 'port': 15012, 'protocol': 'TCP'}], 'endpoints': ["          \
    "{'addresses': ['10.0.0.1'], 'conditions': {'ready': true}},"                       \
    "{'addresses': ['10.0.0.2'], 'conditions': {'ready': false, 'terminating': true}}," \
    "{'addresses': ['10.0.0.3', 'none'], 'conditions': {}},"                            \
    "{'addresses': ['10.0.0.4'], 'conditions': null}, {'addresses': ['10.0.0.1']}, {}]}"

static void test_slice__by_name_and_by_number__the_same_endpoints(void **state)
{
    static const char *const ports[] = {"https-dns", "15012"};
    struct kube_endpoints *e = *state;

    for (size_t i = 0; i < COUNT(ports); i++) {
        e->n = 0;
        assert_int_equal(read_slice(SLICE, ports[i], e), RC_OK);
        assert_int_equal(e->n, 4);
        assert_string_equal(e->list[0].ip, "10.0.0.1");
        assert_int_equal(e->list[0].port, 15012);
        assert_true(e->list[0].ready);
        assert_false(e->list[1].ready);
        assert_true(e->list[2].ready);
        assert_true(e->list[3].ready);
    }
}

static void test_slice__ipv6__one_spelling(void **state)
{
    struct kube_endpoints *e = *state;

    assert_int_equal(read_slice("{'addressType': 'IPv6', 'ports': [{'port': 1}], 'endpoints': "
                                "[{'addresses': ['FD00:0:0::1', 'fd00::1']}]}",
                                "1", e),
                     RC_OK);

    assert_int_equal(e->n, 1);
    assert_string_equal(e->list[0].ip, "fd00::1");
}

static void test_slice__not_ready_in_one_and_ready_in_another__ready(void **state)
{
    struct kube_endpoints *e = *state;

    assert_int_equal(read_slice("{'addressType': 'IPv4', 'ports': [{'port': 1}], 'endpoints': "
                                "[{'addresses': ['10.0.0.1'], 'conditions': {'ready': false}}, "
                                "{'addresses': ['10.0.0.1'], 'conditions': {'ready': true}}]}",
                                "1", e),
                     RC_OK);

    assert_int_equal(e->n, 1);
    assert_true(e->list[0].ready);
}

#define OF(kind, name, ready, ip)                                                                \
    "{'addresses': ['" ip "'], 'conditions': {'ready': " ready "}, 'targetRef': {'kind': '" kind \
    "', 'name': '" name "'}},"

/* clang-format off */
static const char targets[] =
    "{'addressType': 'IPv4', 'ports': [{'port': 1}], 'endpoints': ["
    OF("Pod", "istiod-1", "true", "10.0.0.1")
    OF("Pod", "istiod-2", "false", "10.0.0.2")
    OF("Pod", "istiod-3", "true", "10.0.0.2")
    OF("Node", "n", "true", "10.0.0.3")
    OF("Pod", "no name", "true", "10.0.0.4")
    "{'addresses': ['10.0.0.5']}]}";
/* clang-format on */

static void test_slice__target__is_the_name_of_a_pod_that_is_ready(void **state)
{
    static const char *const expected[] = {"istiod-1", "istiod-3", NULL, NULL, NULL};
    struct kube_endpoints *e = *state;
    json_t *v = parse(targets);

    assert_int_equal(kube_slice_read(v, "1", e), RC_OK);

    assert_int_equal(e->n, COUNT(expected));
    for (size_t i = 0; i < COUNT(expected); i++) {
        if (expected[i] == NULL) {
            assert_null(e->list[i].pod);
        } else {
            assert_string_equal(e->list[i].pod, expected[i]);
        }
    }
    json_decref(v);
}

static void test_slice__nothing_of_use__adds_nothing(void **state)
{
    static const char *const rows[] = {
        "{'addressType': 'FQDN', 'ports': [{'port': 1}], 'endpoints': [{'addresses': ['a.b']}]}",
        "{'addressType': 'IPv4', 'ports': [{'port': 2}], 'endpoints': [{'addresses': "
        "['1.1.1.1']}]}",
        "{'addressType': 'IPv4', 'ports': [], 'endpoints': [{'addresses': ['1.1.1.1']}]}",
        "{'addressType': 'IPv4', 'endpoints': [{'addresses': ['1.1.1.1']}]}",
        "{'addressType': 'IPv4', 'ports': [{'port': 1}], 'endpoints': null}",
        "{'addressType': 'IPv4', 'ports': [{'port': 1}]}",
        "{'addressType': 'IPv4', 'ports': {'port': 1}, 'endpoints': []}",
        "{'addressType': 'IPv4', 'ports': [7, {'port': 1}], 'endpoints': [7, {'addresses': 7}, "
        "{'addresses': [7, null, '1.1.1', '1.1.1.1.1', '', 'x']}]}",
    };
    struct kube_endpoints *e = *state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(read_slice(rows[i], "1", e), RC_OK);
        assert_int_equal(e->n, 0);
    }
    assert_int_equal(read_slice("{'addressType': 'IPv4', 'ports': [{'name': 'a', 'port': 70000}],"
                                "'endpoints': [{'addresses': ['1.1.1.1']}]}",
                                "a", e),
                     RC_OK);
    assert_int_equal(e->n, 0);
}

static void test_slice__no_slice__is_malformed(void **state)
{
    static const char *const rows[] = {"{}", "[]", "{'addressType': 'IPv4', 'endpoints': 7}",
                                       "{'addressType': 7}"};
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(read_slice(rows[i], "1", *state), RC_PEER_MALFORMED);
    }
    assert_int_equal(kube_slice_read(NULL, "1", *state), RC_PEER_MALFORMED);
}

static void test_slice__too_many__are_cut(void **state)
{
    struct kube_endpoints *e = *state;
    json_t *v = parse("{'addressType': 'IPv4', 'ports': [{'port': 1}], 'endpoints': [{}]}");
    json_t *list = json_array();
    for (int i = 0; i <= KUBE_ENDPOINTS_MAX; i++) {
        json_array_append_new(list, json_sprintf("10.1.%d.%d", i / 250, i % 250));
    }
    json_object_set_new(json_array_get(json_object_get(v, "endpoints"), 0), "addresses", list);

    assert_int_equal(kube_slice_read(v, "1", e), RC_OK);

    assert_int_equal(e->n, KUBE_ENDPOINTS_MAX);
    assert_true(e->cut);
    json_decref(v);
}

static void test_slice_nodes__of_ready_endpoints__each_once(void **state)
{
    const char *names[3];
    size_t n = 0;
    json_t *v = parse(
        "{'addressType': 'IPv6', 'endpoints': ["
        "{'nodeName': 'a', 'conditions': {'ready': false}}, {'nodeName': 'b'}, {'nodeName': 'c.d',"
        "'conditions': {'ready': true}}, {'nodeName': 'b'}, {'nodeName': '../x'}, {'nodeName': 5},"
        "{}, {'nodeName': 'e'}, {'nodeName': 'f'}]}");
    (void)state;

    assert_int_equal(kube_slice_nodes(v, names, 3, &n), RC_OK);
    assert_int_equal(n, 3);
    assert_string_equal(names[0], "b");
    assert_string_equal(names[1], "c.d");
    assert_string_equal(names[2], "e");
    assert_int_equal(kube_slice_nodes(NULL, names, 3, &n), RC_PEER_MALFORMED);
    json_decref(v);
    v = parse("{'addressType': 'IPv4', 'endpoints': null}");
    assert_int_equal(kube_slice_nodes(v, names, 3, &n), RC_OK);
    assert_int_equal(n, 0);
    json_decref(v);
}

/* ---- node ports ---- */

static void test_node_port__by_name_and_by_number__or_not_found(void **state)
{
    json_t *v = parse("{'spec': {'ports': [{'name': 'a', 'port': 1}, "
                      "{'name': 'b', 'port': 15012, 'nodePort': 31512}]}}");
    uint16_t port = 0;
    (void)state;

    assert_int_equal(kube_service_node_port(v, "b", &port), RC_OK);
    assert_int_equal(port, 31512);
    port = 0;
    assert_int_equal(kube_service_node_port(v, "15012", &port), RC_OK);
    assert_int_equal(port, 31512);
    assert_int_equal(kube_service_node_port(v, "a", &port), RC_NOT_FOUND);
    assert_int_equal(kube_service_node_port(v, "c", &port), RC_NOT_FOUND);
    json_decref(v);
}

static void test_node_port__no_service__is_malformed(void **state)
{
    static const char *const bad[] = {"7", "{}", "{'spec': 7}", "{'spec': {'ports': 7}}"};
    uint16_t port = 0;
    (void)state;

    assert_int_equal(kube_service_node_port(NULL, "a", &port), RC_PEER_MALFORMED);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        json_t *v = parse(bad[i]);
        assert_int_equal(kube_service_node_port(v, "a", &port), RC_PEER_MALFORMED);
        json_decref(v);
    }
}

static void test_node__new_one_without_addresses__none_but_not_malformed(void **state)
{
    static const char *const empty[] = {"{'status': {}}", "{'status': {'addresses': null}}"};
    static const char *const bad[] = {"7", "{}", "{'status': {'addresses': 7}}"};
    struct kube_endpoints *e = *state;

    for (size_t i = 0; i < 2; i++) {
        json_t *v = parse(empty[i]);
        assert_int_equal(kube_node_read(v, "InternalIP", 31512, e), RC_OK);
        json_decref(v);
    }
    for (size_t i = 0; i < 3; i++) {
        json_t *v = parse(bad[i]);
        assert_int_equal(kube_node_read(v, "InternalIP", 31512, e), RC_PEER_MALFORMED);
        json_decref(v);
    }
    assert_int_equal(e->n, 0);
}

static void test_node__addresses_of_one_type__with_its_readiness(void **state)
{
    struct kube_endpoints *e = *state;
    json_t *good = parse("{'status': {'conditions': [{'type': 'Ready', 'status': 'True'}], "
                         "'addresses': [{'type': 'Hostname', 'address': 'n'}, "
                         "{'type': 'InternalIP', 'address': '10.0.0.1'}, "
                         "{'type': 'ExternalIP', 'address': '192.0.2.1'}]}}");
    json_t *bad = parse("{'status': {'conditions': [{'type': 'Ready', 'status': 'Unknown'}], "
                        "'addresses': [{'type': 'InternalIP', 'address': '10.0.0.2'}]}}");

    assert_int_equal(kube_node_read(good, "InternalIP", 31512, e), RC_OK);
    assert_int_equal(kube_node_read(bad, "InternalIP", 31512, e), RC_OK);
    assert_int_equal(e->n, 2);
    assert_string_equal(e->list[0].ip, "10.0.0.1");
    assert_int_equal(e->list[0].port, 31512);
    assert_true(e->list[0].ready);
    assert_false(e->list[1].ready);
    assert_int_equal(kube_node_read(NULL, "InternalIP", 31512, e), RC_PEER_MALFORMED);
    json_decref(good);
    json_decref(bad);
}

/* ---- secrets and tokens ---- */

static void test_secret__value__is_decoded(void **state)
{
    json_t *v = parse("{'data': {'good': 'AGFi', 'bad': '%', 'number': 7}}");
    char *out = NULL;
    size_t n = 0;
    (void)state;

    assert_int_equal(kube_secret_value(v, "good", &out, &n), RC_OK);
    assert_int_equal(n, 3);
    assert_memory_equal(out, "\0ab", 4);
    free(out);
    assert_int_equal(kube_secret_value(v, "bad", &out, &n), RC_PEER_MALFORMED);
    assert_int_equal(kube_secret_value(v, "number", &out, &n), RC_NOT_FOUND);
    assert_int_equal(kube_secret_value(v, "none", &out, &n), RC_NOT_FOUND);
    json_decref(v);
}

static void test_token__question__audiences_and_lifetime(void **state)
{
    static const char *const audiences[] = {"istio-ca", "a\"b", NULL};
    static const char *const none[] = {NULL};
    char *out = NULL;
    (void)state;

    assert_int_equal(kube_token_ask(audiences, 3600, &out), RC_OK);
    assert_string_equal(out, "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":"
                             "\"TokenRequest\",\"spec\":{\"audiences\":[\"istio-ca\",\"a\\\"b\"],"
                             "\"expirationSeconds\":3600}}");
    free(out);
    assert_int_equal(kube_token_ask(none, 3600, &out), RC_INVALID);
    assert_int_equal(kube_token_ask(audiences, KUBE_TOKEN_MIN_S - 1, &out), RC_INVALID);
    assert_int_equal(kube_token_ask(audiences, KUBE_TOKEN_MAX_S + 1, &out), RC_INVALID);
}

static void test_token__answer__token_and_end(void **state)
{
    json_t *v = parse("{'status': {'token': 'a.b.c', "
                      "'expirationTimestamp': '2026-09-01T10:00:01Z'}}");
    struct kube_token t;
    (void)state;

    assert_int_equal(kube_token_read(v, &t), RC_OK);
    assert_string_equal(t.token, "a.b.c");
    assert_int_equal(t.expires, 1788256801);
    kube_token_fini(&t);
    assert_null(t.token);
    json_decref(v);
}

static void test_token__bad_answers__are_malformed(void **state)
{
    static const char *const rows[] = {
        "{}",
        "{'status': {'token': 'a.b.c'}}",
        "{'status': {'expirationTimestamp': '2026-09-01T10:00:01Z'}}",
        "{'status': {'token': '', 'expirationTimestamp': '2026-09-01T10:00:01Z'}}",
        "{'status': {'token': 'a b', 'expirationTimestamp': '2026-09-01T10:00:01Z'}}",
        "{'status': {'token': 'a\\r\\nX: y', 'expirationTimestamp': '2026-09-01T10:00:01Z'}}",
        "{'status': {'token': 'a', 'expirationTimestamp': 'soon'}}",
        "{'status': {'token': 'a', 'expirationTimestamp': null}}",
    };
    struct kube_token t = {0};
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        json_t *v = parse(rows[i]);
        assert_int_equal(kube_token_read(v, &t), RC_PEER_MALFORMED);
        json_decref(v);
    }
    assert_null(t.token);
}

/* ---- rights and dates ---- */

static void test_right__question_and_answer(void **state)
{
    static const struct kube_right right = {.verb = "create",
                                            .resource = "serviceaccounts",
                                            .sub = "token",
                                            .ns = "vms",
                                            .name = "web"};
    json_t *yes = parse("{'status': {'allowed': true}}");
    json_t *no = parse("{'status': {'allowed': false, 'reason': ''}}");
    json_t *odd = parse("{'status': {'allowed': 'true'}}");
    bool allowed = false;
    char *out = NULL;
    (void)state;

    assert_int_equal(kube_right_ask(&right, &out), RC_OK);
    assert_string_equal(out,
                        "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":"
                        "\"SelfSubjectAccessReview\",\"spec\":{\"resourceAttributes\":{"
                        "\"group\":\"\",\"name\":\"web\",\"namespace\":\"vms\",\"resource\":"
                        "\"serviceaccounts\",\"subresource\":\"token\",\"verb\":\"create\"}}}");
    free(out);
    assert_int_equal(kube_right_read(yes, &allowed), RC_OK);
    assert_true(allowed);
    assert_int_equal(kube_right_read(no, &allowed), RC_OK);
    assert_false(allowed);
    assert_int_equal(kube_right_read(odd, &allowed), RC_PEER_MALFORMED);
    json_decref(yes);
    json_decref(no);
    json_decref(odd);
}

static void test_time__good_and_bad_dates(void **state)
{
    static const char *const bad[] = {
        "",
        "2026-09-01",
        "2026-09-01T10:00:00",
        "2026-09-01T10:00:00+02:00",
        "2026-09-01T10:00:00.Z",
        "2026-09-01T10:00:00ZZ",
        "2026-13-01T10:00:00Z",
        "2026-02-30T10:00:00Z",
        "2026-09-01T24:00:00Z",
        "2026-09-01T10:60:00Z",
        "2026-09-01 10:00:00Z",
        "+026-09-01T10:00:00Z",
    };
    int64_t s = 0;
    (void)state;

    assert_int_equal(kube_time_read("1970-01-01T00:00:00Z", &s), RC_OK);
    assert_int_equal(s, 0);
    assert_int_equal(kube_time_read("2028-02-29T23:59:59.999999Z", &s), RC_OK);
    assert_int_equal(s, 1835481599);
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (kube_time_read(bad[i], &s) != RC_PEER_MALFORMED) {
            fail_msg("%s", bad[i]);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_slice__by_name_and_by_number__the_same_endpoints),
        TEST(test_slice__ipv6__one_spelling),
        TEST(test_slice__not_ready_in_one_and_ready_in_another__ready),
        TEST(test_slice__target__is_the_name_of_a_pod_that_is_ready),
        TEST(test_slice__nothing_of_use__adds_nothing),
        TEST(test_slice__no_slice__is_malformed),
        TEST(test_slice__too_many__are_cut),
        TEST(test_slice_nodes__of_ready_endpoints__each_once),
        TEST(test_node_port__by_name_and_by_number__or_not_found),
        TEST(test_node_port__no_service__is_malformed),
        TEST(test_node__new_one_without_addresses__none_but_not_malformed),
        TEST(test_node__addresses_of_one_type__with_its_readiness),
        TEST(test_secret__value__is_decoded),
        TEST(test_token__question__audiences_and_lifetime),
        TEST(test_token__answer__token_and_end),
        TEST(test_token__bad_answers__are_malformed),
        TEST(test_right__question_and_answer),
        TEST(test_time__good_and_bad_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
