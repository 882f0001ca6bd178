/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of a VM as JSON: what is there, what was changed, what is missing. */
#include "gateway/registry/config_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/doc/doc.h"
#include "tests/gateway/vmconfig/config_fixture.h"

#define FFFD "\357\277\275"
#define URL "type.googleapis.com/"

struct shown {
    struct config_fixture f;
    json_t *json; /* owned */
};

static void start(struct shown *s, enum xds_variant variant)
{
    s->json = NULL;
    config_start(&s->f, variant, CONFIG_BUDGET);
}

static void stop(struct shown *s)
{
    json_decref(s->json);
    config_stop(&s->f);
}

/* The body that was asked for; borrowed until the next one. */
static const json_t *body(struct shown *s, const char *name, bool changes)
{
    struct registry_config c = {.is_on = true, .id = 0xabc, .state = VM_IS_CONNECTED};
    struct doc_error err;
    char *text = NULL;
    size_t n = 0;

    (void)snprintf(c.name, sizeof(c.name), "%s", name);
    (void)config_view(&s->f, &c.config, XDS_CDS);
    assert_int_equal(changes ? config_json_changes(&c, &text, &n) : config_json_dump(&c, &text, &n),
                     RC_OK);
    vm_config_view_fini(&c.config);
    assert_int_equal(strlen(text), n);
    json_decref(s->json);
    assert_int_equal(doc_parse_json(text, n, &err, &s->json), RC_OK);
    free(text);
    return s->json;
}

static const json_t *dump(struct shown *s)
{
    return body(s, "vm1.vms", false);
}

static const json_t *changes(struct shown *s)
{
    return json_object_get(body(s, "vm1.vms", true), "changes");
}

static void bring(struct shown *s, enum xds_type type, const char *nonce, const char *words)
{
    if (strcmp(nonce, "1") == 0) {
        config_ask(&s->f, type, "", "", s->f.variant == XDS_SOTW ? "*" : "");
    }
    config_push(&s->f, type, nonce, words);
    config_ack(&s->f, type, nonce, s->f.variant == XDS_SOTW ? "a b c" : "");
}

static void assert_text(const json_t *v, const char *key, const char *want)
{
    const char *text = json_string_value(json_object_get(v, key));

    if (text == NULL || strcmp(text, want) != 0) {
        fail_msg("%s is %s instead of %s", key, text, want);
    }
}

/* ---- the dump ---- */

static void test_dump__each_type__in_the_list_that_envoy_has_for_it(void **state)
{
    static const struct {
        enum xds_type type;
        const char *message;
        const char *list;
        const char *item;
        const char *name;
    } rows[] = {
        {XDS_CDS, "ClustersConfigDump", "dynamic_active_clusters", "cluster", "name"},
        {XDS_EDS, "EndpointsConfigDump", "dynamic_endpoint_configs", "endpoint_config",
         "cluster_name"},
        {XDS_ECDS, "EcdsConfigDump", "ecds_filters", "ecds_filter", "name"},
        {XDS_LDS, "ListenersConfigDump", "dynamic_listeners", "listener", "name"},
        {XDS_RDS, "RoutesConfigDump", "dynamic_route_configs", "route_config", "name"},
    };
    struct shown s;
    (void)state;
    start(&s, XDS_DELTA);
    for (size_t i = sizeof(rows) / sizeof(rows[0]); i > 0; i--) {
        bring(&s, rows[i - 1].type, "1", "b c");
    }

    const json_t *configs = json_object_get(dump(&s), "configs");
    assert_int_equal(json_array_size(configs), sizeof(rows) / sizeof(rows[0]));
    for (size_t i = 0; i < json_array_size(configs); i++) {
        const json_t *one = json_array_get(configs, i);
        char type[128];
        (void)snprintf(type, sizeof(type), URL "envoy.admin.v3.%s", rows[i].message);
        assert_text(one, "@type", type);
        const json_t *list = json_object_get(one, rows[i].list);
        assert_int_equal(json_array_size(list), 2);
        const json_t *item = json_array_get(list, 0);
        if (rows[i].type == XDS_LDS) {
            assert_text(item, "name", "b");
            item = json_object_get(item, "active_state");
        }
        assert_text(item, "version_info", "v1");
        item = json_object_get(item, rows[i].item);
        assert_text(item, "@type", xds_type_url(rows[i].type));
        assert_text(item, rows[i].name, "b");
    }
    stop(&s);
}

static void test_dump__names_of_the_agent__beside_it(void **state)
{
    struct shown s;
    (void)state;
    start(&s, XDS_DELTA);

    assert_true(json_is_null(doc_at(dump(&s), "xdsgate", "name_table", NULL)));
    bring(&s, XDS_NDS, "1", "a");

    assert_int_equal(json_array_size(json_object_get(dump(&s), "configs")), 0);
    assert_text(doc_at(s.json, "xdsgate", "name_table", NULL), "@type", xds_type_url(XDS_NDS));
    stop(&s);
}

