/* SPDX-License-Identifier: Apache-2.0 */
/* A Node, as xds_request_read() reads it. */
#include "xds/xds_node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/xds/node_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const struct {
    const char *key;
    enum xds_node_text text;
} keys[] = {
    {"NAME", XDS_NODE_NAME},
    {"NAMESPACE", XDS_NODE_NAMESPACE},
    {"SERVICE_ACCOUNT", XDS_NODE_SERVICE_ACCOUNT},
    {"AUTO_REGISTER_GROUP", XDS_NODE_GROUP},
    {"WORKLOAD_ENTRY", XDS_NODE_ENTRY},
    {"INSTANCE_IPS", XDS_NODE_INSTANCE_IPS},
    {"NETWORK", XDS_NODE_NETWORK},
    {"CLUSTER_ID", XDS_NODE_CLUSTER_ID},
    {"MESH_ID", XDS_NODE_MESH_ID},
    {"ISTIO_VERSION", XDS_NODE_VERSION},
    {"WORKLOAD_NAME", XDS_NODE_WORKLOAD},
    {"GENERATOR", XDS_NODE_GENERATOR},
};

static size_t room_of(enum xds_node_text text)
{
    return text == XDS_NODE_ID             ? XDS_NODE_ID_BYTES
           : text == XDS_NODE_INSTANCE_IPS ? XDS_NODE_IPS_BYTES
                                           : XDS_NODE_TEXT_BYTES;
}

/* As an agent of a VM writes it (pkg/bootstrap/config.go), shortened. */
static void make_agents(struct pb_out *node)
{
    struct pb_out metadata = {0};
    struct pb_out labels = {0};
    struct pb_out twice = {0};
    struct pb_out config = {0};
    struct pb_out locality = {0};
    struct pb_out value = {0};

    pb_string_entry(&labels, "app", "web");
    pb_string_entry(&labels, "service.istio.io/canonical-name", "web");
    pb_put(&twice, labels.data, labels.n);
    pb_string_entry(&config, "discoveryAddress", "istiod.istio-system.svc:15012");
    pb_string_entry(&config, "NAMESPACE", "not this one");
    pb_string_entry(&metadata, "ANNOTATIONS_", "unknown");
    for (size_t i = 0; i < COUNT(keys); i++) {
        pb_string_entry(&metadata, keys[i].key, keys[i].key);
    }
    node_put_map(&metadata, "STATIC_LABELS", &labels);
    node_put_map(&metadata, "PROXY_CONFIG", &config);
    node_put_map(&metadata, "LABELS", &twice);
    pb_tag(&value, 2, PB_FIXED64);
    pb_put(&value, "\0\0\0\0\0\x52\xcd\x40", 8); /* 15012 */
    pb_value_entry(&metadata, "ENVOY_STATUS_PORT", &value);
    pb_string_entry(&metadata, "app", "web"); /* each label is metadata, too */
    pb_string_entry(&metadata, "name", "another than NAME");
    pb_text(&locality, 1, "eu");
    pb_text(&locality, 2, "eu-1");
    pb_text(&locality, 3, "rack");
    pb_text(node, 1, "sidecar~192.168.7.11~vm1.vms~vms.svc.cluster.local");
    pb_text(node, 2, "web.vms");
    pb_message(node, NODE_METADATA, &metadata);
    pb_message(node, NODE_LOCALITY, &locality);
    pb_text(node, 6, "envoy");
    pb_text(node, 9, "an extension");
    pb_text(node, 10, "envoy.lb.does_not_support_overprovisioning");
}

static void assert_agents(const struct xds_node *node)
{
    assert_string_equal(node->text[XDS_NODE_ID],
                        "sidecar~192.168.7.11~vm1.vms~vms.svc.cluster.local");
    assert_string_equal(node->text[XDS_NODE_CLUSTER], "web.vms");
    for (size_t i = 0; i < COUNT(keys); i++) {
        assert_string_equal(node->text[keys[i].text], keys[i].key);
    }
    assert_string_equal(node->text[XDS_NODE_LOCALITY], "eu/eu-1/rack");
    assert_int_equal(node->n_labels, 2);
    assert_string_equal(xds_node_label(node, "app"), "web");
    assert_string_equal(xds_node_label(node, "service.istio.io/canonical-name"), "web");
    assert_true(node->has_proxy_config);
    assert_false(node->odd);
    assert_false(node->cut);
}

