/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `istioctl x workload entry configure` makes of a WorkloadGroup, as a pure function on
 * documents. docs/bundle.md lists what differs, and why.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bootstrap/bundle.h"
#include "core/doc/doc.h"

/** Addresses of xdsgates in the hosts file: two gateways, each with IPv4 and IPv6. */
#define BUNDLE_GATEWAYS_MAX 4

/** All pointers borrowed; what may be NULL says so. */
struct bundle_opts {
    const char *name_space;        /**< NULL: the WorkloadGroup says it; else both agree */
    const char *group;             /**< the WorkloadGroup's name; NULL: it says it itself */
    const json_t *workload_group;  /**< the whole object */
    const json_t *mesh_config;     /**< key `mesh` of ConfigMap istio[-REVISION] */
    const json_t *injector_values; /**< key `values` of ConfigMap istio-sidecar-injector[-REVISION];
                                      NULL: there is none */
    const char *root_cert;         /**< PEM, key root-cert.pem of ConfigMap istio-ca-root-cert */
    const char *token;             /**< of the group's service account; NULL: no file istio-token */
    int64_t now_s; /**< seconds since 1970: the token must not have run out, and be of the group's
                      account, as far as it says so. 0: it is not looked into */
    const char *revision;                      /**< NULL, "" or "default": none */
    const char *istio_namespace;               /**< such as "istio-system" */
    const char *cluster_id;                    /**< NULL: what the injector's values say */
    const char *internal_ip;                   /**< of the VM, or NULL */
    const char *external_ip;                   /**< of the VM, or NULL; not with internal_ip */
    const char *gateways[BUNDLE_GATEWAYS_MAX]; /**< IP addresses for the hosts file */
    size_t n_gateways;                         /**< 1 or more */
    bool autoregister;                         /**< the VM registers itself */
    bool dns_capture; /**< the agent answers the VM's DNS queries; istioctl's default is true */
    const char *gateway_name; /**< NAME[:PORT] that VMs call; NULL: istiod's, as the mesh says it */
    const char *gateway_root; /**< PEM: whom VMs believe there; NULL: the mesh's roots */
};

/**
 * Make the files of a VM.
 *
 * out  made by bundle_init() and empty; filled with RC_OK, else untouched.
 * why  with RC_INVALID one line for people: which input and field is wrong, and what to do; never
 *      the token. "" otherwise.
 * Returns RC_OK; RC_INVALID; RC_NO_MEMORY.
 * Source  istioctl/pkg/workload/workload.go, createConfig().
 */
enum rc bundle_render(const struct bundle_opts *o, struct bundle *out, char *why,
                      size_t why_bytes) MUST_USE;

/**
 * Make only what runs out on a VM that has the rest: its token and the root certificates, those of
 * the gateway if there are some.
 *
 * o    its name_space, group, workload_group, root_cert, gateway_root, token and now_s count.
 * out, why and errors as bundle_render().
 */
enum rc bundle_render_renewal(const struct bundle_opts *o, struct bundle *out, char *why,
                              size_t why_bytes) MUST_USE;

/** Room for NAME:PORT. */
#define BUNDLE_ADDRESS_BYTES (253 + sizeof(":65535"))

/**
 * What VMs call that are told `said`, NAME[:PORT].
 *
 * out  NAME:PORT.
 * Returns  RC_OK; RC_INVALID and why is as of bundle_render().
 */
enum rc bundle_gateway_address(const char *said, char out[BUNDLE_ADDRESS_BYTES], char *why,
                               size_t why_bytes) MUST_USE;

/** The service account of a WorkloadGroup: "default" where it names none. Borrowed from the object,
 * or static. */
const char *bundle_service_account(const json_t *workload_group);
