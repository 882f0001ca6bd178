/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cluster/service_path.h"

#include <stdio.h>

#include "gateway/cluster/service.h"

enum rc service_path(const struct upstream_discovery *d, enum kube_kind kind, const char *node,
                     char *out)
{
    char selector[SERVICE_NODE_NAME_BYTES + 32];

    TRY(kube_path_make(kind, 0, kind == KUBE_NODE ? NULL : d->ns, NULL, out));
    if (kind == KUBE_ENDPOINT_SLICE) {
        (void)snprintf(selector, sizeof(selector), KUBE_SLICE_LABEL "=%s", d->service);
        return kube_path_query(out, "labelSelector", selector);
    }
    (void)snprintf(selector, sizeof(selector), "metadata.name=%s",
                   kind == KUBE_NODE ? node : d->service);
    return kube_path_query(out, "fieldSelector", selector);
}
