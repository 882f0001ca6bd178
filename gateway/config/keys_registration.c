/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a listener's `registration`, what its VMs may claim, and of `registry` at the top,
 * what is remembered of VMs. */
#include "gateway/config/config_internal.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/config/scalar.h"
#include "xds/xds_request.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/** Of a name in Kubernetes (RFC 1123). */
#define NAME_MAX_BYTES 253

/** Of a label's value, and of its key behind the "/". */
#define LABEL_MAX_BYTES 63

/* ---- rules ---- */

static const struct schema_word action_words[] = {
    {"enforce", POLICY_ENFORCE}, {"report", POLICY_REPORT}, {"off", POLICY_OFF}, {NULL, 0}};

/* A row for each rule of rule.def; those behind RULES_OF_POLICY cannot be switched off. */
static const struct schema_key rule_keys[] = {
#define RULE(name, label, text)                                                              \
    {label, schema_read_enum,                                                                \
     offsetof(struct registration_opts, actions) + RULE_##name * sizeof(enum policy_action), \
     .more = action_words},
#include "gateway/registry/rule.def"
#undef RULE
};
static const struct schema_map rules_map = {"`rules`", rule_keys, RULES_OF_POLICY};

/* ---- allow ---- */

/* Kubernetes' names, and Istio's names of networks, have no others. */
static bool is_of_names(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") ==
           strlen(text);
}

static const char *check_object(char *text)
{
    bool good = is_of_names(text) && strlen(text) <= NAME_MAX_BYTES;
    return good ? NULL
                : "is no name of an object in Kubernetes: write it as `kubectl get` shows it";
}

static const char *check_network(char *text)
{
    bool good = is_of_names(text) && strlen(text) <= NAME_MAX_BYTES;
    return good ? NULL : "is no network: write its name, or \"\" for none";
}

static const char *check_label_value(char *text)
{
    bool good = is_of_names(text) && strlen(text) <= LABEL_MAX_BYTES;
    return good ? NULL : "is no value of a label: write it as `kubectl get --show-labels` shows it";
}

static const char *check_label_key(char *text)
{
    const char *slash = strchr(text, '/');
    const char *name = slash != NULL ? slash + 1 : text;
    size_t n_prefix = slash != NULL ? (size_t)(slash - text) : 1;
    bool good = n_prefix >= 1 && n_prefix <= NAME_MAX_BYTES && name[0] != '\0' &&
                is_of_names(name) && strlen(name) <= LABEL_MAX_BYTES;
    for (size_t i = 0; slash != NULL && i < n_prefix; i++) {
        good = good && text[i] != '=' && text[i] > ' ' && text[i] < 0x7f;
    }
    return good ? NULL : "is no key of a label: write app, or example.com/tier";
}

static const struct schema_text identity_text = {.check = keys_check_vm_identity,
                                                 .example = "\"ns/vms/sa/web\""};
static const struct schema_text groups_text = {
    .check = check_object, .max = CONFIG_MAX_ITEMS, .example = "[web]"};
static const struct schema_text entries_text = {
    .check = check_object, .max = CONFIG_MAX_ITEMS, .example = "[web-1]"};
static const struct schema_text networks_text = {
    .check = check_network, .max = CONFIG_MAX_ITEMS, .example = "[vm-net]", .may_be_empty = true};
static const struct schema_text values_text = {.check = check_label_value,
                                               .max = CONFIG_MAX_ITEMS,
                                               .example = "{app: [web]}",
                                               .may_be_empty = true};

static const struct schema_dict labels_dict = {
    .item_bytes = sizeof(struct policy_label),
    .count_offset = offsetof(struct policy_allow, n_labels),
    .name_offset = offsetof(struct policy_label, key),
    .max = 64,
    .check = check_label_key,
    .item = {.name = "labels",
             .read = schema_read_texts,
             .offset = offsetof(struct policy_label, values),
             .more = &values_text},
    .example = "{app: [web]}",
};

