/* SPDX-License-Identifier: Apache-2.0 */
/* What people script against. That it fits its schema is the matter of api_schema_test.py. */
#include "gateway/registry/vm_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gateway/registry/registry_fixture.h"

#define FFFD "\xef\xbf\xbd"
#define NONCE "2026-11-22T00:11:30Z/1-nonce"

static json_t *parse(char *body, size_t n)
{
    struct doc_error err;
    json_t *v = NULL;

    assert_int_equal(strlen(body), n);
    assert_int_equal(doc_parse_json(body, n, &err, &v), RC_OK);
    free(body);
    return v;
}

static json_t *find(struct fixture *f, const char *name)
{
    char *body = NULL;
    size_t n = 0;

    assert_int_equal(vm_json_find(f->r, name, f->now_ms, &body, &n), RC_OK);
    return parse(body, n);
}

static json_t *list(struct fixture *f, uint64_t since)
{
    char *body = NULL;
    size_t n = 0;

    assert_int_equal(vm_json_list(f->r, since, f->now_ms, &body, &n), RC_OK);
    return parse(body, n);
}

/* The value is this JSON text, keys sorted. */
static void assert_json(const json_t *v, const char *expected)
{
    char *written = NULL;

    assert_int_equal(doc_write_json(v, &written, NULL), RC_OK);
    assert_string_equal(written, expected);
    free(written);
}

static void live(struct fixture *f, struct guest *g)
{
    guest_must_come(f, g);
    (void)guest_request(f, g, XDS_CDS, "", NULL);
    f->now_ms += 1;
    guest_push(f, g, XDS_CDS, NONCE);
    f->now_ms += 1;
    (void)guest_request(f, g, XDS_CDS, NONCE, NULL);
    (void)guest_request(f, g, XDS_LDS, "", NULL);
    guest_push(f, g, XDS_LDS, NONCE);
    f->now_ms += 1;
    (void)guest_request(f, g, XDS_LDS, NONCE, "bad listener");
    (void)guest_request(f, g, XDS_HEALTH, "", "no answer");
}

