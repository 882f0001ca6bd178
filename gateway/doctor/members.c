/* SPDX-License-Identifier: Apache-2.0 */
/* The VMs as the cluster knows them; the mesh's name and roots. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certs/cert_file.h"
#include "certs/spiffe.h"
#include "core/base/clock.h"
#include "gateway/cluster/mesh_roots.h"
#include "gateway/config/cert_paths.h"
#include "gateway/doctor/cluster_internal.h"

/* ---- groups and entries ---- */

static void look_at_namespace(const struct doctor_cluster *c, const char *ns,
                              const struct cluster_accounts *accounts, struct doctor_report *r)
{
    const struct members_whose who = {.ns = ns, .config = c->config};
    json_t *groups = NULL;
    json_t *entries = NULL;

    if (cluster_get(c, KUBE_WORKLOAD_GROUP, ns, NULL, r, &groups) == CLUSTER_GOT) {
        for (size_t i = 0; i < accounts->n; i++) {
            const struct cluster_account *a = &accounts->list[i];
            bool is_here = strcmp(a->ns, ns) == 0;
            if (is_here && a->name[0] != '\0' && !members_have_account(groups, a->name)) {
                doctor_find(r, DOCTOR_GROUP_MISSING, ns, a->name, NULL);
            }
        }
        members_check_groups(groups, ns, NULL, r);
        doctor_looked(r, "the WorkloadGroups of namespace %s", ns);
    }
    if (cluster_get(c, KUBE_WORKLOAD_ENTRY, ns, NULL, r, &entries) == CLUSTER_GOT) {
        members_check_entries(entries, ns, NULL, clock_wall(), r);
        members_check_labels(groups, entries, &who, r);
        doctor_looked(r, "the WorkloadEntries of namespace %s", ns);
    }
    json_decref(groups);
    json_decref(entries);
}

static bool is_first_of_namespace(const struct cluster_accounts *accounts, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (strcmp(accounts->list[k].ns, accounts->list[i].ns) == 0) {
            return false;
        }
    }
    return true;
}

/* ---- the mesh ---- */

/* What the mesh calls the cluster that is looked at. *out: owned; as it was when nobody says it. */
static enum rc read_mesh_name(const struct doctor_cluster *c, struct doctor_report *r, char **out)
{
    struct doc_error err;
    json_t *values = NULL;
    char *text = cluster_get_text(c, "istio-sidecar-injector", true, "values", r);

    if (text == NULL) {
        return RC_OK;
    }
    enum rc rc = doc_parse_yaml(text, strlen(text), &err, &values);
    free(text);
    if (rc != RC_OK) {
        return rc == RC_NO_MEMORY ? rc : RC_OK;
    }
    const char *name = doc_text(values, "global", "multiCluster", "clusterName", NULL);
    *out = strdup(name != NULL && *name != '\0' ? name : "Kubernetes"); /* istiod's own default */
    json_decref(values);
    return *out != NULL ? RC_OK : RC_NO_MEMORY;
}

/* A name is that of the cluster which makes the tokens. */
static bool makes_tokens(const struct doctor_cluster *c, struct doctor_report *r)
{
    if (c->gate == NULL || cluster_is_one(c)) {
        return true;
    }
    doctor_skipped(r, "cluster_id: %s is of another API server than %s, which makes the tokens",
                   c->look->name, c->gate->name);
    return false;
}

static enum rc look_at_cluster_ids(const struct doctor_cluster *c, struct doctor_report *r)
{
    const char *ours = c->config->kubernetes.cluster_id; /* NULL: istiod takes it for its own */
    char *mesh = NULL;

    if ((ours == NULL && c->vms == NULL) || !makes_tokens(c, r)) {
        return RC_OK;
    }
    TRY(read_mesh_name(c, r, &mesh));
    if (mesh == NULL) {
        return RC_OK;
    }
    if (ours != NULL && strcmp(ours, mesh) != 0) {
        doctor_find(r, DOCTOR_CLUSTER_ID, ours, mesh, c->config_path, NULL);
    }
    if (c->vms != NULL) {
        members_check_clusters(c->vms, mesh, c->config, r);
    }
    doctor_looked(r, "the cluster's name");
    free(mesh);
    return RC_OK;
}