static void test_xds_node__of_an_agent__is_read_wherever_it_is_split(void **state)
{
    struct pb_out node = {0};
    (void)state;

    make_agents(&node);
    for (size_t cut = 0; cut <= node.n; cut++) {
        struct xds_node *out = node_read_split(&node, cut);
        assert_non_null(out);
        assert_agents(out);
        free(out);
    }
    pb_free(&node);
}

static void test_xds_node__cut_anywhere__is_read_or_malformed(void **state)
{
    struct pb_out node = {0};
    size_t n_good = 0;
    (void)state;

    make_agents(&node);
    for (size_t n = 0; n < node.n; n++) {
        struct pb_out cut = {.data = node.data, .n = n};
        struct xds_node *out = node_read_split(&cut, 0);
        n_good += out != NULL;
        free(out);
    }
    assert_int_equal(n_good, 7); /* between the fields of the Node only */
    pb_free(&node);
}

static void test_xds_node__nothing_in_it__has_empty_texts(void **state)
{
    struct pb_out node = {0};
    (void)state;

    struct xds_node *out = node_read(&node);
    for (size_t i = 0; i < XDS_NODE_TEXTS; i++) {
        assert_string_equal(out->text[i], "");
    }
    assert_int_equal(out->n_labels, 0);
    assert_null(xds_node_label(out, ""));
    assert_false(out->has_proxy_config);
    assert_false(out->odd);
    assert_false(out->cut);
    free(out);
}

static void test_xds_node__value_before_its_key__is_read_the_same(void **state)
{
    struct pb_out metadata = {0};
    struct pb_out value = {0};
    struct pb_out entry = {0};
    struct pb_out label = {0};
    struct pb_out labels = {0};
    (void)state;

    pb_text(&value, 3, "vms");
    pb_message(&entry, 2, &value);
    pb_text(&entry, 1, "NAMESPACE");
    pb_message(&metadata, 1, &entry);

    pb_text(&value, 3, "web");
    pb_message(&label, 2, &value);
    pb_text(&label, 1, "app");
    pb_message(&labels, 1, &label);
    pb_message(&value, VALUE_STRUCT, &labels);
    pb_message(&entry, 2, &value);
    pb_text(&entry, 1, "LABELS");
    pb_message(&metadata, 1, &entry);

    struct xds_node *out = node_read_metadata(&metadata);
    assert_string_equal(out->text[XDS_NODE_NAMESPACE], "vms");
    node_assert_labels(out, "app=web ");
    assert_false(out->odd);
    free(out);
}

static void test_xds_node__missing_key_or_value__is_empty_or_odd(void **state)
{
    struct pb_out metadata = {0};
    struct pb_out value = {0};
    struct pb_out entry = {0};
    struct xds_node *out;
    (void)state;

    pb_text(&value, 3, "value of no key");
    pb_message(&entry, 2, &value);
    pb_message(&metadata, 1, &entry);
    out = node_read_metadata(&metadata);
    assert_false(out->odd);
    free(out);

    pb_text(&entry, 1, "NAMESPACE"); /* and no value */
    pb_message(&metadata, 1, &entry);
    out = node_read_metadata(&metadata);
    assert_string_equal(out->text[XDS_NODE_NAMESPACE], "");
    assert_true(out->odd);
    free(out);

    struct pb_out label = {0};
    struct pb_out map = {0};
    pb_text(&value, 3, "web");
    pb_message(&label, 2, &value);
    pb_message(&map, 1, &label);
    node_put_map(&metadata, "LABELS", &map);
    out = node_read_metadata(&metadata);
    node_assert_labels(out, "=web ");
    assert_string_equal(xds_node_label(out, ""), "web");
    assert_false(out->odd);
    free(out);
}

static void test_xds_node__key_twice__last_one_counts_and_is_odd(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(keys); i++) {
        struct pb_out metadata = {0};
        pb_string_entry(&metadata, keys[i].key, "the first, which is longer");
        pb_string_entry(&metadata, keys[i].key, "last");
        struct xds_node *out = node_read_metadata(&metadata);
        assert_string_equal(out->text[keys[i].text], "last");
        assert_true(out->odd);
        free(out);
    }
}

