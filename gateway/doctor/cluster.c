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

static void add_account(struct cluster_accounts *out, const struct cluster_account *a,
                        struct doctor_report *r)
{
    for (size_t i = 0; i < out->n; i++) {
        if (strcmp(out->list[i].ns, a->ns) == 0 && strcmp(out->list[i].name, a->name) == 0) {
            return;
        }
    }
    if (out->n < CLUSTER_ACCOUNTS_MAX) {
        out->list[out->n++] = *a;
    } else {
        doctor_skipped(r, "service accounts of `vm_identities`: more than the first %d",
                       CLUSTER_ACCOUNTS_MAX);
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
            add_account(out, &a, r);
        }
    }
}

/* ---- questions ---- */

bool cluster_may_ask(const struct doctor_client *who, const char *what, struct doctor_report *r)
{
    if (who->away) {
        doctor_skipped(r, "%s: the API server of %s did not answer before", what, who->name);
    }
    return !who->away;
}

bool cluster_is_one(const struct doctor_cluster *c)
{
    return c->gate != NULL && c->look != NULL &&
           strcmp(kube_access_server(kube_access_of(c->gate->kube)),
                  kube_access_server(kube_access_of(c->look->kube))) == 0;
}

char *cluster_gate_flags(const struct doctor_cluster *c, struct doctor_report *r)
{
    const struct doctor_client *who = c->look == NULL || cluster_is_one(c) ? c->look : c->gate;
    char *flags = doctor_kubectl_flags(who != NULL ? who->kubeconfig : NULL,
                                       who != NULL ? who->context : NULL);

    r->short_of_memory = r->short_of_memory || flags == NULL;
    return flags;
}

static void find_with_flags(struct doctor_report *r, enum doctor_cause cause, const char *text,
                            const struct doctor_client *who)
{
    char *flags = doctor_kubectl_flags(who->kubeconfig, who->context);

    r->short_of_memory = r->short_of_memory || flags == NULL;
    doctor_find(r, cause, text, flags != NULL ? flags : "", NULL);
    free(flags);
}

void cluster_say(enum kube_outcome outcome, int status, const char *text, const char *what,
                 struct doctor_client *who, struct doctor_report *r)
{
    if (outcome == KUBE_NO_MEMORY) {
        r->short_of_memory = true;
    } else if (outcome == KUBE_REFUSED && status == 401) {
        find_with_flags(r, DOCTOR_KUBERNETES_REFUSES, text, who);
    } else if (outcome == KUBE_REFUSED && status == 403) {
        doctor_skipped(r, "%s: %s has no right to; --kubeconfig names somebody who has", what,
                       who->name);
    } else if (outcome == KUBE_REFUSED || outcome == KUBE_INVALID) {
        doctor_skipped(r, "%s: %s", what, text);
    } else {
        r->unreachable = true;
        who->away = outcome != KUBE_BAD_ANSWER; /* another answer may be a better one */
        find_with_flags(r, DOCTOR_KUBERNETES_UNREACHABLE, text, who);
    }
}

enum cluster_got cluster_get(const struct doctor_cluster *c, enum kube_kind kind, const char *ns,
                             const char *name, struct doctor_report *r, json_t **out)
{
    struct kube_reply reply = {.status = 0};
    char what[KUBE_PATH_BYTES];
    enum cluster_got got = CLUSTER_NOT;

    if (c->look == NULL) {
        return CLUSTER_NOT;
    }
    (void)snprintf(what, sizeof(what), "%s%s%s%s%s", kube_kind_plural(kind),
                   name != NULL ? " " : "", name != NULL ? name : "",
                   ns != NULL ? " of namespace " : "", ns != NULL ? ns : "");
    if (!cluster_may_ask(c->look, what, r)) {
        return CLUSTER_NOT;
    }
    enum kube_outcome outcome =
        name != NULL ? kube_ask_get(c->look->kube, kind, ns, name, NULL, &reply)
                     : kube_ask_list(c->look->kube, kind, ns, CLUSTER_ITEMS_MAX, &reply);
    bool is_unknown = outcome == KUBE_REFUSED && reply.status == 404;
    if (outcome == KUBE_OK) {
        *out = json_incref(reply.body);
        got = CLUSTER_GOT;
        if (name == NULL && !kube_list_is_whole(reply.body, CLUSTER_ITEMS_MAX)) {
            doctor_skipped(r, "%s: more than the first %d", what, CLUSTER_ITEMS_MAX);
        }
    } else if (name != NULL && (is_unknown || outcome == KUBE_INVALID)) {
        got = CLUSTER_ABSENT;
    } else if (is_unknown) {
        got = CLUSTER_ABSENT;
        doctor_find(r, DOCTOR_KUBERNETES_NO_ISTIO, reply.error.text, NULL);
    } else {
        cluster_say(outcome, reply.status, reply.error.text, what, c->look, r);
    }
    kube_reply_fini(&reply);
    return got;
}

char *cluster_get_text(const struct doctor_cluster *c, const char *name, bool of_revision,
                       const char *key, struct doctor_report *r)
{
    json_t *map = NULL;
    char *copy = NULL;
    char *full = doctor_of_revision(name, of_revision ? c->revision : NULL);

    r->short_of_memory = r->short_of_memory || full == NULL;
    if (full == NULL ||
        cluster_get(c, KUBE_CONFIG_MAP, c->istio_namespace, full, r, &map) != CLUSTER_GOT) {
        free(full);
        return NULL;
    }
    free(full);
    const char *text = doc_text(map, "data", key, NULL);
    if (text != NULL) {
        copy = strdup(text);
        r->short_of_memory = r->short_of_memory || copy == NULL;
    }
    json_decref(map);
    return copy;
}