static const struct schema_key allow_keys[] = {
    {"identity", schema_read_text, offsetof(struct policy_allow, identity), .required = true,
     .more = &identity_text},
    {"groups", schema_read_texts, offsetof(struct policy_allow, groups), .more = &groups_text},
    {"entries", schema_read_texts, offsetof(struct policy_allow, entries), .more = &entries_text},
    {"networks", schema_read_texts, offsetof(struct policy_allow, networks),
     .more = &networks_text},
    {"labels", schema_read_dict, offsetof(struct policy_allow, labels), .more = &labels_dict},
};
static const struct schema_map allow_map = {"an entry of `allow`", allow_keys,
                                            COUNT_OF(allow_keys)};

/* ---- registration ---- */

static const char *check_type(char *text)
{
    bool good = strlen(text) < XDS_URL_BYTES;
    for (const char *c = text; *c != '\0'; c++) {
        good = good && *c > ' ' && *c < 0x7f;
    }
    return good ? NULL : "is no type: write it whole, \"type.googleapis.com/example.v1.Thing\"";
}

static const struct schema_list networks_list = {
    .item_bytes = sizeof(struct addr_net),
    .count_offset = offsetof(struct registration_opts, n_address_networks),
    .max = CONFIG_MAX_ITEMS,
    .item = {.name = "address_networks", .read = keys_read_net},
    .example = "[\"192.168.7.0/24\"]",
};
static const struct schema_list allow_list = {
    .item_bytes = sizeof(struct policy_allow),
    .count_offset = offsetof(struct registration_opts, n_allow),
    .max = CONFIG_MAX_ITEMS,
    .item = {.name = "allow", .read = schema_read_map, .more = &allow_map},
    .example = "- {identity: \"ns/vms/sa/web\", groups: [web]}",
};
static const struct schema_text types_text = {
    .check = check_type, .max = 64, .example = "[\"type.googleapis.com/example.v1.Thing\"]"};

static const struct schema_key registration_keys[] = {
    {"rules", schema_read_map, 0, .more = &rules_map},
    {"address_networks", schema_read_list, offsetof(struct registration_opts, address_networks),
     .more = &networks_list},
    {"allow", schema_read_list, offsetof(struct registration_opts, allow), .more = &allow_list},
    {"extra_types", schema_read_texts, offsetof(struct registration_opts, extra_types),
     .more = &types_text},
};
const struct schema_map keys_registration = {"`registration`", registration_keys,
                                             COUNT_OF(registration_keys)};

static void fini_allow(struct policy_allow *a)
{
    for (size_t i = 0; i < a->n_labels; i++) {
        free(a->labels[i].key);
        schema_free_texts(&a->labels[i].values);
    }
    free(a->labels);
    free(a->identity);
    schema_free_texts(&a->groups);
    schema_free_texts(&a->entries);
    schema_free_texts(&a->networks);
}

void keys_fini_registration(struct registration_opts *opts)
{
    for (size_t i = 0; i < opts->n_allow; i++) {
        fini_allow(&opts->allow[i]);
    }
    free(opts->allow);
    free(opts->address_networks);
    schema_free_texts(&opts->extra_types);
}

/* ---- registry ---- */

static const struct schema_text deny_list_text = {.check = keys_check_path,
                                                  .example = "/var/lib/xdsgate/deny.json"};

#define READ_COUNT schema_read_count
#define READ_BYTES schema_read_bytes
#define READ_TIME schema_read_time

static const struct schema_key registry_keys[] = {
    {"enabled", schema_read_bool, offsetof(struct config_registry, enabled), .required = false},
#define PARAM_REGISTRY(name, kind, def, low, high, text) \
    {#name, READ_##kind, offsetof(struct config_registry, name), .min = (low), .max = (high)},
#include "gateway/config/params.def"
    {"deny_list", schema_read_text, offsetof(struct config_registry, deny_list),
     .more = &deny_list_text},
};
const struct schema_map keys_registry = {"`registry`", registry_keys, COUNT_OF(registry_keys)};

void keys_init_registry(struct config_registry *registry)
{
    registry->enabled = true;
#define PARAM_REGISTRY(name, kind, def, low, high, text) registry->name = (def);
#include "gateway/config/params.def"
}