static void test_vm_json__detail__says_all(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", "192.168.7.11", 1);

    guest_set(g, XDS_NODE_INSTANCE_IPS, "192.168.7.11,fd00::11");
    guest_set(g, XDS_NODE_LOCALITY, "here/there/");
    live(f, g);
    f->now_ms += 1000;
    guest_leave(f, g, END_UP_RETIRED);
    json_t *all = find(f, "vm1");

    assert_json(
        all,
        "{\"vms\":[{\"address\":\"192.168.7.11\",\"addresses\":[\"192.168.7.11\",\"fd00::11\"],"
        "\"bytes_down\":2000,\"bytes_up\":500,"
        "\"certificate\":{\"expires\":\"2026-11-23T01:02:04.000Z\",\"key\":"
        "\"0101010101010101010101010101010101010101010101010101010101010101\","
        "\"serial\":\"5e41a101\"},\"certificate_expires\":\"2026-11-23T01:02:04.000Z\","
        "\"cluster\":\"cl1\",\"connected_since\":null,\"cut\":false,"
        "\"endpoint\":\"10.0.0.11:15012\",\"events\":["
        "{\"at\":\"2026-11-22T01:02:03.456Z\",\"detail\":null,\"what\":\"connected\"},"
        "{\"at\":\"2026-11-22T01:02:03.457Z\",\"detail\":\"CDS\",\"what\":\"push\"},"
        "{\"at\":\"2026-11-22T01:02:03.458Z\",\"detail\":\"LDS\",\"what\":\"push\"},"
        "{\"at\":\"2026-11-22T01:02:03.459Z\",\"detail\":\"LDS\",\"what\":\"nack\"},"
        "{\"at\":\"2026-11-22T01:02:03.459Z\",\"detail\":null,\"what\":\"unhealthy\"},"
        "{\"at\":\"2026-11-22T01:02:04.459Z\",\"detail\":\"upstream_retired\",\"what\":"
        "\"disconnected\"}],"
        "\"group\":\"web\",\"health\":\"unhealthy\",\"health_message\":\"no answer\","
        "\"health_since\":\"2026-11-22T01:02:03.459Z\",\"id\":\"3133fe0f58c47e30\","
        "\"identity\":\"" WEB "\",\"istiod\":\"istiod-6d9\","
        "\"labels\":{\"app\":\"web\",\"istio.io/rev\":\"default\"},"
        "\"last_end\":\"upstream_retired\","
        "\"last_nack\":{\"at\":\"2026-11-22T01:02:03.459Z\",\"text\":\"bad listener\",\"type\":"
        "\"LDS\"},\"last_seen\":\"2026-11-22T01:02:04.459Z\",\"listener\":\"istiod\","
        "\"locality\":\"here/there/\",\"messages_down\":2,\"messages_up\":5,\"nacks\":1,"
        "\"name\":\"vm1.vms\",\"namespace\":\"vms\",\"network\":\"vm-net\","
        "\"node_id\":\"sidecar~192.168.7.11~vm1.vms~vms.svc.cluster.local\","
        "\"peer\":\"192.168.7.11:51234\",\"reconnect_reasons\":{\"upstream_retired\":1},"
        "\"reconnects\":0,\"refused\":null,\"revision\":\"default\",\"state\":\"disconnected\","
        "\"sync\":[{\"acked\":\"2026-11-22T01:02:03.458Z\",\"all_bytes\":1000,\"bytes\":1000,"
        "\"error\":null,\"nacks\":0,\"nonce\":\"" NONCE "\",\"removed\":0,\"resources\":3,"
        "\"responses\":1,\"sent\":\"2026-11-22T01:02:03.457Z\",\"state\":\"SYNCED\",\"type\":"
        "\"CDS\",\"url\":\"type.googleapis.com/envoy.config.cluster.v3.Cluster\"},"
        "{\"acked\":\"2026-11-22T01:02:03.459Z\",\"all_bytes\":1000,\"bytes\":1000,"
        "\"error\":\"bad listener\",\"nacks\":1,\"nonce\":\"" NONCE "\",\"removed\":0,"
        "\"resources\":3,\"responses\":1,\"sent\":\"2026-11-22T01:02:03.458Z\",\"state\":"
        "\"ERROR\",\"type\":\"LDS\",\"url\":"
        "\"type.googleapis.com/envoy.config.listener.v3.Listener\"}],"
        "\"token_expires\":\"2026-11-22T02:02:03.000Z\",\"types\":{\"CDS\":\"SYNCED\",\"LDS\":"
        "\"ERROR\"},\"unread\":0,\"upstream\":\"istiod\",\"variant\":\"delta\",\"verified\":true,"
        "\"version\":\"1.29.0\",\"workload\":\"web\"}]}");
    json_decref(all);
}

static void test_vm_json__nothing_is_known__keys_are_there(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "x", "192.168.7.11", 0);

    for (size_t i = 0; i < XDS_NODE_TEXTS; i++) {
        g->node.text[i] = "";
    }
    g->node.n_labels = 0;
    g->claim.identity = "";
    g->claim.token_expiry_s = 0;
    g->claim.peer = (struct addr){.family = ADDR_NONE};
    g->claim.upstream = "";
    g->claim.variant = XDS_SOTW;
    registry_refused(f->r, &g->claim, RULE_SIDECAR, "it has no node", f->now_ms);
    json_t *all = list(f, 0);

    assert_json(json_array_get(doc_at(all, "vms", NULL), 0),
                "{\"address\":null,\"bytes_down\":0,\"bytes_up\":0,\"certificate_expires\":null,"
                "\"cluster\":null,\"connected_since\":null,\"endpoint\":null,\"group\":null,"
                "\"health\":\"unknown\",\"id\":\"6e340b9cffb37a98\",\"identity\":null,"
                "\"istiod\":null,\"last_end\":null,\"last_nack\":null,\"last_seen\":null,"
                "\"listener\":\"istiod\",\"nacks\":0,\"name\":null,\"namespace\":null,"
                "\"network\":null,\"peer\":null,\"reconnects\":0,"
                "\"refused\":{\"at\":\"2026-11-22T01:02:03.456Z\",\"detail\":\"it has no node\","
                "\"passed\":false,\"rule\":\"sidecar\",\"times\":1},"
                "\"revision\":null,\"state\":\"refused\",\"token_expires\":null,\"types\":{},"
                "\"upstream\":null,\"variant\":\"sotw\",\"verified\":false,\"version\":null}");
    json_decref(all);
}

