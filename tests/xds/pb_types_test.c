/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/pb_types.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/countdown_malloc.h"
#include "tests/xds/pb_out.h"
#include "tests/xds/pb_types_fixture.h"

static const struct pb_message *find(const struct pb_types *types, const char *name)
{
    const struct pb_message *m = pb_types_find(types, name, strlen(name));

    assert_non_null(m);
    assert_int_equal(m->n_name, strlen(name));
    assert_memory_equal(m->name, name, m->n_name);
    return m;
}

static const struct pb_member *member(const struct pb_message *m, uint32_t number, const char *name)
{
    const struct pb_member *found = pb_message_member(m, number);

    assert_non_null(found);
    assert_int_equal(found->number, number);
    assert_int_equal(found->n_name, strlen(name));
    assert_memory_equal(found->name, name, found->n_name);
    return found;
}

static void test_pb_types__members__are_as_declared(void **state)
{
    struct pb_types *types = pb_types_of_kinds();
    const struct pb_message *one = find(types, "kinds.One");
    const struct pb_message *many = find(types, "kinds.Many");
    (void)state;

    for (uint32_t number = 1; number <= 16; number++) {
        const struct pb_member *m = pb_message_member(one, number);
        assert_int_equal(m->number, number);
        assert_false(m->is_repeated || m->is_map || m->has_presence || m->is_sensitive);
        assert_int_equal(m->oneof, PB_NO_ONEOF);
        assert_true(pb_message_member(many, number)->is_repeated);
        assert_int_equal(pb_message_member(many, number)->kind, m->kind);
    }
    assert_int_equal(member(one, 1, "a_double")->kind, PB_KIND_DOUBLE);
    assert_int_equal(member(one, 12, "a_sfixed64")->kind, PB_KIND_SFIXED64);
    assert_int_equal(member(one, 16, "color")->kind, PB_KIND_ENUM);
    assert_true(member(one, 17, "one")->has_presence);
    assert_ptr_equal(pb_types_at(types, member(one, 17, "one")->type), one);
    assert_null(pb_message_member(one, 0));
    assert_null(pb_message_member(one, 19));
    assert_null(pb_message_member(one, UINT32_MAX));
    pb_types_free(&types);
    assert_null(types);
    pb_types_free(&types);
}

static void test_pb_types__presence_and_oneofs__are_told(void **state)
{
    struct pb_types *types = pb_types_of_kinds();
    const struct pb_message *optional = find(types, "kinds.Optional");
    const struct pb_message *choice = find(types, "kinds.Choice");
    (void)state;

    assert_true(member(optional, 4, "an_int64")->has_presence);
    assert_int_equal(member(optional, 4, "an_int64")->oneof, PB_NO_ONEOF);
    assert_null(pb_message_member(optional, 2)); /* between two that are there */
    assert_null(pb_message_member(optional, 12));
    assert_int_equal(choice->n_oneofs, 2);
    assert_int_equal(member(choice, 1, "number")->oneof, 0);
    assert_int_equal(member(choice, 3, "one")->oneof, 0);
    assert_int_equal(member(choice, 6, "no")->oneof, 1);
    assert_true(member(choice, 1, "number")->has_presence);
    assert_false(member(choice, 4, "beside")->has_presence);
    pb_types_free(&types);
}

