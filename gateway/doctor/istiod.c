/* SPDX-License-Identifier: Apache-2.0 */
/* How istiod is deployed, and how it is reached from outside of the cluster. */
#include <stdlib.h>

#include "gateway/doctor/cluster_internal.h"

/* Which way the connections come matters where istiod believes an address. */
static bool source_matters(const struct doctor_upstream *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].xfcc) {
            return true;
        }
    }
    return false;
}

static void look_at_versions(const struct doctor_cluster *c, const json_t *deployment,
                             const char *name, struct doctor_report *r)
{
    const struct versions_whose who = {.ns = c->istio_namespace,
                                       .deployment = name,
                                       .revision = c->revision,
                                       .config = c->config,
                                       .gate_is_elsewhere = c->gate != NULL && !cluster_is_one(c)};

    if (c->vms != NULL) {
        versions_check(deployment, &who, c->vms, r);
    }
}

enum rc doctor_istiod(const struct doctor_cluster *c, const struct doctor_upstream *list, size_t n,
                      struct doctor_report *r)
{
    json_t *deployment = NULL;
    json_t *services = NULL;
    char *name = doctor_of_revision("istiod", c->revision);

    if (name == NULL) {
        return RC_NO_MEMORY;
    }
    switch (cluster_get(c, KUBE_DEPLOYMENT, c->istio_namespace, name, r, &deployment)) {
    case CLUSTER_GOT:
        istiod_check_deployment(deployment, c->istio_namespace, name, list, n, r);
        look_at_versions(c, deployment, name, r);
        json_decref(deployment);
        break;
    case CLUSTER_ABSENT:
        doctor_find(r, DOCTOR_ISTIOD_MISSING, c->istio_namespace, name, NULL);
        break;
    case CLUSTER_NOT:
        break;
    }
    free(name);
    if (cluster_get(c, KUBE_SERVICE, c->istio_namespace, NULL, r, &services) == CLUSTER_GOT) {
        istiod_check_services(services, c->istio_namespace, c->before && n == 0,
                              c->before || source_matters(list, n), r);
        json_decref(services);
    }
    return RC_OK;
}
