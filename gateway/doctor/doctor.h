/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why does a VM not work? Each function looks at one place and adds what it finds to a report. All
 * block, for a bounded time; they change nothing anywhere. For the command line.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "certs/cert_set.h"
#include "core/base/rc.h"
#include "core/doc/doc.h"
#include "core/net/addr.h"
#include "gateway/config/config.h"
#include "gateway/doctor/report.h"
#include "gateway/upstream/upstream_opts.h"
#include "kube/kube.h"

/* ---- on a VM: vm.c ---- */

/** The VM that this machine is. */
struct doctor_vm_opts {
    const char *root; /**< borrowed; the files under this folder, an image; "": this machine */
    double timeout_s; /**< for each attempt to connect */
    bool without_network;
};

/** Is something here that belongs to a VM of a mesh? */
bool doctor_is_vm(const char *root);

/** Look at this VM: its files, its processes, its way to xdsgate and to the pods. RC_NO_MEMORY. */
enum rc doctor_vm(const struct doctor_vm_opts *o, struct doctor_report *r) MUST_USE;

/* ---- a gateway's machine: machine.c, certificates.c ---- */

/** Are the addresses of the file those of this machine, and are its ports free? */
void doctor_machine(const struct config *c, struct doctor_report *r);

/** Will VMs believe what the listeners show, and for how long? path: of the configuration. */
enum rc doctor_certificates(const struct config *c, const char *path,
                            struct doctor_report *r) MUST_USE;

/* ---- istiod, from here: upstreams.c ---- */

/** One upstream. All borrowed, but for found. */
struct doctor_upstream {
    const char *name;
    const struct upstream_discovery *discovery; /**< NULL: endpoints are named */
    struct addr *found; /**< owned by who made this; NULL until doctor_discover() */
    size_t n_found;
    const struct upstream_endpoint_name *endpoints;
    size_t n_endpoints;
    struct addr source_v4; /**< ADDR_NONE: the kernel chooses */
    struct addr source_v6; /**< ADDR_NONE: the kernel chooses */
    const char *server_name;
    struct root_set *roots; /**< NULL: nothing says what is to answer there */
    bool asks;              /**< xdsgate opens streams there */
    bool passes;            /**< what VMs write goes there */
    bool xfcc;              /**< identity: xfcc */
    bool must_hold;         /**< sources_must_hold, upstream_opts.h: no source, no connection */
};

/** Room for what doctor_own_entries() writes. */
#define DOCTOR_ENTRIES_BYTES 400

/** For people: which entries of TRUSTED_GATEWAY_CIDR are this gateway's, of the family of that
 * address, " (this one: 10.77.0.2/32)"; "" when there are none. Returns buf. */
const char *doctor_own_entries(const struct doctor_upstream *list, size_t n, int family,
                               char buf[DOCTOR_ENTRIES_BYTES]);

/** Connect to each address of each upstream, named or found, as it would be, and ask whom istiod
 * believes there. like: with whose name and roots those without roots are asked; it may have none.
 * RC_NO_MEMORY, RC_NO_FILES. */
enum rc doctor_upstreams(const struct doctor_upstream *list, size_t n,
                         const struct doctor_upstream *like, double timeout_s,
                         struct doctor_report *r) MUST_USE;

/* ---- the cluster ---- */

/** Somebody who asks an API server. All borrowed. */
struct doctor_client {
    struct kube *kube;
    const char *name;       /**< for people: a kubeconfig, and more */
    const char *kubeconfig; /**< for commands; NULL: what kubectl takes by itself */
    const char *context;    /**< the same */
    bool away;              /**< it did not answer; it is asked no more */
};

/** Who looks at it, and at what. All borrowed. */
struct doctor_cluster {
    struct doctor_client *gate;  /**< as the daemon does; NULL: it does not */
    struct doctor_client *look;  /**< NULL: nobody looks */
    const struct config *config; /**< NULL: none is there */
    const char *config_path;
    const json_t *vms; /**< the VM list of the daemon's API; NULL: it was not asked */
    const char *istio_namespace;
    const char *revision; /**< NULL: the default one */
    bool before;
};

/** Ask Kubernetes once where the endpoints of an upstream with discovery are, with the daemon's own
 * rights: u->found. RC_NO_MEMORY. */
enum rc doctor_discover(const struct doctor_cluster *c, struct doctor_upstream *u,
                        struct doctor_report *r) MUST_USE;

/** The rights of the daemon, and the accounts that it speaks for: rights.c. */
enum rc doctor_rights(const struct doctor_cluster *c, struct doctor_report *r) MUST_USE;

/** The mesh's roots as its cluster publishes them. *out: shared (ref), or as it was when they
 * cannot be had, as the report says. RC_NO_MEMORY. */
enum rc doctor_mesh_roots(const struct doctor_cluster *c, struct doctor_report *r,
                          struct root_set **out) MUST_USE;

/** What is known of the VMs, and the mesh's roots and name: members.c. */
enum rc doctor_members(const struct doctor_cluster *c, struct doctor_report *r) MUST_USE;

/** How istiod is deployed: istiod.c. */
enum rc doctor_istiod(const struct doctor_cluster *c, const struct doctor_upstream *list, size_t n,
                      struct doctor_report *r) MUST_USE;

/** One VM: a WorkloadEntry or a WorkloadGroup. */
enum rc doctor_one_vm(const struct doctor_cluster *c, const char *ns, const char *name,
                      struct doctor_report *r) MUST_USE;