static void test_pb_types__maps_secrets_and_forms__are_told(void **state)
{
    struct pb_types *types = pb_types_of_kinds();
    const struct pb_message *secret = find(types, "kinds.Secret");
    const struct pb_member *map = member(find(types, "kinds.Maps"), 12, "by_string");
    (void)state;

    assert_true(map->is_map && map->is_repeated);
    const struct pb_message *entry = pb_types_at(types, map->type);
    assert_int_equal(member(entry, 1, "key")->kind, PB_KIND_STRING);
    assert_ptr_equal(pb_types_at(types, member(entry, 2, "value")->type),
                     find(types, "kinds.Maps"));
    assert_false(member(find(types, "kinds.Many"), 17, "one")->is_map);
    assert_true(member(secret, 1, "a_string")->is_sensitive);
    assert_true(member(secret, 6, "by_string")->is_sensitive);
    assert_false(member(secret, 10, "inside")->is_sensitive);
    assert_false(member(secret, 13, "not_secret")->is_sensitive);
    assert_int_equal(find(types, "google.protobuf.Any")->form, PB_ANY);
    assert_int_equal(find(types, "google.protobuf.BytesValue")->form, PB_WRAPPER);
    assert_int_equal(find(types, "google.protobuf.Empty")->form, PB_PLAIN);
    assert_int_equal(find(types, "kinds.Known")->form, PB_PLAIN);
    pb_types_free(&types);
}

static void assert_enum(const struct pb_types *types, uint32_t type, int32_t value,
                        const char *expected)
{
    size_t n = 0;
    const char *name = pb_types_enum_name(types, type, value, &n);

    if (expected == NULL) {
        assert_null(name);
        return;
    }
    assert_non_null(name);
    assert_int_equal(n, strlen(expected));
    assert_memory_equal(name, expected, n);
}

static void test_pb_types__enum_values__are_found_by_number(void **state)
{
    struct pb_types *types = pb_types_of_kinds();
    const struct pb_message *one = find(types, "kinds.One");
    uint32_t color = pb_message_member(one, 16)->type;
    uint32_t null = pb_message_member(one, 18)->type;
    (void)state;

    assert_enum(types, color, 0, "RED");
    assert_enum(types, color, 1, "GREEN"); /* the first of two */
    assert_enum(types, color, INT32_MAX, "LAST");
    assert_enum(types, color, -1, "BELOW");
    assert_enum(types, color, 3, NULL);
    assert_enum(types, color, INT32_MIN, NULL);
    assert_false(pb_types_enum_is_null(types, color));
    assert_true(pb_types_enum_is_null(types, null));
    pb_types_free(&types);
}

static void test_pb_types__names__are_found_whole_only(void **state)
{
    struct pb_types *types = pb_types_of_kinds();
    const struct pb_message *one = find(types, "kinds.One");
    (void)state;

    assert_null(pb_types_find(types, "kinds.One", 8));
    assert_null(pb_types_find(types, "kinds.Ones", 10));
    assert_null(pb_types_find(types, ".kinds.One", 10));
    assert_null(pb_types_find(types, "kinds.Color", 11)); /* an enum */
    assert_null(pb_types_find(types, "", 0));
    assert_int_equal(pb_message_member_named(one, "an_int32", 8)->number, 3);
    assert_int_equal(pb_message_member_named(one, "anInt32", 7)->number, 3);
    assert_int_equal(pb_message_member_named(one, "someBytes", 9)->number, 15);
    assert_null(pb_message_member_named(one, "AnInt32", 7));
    assert_null(pb_message_member_named(one, "an_int3", 7));
    assert_null(pb_message_member_named(one, "anInt3", 6));
    assert_null(pb_message_member_named(one, "anInt322", 8));
    assert_null(pb_message_member_named(one, "", 0));
    pb_types_free(&types);
}

