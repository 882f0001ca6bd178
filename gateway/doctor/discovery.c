/* SPDX-License-Identifier: Apache-2.0 */
/* Where Kubernetes says that istiod is: what the daemon would be told, by the daemon's own rights.
 */
#include <stdlib.h>

#include "gateway/cluster/service_ask.h"
#include "gateway/doctor/cluster_internal.h"

static void find_forbidden(const struct doctor_cluster *c, const struct doctor_upstream *u,
                           enum kube_kind kind, struct doctor_report *r)
{
    char *flags = cluster_gate_flags(c, r);

    if (flags != NULL) {
        doctor_find(r, DOCTOR_DISCOVERY_FORBIDDEN, u->name, kube_kind_plural(kind),
                    u->discovery->ns, u->discovery->service, flags, NULL);
    }
    free(flags);
}

static void find_empty(const struct doctor_cluster *c, const struct doctor_upstream *u,
                       const char *why, struct doctor_report *r)
{
    char *flags = cluster_gate_flags(c, r);

    if (flags != NULL) {
        doctor_find(r, DOCTOR_DISCOVERY_EMPTY, u->name, why, u->discovery->ns, flags, NULL);
    }
    free(flags);
}

static void say_not_found(const struct doctor_cluster *c, const struct doctor_upstream *u,
                          const struct service_answer *a, const char *what, struct doctor_report *r)
{
    if (a->reply.outcome == KUBE_REFUSED && a->reply.status == 403) {
        find_forbidden(c, u, a->kind, r);
    } else {
        cluster_say(a->reply.outcome, a->reply.status, a->reply.error.text, what, c->gate, r);
    }
    doctor_skipped(r, "%s: Kubernetes does not say where it is", what);
}

static enum rc take_found(const struct doctor_cluster *c, struct doctor_upstream *u,
                          const struct service_found *found, struct doctor_report *r)
{
    if (found->n == 0) {
        find_empty(c, u, found->why, r);
    }
    if (found->cut) {
        doctor_skipped(r, "endpoints of upstream %s: more than the daemon takes", u->name);
    }
    u->found = calloc(found->n + 1, sizeof(*u->found));
    if (u->found == NULL) {
        return RC_NO_MEMORY;
    }
    for (; u->n_found < found->n; u->n_found++) {
        u->found[u->n_found] = found->addrs[u->n_found];
    }
    doctor_looked(r, "where Kubernetes says that upstream %s is: service %s of namespace %s",
                  u->name, u->discovery->service, u->discovery->ns);
    return RC_OK;
}

static enum rc discover(const struct doctor_cluster *c, struct doctor_upstream *u, const char *what,
                        struct service *s, struct doctor_report *r)
{
    struct service_answer answer;
    struct service_found *found;

    if (service_ask(c->gate->kube, u->discovery, s, &answer) != KUBE_OK) {
        say_not_found(c, u, &answer, what, r);
        return RC_OK;
    }
    found = calloc(1, sizeof(*found));
    if (found == NULL) {
        return RC_NO_MEMORY;
    }
    enum rc rc = RC_OK;
    if (service_addresses(s, found) == RC_OK) { /* all has been said */
        rc = take_found(c, u, found, r);
    }
    free(found);
    return rc;
}

enum rc doctor_discover(const struct doctor_cluster *c, struct doctor_upstream *u,
                        struct doctor_report *r)
{
    struct service *s = NULL;
    char what[160];

    if (u->discovery == NULL) {
        return RC_OK;
    }
    (void)snprintf(what, sizeof(what), "upstream %s from here", u->name);
    if (c->gate == NULL) {
        doctor_skipped(r, "%s: nobody asks Kubernetes where it is", what);
        return RC_OK;
    }
    if (!cluster_may_ask(c->gate, what, r)) {
        return RC_OK;
    }
    TRY(service_new(u->discovery, &s));
    enum rc rc = discover(c, u, what, s, r);
    service_free(&s);
    return rc;
}
