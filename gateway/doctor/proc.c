/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/doctor/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/** Of /proc/net/tcp. */
#define LISTENING 0x0a

/* A link in /proc, zero-terminated; false: not there, or not for us to see. */
static bool read_link(pid_t pid, const char *name, char *out, size_t size)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    ssize_t n = readlink(path, out, size - 1);
    if (n < 0) {
        return false;
    }
    out[n] = '\0';
    return true;
}

/* Of a file in /proc, at most size - 1 bytes, zero-terminated. */
static size_t read_text(pid_t pid, const char *name, char *out, size_t size)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    FILE *f = fopen(path, "re");
    size_t n = f != NULL ? fread(out, 1, size - 1, f) : 0;
    if (f != NULL) {
        (void)fclose(f);
    }
    out[n] = '\0';
    return n;
}

/* The last part of the program's path is name; a program that was replaced counts, too. */
static bool is_program(pid_t pid, const char *name)
{
    char exe[4096];

    if (!read_link(pid, "exe", exe, sizeof(exe))) {
        return false;
    }
    char *deleted = strstr(exe, " (deleted)");
    if (deleted != NULL) {
        *deleted = '\0';
    }
    const char *slash = strrchr(exe, '/');
    return slash != NULL && strcmp(slash + 1, name) == 0;
}

bool proc_is_agent(pid_t pid)
{
    return is_program(pid, "pilot-agent");
}

/* By the file that the agent gives it; others may run an Envoy of their own. */
static bool is_envoy(pid_t pid)
{
    char args[4096];
    size_t n = read_text(pid, "cmdline", args, sizeof(args));

    for (size_t i = 0; i < n; i++) {
        args[i] = args[i] == '\0' ? ' ' : args[i];
    }
    return is_program(pid, "envoy") && strstr(args, "istio/proxy/envoy-rev") != NULL;
}

static pid_t parent_of(pid_t pid)
{
    char status[4096];
    const char *line;

    (void)read_text(pid, "status", status, sizeof(status));
    line = strstr(status, "\nPPid:");
    return line != NULL ? (pid_t)strtol(line + strlen("\nPPid:"), NULL, 10) : 0;
}

bool proc_is_left_envoy(pid_t pid)
{
    return is_envoy(pid) && !proc_is_agent(parent_of(pid));
}

bool proc_is_istio(pid_t pid)
{
    return proc_is_agent(pid) || is_envoy(pid);
}

/* ---- all of them ---- */

static bool is_same_world(pid_t pid)
{
    static const char *const spaces[] = {"ns/mnt", "ns/net"};
    char ours[64];
    char theirs[64];

    for (size_t i = 0; i < 2; i++) {
        if (!read_link(getpid(), spaces[i], ours, sizeof(ours)) ||
            !read_link(pid, spaces[i], theirs, sizeof(theirs)) || strcmp(ours, theirs) != 0) {
            return false;
        }
    }
    return true;
}

static void each(void (*fn)(pid_t pid, void *arg), void *arg)
{
    DIR *d = opendir("/proc");

    for (struct dirent *e = NULL; d != NULL && (e = readdir(d)) != NULL;) {
        if (isdigit((unsigned char)e->d_name[0])) {
            fn((pid_t)strtol(e->d_name, NULL, 10), arg);
        }
    }
    if (d != NULL) {
        (void)closedir(d);
    }
}

struct here {
    void (*fn)(pid_t pid, void *arg);
    void *arg;
};

static void if_here(pid_t pid, void *arg)
{
    const struct here *h = arg;

    if (is_same_world(pid)) {
        h->fn(pid, h->arg);
    }
}

void proc_each(void (*fn)(pid_t pid, void *arg), void *arg)
{
    struct here h = {fn, arg};

    each(if_here, &h);
}

/* ---- ports ---- */

struct search {
    char link[64]; /* "socket:[INODE]" */
    struct proc_listener *out;
};

static void look_for_socket(pid_t pid, void *arg)
{
    struct search *s = arg;
    char path[64];
    char link[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *d = s->out->pid == 0 ? opendir(path) : NULL;
    for (struct dirent *e = NULL; d != NULL && (e = readdir(d)) != NULL;) {
        ssize_t n = readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1);
        link[n > 0 ? n : 0] = '\0';
        if (strcmp(link, s->link) == 0) {
            s->out->pid = pid;
            size_t len = read_text(pid, "comm", s->out->name, sizeof(s->out->name));
            s->out->name[len > 0 ? len - 1 : 0] = '\0'; /* its newline */
            break;
        }
    }
    if (d != NULL) {
        (void)closedir(d);
    }
}

/* Of a line of /proc/net/tcp (proc(5)): number, local address and port, the other's, state, two
 * queues, two timers, retransmits, uid, timeout, inode. The inode if somebody listens on that port;
 * 0: no. */
static unsigned long inode_of(char *line, uint16_t port)
{
    enum { LOCAL = 1, STATE = 3, INODE = 9, N_FIELDS };
    char *fields[N_FIELDS];
    char *rest = NULL;
    char *at = strtok_r(line, " \n", &rest);

    for (size_t i = 0; i < N_FIELDS; i++, at = strtok_r(NULL, " \n", &rest)) {
        if (at == NULL) {
            return 0;
        }
        fields[i] = at;
    }
    const char *colon = strrchr(fields[LOCAL], ':');
    if (colon == NULL || strtoul(colon + 1, NULL, 16) != port ||
        strtoul(fields[STATE], NULL, 16) != LISTENING) {
        return 0;
    }
    return strtoul(fields[INODE], NULL, 10);
}

/* The inode of a socket that listens there; 0: none. */
static unsigned long find_inode(const char *table, uint16_t port)
{
    FILE *f = fopen(table, "re");
    char line[512];
    unsigned long found = 0;

    while (f != NULL && found == 0 && fgets(line, sizeof(line), f) != NULL) {
        found = inode_of(line, port);
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return found;
}

bool proc_find_listener(uint16_t port, struct proc_listener *out)
{
    struct search s = {.out = out};
    unsigned long inode = find_inode("/proc/self/net/tcp", port);

    *out = (struct proc_listener){.pid = 0};
    inode = inode != 0 ? inode : find_inode("/proc/self/net/tcp6", port);
    if (inode == 0) {
        return false;
    }
    (void)snprintf(s.link, sizeof(s.link), "socket:[%lu]", inode);
    each(look_for_socket, &s);
    return true;
}
