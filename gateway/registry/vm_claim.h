/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a stream of a VM has claimed, in one block that does not change: shared by the stream, the
 * VM and its readers. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"
#include "core/net/addr.h"
#include "xds/xds_node.h"

struct registry_claim;

/** Room for a VM's name. */
#define VM_NAME_BYTES XDS_NODE_ID_BYTES

/** A whole block is not larger: labels and addresses that do not fit are left out. */
#define VM_CLAIM_BYTES 4096

/** Its texts. Each is "" when nobody has said it. */
enum vm_text {
    VM_IDENTITY,
    VM_NODE_ID,
    VM_NAMESPACE,
    VM_GROUP,
    VM_NETWORK,
    VM_CLUSTER,
    VM_VERSION,
    VM_WORKLOAD,
    VM_LOCALITY,
    VM_LISTENER,
    VM_UPSTREAM,
    VM_ADDRESSES, /**< with commas between them */
    VM_TEXTS
};

struct vm_claim {
    uint32_t refs;          /**< atomic */
    struct addr peer;       /**< where it comes from */
    struct addr address;    /**< what istiod registers: the first of its addresses; ADDR_NONE: it
                               claims none that is one */
    int64_t token_expiry_s; /**< 0: it has shown none */
    uint16_t at[VM_TEXTS];
    uint16_t labels; /**< where they begin: n_labels texts "KEY=VALUE" */
    uint16_t n_labels;
    uint8_t variant; /**< enum xds_variant */
    bool verified;
    bool one_for_each_address;
    bool cut;     /**< it has claimed more than is kept */
    char bytes[]; /**< the texts, each with its zero */
};

/** The node of a claim, without a text when there is none. Borrowed. */
const struct xds_node *vm_claim_node(const struct registry_claim *claim);

/** Copy what is kept of a claim. out: one reference, owned by the caller. RC_NO_MEMORY. */
enum rc vm_claim_new(const struct registry_claim *claim, struct vm_claim **out) MUST_USE;

/** One reference more. */
struct vm_claim *vm_claim_ref(struct vm_claim *c);

/** Give a reference back and null the pointer; NULL is allowed. */
void vm_claim_unref(struct vm_claim **c);

/** One of its texts. Borrowed from c. */
const char *vm_claim_text(const struct vm_claim *c, enum vm_text t);

/** The value of a label, or NULL. Borrowed from c. */
const char *vm_claim_label(const struct vm_claim *c, const char *key);

/** "vm1.vms" of a node id, as `istioctl proxy-status` writes it; the whole node id when it has no
 * four parts. Returns name. */
const char *vm_name_of(const char *node_id, char name[VM_NAME_BYTES]);

/** Of the node id of c. */
const char *vm_claim_name(const struct vm_claim *c, char name[VM_NAME_BYTES]);