static void test_dump__what_is_known_of_each_type__and_why_one_is_missing(void **state)
{
    struct shown s;
    (void)state;
    start(&s, XDS_DELTA);
    bring(&s, XDS_CDS, "1", "a b");
    config_ask(&s.f, XDS_RDS, "", "", "a");
    vm_config_lose(s.f.c, XDS_RDS, CONFIG_LOSS_FULL);

    const json_t *about = json_object_get(dump(&s), "xdsgate");
    assert_text(about, "id", "0000000000000abc");
    assert_text(about, "name", "vm1.vms");
    assert_text(about, "state", "connected");
    const json_t *types = json_object_get(about, "types");
    assert_int_equal(json_array_size(types), 2);
    const json_t *cds = json_array_get(types, 0);
    assert_text(cds, "type", "CDS");
    assert_text(cds, "state", "kept");
    assert_text(cds, "version", "v1");
    assert_int_equal(json_integer_value(json_object_get(cds, "resources")), 2);
    assert_true(json_integer_value(json_object_get(cds, "bytes")) > 2);
    assert_true(json_is_string(json_object_get(cds, "acked")));
    assert_true(json_is_null(json_object_get(cds, "changed")));
    assert_text(json_array_get(types, 1), "type", "RDS");
    assert_text(json_array_get(types, 1), "state", "full");
    assert_int_equal(json_array_size(json_object_get(s.json, "configs")), 1);
    stop(&s);
}

static void test_dump__hostile_names__harmless(void **state)
{
    struct shown s;
    (void)state;
    start(&s, XDS_DELTA);
    bring(&s, XDS_LDS, "1", "\x1b[2J\302\233");

    const json_t *v = body(&s, "\x1b\xfe", false);
    assert_text(json_object_get(v, "xdsgate"), "name", FFFD FFFD);
    const json_t *listeners =
        json_object_get(json_array_get(json_object_get(v, "configs"), 0), "dynamic_listeners");
    assert_text(json_array_get(listeners, 0), "name", FFFD "[2J" FFFD);
    stop(&s);
}

/* ---- changes ---- */

static void test_changes__none_yet__empty(void **state)
{
    struct shown s;
    (void)state;
    start(&s, XDS_DELTA);
    bring(&s, XDS_CDS, "1", "a b");

    assert_int_equal(json_array_size(changes(&s)), 0);
    assert_int_equal(json_array_size(json_object_get(s.json, "types")), 1);
    stop(&s);
}

static void test_changes__rows__before_and_after(void **state)
{
    struct shown s;
    (void)state;
    start(&s, XDS_DELTA);
    bring(&s, XDS_CDS, "1", "a=x b=x c=x");
    bring(&s, XDS_CDS, "2", "a=y d=x -c");

    const json_t *cds = json_array_get(changes(&s), 0);
    assert_text(cds, "type", "CDS");
    assert_text(cds, "version", "v2");
    assert_true(json_is_false(json_object_get(cds, "lost")));
    const json_t *rows = json_object_get(cds, "resources");
    assert_int_equal(json_array_size(rows), 3);
    assert_text(json_array_get(rows, 0), "name", "a");
    assert_text(json_array_get(rows, 0), "what", "changed");
    assert_text(json_object_get(json_array_get(rows, 0), "before"), "name", "a");
    assert_text(json_object_get(json_array_get(rows, 0), "after"), "name", "a");
    assert_text(json_array_get(rows, 1), "what", "removed");
    assert_true(json_is_null(json_object_get(json_array_get(rows, 1), "after")));
    assert_text(json_array_get(rows, 2), "what", "added");
    assert_true(json_is_null(json_object_get(json_array_get(rows, 2), "before")));
    assert_text(json_object_get(json_array_get(rows, 2), "after"), "@type", xds_type_url(XDS_CDS));
    stop(&s);
}

static void test_changes__of_several_types__the_newest_first(void **state)
{
    static const enum xds_type order[] = {XDS_RDS, XDS_CDS, XDS_LDS};
    struct shown s;
    (void)state;
    start(&s, XDS_DELTA);
    for (size_t i = 0; i < 3; i++) {
        bring(&s, order[i], "1", "a");
    }
    for (size_t i = 3; i > 0; i--) {
        s.f.now_ms += 1000;
        bring(&s, order[i - 1], "2", "b");
    }

    const json_t *list = changes(&s);
    assert_int_equal(json_array_size(list), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_text(json_array_get(list, i), "type", xds_type_name(order[i]));
    }
    stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dump__each_type__in_the_list_that_envoy_has_for_it),
        cmocka_unit_test(test_dump__names_of_the_agent__beside_it),
        cmocka_unit_test(test_dump__what_is_known_of_each_type__and_why_one_is_missing),
        cmocka_unit_test(test_dump__hostile_names__harmless),
        cmocka_unit_test(test_changes__none_yet__empty),
        cmocka_unit_test(test_changes__rows__before_and_after),
        cmocka_unit_test(test_changes__of_several_types__the_newest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