static void test_xds_node__same_twice__is_odd_also_with_the_same_value(void **state)
{
    static const char *const names[] = {"PROXY_CONFIG", "LABELS", "STATIC_LABELS"};
    struct pb_out metadata = {0};
    struct pb_out node = {0};
    struct xds_node *out;
    (void)state;

    pb_string_entry(&metadata, "NETWORK", "a");
    pb_string_entry(&metadata, "NETWORK", "a");
    out = node_read_metadata(&metadata);
    assert_true(out->odd);
    free(out);
    for (size_t i = 0; i < COUNT(names); i++) {
        struct pb_out map = {0};
        node_put_map(&metadata, names[i], &map);
        node_put_map(&metadata, names[i], &map);
        out = node_read_metadata(&metadata);
        assert_true(out->odd);
        free(out);
    }
    for (uint32_t number = 1; number <= NODE_LOCALITY; number++) {
        pb_text(&node, number, "");
        pb_text(&node, number, "");
        out = node_read(&node);
        assert_true(out->odd);
        free(out);
    }
    for (uint32_t number = 1; number <= 3; number++) {
        struct pb_out locality = {0};
        pb_text(&locality, number, "a");
        pb_text(&locality, number, "a");
        pb_message(&node, NODE_LOCALITY, &locality);
        out = node_read(&node);
        assert_true(out->odd);
        free(out);
    }
}

static void test_xds_node__parts_of_an_entry_twice__are_odd(void **state)
{
    struct pb_out metadata = {0};
    struct pb_out entry = {0};
    struct pb_out value = {0};
    struct xds_node *out;
    (void)state;

    pb_text(&entry, 1, "NETWORK");
    pb_text(&value, 3, "a");
    pb_message(&entry, 2, &value);
    pb_text(&entry, 1, "NAMESPACE");
    pb_message(&metadata, 1, &entry);
    out = node_read_metadata(&metadata);
    assert_string_equal(out->text[XDS_NODE_NAMESPACE], "a");
    assert_true(out->odd);
    free(out);

    pb_text(&entry, 1, "NETWORK");
    for (int i = 0; i < 2; i++) {
        pb_text(&value, 3, i == 0 ? "a" : "b");
        pb_message(&entry, 2, &value);
    }
    pb_message(&metadata, 1, &entry);
    out = node_read_metadata(&metadata);
    assert_string_equal(out->text[XDS_NODE_NETWORK], "b");
    assert_true(out->odd);
    free(out);

    pb_text(&value, 3, "a");
    pb_text(&entry, 1, "NETWORK");
    pb_message(&entry, 2, &value);
    pb_message(&entry, 2, &value); /* empty */
    pb_message(&metadata, 1, &entry);
    out = node_read_metadata(&metadata);
    assert_string_equal(out->text[XDS_NODE_NETWORK], "a");
    assert_true(out->odd);
    free(out);

    pb_number(&value, 4, 1);
    pb_text(&value, 3, "a"); /* the last of a oneof counts */
    pb_value_entry(&metadata, "NETWORK", &value);
    out = node_read_metadata(&metadata);
    assert_string_equal(out->text[XDS_NODE_NETWORK], "a");
    assert_true(out->odd);
    free(out);

    pb_text(&value, 3, "a");
    pb_number(&value, 4, 1);
    pb_value_entry(&metadata, "NETWORK", &value);
    out = node_read_metadata(&metadata);
    assert_string_equal(out->text[XDS_NODE_NETWORK], "");
    assert_true(out->odd);
    free(out);
}

static void test_xds_node__key_in_other_letters__is_the_key_as_for_istiod(void **state)
{
    static const char *const spellings[] = {"service_account", "Service_Account",
                                            "\305\277ervice_account", "SERVICE_ACCOUNT"};
    struct pb_out metadata = {0};
    struct xds_node *out;
    (void)state;

    for (size_t i = 0; i < COUNT(spellings); i++) {
        pb_string_entry(&metadata, spellings[i], "admin");
        out = node_read_metadata(&metadata);
        assert_string_equal(out->text[XDS_NODE_SERVICE_ACCOUNT], "admin");
        assert_false(out->odd);
        free(out);
    }
    pb_string_entry(&metadata, "networ\xe2\x84\xaa", "b");
    out = node_read_metadata(&metadata);
    assert_string_equal(out->text[XDS_NODE_NETWORK], "b");
    free(out);

    pb_string_entry(&metadata, "NETWOR\xc3\x84", "no");
    pb_string_entry(&metadata, "NETWORK ", "no");
    pb_string_entry(&metadata, "NETWOR", "no");
    pb_string_entry(&metadata, "", "no");
    out = node_read_metadata(&metadata);
    assert_string_equal(out->text[XDS_NODE_NETWORK], "");
    free(out);
}

