/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "envoy/config/core/v3/base.pb-c.h"

/** What the control plane keeps of a Node. All strings owned, never NULL once filled. */
struct node {
    char *id;              /* TYPE~IP~NAME.NAMESPACE~DOMAIN */
    char *name;            /* NAME.NAMESPACE, as in proxy-status */
    char *name_space;      /* metadata NAMESPACE, else from the domain */
    char *service_account; /* metadata, may be "" */
    char *group;           /* AUTO_REGISTER_GROUP, may be "" */
    char *workload_entry;  /* WORKLOAD_ENTRY, may be "" */
    char *address;         /* first of INSTANCE_IPS, else the id's */
    char *network;         /* may be "" */
    char *cluster_id;      /* may be "" */
    char *istio_version;   /* may be "" */
    size_t n_extensions;   /* Envoy lists every one it has */
};

/**
 * Read a Node.
 *
 * Returns  NULL on success, else why it is refused (INVALID_ARGUMENT); *out is then untouched.
 */
const char *node_read(struct node *out, const Envoy__Config__Core__V3__Node *from);

/** Release the strings. */
void node_fini(struct node *n);
