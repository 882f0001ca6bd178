/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cluster/service_ask.h"

#include <stdio.h>

#include "gateway/cluster/service_path.h"

/* The only object of a list, or none, goes where it belongs; so do all slices. */
static enum rc take(struct service *s, enum kube_kind kind, const char *node, const json_t *items)
{
    switch (kind) {
    case KUBE_SERVICE:
        return service_set_object(s, json_array_get(items, 0));
    case KUBE_NODE:
        return service_set_node(s, node, json_array_get(items, 0));
    default:
        return service_list_slices(s, items);
    }
}

/* Go's nil slice is null. */
static enum rc take_list(struct service *s, enum kube_kind kind, const char *node,
                         const json_t *body)
{
    const json_t *items = doc_at(body, "items", NULL);

    if (!json_is_object(body) || (items != NULL && !json_is_null(items) && !json_is_array(items))) {
        return RC_PEER_MALFORMED;
    }
    return take(s, kind, node, items);
}

static void fail(struct service_answer *out, enum kube_outcome outcome, const char *why)
{
    out->reply.outcome = outcome;
    kube_error_write(&out->reply.error, "%s: %s", kube_kind_plural(out->kind), why);
}

static enum kube_outcome ask(struct kube *k, const struct upstream_discovery *d, struct service *s,
                             const char *node, struct service_answer *out)
{
    char path[KUBE_PATH_BYTES];
    const struct kube_request request = {.path = path};

    out->reply = (struct kube_reply){.status = 0};
    if (service_path(d, out->kind, node, path) != RC_OK) {
        fail(out, KUBE_INVALID, "no object can have such a name");
        return out->reply.outcome;
    }
    if (kube_call_wait(k, &request, &out->reply) == KUBE_OK) {
        enum rc rc = take_list(s, out->kind, node, out->reply.body);
        if (rc != RC_OK) {
            fail(out, rc == RC_NO_MEMORY ? KUBE_NO_MEMORY : KUBE_BAD_ANSWER,
                 rc == RC_NO_MEMORY ? "out of memory" : "the API server sent something else");
        }
    }
    kube_reply_fini(&out->reply);
    return out->reply.outcome;
}

static enum kube_outcome ask_nodes(struct kube *k, const struct upstream_discovery *d,
                                   struct service *s, struct service_answer *out)
{
    const char *names[SERVICE_NODES_MAX];
    char name[SERVICE_NODE_NAME_BYTES];
    size_t n = 0;

    out->kind = KUBE_NODE;
    service_nodes(s, names, &n);
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(name, sizeof(name), "%s", names[i]);
        if (ask(k, d, s, name, out) != KUBE_OK) {
            break;
        }
        service_nodes(s, names, &n); /* the same ones, borrowed anew */
    }
    return out->reply.outcome;
}

enum kube_outcome service_ask(struct kube *k, const struct upstream_discovery *d, struct service *s,
                              struct service_answer *out)
{
    out->kind = KUBE_ENDPOINT_SLICE;
    if (ask(k, d, s, NULL, out) != KUBE_OK || d->addresses != UPSTREAM_NODES) {
        return out->reply.outcome;
    }
    out->kind = KUBE_SERVICE;
    if (ask(k, d, s, NULL, out) != KUBE_OK) {
        return out->reply.outcome;
    }
    return ask_nodes(k, d, s, out);
}