/* ---- texts of a VM that means harm ---- */

static void test_vm_json__hostile_texts__are_harmless(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", "192.168.7.11", 1);
    static const char labels[] = "a\x1b[2J=\r\nGET / HTTP/1.1\0"
                                 "empty=\0"
                                 "no equals\0"
                                 "=no key\0"
                                 "empty=second\0"
                                 "<b>=\"&'\\";

    g->node.labels = labels;
    g->node.n_labels = 6;
    guest_set(g, XDS_NODE_VERSION, "\xff\xfe\xc3\x28");
    guest_set(g, XDS_NODE_GROUP, "\xe2\x80\xaegpj.exe");
    guest_set(g, XDS_NODE_NETWORK, "</script><script>alert(1)</script>");
    guest_must_come(f, g);
    (void)guest_request(f, g, XDS_CDS, "", NULL);
    guest_push(f, g, XDS_CDS, "\x07nonce");
    (void)guest_request(f, g, XDS_CDS, "\x07nonce", "\x1b]0;title\x07");
    (void)guest_request(f, g, XDS_HEALTH, "",
                        "\xc2\x9b"
                        "31m");
    json_t *all = find(f, "vm1.vms");
    const json_t *vm = json_array_get(doc_at(all, "vms", NULL), 0);

    assert_json(doc_at(vm, "labels", NULL),
                "{\"\":\"no key\",\"<b>\":\"\\\"&'\\\\\",\"a" FFFD "[2J\":\"" FFFD FFFD
                "GET / HTTP/1.1\",\"empty\":\"\",\"no equals\":\"\"}");
    assert_string_equal(doc_text(vm, "version", NULL), FFFD FFFD FFFD "(");
    assert_string_equal(doc_text(vm, "group", NULL), FFFD "gpj.exe");
    assert_string_equal(doc_text(vm, "network", NULL), "</script><script>alert(1)</script>");
    assert_string_equal(doc_text(vm, "last_nack", "text", NULL), FFFD "]0;title" FFFD);
    assert_string_equal(doc_text(vm, "health_message", NULL), FFFD "31m");
    assert_string_equal(doc_text(json_array_get(doc_at(vm, "sync", NULL), 0), "nonce", NULL),
                        FFFD "nonce");
    json_decref(all);
}

/* Every byte that may be in a text, alone and before another one. */
static void test_vm_json__any_bytes__stay_json(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", "192.168.7.11", 1);
    char group[4];

    for (unsigned first = 1; first < 256; first++) {
        for (unsigned second = 1; second < 256; second += 7) {
            snprintf(group, sizeof(group), "%c%cz", (int)first, (int)second);
            guest_set(g, XDS_NODE_GROUP, group);
            guest_must_enter(f, g);
            json_t *all = list(f, 0);
            const char *shown =
                doc_text(json_array_get(doc_at(all, "vms", NULL), 0), "group", NULL);
            assert_non_null(shown);
            for (const char *c = shown; *c != '\0'; c++) {
                assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
            }
            json_decref(all);
            guest_leave(f, g, END_DOWN_CLOSED);
        }
    }
}

static void test_vm_json__texts_at_their_bounds__are_cut_and_said(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", "192.168.7.11", 1);
    static char labels[XDS_NODE_LABELS * XDS_LABEL_BYTES];
    static char ips[1000];
    size_t n = 0;

    for (unsigned i = 0; i < XDS_NODE_LABELS; i++) {
        n += (size_t)snprintf(labels + n, sizeof(labels) - n, "key%02u=%0300u", i, i) + 1;
    }
    n = 0;
    for (unsigned i = 0; n < sizeof(ips) - 20; i++) {
        n += (size_t)snprintf(ips + n, sizeof(ips) - n, "%s10.0.0.%u", i > 0 ? "," : "", i);
    }
    g->node.labels = labels;
    g->node.n_labels = XDS_NODE_LABELS;
    guest_set(g, XDS_NODE_INSTANCE_IPS, ips);
    guest_must_come(f, g);
    json_t *all = find(f, "vm1");
    const json_t *vm = json_array_get(doc_at(all, "vms", NULL), 0);
    const json_t *addresses = doc_at(vm, "addresses", NULL);

    assert_true(json_is_true(doc_at(vm, "cut", NULL)));
    assert_in_range(json_object_size(doc_at(vm, "labels", NULL)), 8, 13);
    assert_in_range(json_array_size(addresses), 30, 64);
    for (size_t i = 0; i < json_array_size(addresses); i++) {
        char expected[32];
        snprintf(expected, sizeof(expected), "10.0.0.%zu", i);
        assert_string_equal(json_string_value(json_array_get(addresses, i)), expected);
    }
    json_decref(all);
}

