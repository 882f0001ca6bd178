/* SPDX-License-Identifier: Apache-2.0 */
/* What a Deployment of istiod and the services before it mean for VMs. Names and defaults are those
 * of Istio: pilot/pkg/features/pilot.go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bootstrap/go_duration.h"
#include "gateway/doctor/cluster_internal.h"

#define ISTIOD_PORT 15012

/** A Service that leads there. */
#define DOOR "deploy/istiod-nodeport.yaml"

/** A restart of a gateway or an istiod, and the VMs' way back, take less. */
#define GRACE_ENOUGH_S 60
#define GRACE_DEFAULT "10s"

/* One look. */
struct look {
    const json_t *env; /* of the container; borrowed */
    const char *ns;
    const char *name;
    const struct doctor_upstream *list;
    size_t n;
    struct doctor_report *r;
};

/* ---- the environment ---- */

static const json_t *env_of(const json_t *deployment)
{
    const json_t *containers = doc_at(deployment, "spec", "template", "spec", "containers", NULL);

    for (size_t i = 0; i < json_array_size(containers); i++) {
        const json_t *c = json_array_get(containers, i);
        const char *name = doc_text(c, "name", NULL);
        if (name != NULL && strcmp(name, "discovery") == 0) {
            return json_object_get(c, "env");
        }
    }
    return doc_at(json_array_get(containers, 0), "env", NULL);
}

/* NULL: not set, or not here. */
static const char *value_of(const struct look *k, const char *key)
{
    for (size_t i = 0; i < json_array_size(k->env); i++) {
        const json_t *row = json_array_get(k->env, i);
        const char *name = doc_text(row, "name", NULL);
        if (name != NULL && strcmp(name, key) == 0) {
            return doc_text(row, "value", NULL);
        }
    }
    return NULL;
}