static void test_xds_node__two_spellings__are_odd_when_their_values_differ(void **state)
{
    struct pb_out metadata = {0};
    struct pb_out map = {0};
    struct xds_node *out;
    (void)state;

    for (int differs = 0; differs <= 1; differs++) {
        pb_string_entry(&metadata, "NAMESPACE", "vms");
        pb_string_entry(&metadata, "namespace", differs == 1 ? "kube-system" : "vms");
        out = node_read_metadata(&metadata);
        assert_int_equal(out->odd, differs == 1);
        free(out);

        pb_string_entry(&map, "app", "web");
        node_put_map(&metadata, "LABELS", &map);
        pb_string_entry(&map, "app", differs == 1 ? "bank" : "web");
        pb_string_entry(&map, "tier", "front");
        node_put_map(&metadata, "labels", &map);
        out = node_read_metadata(&metadata);
        node_assert_labels(out,
                           differs == 1 ? "app=web app=bank tier=front " : "app=web tier=front ");
        assert_int_equal(out->odd, differs == 1);
        free(out);
    }
}

/* Agents make metadata of every label, and "name" is a usual one. */
static void test_xds_node__name_in_other_letters__is_not_the_name(void **state)
{
    struct pb_out metadata = {0};
    (void)state;

    pb_string_entry(&metadata, "NAME", "vm1");
    pb_string_entry(&metadata, "name", "web");
    struct xds_node *out = node_read_metadata(&metadata);
    assert_string_equal(out->text[XDS_NODE_NAME], "vm1");
    assert_false(out->odd);
    free(out);
}

static void test_xds_node__value_that_is_no_string__is_odd_and_absent(void **state)
{
    (void)state;

    for (uint32_t number = 1; number <= 6; number++) {
        struct pb_out metadata = {0};
        struct pb_out value = {0};
        if (number == 2) {
            pb_tag(&value, 2, PB_FIXED64);
            pb_put(&value, "12345678", 8);
        } else if (number == 1 || number == 4) {
            pb_number(&value, number, 1);
        } else {
            pb_text(&value, number, "");
        }
        struct pb_out unwanted = {0};
        pb_put(&unwanted, value.data, value.n);
        pb_value_entry(&metadata, "NAMESPACE", &value);
        pb_value_entry(&metadata, "SOMETHING", &unwanted);
        struct xds_node *out = node_read_metadata(&metadata);
        assert_string_equal(out->text[XDS_NODE_NAMESPACE], "");
        assert_int_equal(out->odd, number != 3);
        free(out);
    }
}

static void test_xds_node__nul__is_odd_and_hides_nothing(void **state)
{
    struct pb_out metadata = {0};
    struct pb_out value = {0};
    struct pb_out node = {0};
    struct pb_out map = {0};
    struct xds_node *out;
    (void)state;

    pb_bytes(&value, 3, "vms\0x", 5);
    pb_value_entry(&metadata, "NAMESPACE", &value);
    out = node_read_metadata(&metadata);
    assert_string_equal(out->text[XDS_NODE_NAMESPACE], "vms x");
    assert_true(out->odd);
    free(out);

    pb_bytes(&value, 3, "web\0x", 5);
    pb_value_entry(&map, "app", &value);
    node_put_map(&metadata, "LABELS", &map);
    out = node_read_metadata(&metadata);
    node_assert_labels(out, "app=web x ");
    assert_true(out->odd);
    free(out);

    pb_bytes(&node, 1, "\0", 1);
    out = node_read(&node);
    assert_string_equal(out->text[XDS_NODE_ID], " ");
    assert_true(out->odd);
    free(out);
}

static void test_xds_node__text_longer_than_its_room__is_cut_and_told(void **state)
{
    char text[2 * XDS_NODE_IPS_BYTES];
    (void)state;

    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < COUNT(keys); i++) {
        size_t room = room_of(keys[i].text);
        for (size_t n = room - 1; n <= sizeof(text) - 1; n += n < room ? 1 : 500) {
            struct pb_out metadata = {0};
            text[n] = '\0';
            pb_string_entry(&metadata, keys[i].key, text);
            text[n] = 'x';
            struct xds_node *out = node_read_metadata(&metadata);
            assert_int_equal(strlen(out->text[keys[i].text]), room - 1);
            assert_int_equal(out->cut, n >= room);
            assert_false(out->odd);
            free(out);
        }
    }
    for (uint32_t number = 1; number <= 2; number++) {
        struct pb_out node = {0};
        pb_bytes(&node, number, text, sizeof(text));
        struct xds_node *out = node_read(&node);
        enum xds_node_text which = number == 1 ? XDS_NODE_ID : XDS_NODE_CLUSTER;
        assert_int_equal(strlen(out->text[which]), room_of(which) - 1);
        assert_true(out->cut);
        free(out);
    }
}

