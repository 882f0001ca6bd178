/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a VM says about itself in the Node of its first request (envoy.config.core.v3.Node; metadata
 * keys: pkg/model/proxy.go of Istio). Claims of a stranger: every text is bounded and UTF-8, may
 * hold any character but NUL, and must be checked before it is believed and escaped before it is
 * shown.
 *
 * Istiod turns the metadata into JSON and gives it to Go's encoding/json, which takes a key in
 * other letters for the same key ("namespace", also with U+017F for "s" and U+212A for "k"). So do
 * we, for all keys but NAME: an agent makes top-level metadata of each label, and labels that are
 * called "name" are many.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"

/** Room, each with the zero. */
#define XDS_NODE_ID_BYTES 512   /**< sidecar~IP~NAME.NAMESPACE~DOMAIN: the longest of all parts */
#define XDS_NODE_IPS_BYTES 1024 /**< INSTANCE_IPS: a host of containers has dozens */
#define XDS_NODE_TEXT_BYTES 256 /**< of another metadata value; Kubernetes' names fit */
#define XDS_LABEL_BYTES 384     /**< "KEY=VALUE": 253 + 1 + 63 + 1 + 63 and more */

#define XDS_NODE_LABELS 64   /**< labels that are kept */
#define XDS_NODE_BYTES 8192U /**< a whole struct xds_node */

/** The texts of a Node. Each is "" when it is absent. */
enum xds_node_text {
    XDS_NODE_ID,              /**< Node.id */
    XDS_NODE_CLUSTER,         /**< Node.cluster: the service cluster */
    XDS_NODE_NAME,            /**< metadata NAME */
    XDS_NODE_NAMESPACE,       /**< metadata NAMESPACE */
    XDS_NODE_SERVICE_ACCOUNT, /**< metadata SERVICE_ACCOUNT */
    XDS_NODE_GROUP,           /**< metadata AUTO_REGISTER_GROUP */
    XDS_NODE_ENTRY,           /**< metadata WORKLOAD_ENTRY */
    XDS_NODE_INSTANCE_IPS,    /**< metadata INSTANCE_IPS: the first is what istiod registers */
    XDS_NODE_NETWORK,         /**< metadata NETWORK */
    XDS_NODE_CLUSTER_ID,      /**< metadata CLUSTER_ID */
    XDS_NODE_MESH_ID,         /**< metadata MESH_ID */
    XDS_NODE_VERSION,         /**< metadata ISTIO_VERSION */
    XDS_NODE_WORKLOAD,        /**< metadata WORKLOAD_NAME */
    XDS_NODE_GENERATOR,       /**< metadata GENERATOR: which of istiod's generators answers */
    XDS_NODE_LOCALITY,        /**< Node.locality as region/zone/subzone */
    XDS_NODE_TEXTS
};

/**
 * A Node. One block, made by xds_request_read(), freed with free().
 * texts and labels point into it.
 */
struct xds_node {
    const char *text[XDS_NODE_TEXTS]; /**< never NULL */
    const char *labels; /**< n_labels texts "KEY=VALUE", each with its zero, one after the other:
                           those of metadata LABELS, then those that only STATIC_LABELS has */
    uint32_t n_labels;
    uint32_t n_bytes;      /**< of the whole block, at most XDS_NODE_BYTES */
    bool has_proxy_config; /**< metadata PROXY_CONFIG is there: istiod lists only such nodes */
    bool cut;              /**< a text was longer than its bound, or there were more labels */
    bool odd; /**< it can be read in more than one way: a key of the metadata, a label or a text
                 twice; a key in other letters, with another value; a NUL; a value of a key above
                 that is no string, or of a label; a "=" in a label's key */
};

/** The parts of a node id, TYPE~IP~NAME.NAMESPACE~DOMAIN. Borrowed from the id; not
 * zero-terminated. */
struct xds_node_id {
    const char *type;
    size_t n_type;
    const char *ip;
    size_t n_ip;
    const char *name; /**< NAME.NAMESPACE */
    size_t n_name;
    const char *domain;
    size_t n_domain;
};

/** Take an id apart. RC_OK; RC_PEER_MALFORMED: not four parts (pkg/model/proxy.go,
 * ParseServiceNodeWithMetadata). */
enum rc xds_node_id_parse(const char *id, struct xds_node_id *out) MUST_USE;

/** The value of a label of node, the first when LABELS and STATIC_LABELS do not agree; NULL: it has
 * none. Borrowed from node. */
const char *xds_node_label(const struct xds_node *node, const char *key);
