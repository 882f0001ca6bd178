/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the configuration says about one upstream. Filled by gateway/config, immutable afterwards;
 * owned by the config snapshot, and shared with the upstream made from it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/net/addr.h"

/** Who speaks for a VM that shows a client certificate. */
enum upstream_identity {
    UPSTREAM_FORWARD, /**< nobody: only tokens are relayed */
    UPSTREAM_XFCC,    /**< a header built from the verified certificate */
    UPSTREAM_TOKEN,   /**< a token that Kubernetes makes for the VM's service account */
};

/** One line of `endpoints`: a literal address or a host name that is resolved again and again. */
struct upstream_endpoint_name {
    char *host;    /**< owned; without brackets */
    uint16_t port; /**< 1 .. 65535 */
};

/** Which addresses of a service of Kubernetes. */
enum upstream_addresses {
    UPSTREAM_PODS,  /**< of its pods that are ready */
    UPSTREAM_NODES, /**< its node port, on the nodes that such pods run on */
};

/** What a node has several addresses for. */
enum upstream_node_address { UPSTREAM_INTERNAL_IP, UPSTREAM_EXTERNAL_IP };

/** A service of Kubernetes whose endpoints are followed; strings are owned. */
struct upstream_discovery {
    bool on; /**< there is one; the rest counts only then */
    char *service;
    char *ns;
    char *port; /**< its name or its number; of the pods, or of the service with UPSTREAM_NODES */
    enum upstream_addresses addresses;
    enum upstream_node_address node_address;
};

struct upstream_opts {
    char *name;                               /**< owned; unique */
    struct upstream_endpoint_name *endpoints; /**< owned; NULL with discovery */
    size_t n_endpoints;                       /**< 0 with discovery, else 1 or more */
    struct upstream_discovery discovery;
    bool tls;          /**< a `tls:` block is there; needed by terminating routes */
    char *server_name; /**< owned; checked against the certificate, sent as SNI and :authority */
    char *roots_file;  /**< owned; PEM */
    enum upstream_identity identity;
    struct addr source_v4;               /**< ADDR_NONE: the kernel chooses */
    struct addr source_v6;               /**< ADDR_NONE: the kernel chooses */
    uint32_t streams_per_connection;     /**< 1 .. 100000, default 50 */
    uint32_t max_new_streams_per_second; /**< 0: auto */
    bool proxy_protocol_v2;              /**< passthrough only: announce the VM's address */
    bool sources_must_hold; /**< the file has an xfcc upstream. For this one, when it is xfcc or of
                               a passthrough route: only families with a source are used, and the
                                 socket's own address is compared; passthrough reaches no loopback
                                 (a host name resolves to anything, so the file cannot promise it).
                                 Otherwise a missing source stays the kernel's choice */
    char *cluster_id; /**< owned; sent as `clusterid` with UPSTREAM_TOKEN, NULL: none is sent */
    char **token_audiences; /**< owned strings, NULL-terminated; default {"istio-ca", NULL} */
};
