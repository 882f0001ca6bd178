/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cluster/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"

#define SERVICE_MAGIC 0x5e2f1ce5u

/* Nodes have two, or four with both families. */
#define NODE_ADDRESSES_MAX 8

/* One endpoint slice: what it adds. */
struct slice {
    char *name;         /* owned */
    struct addr *addrs; /* owned; of pods that are ready */
    char **pods;        /* owned strings: their names, NULL where there is none */
    size_t n;
    char **nodes; /* owned strings; where they run */
    size_t n_nodes;
    bool cut; /* some were left out */
};

struct slices {
    struct slice list[SERVICE_SLICES_MAX];
    size_t n;
    bool cut; /* some were left out */
};

struct node {
    char name[SERVICE_NODE_NAME_BYTES];
    struct addr addrs[NODE_ADDRESSES_MAX];
    size_t n;
};

struct service {
    uint32_t magic;
    const struct upstream_discovery *discovery; /* borrowed */
    struct kube_endpoints *scratch;             /* owned */
    struct slices *slices;                      /* owned; NULL: not said yet */
    bool object_known;
    bool object_there;
    uint16_t node_port; /* 0: none */
    /* Those that were said; nobody asks for the others any more. */
    struct node nodes[SERVICE_NODES_MAX];
    size_t n_nodes;
};

/* ---- its life ---- */

enum rc service_new(const struct upstream_discovery *discovery, struct service **out)
{
    struct service *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        return RC_NO_MEMORY;
    }
    s->scratch = malloc(sizeof(*s->scratch));
    if (s->scratch == NULL) {
        free(s);
        return RC_NO_MEMORY;
    }
    s->magic = SERVICE_MAGIC;
    s->discovery = discovery;
    *out = s;
    return RC_OK;
}

static void free_slice(struct slice *s)
{
    for (size_t i = 0; i < s->n_nodes; i++) {
        free(s->nodes[i]);
    }
    free(s->nodes);
    for (size_t i = 0; i < s->n; i++) {
        free(s->pods[i]);
    }
    free(s->pods);
    free(s->addrs);
    free(s->name);
    *s = (struct slice){0};
}

static void free_slices(struct slices **ps)
{
    struct slices *s = *ps;

    *ps = NULL;
    for (size_t i = 0; s != NULL && i < s->n; i++) {
        free_slice(&s->list[i]);
    }
    free(s);
}

void service_free(struct service **ps)
{
    struct service *s = *ps;

    *ps = NULL;
    if (s == NULL) {
        return;
    }
    CHECK_MAGIC(s, SERVICE_MAGIC);
    free_slices(&s->slices);
    free(s->scratch);
    s->magic = 0;
    free(s);
}

void service_forget(struct service *s)
{
    CHECK_MAGIC(s, SERVICE_MAGIC);
    free_slices(&s->slices);
    s->object_known = false;
    s->object_there = false;
    s->node_port = 0;
    s->n_nodes = 0;
}

/* ---- slices ---- */

static bool wants_nodes(const struct service *s)
{
    return s->discovery->addresses == UPSTREAM_NODES;
}

/* What an API server sent as text; false: no address after all. */
static bool to_addr(const struct kube_endpoint *e, struct addr *out)
{
    if (addr_parse_ip(e->ip, out) != RC_OK) {
        return false;
    }
    out->port = e->port;
    return true;
}

static enum rc keep_pod(struct slice *s, const struct kube_endpoint *e)
{
    if (!e->ready || !to_addr(e, &s->addrs[s->n])) {
        return RC_OK;
    }
    if (e->pod != NULL) {
        s->pods[s->n] = strdup(e->pod);
        if (s->pods[s->n] == NULL) {
            return RC_NO_MEMORY;
        }
    }
    s->n++;
    return RC_OK;
}

/* The ready ones. */
static enum rc read_pods(struct service *s, const json_t *object, struct slice *out)
{
    struct kube_endpoints *e = s->scratch;