static void test_pb_types__of_envoy__have_what_istiod_sends(void **state)
{
    static const char *const names[] = {
        "envoy.config.listener.v3.Listener",
        "envoy.config.cluster.v3.Cluster",
        "envoy.config.route.v3.RouteConfiguration",
        "envoy.config.endpoint.v3.ClusterLoadAssignment",
        "envoy.config.core.v3.TypedExtensionConfig",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "envoy.extensions.filters.http.wasm.v3.Wasm",
        "envoy.extensions.wasm.v3.PluginConfig",
        "envoy.tcp.metadataexchange.config.MetadataExchange",
        "io.istio.http.peer_metadata.Config",
        "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
        "stats.PluginConfig",
        "udpa.type.v1.TypedStruct",
        "xds.type.v3.TypedStruct",
        "xds.type.matcher.v3.IPMatcher",
    };
    struct pb_types *types = NULL;
    (void)state;

    assert_int_equal(pb_types_envoy(&types), RC_OK);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)find(types, names[i]);
    }
    const struct pb_message *m =
        find(types, "envoy.extensions.transport_sockets.tls.v3.TlsCertificate");
    assert_true(member(m, 2, "private_key")->is_sensitive);
    assert_true(member(m, 3, "password")->is_sensitive);
    assert_false(member(m, 1, "certificate_chain")->is_sensitive);
    m = find(types, "envoy.extensions.transport_sockets.tls.v3.TlsSessionTicketKeys");
    assert_true(member(m, 1, "keys")->is_sensitive);
    m = find(types, "envoy.extensions.transport_sockets.tls.v3.GenericSecret");
    assert_true(member(m, 1, "secret")->is_sensitive);
    assert_int_equal(find(types, "udpa.type.v1.TypedStruct")->form, PB_TYPED_STRUCT);
    assert_int_equal(find(types, "xds.type.v3.TypedStruct")->form, PB_TYPED_STRUCT);
    pb_types_free(&types);
}

static void field(struct pb_out *message, const char *name, uint32_t number, enum pb_kind kind,
                  const char *type_name)
{
    struct pb_out f = {0};

    pb_text(&f, 1, name);
    pb_number(&f, 3, number);
    pb_number(&f, 4, 1);
    pb_number(&f, 5, kind);
    if (type_name != NULL) {
        pb_text(&f, 6, type_name);
    }
    pb_message(message, 2, &f);
}

/* The result for a set of one file with that package and message; frees the message. */
static enum rc read_one(const char *package, const char *name, struct pb_out *fields)
{
    struct pb_types *types = NULL;
    struct pb_out message = {0};
    struct pb_out file = {0};
    struct pb_out set = {0};

    pb_text(&message, 1, name);
    pb_put(&message, fields->data, fields->n);
    pb_free(fields);
    pb_text(&file, 2, package);
    pb_message(&file, 4, &message);
    pb_message(&set, 1, &file);
    enum rc rc = pb_types_new(set.data, set.n, &types);
    assert_int_equal(rc == RC_OK, types != NULL);
    pb_types_free(&types);
    pb_free(&set);
    return rc;
}

static void test_pb_types__what_is_no_set__is_malformed(void **state)
{
    struct pb_out o = {0};
    (void)state;

    assert_int_equal(read_one("a", "M", &o), RC_OK);
    field(&o, "itself", 1, PB_KIND_MESSAGE, ".a.M");
    assert_int_equal(read_one("a", "M", &o), RC_OK);
    field(&o, "nowhere", 1, PB_KIND_MESSAGE, ".a.N");
    assert_int_equal(read_one("a", "M", &o), RC_PEER_MALFORMED);
    field(&o, "not_in_full", 1, PB_KIND_MESSAGE, "a.M");
    assert_int_equal(read_one("a", "M", &o), RC_PEER_MALFORMED);
    field(&o, "no_enum", 1, PB_KIND_ENUM, ".a.M");
    assert_int_equal(read_one("a", "M", &o), RC_PEER_MALFORMED);
    field(&o, "no_type", 1, PB_KIND_MESSAGE, NULL);
    assert_int_equal(read_one("a", "M", &o), RC_PEER_MALFORMED);
    field(&o, "no_number", 0, PB_KIND_INT32, NULL);
    assert_int_equal(read_one("a", "M", &o), RC_PEER_MALFORMED);
    field(&o, "one", 1, PB_KIND_INT32, NULL);
    field(&o, "the_same", 1, PB_KIND_INT32, NULL);
    assert_int_equal(read_one("a", "M", &o), RC_PEER_MALFORMED);
}

