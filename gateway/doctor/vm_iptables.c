/* SPDX-License-Identifier: Apache-2.0 */
/* Istio's iptables rules that no agent is there for. Only what prints rules is run. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "gateway/doctor/vm_internal.h"
#include "gateway/doctor/vm_rules.h"

extern char **environ;

/* Each prints all rules that it knows of: the kernel keeps those of the two kinds of iptables
 * apart, and Istio's agent takes the kind that it finds in use. Without a table's name none is
 * made. */
static const struct {
    const char *argv[4];
    const char *cure;
} programs[] = {
    {{"iptables-save", NULL}, "iptables-save | grep -v ISTIO_ | iptables-restore"},
    {{"iptables-legacy-save", NULL},
     "iptables-legacy-save | grep -v ISTIO_ | iptables-legacy-restore"},
    {{"iptables-nft-save", NULL}, "iptables-nft-save | grep -v ISTIO_ | iptables-nft-restore"},
    {{"ip6tables-save", NULL}, "ip6tables-save | grep -v ISTIO_ | ip6tables-restore"},
    {{"nft", "list", "ruleset", NULL}, "nft -a list ruleset  # then nft delete rule and chain"},
};

/* ---- one program ---- */

/* By PATH, else where these programs are installed: PATH of a root by `su` has none of it. 0, or an
 * errno: ENOENT, when it is nowhere. */
static int spawn_from_anywhere(const char *const *argv, const posix_spawn_file_actions_t *a,
                               pid_t *pid)
{
    static const char *const folders[] = {"/usr/sbin", "/sbin"};
    char *const *args = (char *const *)(uintptr_t)argv;
    char path[64];

    int err = posix_spawnp(pid, argv[0], a, NULL, args, environ);
    for (size_t i = 0; err == ENOENT && i < sizeof(folders) / sizeof(folders[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folders[i], argv[0]);
        err = posix_spawn(pid, path, a, NULL, args, environ);
    }
    return err;
}

/* Its output goes to fd, its errors nowhere. 0, or an errno. */
static int spawn(const char *const *argv, int fd, pid_t *pid)
{
    posix_spawn_file_actions_t a;

    int err = posix_spawn_file_actions_init(&a);
    if (err != 0) {
        return err;
    }
    err = posix_spawn_file_actions_addopen(&a, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (err == 0) {
        err = posix_spawn_file_actions_addopen(&a, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    }
    if (err == 0) {
        err = posix_spawn_file_actions_adddup2(&a, fd, STDOUT_FILENO);
    }
    if (err == 0) {
        err = spawn_from_anywhere(argv, &a, pid);
    }
    posix_spawn_file_actions_destroy(&a);
    return err;
}

/* All that comes, until its end. false: it has not ended in time. */
static bool read_all(int fd, double deadline, struct vm_rules *out)
{
    char buf[4096];

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        double left = deadline - clock_mono();
        if (left <= 0) {
            return false;
        }
        if (poll(&p, 1, (int)(left * 1000) + 1) <= 0) {
            continue;
        }
        ssize_t n = read(fd, buf, sizeof(buf));
        if (n == 0) {
            return true;
        }
        if (n > 0) {
            vm_rules_feed(out, buf, (size_t)n);
        } else if (errno != EINTR) {
            return false;
        }
    }
}

static bool ended_well(pid_t pid)
{
    int status = 0;
    pid_t got;

    do {
        got = waitpid(pid, &status, 0);
    } while (got < 0 && errno == EINTR);
    return got == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

enum run {
    RUN_OK,
    RUN_MISSING,
    RUN_FAILED,
};

static enum run run(const char *const *argv, double timeout_s, struct vm_rules *out)
{
    double deadline = clock_mono() + timeout_s;
    int ends[2];
    pid_t pid = 0;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        return RUN_FAILED;
    }
    int err = spawn(argv, ends[1], &pid);
    (void)close(ends[1]);
    if (err != 0) {
        (void)close(ends[0]);
        return err == ENOENT ? RUN_MISSING : RUN_FAILED;
    }
    bool whole = read_all(ends[0], deadline, out);
    (void)close(ends[0]);
    if (!whole) {
        (void)kill(pid, SIGKILL);
    }
    return ended_well(pid) && whole ? RUN_OK : RUN_FAILED;
}

/* ---- all of them ---- */

void vm_look_at_rules(const struct doctor_vm_opts *o, struct doctor_report *r)
{
    bool looked = false;
    bool is_there = false;

    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        struct vm_rules rules = {.n_line = 0};
        enum run how = run(programs[i].argv, o->timeout_s, &rules);
        if (how == RUN_FAILED) {
            doctor_skipped(r, "iptables rules that are left: %s does not print them",
                           programs[i].argv[0]);
        }
        looked = looked || how == RUN_OK;
        is_there = is_there || how != RUN_MISSING;
        if (how == RUN_OK && vm_rules_found(&rules)) {
            doctor_find(r, DOCTOR_VM_IPTABLES, rules.chain, rules.table, programs[i].cure, NULL);
            break; /* another program may print the same */
        }
    }
    if (looked) {
        doctor_looked(r, "whether Istio's iptables rules are left");
    }
    if (!is_there) {
        doctor_skipped(r, "iptables rules that are left: neither iptables-save nor nft is "
                          "installed");
    }
}
