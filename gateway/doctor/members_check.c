/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with WorkloadEntries and WorkloadGroups, by what stands in them. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bootstrap/address.h"
#include "gateway/doctor/cluster_internal.h"

/** istiod deletes what has no VM after its grace period; what it left is nobody's any more (Istio:
 * pilot/pkg/autoregistration/controller.go). */
#define GONE_S 900

const char *members_text(const json_t *object, const char *a, const char *b)
{
    const char *text = doc_text(object, a, b, NULL);

    return text != NULL ? text : "";
}

static const char *annotation(const json_t *object, const char *key)
{
    const char *text = doc_text(object, "metadata", "annotations", key, NULL);

    return text != NULL ? text : "";
}

static bool is_asked(const json_t *object, const char *only)
{
    return only == NULL || strcmp(members_text(object, "metadata", "name"), only) == 0;
}

/* ---- entries ---- */

static void check_address(const json_t *entry, const char *ns, struct doctor_report *r)
{
    const char *address = members_text(entry, "spec", "address");
    char usual[INET6_ADDRSTRLEN];
    char reason[200];
    const struct why w = {reason, sizeof(reason)};
    unsigned char ip[16];
    bool is_ip = inet_pton(AF_INET, address, ip) == 1 || inet_pton(AF_INET6, address, ip) == 1;

    if (is_ip && address_read("the address", address, &w, usual) == RC_INVALID) {
        doctor_find(r, DOCTOR_ENTRY_ADDRESS, ns, members_text(entry, "metadata", "name"), address,
                    NULL);
    }
}

static void check_gone(const json_t *entry, const char *ns, const char *only, int64_t now_s,
                       struct doctor_report *r)
{
    const char *since = annotation(entry, "istio.io/disconnectedAt");
    int64_t at = 0;

    if (*since != '\0' && kube_time_read(since, &at) == RC_OK &&
        (only != NULL || now_s - at > GONE_S)) {
        doctor_find(r, DOCTOR_ENTRY_GONE, ns, members_text(entry, "metadata", "name"), since, NULL);
    }
}

static void check_health(const json_t *entry, const char *ns, struct doctor_report *r)
{
    const json_t *conditions = doc_at(entry, "status", "conditions", NULL);

    for (size_t i = 0; i < json_array_size(conditions); i++) {
        const json_t *c = json_array_get(conditions, i);
        const char *type = doc_text(c, "type", NULL);
        const char *status = doc_text(c, "status", NULL);
        const char *message = doc_text(c, "message", NULL);
        if (type != NULL && status != NULL && strcmp(type, "Healthy") == 0 &&
            strcmp(status, "False") == 0) {
            doctor_find(r, DOCTOR_ENTRY_UNHEALTHY, ns, members_text(entry, "metadata", "name"),
                        message != NULL && *message != '\0' ? message : "no reason given", NULL);
        }
    }
}

/* In one network of one namespace; two services of one VM may share its address when others made
 * their entries by hand. */
static bool is_same_place(const json_t *a, const json_t *b)
{
    const char *address = members_text(a, "spec", "address");

    return *address != '\0' && strcmp(address, members_text(b, "spec", "address")) == 0 &&
           strcmp(members_text(a, "spec", "network"), members_text(b, "spec", "network")) == 0 &&
           *annotation(a, "istio.io/autoRegistrationGroup") != '\0' &&
           *annotation(b, "istio.io/autoRegistrationGroup") != '\0';
}

static void check_twins(const json_t *items, size_t i, size_t n, const char *ns, const char *only,
                        struct doctor_report *r)
{
    const json_t *a = json_array_get(items, i);

    for (size_t k = i + 1; k < n; k++) {
        const json_t *b = json_array_get(items, k);
        if (is_same_place(a, b) && (is_asked(a, only) || is_asked(b, only))) {
            doctor_find(r, DOCTOR_ENTRY_DUPLICATE, ns, members_text(a, "metadata", "name"),
                        members_text(b, "metadata", "name"), members_text(a, "spec", "address"),
                        NULL);
        }
    }
}

