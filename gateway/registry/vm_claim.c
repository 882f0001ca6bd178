/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/registry/vm_claim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "gateway/registry/registry.h"

/* More addresses are no matter of a list; the first is the one that counts. */
#define ADDRESSES_BYTES 512

const struct xds_node *vm_claim_node(const struct registry_claim *claim)
{
    static const struct xds_node nothing = {.text = {[0 ... XDS_NODE_TEXTS - 1] = ""},
                                            .labels = ""};

    return claim->node != NULL ? claim->node : &nothing;
}

/* ---- addresses ---- */

/* n bytes; blanks around them are no address for istiod either. */
static bool parse_one(const char *text, size_t n, struct addr *out)
{
    char one[ADDR_TEXT_BYTES];

    if (n >= sizeof(one)) {
        return false;
    }
    memcpy(one, text, n);
    one[n] = '\0';
    return addr_parse_ip(one, out) == RC_OK;
}

/* The first, when all of them are addresses: else istiod takes none of them (pkg/model/context.go
 * of Istio). */
static bool first_of_all(const char *list, struct addr *out)
{
    struct addr first = {.family = ADDR_NONE};

    for (const char *at = list;; at++) {
        struct addr a;
        size_t n = strcspn(at, ",");
        if (!parse_one(at, n, &a)) {
            return false;
        }
        if (first.family == ADDR_NONE) {
            first = a;
        }
        at += n;
        if (*at == '\0') {
            break;
        }
    }
    *out = first;
    return true;
}

static struct addr find_address(const struct xds_node *node)
{
    struct addr a = {.family = ADDR_NONE};
    struct xds_node_id id;

    if (!first_of_all(node->text[XDS_NODE_INSTANCE_IPS], &a) &&
        xds_node_id_parse(node->text[XDS_NODE_ID], &id) == RC_OK) {
        (void)parse_one(id.ip, id.n_ip, &a);
    }
    return a;
}

/* ---- packing ---- */

struct pack {
    char bytes[VM_CLAIM_BYTES];
    size_t n;
};

/* An empty NETWORK leaves the word to a label
 * (pilot/pkg/serviceregistry/kube/controller/controller.go of Istio, Network()). */
static const char *network_of(const struct xds_node *node)
{
    const char *label = node->text[XDS_NODE_NETWORK][0] == '\0'
                            ? xds_node_label(node, "topology.istio.io/network")
                            : NULL;

    return label != NULL ? label : node->text[XDS_NODE_NETWORK];
}

/* All n bytes and a zero. Nothing of a text that does not fit. */
static bool put(struct pack *p, const char *text, size_t n)
{
    if (n + 1 > sizeof(p->bytes) - p->n) {
        return false;
    }
    memcpy(p->bytes + p->n, text, n);
    p->bytes[p->n + n] = '\0';
    p->n += n + 1;
    return true;
}

/* Up to the last comma that fits. */
static size_t whole_addresses(const char *list)
{
    size_t n = strnlen(list, ADDRESSES_BYTES);

    while (n > 0 && list[n] != '\0' && list[n] != ',') {
        n--;
    }
    return n;
}

static void put_texts(struct pack *p, const struct registry_claim *claim, struct vm_claim *c)
{
    const char *const *node = vm_claim_node(claim)->text;
    const char *texts[VM_TEXTS] = {[VM_IDENTITY] = claim->identity,
                                   [VM_NODE_ID] = node[XDS_NODE_ID],
                                   [VM_NAMESPACE] = node[XDS_NODE_NAMESPACE],
                                   [VM_GROUP] = node[XDS_NODE_GROUP],
                                   [VM_NETWORK] = network_of(vm_claim_node(claim)),
                                   [VM_CLUSTER] = node[XDS_NODE_CLUSTER_ID],
                                   [VM_VERSION] = node[XDS_NODE_VERSION],
                                   [VM_WORKLOAD] = node[XDS_NODE_WORKLOAD],
                                   [VM_LOCALITY] = node[XDS_NODE_LOCALITY],
                                   [VM_LISTENER] = claim->listener,
                                   [VM_UPSTREAM] = claim->upstream,
                                   [VM_ADDRESSES] = node[XDS_NODE_INSTANCE_IPS]};

    for (size_t i = 0; i < VM_TEXTS; i++) {
        size_t n = i == VM_ADDRESSES ? whole_addresses(texts[i]) : strlen(texts[i]);
        c->at[i] = (uint16_t)p->n;
        if (!put(p, texts[i], n)) {
            c->cut = true;
            c->at[i] = (uint16_t)(p->n - 1); /* the zero of the one before */
        }
        c->cut |= texts[i][n] != '\0';
    }
}

static void put_labels(struct pack *p, const struct xds_node *node, struct vm_claim *c)
{
    const char *label = node->labels;

    c->labels = (uint16_t)p->n;
    for (uint32_t i = 0; i < node->n_labels; i++) {
        size_t n = strlen(label);
        if (!put(p, label, n)) {
            c->cut = true;
            return;
        }
        c->n_labels++;
        label += n + 1;
    }
}

enum rc vm_claim_new(const struct registry_claim *claim, struct vm_claim **out)
{
    const struct xds_node *node = vm_claim_node(claim);
    struct pack p = {.n = 0};
    struct vm_claim head = {.refs = 1,
                            .peer = claim->peer,
                            .address = find_address(node),
                            .token_expiry_s = claim->token_expiry_s,
                            .variant = (uint8_t)claim->variant,
                            .verified = claim->verified,
                            .one_for_each_address = claim->one_for_each_address,
                            .cut = node->cut};

    put_texts(&p, claim, &head);
    put_labels(&p, node, &head);
    struct vm_claim *c = malloc(sizeof(*c) + p.n);
    if (c == NULL) {
        return RC_NO_MEMORY;
    }
    *c = head;
    memcpy(c->bytes, p.bytes, p.n);
    *out = c;
    return RC_OK;
}

struct vm_claim *vm_claim_ref(struct vm_claim *c)
{
    __atomic_fetch_add(&c->refs, 1, __ATOMIC_RELAXED);
    return c;
}

void vm_claim_unref(struct vm_claim **pc)
{
    struct vm_claim *c = *pc;

    *pc = NULL;
    if (c == NULL) {
        return;
    }
    CHECK(__atomic_load_n(&c->refs, __ATOMIC_RELAXED) > 0);
    if (__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        free(c);
    }
}

/* ---- reading ---- */

const char *vm_claim_text(const struct vm_claim *c, enum vm_text t)
{
    return c->bytes + c->at[t];
}

const char *vm_claim_label(const struct vm_claim *c, const char *key)
{
    const char *label = c->bytes + c->labels;
    size_t n = strlen(key);

    for (size_t i = 0; i < c->n_labels; i++) {
        if (strncmp(label, key, n) == 0 && label[n] == '=') {
            return label + n + 1;
        }
        label += strlen(label) + 1;
    }
    return NULL;
}

const char *vm_name_of(const char *node_id, char name[VM_NAME_BYTES])
{
    struct xds_node_id parts;

    if (xds_node_id_parse(node_id, &parts) == RC_OK && parts.n_name > 0) {
        (void)snprintf(name, VM_NAME_BYTES, "%.*s", (int)parts.n_name, parts.name);
    } else {
        (void)snprintf(name, VM_NAME_BYTES, "%s", node_id);
    }
    return name;
}

const char *vm_claim_name(const struct vm_claim *c, char name[VM_NAME_BYTES])
{
    return vm_name_of(vm_claim_text(c, VM_NODE_ID), name);
}
