/* SPDX-License-Identifier: Apache-2.0 */
/* `registration` of a listener and `registry`: what they become, and what is refused at the caret.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gateway/config/fixture.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* A small file with `registration` in its only listener, and more at the top. */
#define FILE_WITH(registration, top)                                                               \
    "version: 1\n"                                                                                 \
    "listeners:\n"                                                                                 \
    "- name: a\n"                                                                                  \
    "  bind: [127.0.0.1:1]\n"                                                                      \
    "  routes: [{sni: [\"*\"], mode: passthrough, upstream: u}]\n" registration top "upstreams:\n" \
    "- {name: u, endpoints: [localhost:1]}\n"
#define WITH(registration) FILE_WITH("  registration: " registration "\n", "")
#define ALLOW(entry) WITH("{allow: [{identity: ns/vms/sa/web, " entry "}]}")

struct refused {
    const char *text;
    const char *what; /**< in the first error */
};

/* ---- good files ---- */

static void test_registration__absent__every_rule_is_enforced(void **state)
{
    struct config *c = fixture_accept_example(*state, "small.yaml");
    const struct registration_opts *o = &c->listeners[0].registration;

    for (size_t i = 0; i < RULES_OF_POLICY; i++) {
        assert_int_equal(o->actions[i], POLICY_ENFORCE);
    }
    assert_int_equal(o->n_address_networks, 0);
    assert_int_equal(o->n_allow, 0);
    assert_null(o->extra_types);
    assert_true(c->registry.forget_after > 86399 && c->registry.forget_after < 86401);
    assert_int_equal(c->registry.max_vms, 20000);
    assert_int_equal(c->registry.keep_config, 0);
    assert_null(c->registry.deny_list);
    assert_true(c->registry.enabled);
    config_free(&c);
}

static void test_registration__full_file__as_written(void **state)
{
    static const enum policy_action actions[RULES_OF_POLICY] = {
        [RULE_READABLE] = POLICY_ENFORCE,  [RULE_SIDECAR] = POLICY_REPORT,
        [RULE_NAMESPACE] = POLICY_OFF,     [RULE_SERVICE_ACCOUNT] = POLICY_REPORT,
        [RULE_ADDRESS] = POLICY_ENFORCE,   [RULE_GROUP] = POLICY_REPORT,
        [RULE_NETWORK] = POLICY_OFF,       [RULE_LABELS] = POLICY_REPORT,
        [RULE_DUPLICATE] = POLICY_ENFORCE, [RULE_TYPE] = POLICY_REPORT,
        [RULE_NACK] = POLICY_OFF,
    };
    struct config *c = fixture_accept_example(*state, "full.yaml");
    const struct registration_opts *o = &c->listeners[0].registration;

    assert_memory_equal(o->actions, actions, sizeof(actions));
    assert_int_equal(o->n_address_networks, 2);
    assert_int_equal(o->address_networks[0].prefix, 16);
    assert_int_equal(o->address_networks[0].base.ip[1], 9);
    assert_int_equal(o->address_networks[1].base.family, ADDR_V6);
    ASSERT_TEXTS(o->extra_types, "type.googleapis.com/example.v1.Thing");
    assert_int_equal(c->listeners[1].registration.n_allow, 0);
    config_free(&c);
}

static void test_registration__full_file__allow_as_written(void **state)
{
    struct config *c = fixture_accept_example(*state, "full.yaml");
    const struct registration_opts *o = &c->listeners[0].registration;

    assert_int_equal(o->n_allow, 2);
    const struct policy_allow *a = &o->allow[0];
    assert_string_equal(a->identity, "ns/vms/sa/web");
    ASSERT_TEXTS(a->groups, "web", "api");
    ASSERT_TEXTS(a->entries, "web-1");
    ASSERT_TEXTS(a->networks, "vm-net", "other-net");
    assert_int_equal(a->n_labels, 1);
    assert_string_equal(a->labels[0].key, "app");
    ASSERT_TEXTS(a->labels[0].values, "web", "api");
    a = &o->allow[1];
    assert_string_equal(a->identity, "ns/vms/sa/*");
    ASSERT_TEXTS(a->groups, "other");
    assert_null(a->entries);
    assert_null(a->networks);
    assert_int_equal(a->n_labels, 0);
    config_free(&c);
}

static void test_registration__full_file__registry_as_written(void **state)
{
    const struct fixture *f = *state;
    struct config *c = fixture_accept_example(*state, "full.yaml");
    char path[128];

    assert_true(c->registry.forget_after > 43199 && c->registry.forget_after < 43201);
    assert_int_equal(c->registry.max_vms, 1010);
    assert_int_equal(c->registry.keep_config, 64 << 20);
    (void)snprintf(path, sizeof(path), "%s/deny.json", f->dir);
    assert_string_equal(c->registry.deny_list, path);
    assert_true(c->registry.enabled);
    config_free(&c);
}

