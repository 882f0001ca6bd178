/* SPDX-License-Identifier: Apache-2.0 */
/* Target: gateway/cluster/service.c, with kube_slice_nodes() and what reads services and nodes.
 * Each line is a letter, which says what the JSON behind it is given as; the first byte of all says
 * which addresses are wanted. Whatever comes, what follows is bounded, whole and explained. */
#include <string.h>

#include "core/base/check.h"
#include "gateway/cluster/service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_nodes(const struct service *s)
{
    const char *names[SERVICE_NODES_MAX];
    size_t n = 0;

    service_nodes(s, names, &n);
    CHECK(n <= SERVICE_NODES_MAX);
    for (size_t i = 0; i < n; i++) {
        CHECK(strlen(names[i]) < SERVICE_NODE_NAME_BYTES);
    }
}

static void check_addresses(const struct service *s)
{
    static struct service_found found;

    enum rc rc = service_addresses(s, &found);
    CHECK(found.n <= SERVICE_ADDRESSES_MAX && (rc == RC_OK || rc == RC_AGAIN));
    CHECK(rc != RC_OK || (found.n == 0) == (found.why[0] != '\0'));
    for (size_t i = 0; i < found.n; i++) {
        CHECK(found.addrs[i].port != 0 && found.addrs[i].family != ADDR_NONE);
        for (size_t k = 0; k < i; k++) {
            CHECK(!addr_same_ip(&found.addrs[i], &found.addrs[k]) ||
                  found.addrs[i].port != found.addrs[k].port);
        }
    }
}

/* The first of those that are needed. */
static enum rc set_node(struct service *s, const json_t *object)
{
    const char *names[SERVICE_NODES_MAX];
    char name[SERVICE_NODE_NAME_BYTES] = "none";
    size_t n = 0;

    service_nodes(s, names, &n);
    if (n > 0) {
        memcpy(name, names[0], strlen(names[0]) + 1);
    }
    return service_set_node(s, name, object);
}

static enum rc give(struct service *s, char letter, const json_t *object)
{
    switch (letter) {
    case 'L':
        return service_list_slices(s, object);
    case '+':
        return service_change_slice(s, KUBE_MODIFIED, object);
    case '-':
        return service_change_slice(s, KUBE_DELETED, object);
    case 'O':
        return service_set_object(s, object);
    case 'N':
        return set_node(s, object);
    case 'F':
        service_forget(s);
        return RC_OK;
    default:
        return RC_OK;
    }
}

static void give_line(struct service *s, const char *line, size_t n)
{
    struct doc_error err;
    json_t *v = NULL;

    if (n > 0 && doc_parse_json(line + 1, n - 1, &err, &v) == RC_OK) {
        enum rc rc = give(s, line[0], v);
        CHECK(rc == RC_OK || rc == RC_PEER_MALFORMED || rc == RC_FULL);
        json_decref(v);
        check_nodes(s);
        check_addresses(s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char name[] = "istiod";
    static char port[] = "15012";
    struct upstream_discovery d = {.on = true, .service = name, .ns = name, .port = port};
    struct service *s = NULL;

    if (size < 1) {
        return 0;
    }
    d.addresses = (data[0] & 1) != 0 ? UPSTREAM_NODES : UPSTREAM_PODS;
    d.node_address = (data[0] & 2) != 0 ? UPSTREAM_EXTERNAL_IP : UPSTREAM_INTERNAL_IP;
    CHECK(service_new(&d, &s) == RC_OK);
    for (size_t at = 1; at < size;) {
        const char *line = (const char *)data + at;
        const char *end = memchr(line, '\n', size - at);
        size_t n = end != NULL ? (size_t)(end - line) : size - at;
        give_line(s, line, n);
        at += n + 1;
    }
    service_free(&s);
    return 0;
}
