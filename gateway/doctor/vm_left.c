/* SPDX-License-Identifier: Apache-2.0 */
/* What a reboot takes away, and what an older agent leaves behind. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bootstrap/verify.h"
#include "gateway/doctor/proc.h"
#include "gateway/doctor/vm_internal.h"

/* ---- folders ---- */

/* When it matters that a folder is missing. */
enum when {
    ALWAYS,
    RUNNING,      /* a reboot empties it: of no meaning in an image */
    WITHOUT_NAME, /* the same, and the agent's certificate is as good as what was there */
};

static bool matters(enum when when, const struct doctor_vm_opts *o, const struct doctor_report *r)
{
    return when == ALWAYS ||
           (o->root[0] == '\0' && (when == RUNNING || doctor_has(r, DOCTOR_VM_CREDENTIALS)));
}

void vm_look_at_folders(const struct doctor_vm_opts *o, struct doctor_report *r)
{
    static const struct {
        const char *path;
        enum when when;
    } folders[] = {{"/var/run/secrets", RUNNING},
                   {"/var/run/secrets/tokens", WITHOUT_NAME},
                   {"/etc/istio/proxy", ALWAYS},
                   {"/etc/certs", ALWAYS}};
    char path[VERIFY_PATH_BYTES];
    struct stat st;

    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        if (matters(folders[i].when, o, r) && verify_find_path(o->root, folders[i].path, path) &&
            (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))) {
            doctor_find(r, DOCTOR_VM_FOLDER, folders[i].path, NULL);
        }
    }
    doctor_looked(r, "the agent's folders");
}

/* ---- sockets ---- */

static bool nobody_listens(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || strlen(path) >= sizeof(a.sun_path)) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return false;
    }
    memcpy(a.sun_path, path, strlen(path));
    bool refused =
        connect(fd, (const struct sockaddr *)&a, sizeof(a)) != 0 && errno == ECONNREFUSED;
    (void)close(fd);
    return refused;
}

/* Its name is what another user has chosen. */
static void look_at_socket(struct doctor_report *r, const char *path)
{
    struct stat st;

    if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode) || !nobody_listens(path)) {
        return;
    }
    char *quoted = doctor_quote(path);
    if (quoted != NULL) {
        doctor_find(r, DOCTOR_VM_SOCKET, path, quoted, NULL);
    }
    r->short_of_memory = r->short_of_memory || quoted == NULL;
    free(quoted);
}

void vm_look_at_sockets(struct doctor_report *r)
{
    static const char folder[] = "/etc/istio/proxy";
    char path[4096];
    DIR *d = opendir(folder);

    for (struct dirent *e = NULL; d != NULL && (e = readdir(d)) != NULL;) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        look_at_socket(r, path);
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    look_at_socket(r, "/var/run/secrets/workload-spiffe-uds/socket");
    doctor_looked(r, "the agent's sockets");
}

/* ---- processes ---- */

struct seen {
    struct doctor_report *r;
    bool agent;
};

static void look_at_process(pid_t pid, void *arg)
{
    struct seen *s = arg;
    char number[16];

    s->agent = s->agent || proc_is_agent(pid);
    if (proc_is_left_envoy(pid)) {
        (void)snprintf(number, sizeof(number), "%d", (int)pid);
        doctor_find(s->r, DOCTOR_VM_ENVOY, number, NULL);
    }
}

/* A port of Istio's Envoy and agent (istio.io, Application Requirements). */
static void look_at_port(struct doctor_report *r, uint16_t port)
{
    struct proc_listener l;
    char pid[16];
    char number[8];

    if (!proc_find_listener(port, &l) || l.pid == 0 || proc_is_istio(l.pid)) {
        return;
    }
    (void)snprintf(pid, sizeof(pid), "%d", (int)l.pid);
    (void)snprintf(number, sizeof(number), "%u", port);
    doctor_find(r, DOCTOR_VM_PORT, pid, l.name, number, NULL);
}

void vm_look_at_processes(const struct doctor_vm_opts *o, struct doctor_report *r)
{
    static const uint16_t ports[] = {15000, 15001, 15006, 15020, 15021, 15053, 15090};
    struct seen s = {.r = r};

    if (geteuid() != 0) {
        doctor_skipped(r, "processes and their ports: run this as root");
        return;
    }
    proc_each(look_at_process, &s);
    if (!s.agent) {
        doctor_find(r, DOCTOR_VM_AGENT, NULL);
        vm_look_at_rules(o, r);
    }
    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        look_at_port(r, ports[i]);
    }
    doctor_looked(r, "the agent's process, and the ports that it needs");
}