/* Is certificate i of f in one of the listener's files of client roots? */
static enum rc is_known_root(const struct cert_path *paths, size_t n, const char *listener,
                             const char *sha256, bool *out)
{
    for (size_t i = 0; i < n && !*out; i++) {
        struct cert_file *f = NULL;
        struct cert_error err;
        struct cert_info info;
        if (paths[i].kind != CERT_PATH_CLIENT_ROOTS || strcmp(paths[i].owner, listener) != 0) {
            continue;
        }
        enum rc rc = cert_file_load(paths[i].file, &f, &err);
        for (size_t k = 0; rc == RC_OK && k < cert_file_count(f) && !*out; k++) {
            if (cert_file_info(f, k, &info) == RC_OK) {
                *out = strcmp(info.sha256, sha256) == 0;
                cert_info_fini(&info);
            }
        }
        cert_file_free(&f);
        if (rc == RC_NO_MEMORY) {
            return rc;
        }
    }
    return RC_OK;
}

static enum rc compare_roots(const struct doctor_cluster *c, const struct cert_file *mesh,
                             const struct cert_path *paths, size_t n, struct doctor_report *r)
{
    for (size_t i = 0; i < c->config->n_listeners; i++) {
        const struct config_listener *l = &c->config->listeners[i];
        for (size_t k = 0; l->certs != NULL && k < cert_file_count(mesh); k++) {
            struct cert_info info;
            bool known = false;
            if (cert_file_info(mesh, k, &info) != RC_OK) {
                continue;
            }
            enum rc rc = is_known_root(paths, n, l->name, info.sha256, &known);
            if (rc == RC_OK && !known) {
                doctor_find(r, DOCTOR_ROOTS_OLD, l->name, info.subject, c->istio_namespace, NULL);
            }
            cert_info_fini(&info);
            TRY(rc);
        }
    }
    return RC_OK;
}

static enum rc look_at_roots(const struct doctor_cluster *c, struct doctor_report *r)
{
    struct cert_path *paths = NULL;
    size_t n = 0;
    struct cert_file *mesh = NULL;
    struct cert_error err;
    char *pem = cluster_get_text(c, MESH_ROOTS_NAME, false, MESH_ROOTS_KEY, r);

    if (pem == NULL) {
        return RC_OK;
    }
    const struct cert_bytes bytes = {(uint8_t *)pem, strlen(pem)};
    enum rc rc = cert_file_parse(&bytes, &mesh, &err);
    FILE *errors = fopen("/dev/null", "we");
    if (rc == RC_OK && errors != NULL) {
        rc = cert_paths_load(c->config_path, errors, &paths, &n);
        if (rc == RC_OK) {
            rc = compare_roots(c, mesh, paths, n, r);
        }
        doctor_looked(r, "the roots that the mesh publishes");
    }
    if (errors != NULL) {
        (void)fclose(errors);
    }
    cert_paths_free(&paths, n);
    cert_file_free(&mesh);
    free(pem);
    return rc == RC_NO_MEMORY ? rc : RC_OK;
}

enum rc doctor_mesh_roots(const struct doctor_cluster *c, struct doctor_report *r,
                          struct root_set **out)
{
    struct cert_error err;
    char *pem = cluster_get_text(c, MESH_ROOTS_NAME, false, MESH_ROOTS_KEY, r);

    if (pem == NULL) {
        return RC_OK;
    }
    const struct cert_bytes bytes = {(uint8_t *)pem, strlen(pem)};
    enum rc rc = root_set_parse(&bytes, out, &err);
    free(pem);
    if (rc == RC_INVALID) {
        doctor_skipped(r, "the roots of the mesh: ConfigMap " MESH_ROOTS_NAME " %s", err.text);
    }
    return rc == RC_NO_MEMORY ? rc : RC_OK;
}

enum rc doctor_members(const struct doctor_cluster *c, struct doctor_report *r)
{
    struct cluster_accounts *accounts;

    if (c->look == NULL || c->config == NULL) {
        return RC_OK;
    }
    accounts = calloc(1, sizeof(*accounts));
    if (accounts == NULL) {
        return RC_NO_MEMORY;
    }
    cluster_accounts_read(c->config, accounts, r);
    for (size_t i = 0; i < accounts->n; i++) {
        if (is_first_of_namespace(accounts, i)) {
            look_at_namespace(c, accounts->list[i].ns, accounts, r);
        }
    }
    free(accounts);
    TRY(look_at_cluster_ids(c, r));
    return look_at_roots(c, r);
}

/* ---- one VM ---- */