/* A token may say that it lives for ever. */
static void test_vm_json__times_that_nobody_can_write__are_null(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", "192.168.7.11", 1);
    const int64_t times[] = {INT64_MAX, INT64_MAX / 1000, INT64_MAX / 1000 + 1, -1, INT64_MIN};

    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        g->claim.token_expiry_s = times[i];
        guest_must_come(f, g);
        json_t *all = list(f, 0);
        assert_true(json_is_null(
            doc_at(json_array_get(doc_at(all, "vms", NULL), 0), "token_expires", NULL)));
        json_decref(all);
        guest_leave(f, g, END_DOWN_CLOSED);
    }
}

/* ---- lists ---- */

static void test_vm_json_list__since__tells_changes_and_who_is_gone(void **state)
{
    struct fixture *f = *state;
    struct guest *a = guest_of(f, "vm1", "192.168.7.11", 1);
    struct guest *b = guest_of(f, "vm2", "192.168.7.12", 2);

    guest_must_come(f, a);
    guest_must_come(f, b);
    json_t *all = list(f, 0);
    assert_string_equal(doc_text(all, "now", NULL), "2026-11-22T01:02:03.456Z");
    assert_int_equal(json_array_size(doc_at(all, "vms", NULL)), 2);
    assert_null(doc_at(all, "gone", NULL));
    uint64_t next = (uint64_t)json_integer_value(doc_at(all, "next", NULL));
    json_decref(all);

    guest_leave(f, a, END_DOWN_CLOSED);
    all = list(f, next);
    assert_int_equal(json_array_size(doc_at(all, "vms", NULL)), 1);
    assert_json(doc_at(all, "gone", NULL), "[]");
    next = (uint64_t)json_integer_value(doc_at(all, "next", NULL));
    json_decref(all);

    f->now_ms += 3600 * 1000;
    registry_sweep(f->r, f->now_ms);
    all = list(f, next);
    assert_json(doc_at(all, "vms", NULL), "[]");
    assert_json(doc_at(all, "gone", NULL), "[\"3133fe0f58c47e30\"]");
    json_decref(all);

    all = list(f, 7); /* of another process: all, and nothing to add it to */
    assert_int_equal(json_array_size(doc_at(all, "vms", NULL)), 1);
    assert_null(doc_at(all, "gone", NULL));
    json_decref(all);
}

static void test_vm_json_find__names_and_ids__give_all_that_are_meant(void **state)
{
    struct fixture *f = *state;
    struct guest *a = guest_of(f, "vm1", "192.168.7.11", 1);
    struct guest *b = guest_of(f, "vm1", "192.168.7.12", 2);
    char *body = NULL;
    size_t n = 0;

    guest_must_come(f, a);
    guest_must_come(f, b);
    json_t *both = find(f, "vm1");
    assert_int_equal(json_array_size(doc_at(both, "vms", NULL)), 2);
    json_decref(both);
    json_t *one = find(f, "3133fe0f58c47e30");
    assert_int_equal(json_array_size(doc_at(one, "vms", NULL)), 1);
    json_decref(one);
    assert_int_equal(vm_json_find(f->r, "vm2", f->now_ms, &body, &n), RC_NOT_FOUND);
    assert_null(body);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, registry_setup, registry_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_vm_json__detail__says_all),
        TEST(test_vm_json__nothing_is_known__keys_are_there),
        TEST(test_vm_json__hostile_texts__are_harmless),
        TEST(test_vm_json__any_bytes__stay_json),
        TEST(test_vm_json__texts_at_their_bounds__are_cut_and_said),
        TEST(test_vm_json__times_that_nobody_can_write__are_null),
        TEST(test_vm_json_list__since__tells_changes_and_who_is_gone),
        TEST(test_vm_json_find__names_and_ids__give_all_that_are_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