/* As Go's strconv.ParseBool(). */
static bool is_false(const char *value)
{
    static const char *const words[] = {"0", "f", "F", "false", "FALSE", "False"};

    for (size_t i = 0; value != NULL && i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(value, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void check_switches(const struct look *k)
{
    static const struct {
        const char *key;
        enum doctor_cause cause;
    } switches[] = {
        {"PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION", DOCTOR_AUTOREGISTRATION_OFF},
        {"PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS", DOCTOR_HEALTHCHECKS_OFF},
        {"PILOT_ENABLE_XDS_IDENTITY_CHECK", DOCTOR_IDENTITY_CHECK_OFF},
        {"ISTIO_WORKLOAD_ENTRY_VALIDATE_IDENTITY", DOCTOR_ENTRY_CHECK_OFF},
    };

    for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
        if (is_false(value_of(k, switches[i].key))) {
            doctor_find(k->r, switches[i].cause, k->ns, k->name, NULL);
        }
    }
}

static void check_grace(const struct look *k)
{
    const char *value = value_of(k, "PILOT_WORKLOAD_ENTRY_GRACE_PERIOD");
    int64_t ns = 0;

    if (value == NULL || !go_duration_parse(value, &ns)) { /* istiod takes its default then */
        value = GRACE_DEFAULT;
        ns = 0;
    }
    if (ns < GRACE_ENOUGH_S * INT64_C(1000000000)) {
        doctor_find(k->r, DOCTOR_GRACE_PERIOD, k->ns, k->name, value, NULL);
    }
}

/* ---- TRUSTED_GATEWAY_CIDR ---- */

static void check_net(const struct look *k, const char *text)
{
    struct addr_net net;
    char entries[DOCTOR_ENTRIES_BYTES];
    char source[ADDR_TEXT_BYTES];

    if (addr_net_parse(text, &net) != RC_OK) {
        return; /* istiod refuses to start */
    }
    (void)doctor_own_entries(k->list, k->n, net.base.family, entries);
    if (net.prefix < (net.base.family == ADDR_V6 ? 128 : 32)) {
        doctor_find(k->r, DOCTOR_TRUSTED_TOO_WIDE, k->ns, k->name, text, entries, NULL);
    }
    for (size_t i = 0; i < k->n; i++) {
        const struct doctor_upstream *u = &k->list[i];
        const struct addr *a = net.base.family == ADDR_V6 ? &u->source_v6 : &u->source_v4;
        if (u->passes && a->family != ADDR_NONE && addr_in_net(a, &net)) {
            doctor_find(k->r, DOCTOR_TRUSTED_PASSTHROUGH, k->ns, k->name, addr_format_ip(a, source),
                        u->name, text, entries, NULL);
        }
    }
}

static void check_trusted(const struct look *k)
{
    const char *value = value_of(k, "TRUSTED_GATEWAY_CIDR");
    char *list = value != NULL ? strdup(value) : NULL;
    char *rest = NULL;

    for (char *net = list != NULL ? strtok_r(list, ",", &rest) : NULL; net != NULL;
         net = strtok_r(NULL, ",", &rest)) {
        check_net(k, net + strspn(net, " "));
    }
    free(list);
}

void istiod_check_deployment(const json_t *deployment, const char *ns, const char *name,
                             const struct doctor_upstream *list, size_t n, struct doctor_report *r)
{
    const struct look k = {
        .env = env_of(deployment), .ns = ns, .name = name, .list = list, .n = n, .r = r};
    const json_t *containers = doc_at(deployment, "spec", "template", "spec", "containers", NULL);
    const char *image = doc_text(json_array_get(containers, 0), "image", NULL);

    doctor_looked(r, "Deployment %s of namespace %s, %s", name, ns,
                  image != NULL ? image : "of an unknown image");
    check_switches(&k);
    check_grace(&k);
    check_trusted(&k);
}

/* ---- services ---- */

static bool has_port(const json_t *service)
{
    const json_t *ports = doc_at(service, "spec", "ports", NULL);

    for (size_t i = 0; i < json_array_size(ports); i++) {
        const json_t *p = json_array_get(ports, i);
        if (json_integer_value(json_object_get(p, "port")) == ISTIOD_PORT ||
            json_integer_value(json_object_get(p, "targetPort")) == ISTIOD_PORT) {
            return true;
        }
    }
    return false;
}

static bool is_from_outside(const json_t *service)
{
    const char *type = doc_text(service, "spec", "type", NULL);

    return type != NULL && (strcmp(type, "NodePort") == 0 || strcmp(type, "LoadBalancer") == 0);
}

/* The file is for istio-system. */
static void find_no_door(const char *ns, struct doctor_report *r)
{
    bool usual = strcmp(ns, "istio-system") == 0;
    char edit[160] = "";

    if (!usual) {
        (void)snprintf(edit, sizeof(edit), "sed 's/: istio-system/: %.63s/' " DOOR " | ", ns);
    }
    doctor_find(r, DOCTOR_NO_DOOR, ns, edit, usual ? DOOR : "-", NULL);
}

void istiod_check_services(const json_t *list, const char *ns, bool must, bool source_matters,
                           struct doctor_report *r)
{
    const json_t *items = doc_at(list, "items", NULL);
    bool found = false;

    for (size_t i = 0; i < json_array_size(items) && i < CLUSTER_ITEMS_MAX; i++) {
        const json_t *s = json_array_get(items, i);
        const char *name = doc_text(s, "metadata", "name", NULL);
        const char *policy = doc_text(s, "spec", "externalTrafficPolicy", NULL);
        if (name == NULL || !has_port(s) || !is_from_outside(s)) {
            continue;
        }
        found = true;
        if (source_matters && (policy == NULL || strcmp(policy, "Local") != 0)) {
            doctor_find(r, DOCTOR_DOOR_HIDES_SOURCE, ns, name, NULL);
        }
    }
    if (must && !found) {
        find_no_door(ns, r);
    }
    doctor_looked(r, "the Services of namespace %s", ns);
}