    e->n = 0;
    e->cut = false;
    TRY(kube_slice_read(object, s->discovery->port, e));
    out->addrs = calloc(e->n + 1, sizeof(*out->addrs));
    out->pods = calloc(e->n + 1, sizeof(*out->pods));
    if (out->addrs == NULL || out->pods == NULL) {
        return RC_NO_MEMORY;
    }
    for (size_t i = 0; i < e->n; i++) {
        TRY(keep_pod(out, &e->list[i]));
    }
    out->cut = e->cut;
    return RC_OK;
}

static enum rc read_nodes(const json_t *object, struct slice *out)
{
    const char *names[SERVICE_NODES_MAX + 1];
    size_t n = 0;

    TRY(kube_slice_nodes(object, names, SERVICE_NODES_MAX + 1, &n));
    out->cut = n > SERVICE_NODES_MAX;
    n = out->cut ? SERVICE_NODES_MAX : n;
    out->nodes = calloc(n + 1, sizeof(*out->nodes));
    if (out->nodes == NULL) {
        return RC_NO_MEMORY;
    }
    for (; out->n_nodes < n; out->n_nodes++) {
        out->nodes[out->n_nodes] = strdup(names[out->n_nodes]);
        if (out->nodes[out->n_nodes] == NULL) {
            return RC_NO_MEMORY;
        }
    }
    return RC_OK;
}

static enum rc read_slice(struct service *s, const json_t *object, struct slice *out)
{
    const char *name = doc_text(object, "metadata", "name", NULL);
    struct slice fresh = {0};

    if (name == NULL) {
        return RC_PEER_MALFORMED;
    }
    enum rc rc = wants_nodes(s) ? read_nodes(object, &fresh) : read_pods(s, object, &fresh);
    if (rc == RC_OK) {
        fresh.name = strdup(name);
        rc = fresh.name != NULL ? RC_OK : RC_NO_MEMORY;
    }
    if (rc != RC_OK) {
        free_slice(&fresh);
        return rc;
    }
    *out = fresh;
    return RC_OK;
}

enum rc service_list_slices(struct service *s, const json_t *items)
{
    CHECK_MAGIC(s, SERVICE_MAGIC);
    struct slices *fresh = calloc(1, sizeof(*fresh));
    enum rc rc = fresh != NULL ? RC_OK : RC_NO_MEMORY;
    size_t i;
    json_t *object;

    json_array_foreach(items, i, object)
    {
        if (rc == RC_OK && fresh->n == SERVICE_SLICES_MAX) {
            fresh->cut = true;
        } else if (rc == RC_OK) {
            rc = read_slice(s, object, &fresh->list[fresh->n]);
            fresh->n += rc == RC_OK;
        }
    }
    if (rc != RC_OK) {
        free_slices(&fresh);
        return rc;
    }
    free_slices(&s->slices);
    s->slices = fresh;
    return RC_OK;
}

static size_t find_slice(const struct slices *s, const char *name)
{
    size_t i = 0;

    while (i < s->n && strcmp(s->list[i].name, name) != 0) {
        i++;
    }
    return i;
}

static void remove_slice(struct slices *s, size_t i)
{
    free_slice(&s->list[i]);
    s->list[i] = s->list[--s->n];
    s->list[s->n] = (struct slice){0};
}

static enum rc put_slice(struct service *s, size_t i, const json_t *object)
{
    struct slice fresh;

    if (i == SERVICE_SLICES_MAX) {
        s->slices->cut = true;
        return RC_FULL;
    }
    TRY(read_slice(s, object, &fresh));
    free_slice(&s->slices->list[i]);
    s->slices->list[i] = fresh;
    s->slices->n += i == s->slices->n;
    return RC_OK;
}

enum rc service_change_slice(struct service *s, enum kube_change change, const json_t *slice)
{
    CHECK_MAGIC(s, SERVICE_MAGIC);
    const char *name = doc_text(slice, "metadata", "name", NULL);

