/* SPDX-License-Identifier: Apache-2.0 */
/* The address that a VM announces, as istio-start.sh finds it: ISTIO_SVC_IP, else the first that
 * `hostname --all-ip-addresses` prints (Istio: tools/packaging/common/istio-start.sh). */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bootstrap/address.h"
#include "bootstrap/env_file.h"
#include "core/net/addr.h"
#include "gateway/doctor/vm_internal.h"
#include "kube/source.h"

#define ENV_MAX_BYTES (1024 * 1024)

#define CLUSTER_ENV "/var/lib/istio/envoy/cluster.env"
#define SIDECAR_ENV "/var/lib/istio/envoy/sidecar.env"

/* One of the two files; NULL when it is not there or no good, which verify says. */
static json_t *read_env(const char *root, const char *path)
{
    char full[4096];
    char reason[200];
    const struct why w = {reason, sizeof(reason)};
    struct kube_error err;
    char *text = NULL;
    size_t n = 0;
    json_t *env = NULL;

    (void)snprintf(full, sizeof(full), "%s%s", root, path);
    if (kube_file_read(full, ENV_MAX_BYTES, &err, &text, &n) != RC_OK) {
        return NULL;
    }
    if (env_file_read(text, n, &w, &env) != RC_OK) {
        env = NULL;
    }
    free(text);
    return env;
}

/* Not loopback, up, no link-local IPv6: what hostname prints. */
static bool is_printed(const struct ifaddrs *i, struct addr *out)
{
    if (i->ifa_addr == NULL || (i->ifa_flags & IFF_UP) == 0 || (i->ifa_flags & IFF_LOOPBACK) != 0) {
        return false;
    }
    addr_from_sockaddr(i->ifa_addr, out);
    bool link_local = out->family == ADDR_V6 && out->ip[0] == 0xfe && (out->ip[1] & 0xc0) == 0x80;
    return out->family != ADDR_NONE && !link_local;
}

/* The first one into buf, when wanted is NULL; else, is that one of this machine? */
static bool find_local(const struct addr *wanted, char *buf)
{
    struct ifaddrs *all = NULL;
    struct addr a;
    bool found = false;

    if (getifaddrs(&all) != 0) {
        return wanted != NULL; /* nothing can be said against it */
    }
    for (const struct ifaddrs *i = all; i != NULL && !found; i = i->ifa_next) {
        if (wanted == NULL && is_printed(i, &a)) {
            (void)addr_format_ip(&a, buf);
            found = true;
        } else if (wanted != NULL && i->ifa_addr != NULL) {
            addr_from_sockaddr(i->ifa_addr, &a);
            found = a.family != ADDR_NONE && addr_same_ip(&a, wanted);
        }
    }
    freeifaddrs(all);
    return found;
}

/* file: what istio-start.sh takes the address from, when it says one. */
static void check(struct doctor_report *r, const char *where, const char *file, const char *text,
                  bool may_be_foreign)
{
    char usual[INET6_ADDRSTRLEN];
    char reason[200];
    const struct why w = {reason, sizeof(reason)};
    struct addr a;

    if (address_read("the address", text, &w, usual) == RC_INVALID) {
        doctor_find(r, DOCTOR_VM_ADDRESS, where, text, file, NULL);
    } else if (!may_be_foreign && addr_parse_ip(text, &a) == RC_OK && !find_local(&a, NULL)) {
        doctor_find(r, DOCTOR_VM_ADDRESS_MOVED, where, text, NULL);
    }
}

void vm_look_at_address(const struct doctor_vm_opts *o, struct doctor_report *r)
{
    json_t *cluster = read_env(o->root, CLUSTER_ENV);
    json_t *sidecar = read_env(o->root, SIDECAR_ENV);
    const char *in_cluster = doc_text(cluster, "ISTIO_SVC_IP", NULL);
    const char *in_sidecar = doc_text(sidecar, "ISTIO_SVC_IP", NULL);
    /* --externalIP: one that NAT translates. */
    const char *external = doc_text(cluster, "REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION", NULL);
    bool foreign = o->root[0] != '\0' || (external != NULL && strcmp(external, "true") == 0);
    char first[ADDR_TEXT_BYTES];

    if (in_cluster != NULL && *in_cluster != '\0') {
        check(r, CLUSTER_ENV, CLUSTER_ENV, in_cluster, foreign);
    } else if (in_sidecar != NULL && *in_sidecar != '\0') {
        check(r, SIDECAR_ENV, SIDECAR_ENV, in_sidecar, foreign);
    } else if (o->root[0] == '\0' && cluster != NULL && find_local(NULL, first)) {
        check(r, "hostname --all-ip-addresses", SIDECAR_ENV, first, true);
    }
    doctor_looked(r, "the address that this VM announces");
    json_decref(cluster);
    json_decref(sidecar);
}