static void test_pb_types__a_known_message_of_another_shape__is_malformed(void **state)
{
    struct pb_out o = {0};
    (void)state;

    field(&o, "seconds", 1, PB_KIND_INT64, NULL);
    field(&o, "nanos", 2, PB_KIND_INT32, NULL);
    assert_int_equal(read_one("google.protobuf", "Duration", &o), RC_OK);
    field(&o, "seconds", 1, PB_KIND_INT64, NULL);
    assert_int_equal(read_one("google.protobuf", "Duration", &o), RC_PEER_MALFORMED);
    field(&o, "seconds", 1, PB_KIND_STRING, NULL);
    field(&o, "nanos", 2, PB_KIND_INT32, NULL);
    assert_int_equal(read_one("google.protobuf", "Duration", &o), RC_PEER_MALFORMED);
    field(&o, "fields", 1, PB_KIND_MESSAGE, ".google.protobuf.Struct"); /* no map */
    assert_int_equal(read_one("google.protobuf", "Struct", &o), RC_PEER_MALFORMED);
}

static void test_pb_types__messages_in_messages_without_end__are_malformed(void **state)
{
    struct pb_types *types = NULL;
    struct pb_out o = {0};
    (void)state;

    pb_text(&o, 1, "M");
    for (int i = 0; i < 20; i++) {
        struct pb_out outer = {0};
        pb_text(&outer, 1, "M");
        pb_message(&outer, 3, &o);
        o = outer;
    }
    struct pb_out file = {0};
    struct pb_out set = {0};
    pb_message(&file, 4, &o);
    pb_message(&set, 1, &file);
    assert_int_equal(pb_types_new(set.data, set.n, &types), RC_PEER_MALFORMED);
    pb_free(&set);
}

/* Also with a byte that is another one: nothing is read that is not there, as AddressSanitizer sees
 * it. */
static void test_pb_types__every_cut_and_change__has_a_result(void **state)
{
    size_t n;
    const uint8_t *set = pb_kinds_set(&n);
    uint8_t *changed = malloc(n);
    size_t n_well = 0;
    (void)state;

    assert_non_null(changed);
    for (size_t i = 0; i < n; i++) {
        struct pb_types *types = NULL;
        uint8_t *cut = malloc(i + 1);
        assert_non_null(cut);
        memcpy(cut, set, i + 1);
        n_well += pb_types_new(cut, i + 1, &types) == RC_OK;
        pb_types_free(&types);
        free(cut);
        memcpy(changed, set, n);
        changed[i] ^= (uint8_t)(1U << i % 8);
        n_well += pb_types_new(changed, n, &types) == RC_OK;
        pb_types_free(&types);
    }
    assert_in_range(n_well, 2, 2 * n - 1); /* some are well: a letter of a name is another */
    free(changed);
}

static enum rc make_once(void *arg)
{
    struct pb_types *types = NULL;
    size_t n;
    const uint8_t *set = pb_kinds_set(&n);
    (void)arg;

    enum rc rc = pb_types_new(set, n, &types);
    assert_int_equal(rc == RC_OK, types != NULL);
    pb_types_free(&types);
    return rc;
}

static void test_pb_types__no_memory__says_so_and_loses_nothing(void **state)
{
    (void)state;

    assert_in_range(countdown_fail_each(make_once, NULL, RC_OK), 3, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pb_types__members__are_as_declared),
        cmocka_unit_test(test_pb_types__presence_and_oneofs__are_told),
        cmocka_unit_test(test_pb_types__maps_secrets_and_forms__are_told),
        cmocka_unit_test(test_pb_types__enum_values__are_found_by_number),
        cmocka_unit_test(test_pb_types__names__are_found_whole_only),
        cmocka_unit_test(test_pb_types__of_envoy__have_what_istiod_sends),
        cmocka_unit_test(test_pb_types__what_is_no_set__is_malformed),
        cmocka_unit_test(test_pb_types__a_known_message_of_another_shape__is_malformed),
        cmocka_unit_test(test_pb_types__messages_in_messages_without_end__are_malformed),
        cmocka_unit_test(test_pb_types__every_cut_and_change__has_a_result),
        cmocka_unit_test(test_pb_types__no_memory__says_so_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