static void test_registry__disabled__is_disabled(void **state)
{
    struct config *c = fixture_accept(*state, FILE_WITH("", "registry: {enabled: false}\n"));

    assert_false(c->registry.enabled);
    config_free(&c);
}

static void test_registration__no_network__written_as_empty_text(void **state)
{
    struct config *c = fixture_accept(*state, ALLOW("networks: [\"\", a], labels: {x: ['']}"));
    const struct policy_allow *a = &c->listeners[0].registration.allow[0];

    ASSERT_TEXTS(a->networks, "", "a");
    ASSERT_TEXTS(a->labels[0].values, "");
    config_free(&c);
}

static void test_registration__forms__accepted(void **state)
{
    static const char *const files[] = {
        WITH("{}"),
        WITH("{rules: {}}"),
        WITH("{rules: {address: off, nack: \"off\"}}"),
        WITH("{address_networks: [10.0.0.1, \"fd00::/8\", 0.0.0.0/0]}"),
        WITH("{allow: [{identity: \"ns/*/sa/*\"}]}"),
        WITH("{allow: [{identity: ns/a/sa/b}, {identity: ns/a/sa/*}, {identity: ns/*/sa/b}, "
             "{identity: ns/*/sa/*}]}"),
        ALLOW("groups: [Web.1_a-b]"),
        ALLOW("labels: {a: [b], \"example.com/tier\": [c], \"1\": [d]}"),
        WITH("{extra_types: [istio.io/debug/syncz]}"),
        FILE_WITH("", "registry: {}\n"),
        FILE_WITH("", "registry: {max_vms: 7}\n"),
        FILE_WITH("", "registry: {max_vms: 200000}\n"),
        FILE_WITH("", "registry: {enabled: false}\n"),
        FILE_WITH("", "registry: {enabled: false, keep_config: 0}\n"),
        FILE_WITH("  registration: {}\n", "registry: {enabled: true, deny_list: @/a}\n"),
    };
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        struct config *c = fixture_accept(*state, files[i]);
        config_free(&c);
    }
}

/* ---- bad files ---- */

static void refuse_all(struct fixture *f, const struct refused *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fixture_refuse(f, cases[i].text, cases[i].what);
    }
}

#define REFUSE_ALL(state, cases) refuse_all(*(state), cases, COUNT_OF(cases))

static void test_registration__values__refused(void **state)
{
    static const struct refused cases[] = {
        {WITH("{rules: {^adress: off}}"), "did you mean `address`?"},
        {WITH("{rules: {^revoked: off}}"), "unknown key"},
        {WITH("{rules: {^held: off}}"), "unknown key"},
        {WITH("{rules: {address: ^no}}"), "write enforce, report or off"},
        {WITH("{rules: {address: ^false}}"), "enforce, report or off"},
        {WITH("{address_networks: [^10.0.0.1/8]}"), "is no network"},
        {WITH("{address_networks: [^vm1]}"), "is no network"},
        {WITH("{allow: ^[]}"), "is empty"},
        {WITH("{allow: [^{groups: [a]}]}"), "needs the key `identity`"},
        {WITH("{allow: [{identity: ^ns/kube-system/sa/a}]}"), "is never allowed"},
        {WITH("{allow: [{identity: ^ns/a/sa/b*}]}"), "is no identity"},
        {ALLOW("groups: [^\"\"]"), "needs a value"},
        {ALLOW("groups: [^\"a b\"]"), "is no name of an object"},
        {ALLOW("groups: [^ns/web]"), "is no name of an object"},
        {ALLOW("entries: [^\"a=b\"]"), "is no name of an object"},
        {ALLOW("networks: ^[]"), "is empty"},
        {ALLOW("networks: [^a/b]"), "is no network"},
        {ALLOW("networks: [\"\", ^\"\"]"), "has this element twice"},
        {ALLOW("networks: [a, ^7]"), "takes text"},
        {ALLOW("groups: [^\"a\\tb\"]"), "control characters"},
        {WITH("{extra_types: [^\"a b\"]}"), "is no type"},
        {WITH("{extra_types: [^type.googleapis.com/1234567890123456789012345678901234567890"
              "123456789012345678901234567890123456]}"),
         "is no type"},
    };
    REFUSE_ALL(state, cases);
}