    if (name == NULL || s->slices == NULL) {
        return RC_PEER_MALFORMED;
    }
    size_t i = find_slice(s->slices, name);
    if (change != KUBE_DELETED) {
        return put_slice(s, i, slice);
    }
    if (i < s->slices->n) {
        remove_slice(s->slices, i);
    }
    return RC_OK;
}

/* ---- the service and nodes ---- */

enum rc service_set_object(struct service *s, const json_t *object)
{
    uint16_t port = 0;

    CHECK_MAGIC(s, SERVICE_MAGIC);
    if (object != NULL) {
        enum rc rc = kube_service_node_port(object, s->discovery->port, &port);
        if (rc != RC_OK && rc != RC_NOT_FOUND) {
            return rc;
        }
    }
    s->object_known = true;
    s->object_there = object != NULL;
    s->node_port = port;
    return RC_OK;
}

static const struct node *find_node(const struct service *s, const char *name)
{
    for (size_t i = 0; i < s->n_nodes; i++) {
        if (strcmp(s->nodes[i].name, name) == 0) {
            return &s->nodes[i];
        }
    }
    return NULL;
}

static void forget_node(struct service *s, const char *name)
{
    for (size_t i = 0; i < s->n_nodes; i++) {
        if (strcmp(s->nodes[i].name, name) == 0) {
            s->nodes[i] = s->nodes[--s->n_nodes];
            return;
        }
    }
}

/* Make room by what nobody needs any more. */
static void forget_unneeded(struct service *s)
{
    const char *needed[SERVICE_NODES_MAX];
    size_t n;

    service_nodes(s, needed, &n);
    for (size_t i = s->n_nodes; i > 0; i--) {
        bool found = false;
        for (size_t k = 0; k < n; k++) {
            found = found || strcmp(needed[k], s->nodes[i - 1].name) == 0;
        }
        if (!found) {
            s->nodes[i - 1] = s->nodes[--s->n_nodes];
        }
    }
}

/* Its port comes later, with each look: the service may get another. */
static enum rc read_node(struct service *s, const json_t *object, struct node *out)
{
    const char *type =
        s->discovery->node_address == UPSTREAM_EXTERNAL_IP ? "ExternalIP" : "InternalIP";
    struct kube_endpoints *e = s->scratch;

    e->n = 0;
    TRY(kube_node_read(object, type, 0, e));
    for (size_t i = 0; i < e->n && out->n < NODE_ADDRESSES_MAX; i++) {
        out->n += to_addr(&e->list[i], &out->addrs[out->n]);
    }
    return RC_OK;
}

enum rc service_set_node(struct service *s, const char *name, const json_t *node)
{
    CHECK_MAGIC(s, SERVICE_MAGIC);
    struct node fresh = {.n = 0};

    (void)snprintf(fresh.name, sizeof(fresh.name), "%s", name);
    if (node != NULL) {
        TRY(read_node(s, node, &fresh));
    }
    forget_node(s, fresh.name);
    forget_unneeded(s);
    if (s->n_nodes < SERVICE_NODES_MAX) {
        s->nodes[s->n_nodes++] = fresh;
    }
    return RC_OK;
}