static void test_xds_node__cut_text__ends_with_a_whole_character(void **state)
{
    char text[XDS_NODE_TEXT_BYTES + 10];
    struct pb_out metadata = {0};
    (void)state;

    memset(text, 'x', sizeof(text));
    memcpy(text + XDS_NODE_TEXT_BYTES - 2, "\xc3\xa4", 2); /* its last byte has no room */
    text[sizeof(text) - 1] = '\0';
    pb_string_entry(&metadata, "NETWORK", text);
    struct xds_node *out = node_read_metadata(&metadata);
    assert_int_equal(strlen(out->text[XDS_NODE_NETWORK]), XDS_NODE_TEXT_BYTES - 2);
    free(out);
}

static void test_xds_node__everything_at_its_longest__fits_into_the_block(void **state)
{
    char text[XDS_NODE_IPS_BYTES];
    struct pb_out metadata = {0};
    struct pb_out node = {0};
    (void)state;

    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < COUNT(keys); i++) {
        size_t n = room_of(keys[i].text) - 1;
        text[n] = '\0';
        pb_string_entry(&metadata, keys[i].key, text);
        text[n] = 'x';
    }
    node_put_labels(&metadata, "LABELS", 20, 300); /* more than the texts leave room for */
    pb_bytes(&node, 1, text, XDS_NODE_ID_BYTES - 1);
    pb_bytes(&node, 2, text, XDS_NODE_TEXT_BYTES - 1);
    pb_message(&node, NODE_METADATA, &metadata);
    struct xds_node *out = node_read(&node);
    assert_true(out->n_bytes <= XDS_NODE_BYTES && out->n_bytes > XDS_NODE_BYTES - 400);
    assert_true(out->n_labels > 5 && out->n_labels < 20);
    assert_string_equal(xds_node_label(out, "key0") + 299, "v");
    for (size_t i = 0; i < COUNT(keys); i++) {
        assert_string_equal(out->text[keys[i].text] + room_of(keys[i].text) - 2, "x");
    }
    assert_true(out->cut);
    free(out);
}

static void test_xds_node__not_utf8__is_malformed_where_it_is_read(void **state)
{
    (void)state;

    for (int where = 0; where < 6; where++) {
        struct pb_out metadata = {0};
        struct pb_out locality = {0};
        struct pb_out node = {0};
        struct pb_out map = {0};
        pb_text(&node, 1, where == 0 ? "\xff" : "id");
        pb_text(&locality, 2, where == 1 ? "\xc3" : "zone");
        pb_string_entry(&metadata, where == 2 ? "KEY\xc3" : "KEY", "value");
        pb_string_entry(&metadata, "NETWORK", where == 3 ? "\xe2\x82" : "net");
        pb_string_entry(&map, where == 4 ? "\x80" : "app", where == 5 ? "\xc0\xaf" : "web");
        node_put_map(&metadata, "LABELS", &map);
        pb_message(&node, NODE_METADATA, &metadata);
        pb_message(&node, NODE_LOCALITY, &locality);
        pb_text(&node, 6, "not read\xff");
        assert_null(node_read_split(&node, 0));
        pb_free(&node);
    }
}

/* Each costs time before any rule is asked, so their number has a bound. */
static void test_xds_node__very_many_entries__are_malformed(void **state)
{
    (void)state;

    for (int row = 0; row < 3; row++) {
        struct pb_out metadata = {0};
        struct pb_out node = {0};
        struct pb_out entry = {0};
        for (size_t i = 0; row < 2 && i < (row == 0 ? 5000 : 6000); i++) {
            pb_string_entry(&metadata, "K", "V");
        }
        for (size_t i = 0; row == 2 && i < 20000; i++) {
            pb_text(&entry, 1, "K");
        }
        pb_message(&metadata, 1, &entry);
        pb_message(&node, NODE_METADATA, &metadata);
        struct xds_node *read = node_read_split(&node, 0);
        assert_true((read != NULL) == (row == 0));
        free(read);
        pb_free(&node);
    }
}