static void test_registration__labels__refused(void **state)
{
    static const struct refused cases[] = {
        {ALLOW("labels: ^[app]"), "takes a mapping with 1 to 64 keys: write for example {app"},
        {ALLOW("labels: ^app"), "takes a mapping"},
        {ALLOW("labels: ^{}"), "takes a mapping"},
        {ALLOW("labels: {app: ^web}"), "`labels` takes a list"},
        {ALLOW("labels: {app: ^[]}"), "`labels` is empty"},
        {ALLOW("labels: {app: [a], ^app: [b]}"), "duplicate key"},
        {ALLOW("labels: {app: [a, ^a]}"), "has this element twice"},
        {ALLOW("labels: {app: [^a/b]}"), "is no value of a label"},
        {ALLOW("labels: {app: [^a234567890123456789012345678901234567890123456789012345678901234"
               "]}"),
         "is no value of a label"},
        {ALLOW("labels: {^\"a=b\": [a]}"), "is no key of a label"},
        {ALLOW("labels: {^\"\": [a]}"), "is no key of a label"},
        {ALLOW("labels: {^\"/a\": [a]}"), "is no key of a label"},
        {ALLOW("labels: {^\"a/\": [a]}"), "is no key of a label"},
        {ALLOW("labels: {^\"a/b/c\": [a]}"), "is no key of a label"},
        {ALLOW("labels: {^\"a=/b\": [a]}"), "is no key of a label"},
        {ALLOW("labels: {^\"a\\0b\": [a]}"), "holds control characters"},
        {ALLOW("labels: {^\"x/1234567890123456789012345678901234567890123456789012345678901234\""
               ": [a]}"),
         "is no key of a label"},
    };
    REFUSE_ALL(state, cases);
}

static void test_registration__entries_that_never_decide__refused(void **state)
{
    static const struct refused cases[] = {
        {WITH("{allow: [{identity: ns/a/sa/b}, ^{identity: ns/a/sa/b}]}"),
         "can never decide: the one on line 6"},
        {WITH("{allow: [{identity: ns/a/sa/*}, ^{identity: ns/a/sa/b}]}"), "can never decide"},
        {WITH("{allow: [{identity: ns/*/sa/b}, ^{identity: ns/a/sa/b}]}"), "can never decide"},
        {WITH("{allow: [{identity: ns/*/sa/*}, ^{identity: ns/*/sa/b}]}"), "can never decide"},
        {WITH("{allow: [{identity: ns/x/sa/y}, {identity: ns/*/sa/*}, ^{identity: ns/a/sa/*}]}"),
         "can never decide"},
        /* one that was read badly takes nothing from others, and is not blamed twice */
        {WITH("{allow: [{identity: ^ns/a/sa}, {identity: ns/a/sa/b}, {identity: ^5}]}"),
         "is no identity"},
    };
    REFUSE_ALL(state, cases);
}

static void test_registry__values__refused(void **state)
{
    static const struct refused cases[] = {
        {FILE_WITH("", "registry: ^[]\n"), "must be a mapping"},
        {FILE_WITH("", "registry: {forget_after: ^0s}\n"), "must be 1s to"},
        {FILE_WITH("", "registry: {max_vms: ^200001}\n"), "1 to 200000"},
        {FILE_WITH("", "registry: {deny_list: ^\"\"}\n"), "needs a value"},
        {FILE_WITH("", "registry: {deny_list: ^@/text.pem}\n"), "`deny_list` cannot be used: "},
        {FILE_WITH("", "registry: {deny_list: ^@}\n"), "it is not a regular file"},
        {FILE_WITH("", "registry: {deny_list: ^@/none/deny.json}\n"),
         "its folder must be there and writable: No such file or directory"},
        {FILE_WITH("", "registry: {^deny: a}\n"), "unknown key"},
        {FILE_WITH("", "registry: {enabled: ^no}\n"), "takes true or false"},
        {FILE_WITH("", "registry: {enabled: false, deny_list: ^@/a}\n"), "would look whether"},
        {FILE_WITH("", "registry: {enabled: false, keep_config: ^1MiB}\n"), "would see what"},
        {FILE_WITH("  registration: ^{}\n", "registry: {enabled: false}\n"), "would hold VMs"},
    };
    REFUSE_ALL(state, cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registration__absent__every_rule_is_enforced),
        cmocka_unit_test(test_registration__full_file__as_written),
        cmocka_unit_test(test_registration__full_file__allow_as_written),
        cmocka_unit_test(test_registration__full_file__registry_as_written),
        cmocka_unit_test(test_registry__disabled__is_disabled),
        cmocka_unit_test(test_registration__no_network__written_as_empty_text),
        cmocka_unit_test(test_registration__forms__accepted),
        cmocka_unit_test(test_registration__values__refused),
        cmocka_unit_test(test_registration__labels__refused),
        cmocka_unit_test(test_registration__entries_that_never_decide__refused),
        cmocka_unit_test(test_registry__values__refused),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
