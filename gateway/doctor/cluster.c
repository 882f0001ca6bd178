/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to a cluster, and what it means when they are not answered. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/doctor/cluster_internal.h"

/* ---- accounts ---- */

/* "ns/NS/sa/SA", as spiffe_pattern_check() has found it. */
static bool split_pattern(const char *pattern, struct cluster_account *out)
{
    const char *ns = pattern + strlen("ns/");
    const char *slash = strchr(ns, '/');
    const char *account = slash != NULL ? slash + strlen("/sa/") : "";

    if (slash == NULL || (size_t)(slash - ns) >= sizeof(out->ns) ||
        strlen(account) >= sizeof(out->name)) {
        return false;
    }
    (void)snprintf(out->ns, sizeof(out->ns), "%.*s", (int)(slash - ns), ns);
    (void)snprintf(out->name, sizeof(out->name), "%s", strcmp(account, "*") == 0 ? "" : account);
    return true;
}

static void add_account(struct cluster_accounts *out, const struct cluster_account *a)
{
    for (size_t i = 0; i < out->n; i++) {
        if (strcmp(out->list[i].ns, a->ns) == 0 && strcmp(out->list[i].name, a->name) == 0) {
            return;
        }
    }
    if (out->n < CLUSTER_ACCOUNTS_MAX) {
        out->list[out->n++] = *a;
    }
}

void cluster_accounts_read(const struct config *c, struct cluster_accounts *out,
                           struct doctor_report *r)
{
    struct cluster_account a;

    out->n = 0;
    for (size_t i = 0; c != NULL && i < c->n_listeners; i++) {
        const struct cert_set *certs = c->listeners[i].certs;
        const char *const *p = certs != NULL ? cert_set_vm_identities(certs) : NULL;
        for (; p != NULL && *p != NULL; p++) {
            if (!split_pattern(*p, &a)) {
                continue;
            }
            if (strcmp(a.ns, "*") == 0) {
                doctor_skipped(r,
                               "the accounts of %s: it names no namespace; name a VM: xdsgate "
                               "doctor NAME -n NAMESPACE",
                               *p);
                continue;
            }
            add_account(out, &a);
        }
    }
}

/* ---- questions ---- */

void cluster_say(enum kube_outcome outcome, int status, const char *text, const char *what,
                 const char *who, struct doctor_report *r)
{
    if (outcome == KUBE_NO_MEMORY) {
        r->short_of_memory = true;
    } else if (outcome == KUBE_REFUSED && status == 401) {
        doctor_find(r, DOCTOR_KUBERNETES_REFUSES, text, who, NULL);
    } else if (outcome == KUBE_REFUSED && status == 403) {
        doctor_skipped(r, "%s: %s has no right to; --kubeconfig names somebody who has", what, who);
    } else if (outcome == KUBE_REFUSED || outcome == KUBE_INVALID) {
        doctor_skipped(r, "%s: %s", what, text);
    } else {
        r->unreachable = true;
        doctor_find(r, DOCTOR_KUBERNETES_UNREACHABLE, text, who, NULL);
    }
}

enum cluster_got cluster_get(const struct doctor_cluster *c, enum kube_kind kind, const char *ns,
                             const char *name, struct doctor_report *r, json_t **out)
{
    struct kube_reply reply = {.status = 0};
    char what[KUBE_PATH_BYTES];
    enum cluster_got got = CLUSTER_NOT;

    if (c->look == NULL || r->unreachable) {
        return CLUSTER_NOT;
    }
    (void)snprintf(what, sizeof(what), "%s%s%s%s%s", kube_kind_plural(kind),
                   name != NULL ? " " : "", name != NULL ? name : "",
                   ns != NULL ? " of namespace " : "", ns != NULL ? ns : "");
    enum kube_outcome outcome = kube_ask_get(c->look, kind, ns, name, NULL, &reply);
    if (outcome == KUBE_OK) {
        *out = json_incref(reply.body);
        got = CLUSTER_GOT;
    } else if (outcome == KUBE_REFUSED && reply.status == 404) {
        got = CLUSTER_ABSENT;
    } else {
        cluster_say(outcome, reply.status, reply.error.text, what, c->look_name, r);
    }
    kube_reply_fini(&reply);
    return got;
}

char *cluster_get_text(const struct doctor_cluster *c, const char *name, bool of_revision,
                       const char *key, struct doctor_report *r)
{
    char full[300];
    json_t *map = NULL;
    char *copy = NULL;
    bool has = of_revision && c->revision != NULL && strcmp(c->revision, "default") != 0;

    (void)snprintf(full, sizeof(full), "%s%s%.60s", name, has ? "-" : "", has ? c->revision : "");
    if (cluster_get(c, KUBE_CONFIG_MAP, c->istio_namespace, full, r, &map) != CLUSTER_GOT) {
        return NULL;
    }
    const char *text = doc_text(map, "data", key, NULL);
    if (text != NULL) {
        copy = strdup(text);
        r->short_of_memory = r->short_of_memory || copy == NULL;
    }
    json_decref(map);
    return copy;
}