void members_check_entries(const json_t *list, const char *ns, const char *only, int64_t now_s,
                           struct doctor_report *r)
{
    const json_t *items = doc_at(list, "items", NULL);
    size_t n = json_array_size(items);

    n = n < CLUSTER_ITEMS_MAX ? n : CLUSTER_ITEMS_MAX;
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = json_array_get(items, i);
        if (is_asked(entry, only)) {
            check_address(entry, ns, r);
            check_gone(entry, ns, only, now_s, r);
            check_health(entry, ns, r);
        }
        check_twins(items, i, n, ns, only, r);
    }
}

/* ---- groups ---- */

void members_check_groups(const json_t *list, const char *ns, const char *only,
                          struct doctor_report *r)
{
    const json_t *items = doc_at(list, "items", NULL);

    for (size_t i = 0; i < json_array_size(items) && i < CLUSTER_ITEMS_MAX; i++) {
        const json_t *group = json_array_get(items, i);
        const json_t *probe = doc_at(group, "spec", "probe", NULL);
        /* Absent or 0 is 1 (Istio: pkg/istio-agent/health/health_check.go). */
        if (is_asked(group, only) && json_is_object(probe) &&
            json_integer_value(json_object_get(probe, "failureThreshold")) < 2) {
            doctor_find(r, DOCTOR_PROBE_IMPATIENT, ns, members_text(group, "metadata", "name"),
                        NULL);
        }
    }
}

bool members_have_account(const json_t *groups, const char *account)
{
    const json_t *items = doc_at(groups, "items", NULL);

    for (size_t i = 0; i < json_array_size(items) && i < CLUSTER_ITEMS_MAX; i++) {
        const char *of =
            doc_text(json_array_get(items, i), "spec", "template", "serviceAccount", NULL);
        if (strcmp(of != NULL && *of != '\0' ? of : "default", account) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- VMs, as the daemon knows them ---- */

const struct upstream_opts *members_upstream_of(const json_t *vm, const struct config *config)
{
    const char *name = members_text(vm, "upstream", NULL);

    for (size_t i = 0; config != NULL && i < config->n_upstreams; i++) {
        const struct upstream_opts *u = &config->upstreams[i].opts;
        if (strcmp(u->name, name) == 0) {
            return u;
        }
    }
    return NULL;
}

/* With identity: token no VM is heard about its cluster. */
static bool is_spoken_for(const json_t *vm, const struct config *config)
{
    const struct upstream_opts *u = members_upstream_of(vm, config);

    return u != NULL && u->identity == UPSTREAM_TOKEN;
}

/* What it says, if it is not what the mesh is called, and nothing but its token speaks for it:
 * istiod asks the cluster that a VM names whether its token is good. NULL: nothing is wrong. */
static const char *other_cluster(const json_t *vm, const char *mesh, const struct config *config)
{
    const char *says = members_text(vm, "cluster", NULL);
    bool is_in = strcmp(members_text(vm, "state", NULL), "connected") == 0;
    bool shows = json_is_true(json_object_get(vm, "verified"));

    return *says != '\0' && strcmp(says, mesh) != 0 && !is_in && !shows &&
                   !is_spoken_for(vm, config)
               ? says
               : NULL;
}

void members_check_clusters(const json_t *vms, const char *mesh, const struct config *config,
                            struct doctor_report *r)
{
    const json_t *list = doc_at(vms, "vms", NULL);
    struct doctor_names names = {.n = 0};

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *vm = json_array_get(list, i);
        const char *says = other_cluster(vm, mesh, config);
        if (says != NULL) {
            doctor_names_add(&names, members_text(vm, "name", NULL), says);
        }
    }
    if (names.n > 0) {
        doctor_find(r, DOCTOR_VM_CLUSTER_ID, mesh, names.text, names.more, NULL);
    }
    doctor_looked(r, "the cluster IDs of the VMs that the daemon knows");
}