static void test_xds_node__metadata_after_locality__are_not_mixed_up(void **state)
{
    struct pb_out metadata = {0};
    struct pb_out locality = {0};
    struct pb_out node = {0};
    (void)state;

    pb_text(&locality, 1, "eu");
    pb_string_entry(&metadata, "NETWORK", "net");
    pb_message(&node, NODE_LOCALITY, &locality);
    pb_message(&node, NODE_METADATA, &metadata);
    struct xds_node *out = node_read(&node);
    assert_string_equal(out->text[XDS_NODE_NETWORK], "net");
    assert_string_equal(out->text[XDS_NODE_LOCALITY], "eu");
    assert_false(out->odd);
    free(out);
}

static void test_xds_node__locality__is_written_as_istiod_does(void **state)
{
    static const char *const rows[][4] = {
        {"", "", "", ""},   {"r", "", "", "r"},  {"r", "z", "", "r/z"},
        {"", "z", "s", ""}, {"r", "", "s", "r"}, {"r", "z", "s", "r/z/s"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct pb_out locality = {0};
        struct pb_out node = {0};
        for (uint32_t k = 0; k < 3; k++) {
            pb_text(&locality, k + 1, rows[i][k]);
        }
        pb_text(&locality, 4, "unknown");
        pb_message(&node, NODE_LOCALITY, &locality);
        struct xds_node *out = node_read(&node);
        assert_string_equal(out->text[XDS_NODE_LOCALITY], rows[i][3]);
        assert_false(out->odd);
        free(out);
    }
}

static void test_xds_node_id__four_parts__are_found(void **state)
{
    struct xds_node_id id;
    (void)state;

    assert_int_equal(xds_node_id_parse("sidecar~192.168.7.11~vm1.vms~vms.svc.cluster.local", &id),
                     RC_OK);
    assert_memory_equal(id.type, "sidecar~", 8);
    assert_int_equal(id.n_type, 7);
    assert_memory_equal(id.ip, "192.168.7.11~", 13);
    assert_int_equal(id.n_ip, 12);
    assert_memory_equal(id.name, "vm1.vms~", 8);
    assert_int_equal(id.n_name, 7);
    assert_string_equal(id.domain, "vms.svc.cluster.local");
    assert_int_equal(id.n_domain, 21);

    assert_int_equal(xds_node_id_parse("~~~", &id), RC_OK);
    assert_int_equal(id.n_type + id.n_ip + id.n_name + id.n_domain, 0);
}

static void test_xds_node_id__other_number_of_parts__is_malformed(void **state)
{
    static const char *const rows[] = {"", "sidecar", "a~b", "a~b~c", "~~", "a~b~c~d~", "~~~~~"};
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct xds_node_id id;
        assert_int_equal(xds_node_id_parse(rows[i], &id), RC_PEER_MALFORMED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xds_node__of_an_agent__is_read_wherever_it_is_split),
        cmocka_unit_test(test_xds_node__cut_anywhere__is_read_or_malformed),
        cmocka_unit_test(test_xds_node__nothing_in_it__has_empty_texts),
        cmocka_unit_test(test_xds_node__value_before_its_key__is_read_the_same),
        cmocka_unit_test(test_xds_node__missing_key_or_value__is_empty_or_odd),
        cmocka_unit_test(test_xds_node__key_twice__last_one_counts_and_is_odd),
        cmocka_unit_test(test_xds_node__same_twice__is_odd_also_with_the_same_value),
        cmocka_unit_test(test_xds_node__parts_of_an_entry_twice__are_odd),
        cmocka_unit_test(test_xds_node__key_in_other_letters__is_the_key_as_for_istiod),
        cmocka_unit_test(test_xds_node__two_spellings__are_odd_when_their_values_differ),
        cmocka_unit_test(test_xds_node__name_in_other_letters__is_not_the_name),
        cmocka_unit_test(test_xds_node__value_that_is_no_string__is_odd_and_absent),
        cmocka_unit_test(test_xds_node__nul__is_odd_and_hides_nothing),
        cmocka_unit_test(test_xds_node__text_longer_than_its_room__is_cut_and_told),
        cmocka_unit_test(test_xds_node__cut_text__ends_with_a_whole_character),
        cmocka_unit_test(test_xds_node__everything_at_its_longest__fits_into_the_block),
        cmocka_unit_test(test_xds_node__not_utf8__is_malformed_where_it_is_read),
        cmocka_unit_test(test_xds_node__very_many_entries__are_malformed),
        cmocka_unit_test(test_xds_node__metadata_after_locality__are_not_mixed_up),
        cmocka_unit_test(test_xds_node__locality__is_written_as_istiod_does),
        cmocka_unit_test(test_xds_node_id__four_parts__are_found),
        cmocka_unit_test(test_xds_node_id__other_number_of_parts__is_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
