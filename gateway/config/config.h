/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration file as one immutable value: read, checked as a whole, then published.
 *
 * A file with an error gives no config at all. Errors name FILE:LINE:COLUMN, what is wrong and what
 * to write instead; every error of the file is reported, not only the first. Included by
 * gateway/daemon only: the modules below see the small option structs that are filled here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "certs/cert_set.h"
#include "certs/root_list.h"
#include "core/base/log.h"
#include "core/base/rc.h"
#include "core/net/addr.h"
#include "gateway/registry/policy.h"
#include "gateway/relay/relay_opts.h"
#include "gateway/upstream/upstream_opts.h"

enum route_mode { ROUTE_PASSTHROUGH, ROUTE_TERMINATE };

struct config_route {
    struct addr_net *from; /**< owned; n_from 0: any source */
    size_t n_from;
    char **sni; /**< owned, NULL-terminated, lower case: an exact name; "*.suffix", one
                     label or more before ".suffix"; or "*", also without SNI */
    enum route_mode mode;
    size_t upstream;         /**< index into config.upstreams */
    struct relay_opts relay; /**< of a terminating route */
};

struct config_listener {
    char *name;             /**< owned; unique */
    struct addr *bind;      /**< owned */
    size_t n_bind;          /**< 1 or more */
    struct cert_set *certs; /**< shared (ref); NULL when no route terminates. Serving certificates,
                                 client roots, trust domain and vm_identities, loaded and checked */
    struct config_route *routes; /**< owned; first match decides */
    size_t n_routes;
    struct listener_limits limits;
    struct registration_opts registration; /**< what its VMs may claim */
};

struct config_upstream {
    struct upstream_opts opts;
    struct root_set *roots; /**< shared (ref); NULL without tls */
};

struct config_admin {
    char *socket;         /**< owned; NULL: none */
    uint32_t socket_mode; /**< default 0660 */
    struct addr bind;     /**< ADDR_NONE: none */
    bool allow_remote;
    struct addr metrics_bind; /**< ADDR_NONE: none */
};

/** What is remembered of VMs. */
struct config_registry {
    bool enabled;         /**< default true; false: nobody looks at what passes */
    double forget_after;  /**< seconds without a stream */
    uint32_t max_vms;     /**< with those that are gone */
    uint32_t keep_config; /**< bytes for the configuration that they have; 0: none is kept */
    char *deny_list;      /**< owned; the file of revoked VMs; NULL: until the process ends */
};

/** How the daemon reaches the Kubernetes API. */
struct config_kubernetes {
    bool on;               /**< a `kubernetes:` block is there */
    char *kubeconfig;      /**< owned; NULL: as a pod */
    char *context;         /**< owned; NULL: the file's own */
    char *cluster_id;      /**< owned; NULL: none is sent */
    char *istio_namespace; /**< owned; istiod's; set when `on` */
    bool follow_roots;     /**< believe what the mesh publishes as its roots, beside the files */
};

struct config {
    uint32_t magic;
    char *path;                        /**< owned; as given */
    struct config_listener *listeners; /**< owned */
    size_t n_listeners;
    struct config_upstream *upstreams; /**< owned */
    size_t n_upstreams;
    uint32_t workers;     /**< 1 .. 64 */
    double drain_timeout; /**< seconds */
    struct config_kubernetes kubernetes;
    struct root_list *roots; /**< shared (ref); believed beside the files'; NULL: none */
    struct config_registry registry;
    struct config_admin admin;
    struct log_opts log;
    char *log_file;       /**< owned; log.file points here */
    char **files;         /**< owned, NULL-terminated: every file read, for the file watch */
    uint64_t files_stamp; /**< of files, each just before it was read (core/base/file_stamp.h) */
};

/**
 * Read and check a file. Resolves no name and needs no address of the file to be local, but the
 * files it names must be there and fit each other.
 *
 * path    borrowed.
 * errors  where the error lines go (also OpenSSL's reasons), borrowed.
 * out     owned by the caller; free with config_free().
 * Returns RC_OK; RC_INVALID when at least one error line was written; RC_NO_MEMORY.
 */
enum rc config_load(const char *path, FILE *errors, struct config **out) MUST_USE;

/**
 * The same, and with `follow_roots` what the mesh publishes as its roots is believed, too.
 *
 * published  borrowed; NULL: nothing is known of it.
 */
enum rc config_load_with(const char *path, struct root_list *published, FILE *errors,
                         struct config **out) MUST_USE;

/** Is there a route of this mode to an upstream (its index)? */
bool config_has_route(const struct config *c, size_t upstream, enum route_mode mode);

/** Has a listener or an upstream roots that it believes? Whoever has is told of new ones. */
bool config_has_roots(const struct config *c);

/** Free a config and null the pointer; NULL is allowed. */
void config_free(struct config **c);