static const json_t *find_item(const json_t *list, const char *name)
{
    const json_t *items = doc_at(list, "items", NULL);

    for (size_t i = 0; i < json_array_size(items) && i < CLUSTER_ITEMS_MAX; i++) {
        const json_t *item = json_array_get(items, i);
        const char *is = doc_text(item, "metadata", "name", NULL);
        if (is != NULL && strcmp(is, name) == 0) {
            return item;
        }
    }
    return NULL;
}

static void look_at_door(const struct doctor_cluster *c, const struct cluster_account *a,
                         struct doctor_report *r)
{
    struct spiffe_id id = {.trust_domain = ""};
    bool terminates = false;

    (void)snprintf(id.ns, sizeof(id.ns), "%s", a->ns);
    (void)snprintf(id.sa, sizeof(id.sa), "%s", a->name);
    for (size_t i = 0; c->config != NULL && i < c->config->n_listeners; i++) {
        const struct cert_set *certs = c->config->listeners[i].certs;
        terminates = terminates || certs != NULL;
        if (certs != NULL && spiffe_allowed(&id, cert_set_vm_identities(certs))) {
            return;
        }
    }
    if (terminates) {
        doctor_find(r, DOCTOR_VM_NOT_LET_IN, a->ns, a->name, c->config_path, NULL);
    }
}

static enum rc look_at_account(const struct doctor_cluster *c, const char *ns, const char *account,
                               struct doctor_report *r)
{
    struct cluster_account a;

    (void)snprintf(a.ns, sizeof(a.ns), "%s", ns);
    (void)snprintf(a.name, sizeof(a.name), "%s",
                   account != NULL && *account != '\0' ? account : "default");
    look_at_door(c, &a, r);
    TRY(cluster_try_token(c, &a, r));
    cluster_look_at_bindings(c, &a, r);
    return RC_OK;
}

/* One of a list, or the one that stands behind what is looked at of the list: it joins it then.
 * *list: owned; may be NULL, and is a list then. *known: false when nobody can say whether there is
 * one. Borrowed; NULL: there is none. */
static const json_t *find_named(const struct doctor_cluster *c, enum kube_kind kind, const char *ns,
                                const char *name, struct doctor_report *r, json_t **list,
                                bool *known)
{
    json_t *item = NULL;
    enum cluster_got got = cluster_get(c, kind, ns, NULL, r, list);
    const json_t *found = find_item(*list, name);
    bool is_whole = got == CLUSTER_GOT && kube_list_is_whole(*list, CLUSTER_ITEMS_MAX);

    *known = *known && got != CLUSTER_ABSENT;
    if (found != NULL || is_whole || got == CLUSTER_ABSENT) {
        return found;
    }
    got = cluster_get(c, kind, ns, name, r, &item);
    *known = *known && got != CLUSTER_NOT;
    if (got != CLUSTER_GOT) {
        return NULL;
    }
    if (*list == NULL) {
        *list = json_pack("{s:[]}", "items");
    }
    if (json_array_insert_new(json_object_get(*list, "items"), 0, item) != 0) {
        r->short_of_memory = true;
        return NULL;
    }
    return find_item(*list, name);
}

enum rc doctor_one_vm(const struct doctor_cluster *c, const char *ns, const char *name,
                      struct doctor_report *r)
{
    const struct members_whose who = {.ns = ns, .only = name, .config = c->config};
    json_t *entries = NULL;
    json_t *groups = NULL;
    enum rc rc = RC_OK;
    bool known = true;

    const json_t *entry = find_named(c, KUBE_WORKLOAD_ENTRY, ns, name, r, &entries, &known);
    const json_t *group = find_named(c, KUBE_WORKLOAD_GROUP, ns, name, r, &groups, &known);
    if (entry != NULL) {
        members_check_entries(entries, ns, name, clock_wall(), r);
        doctor_looked(r, "WorkloadEntry %s of namespace %s", name, ns);
        rc = look_at_account(c, ns, doc_text(entry, "spec", "serviceAccount", NULL), r);
    }
    if (group != NULL && rc == RC_OK) {
        members_check_groups(groups, ns, name, r);
        doctor_looked(r, "WorkloadGroup %s of namespace %s", name, ns);
        rc = look_at_account(c, ns, doc_text(group, "spec", "template", "serviceAccount", NULL), r);
    }
    members_check_labels(groups, entries, &who, r);
    if (known && entry == NULL && group == NULL) {
        doctor_find(r, DOCTOR_VM_UNKNOWN, ns, name, NULL);
    }
    json_decref(entries);
    json_decref(groups);
    return rc;
}