/* False: there is no room. */
static bool add_name(const char **names, size_t *n, const char *name)
{
    for (size_t i = 0; i < *n; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    if (*n == SERVICE_NODES_MAX) {
        return false;
    }
    names[(*n)++] = name;
    return true;
}

/* Returns whether some were left out. */
static bool collect_nodes(const struct service *s, const char **names, size_t *n)
{
    bool cut = false;

    *n = 0;
    for (size_t i = 0; s->slices != NULL && i < s->slices->n; i++) {
        const struct slice *one = &s->slices->list[i];
        for (size_t k = 0; k < one->n_nodes; k++) {
            cut = !add_name(names, n, one->nodes[k]) || cut;
        }
    }
    return cut;
}

void service_nodes(const struct service *s, const char **names, size_t *n)
{
    CHECK_MAGIC(s, SERVICE_MAGIC);
    (void)collect_nodes(s, names, n);
}

/* ---- addresses ---- */

static void add_address(struct service_found *out, const struct addr *a, const char *pod)
{
    for (size_t i = 0; i < out->n; i++) {
        if (addr_same_ip(&out->addrs[i], a) && out->addrs[i].port == a->port) {
            return;
        }
    }
    if (out->n == SERVICE_ADDRESSES_MAX) {
        out->cut = true;
        return;
    }
    out->addrs[out->n] = *a;
    out->pods[out->n++] = pod;
}

/* "there is no service istio-system/istiod" and more. */
static void say(const struct service *s, char *why, const char *before, const char *after)
{
    (void)snprintf(why, SERVICE_WHY_BYTES, "%s %s/%s%s", before, s->discovery->ns,
                   s->discovery->service, after);
}

static void say_no_pods(const struct service *s, char *why)
{
    char after[64];

    if (s->slices->n == 0) {
        say(s, why, "there is no service", " with endpoints");
        return;
    }
    (void)snprintf(after, sizeof(after), " with port %s is ready", s->discovery->port);
    say(s, why, "no pod of service", after);
}

static void say_no_nodes(const struct service *s, size_t n_nodes, char *why)
{
    bool external = s->discovery->node_address == UPSTREAM_EXTERNAL_IP;

    if (n_nodes == 0) {
        say(s, why, "no pod of service", " is ready on a node");
        return;
    }
    say(s, why, "no node with a ready pod of service",
        external ? " has an ExternalIP" : " has an InternalIP");
}

static void say_no_port(const struct service *s, char *why)
{
    char after[64];

    if (!s->object_there) {
        say(s, why, "there is no service", "");
        return;
    }
    (void)snprintf(after, sizeof(after), " has no node port for its port %s", s->discovery->port);
    say(s, why, "service", after);
}

static enum rc pod_addresses(const struct service *s, struct service_found *out)
{
    for (size_t i = 0; i < s->slices->n; i++) {
        const struct slice *one = &s->slices->list[i];
        for (size_t k = 0; k < one->n; k++) {
            add_address(out, &one->addrs[k], one->pods[k]);
        }
    }
    if (out->n == 0) {
        say_no_pods(s, out->why);
    }
    return RC_OK;
}

static void add_node_addresses(const struct node *node, uint16_t port, struct service_found *out)
{
    for (size_t i = 0; i < node->n; i++) {
        struct addr a = node->addrs[i];
        a.port = port;
        add_address(out, &a, NULL); /* of any pod on that node */
    }
}

static enum rc node_addresses(const struct service *s, struct service_found *out)
{
    const char *names[SERVICE_NODES_MAX];
    size_t n_names;
    bool all_known = true;

    out->cut = collect_nodes(s, names, &n_names) || out->cut;
    for (size_t i = 0; i < n_names; i++) {
        const struct node *one = find_node(s, names[i]);
        all_known = all_known && one != NULL;
        if (one != NULL) {
            add_node_addresses(one, s->node_port, out);
        }
    }
    if (!all_known) {
        return RC_AGAIN;
    }
    if (out->n == 0) {
        say_no_nodes(s, n_names, out->why);
    }
    return RC_OK;
}

/* Were slices, or parts of them, left out when they came? */
static bool were_cut(const struct slices *s)
{
    bool cut = s->cut;

    for (size_t i = 0; i < s->n; i++) {
        cut = cut || s->list[i].cut;
    }
    return cut;
}

enum rc service_addresses(const struct service *s, struct service_found *out)
{
    CHECK_MAGIC(s, SERVICE_MAGIC);
    out->n = 0;
    out->cut = false;
    out->why[0] = '\0';
    if (s->slices == NULL || (wants_nodes(s) && !s->object_known)) {
        return RC_AGAIN;
    }
    out->cut = were_cut(s->slices);
    if (!wants_nodes(s)) {
        return pod_addresses(s, out);
    }
    if (s->node_port == 0) {
        say_no_port(s, out->why);
        return RC_OK;
    }
    return node_addresses(s, out);
}
