/* SPDX-License-Identifier: Apache-2.0 */
/* On a VM: what `bundle verify --installed` sees, and what else keeps an agent from its work. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bootstrap/bundle.h"
#include "bootstrap/verify.h"
#include "core/base/clock.h"
#include "gateway/doctor/doctor.h"
#include "gateway/doctor/vm_internal.h"
#include "gateway/doctor/vm_network.h"

#define AGENT "istio-proxy"

/* Ids of what verify has found, by what it is about. */
static const struct {
    const char *what;
    enum doctor_cause cause;
} vm_ids[] = {
    {"/var/run/secrets/tokens/istio-token", DOCTOR_VM_TOKEN},
    {"/var/lib/xdsgate-bundle/istio-token", DOCTOR_VM_TOKEN},
    {"/etc/certs/cert-chain.pem", DOCTOR_VM_CERTIFICATE},
    {"/etc/certs/key.pem", DOCTOR_VM_KEY},
    {"/etc/certs/root-cert.pem", DOCTOR_VM_ROOT},
    {BUNDLE_GATEWAY_ROOT_PATH, DOCTOR_VM_ROOT},
    {"/etc/certs", DOCTOR_VM_CERTS_FOLDER},
    {"/etc/hosts", DOCTOR_VM_HOSTS},
    {"/var/lib/istio/envoy/cluster.env", DOCTOR_VM_CLUSTER_ENV},
    {"/var/lib/istio/envoy/sidecar.env", DOCTOR_VM_CLUSTER_ENV},
    {"/etc/istio/config/mesh", DOCTOR_VM_MESH},
    {"agent", DOCTOR_VM_CREDENTIALS},
    {"istio-proxy", DOCTOR_VM_USER},
    {"name", DOCTOR_VM_NAME},
    {"network", DOCTOR_VM_NETWORK},
    {"MTU", DOCTOR_VM_MTU},
    {"clock", DOCTOR_VM_CLOCK},
};

bool doctor_is_vm(const char *root)
{
    static const char *const signs[] = {"/var/lib/istio/envoy/cluster.env",
                                        "/usr/local/bin/pilot-agent"};
    char path[4096];

    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", root, signs[i]);
        if (access(path, F_OK) == 0) {
            return true;
        }
    }
    return false;
}

static enum doctor_cause cause_of(const char *what)
{
    for (size_t i = 0; i < sizeof(vm_ids) / sizeof(vm_ids[0]); i++) {
        if (strcmp(vm_ids[i].what, what) == 0) {
            return vm_ids[i].cause;
        }
    }
    return DOCTOR_VM_OTHER;
}

static void take_over(struct doctor_report *r, const struct verify_finding *f)
{
    char text[1024];
    bool names = f->what[0] == '/' || strcmp(f->what, AGENT) == 0;

    (void)snprintf(text, sizeof(text), "%s%s%s", names ? f->what : "", names ? ": " : "", f->text);
    if (f->level == VERIFY_GOOD) {
        doctor_looked(r, "%s", text);
        return;
    }
    doctor_find_at(r, f->level == VERIFY_BAD ? DOCTOR_BAD : DOCTOR_WARN, cause_of(f->what), text,
                   f->cure[0] != '\0' ? f->cure : "xdsgate bundle verify --installed", NULL);
}

/* connects: try the control planes. */
static enum rc verify(const struct doctor_vm_opts *o, const struct verify_opts *v, bool connects,
                      struct doctor_report *r)
{
    struct verify_report *files = calloc(1, sizeof(*files));

    if (files == NULL) {
        return RC_NO_MEMORY;
    }
    verify_init(files);
    enum rc rc = verify_files(v, files);
    if (rc == RC_OK && connects) {
        rc = vm_network_try(files, v, o->timeout_s);
    }
    for (size_t i = 0; i < files->n; i++) {
        take_over(r, &files->findings[i]);
    }
    verify_fini(files);
    free(files);
    return rc;
}

/* The user's numbers are those of the image, where there is one. */
static void find_agent(const char *root, struct verify_opts *v)
{
    char path[VERIFY_PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/etc/passwd", root);
    FILE *f = *root != '\0' ? fopen(path, "re") : NULL;
    const struct passwd *p = *root == '\0' ? getpwnam(AGENT) : NULL;
    while (f != NULL && (p = fgetpwent(f)) != NULL && strcmp(p->pw_name, AGENT) != 0) {
    }
    v->agent_uid = p != NULL ? p->pw_uid : VERIFY_NO_USER;
    v->agent_gid = p != NULL ? p->pw_gid : (gid_t)-1;
    if (f != NULL) {
        (void)fclose(f);
    }
}

static bool may_connect(const struct doctor_vm_opts *o, const struct verify_opts *v,
                        struct doctor_report *r)
{
    if (o->without_network || o->root[0] != '\0') {
        return false;
    }
    if (!vm_network_is_free(v)) {
        doctor_skipped(r, "the way to xdsgate and to the pods: run this as root, because Istio's "
                          "iptables lead what others connect to into Envoy");
        return false;
    }
    return true;
}

enum rc doctor_vm(const struct doctor_vm_opts *o, struct doctor_report *r)
{
    struct verify_opts v = {.root = o->root, .now_s = clock_wall()};

    find_agent(o->root, &v);
    doctor_looked(r, "the files of the bundle%s%s", o->root[0] != '\0' ? " under " : "", o->root);
    bool connects = may_connect(o, &v, r);
    TRY(verify(o, &v, connects, r));
    vm_look_at_address(o, r);
    vm_look_at_folders(o, r);
    if (o->root[0] != '\0') {
        doctor_skipped(r, "processes, sockets and the network: --root is an image");
        return RC_OK;
    }
    vm_look_at_sockets(r);
    vm_look_at_processes(o, r);
    if (connects) {
        gid_t before = vm_network_enter(&v);
        vm_look_at_pods(o, r);
        vm_network_leave(before);
    }
    return RC_OK;
}
