/* SPDX-License-Identifier: Apache-2.0 */
/* The side of the old process: the new program as a child, until it serves or fails. */
#include "gateway/daemon/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/check.h"
#include "gateway/daemon/handover_wire.h"

extern char **environ;

/* A start reads files and no network: a program that needs longer hangs. */
#define START_TIMEOUT_S 30.0

/* Of its errors, this much is kept. */
#define ERRORS_MAX (64 * 1024)

/* ---- what the child gets ---- */

/* HANDOVER_VARIABLE with its value; owned. */
static char *describe(int control, const struct handover_socket *sockets, size_t n)
{
    size_t size = 64 + n * (ADDR_TEXT_BYTES + 16);
    char *text = malloc(size);
    char addr[ADDR_TEXT_BYTES];

    if (text == NULL) {
        return NULL;
    }
    size_t at =
        (size_t)snprintf(text, size, "%s=%s %d", HANDOVER_VARIABLE, HANDOVER_VERSION, control);
    for (size_t i = 0; i < n; i++) {
        at += (size_t)snprintf(text + at, size - at, " %s=%d", addr_format(&sockets[i].addr, addr),
                               sockets[i].fd);
    }
    return text;
}

static bool is_variable(const char *entry, const char *name)
{
    size_t n = strlen(name);
    return strncmp(entry, name, n) == 0 && entry[n] == '=';
}

/* Ours, and what another process must not inherit: WATCHDOG_PID names us. Owned array of borrowed
 * texts. */
static char **make_environment(char *handover)
{
    size_t n = 0;
    while (environ[n] != NULL) {
        n++;
    }
    char **env = calloc(n + 2, sizeof(char *));
    size_t k = 0;
    for (size_t i = 0; env != NULL && i < n; i++) {
        if (!is_variable(environ[i], "WATCHDOG_PID") &&
            !is_variable(environ[i], HANDOVER_VARIABLE)) {
            env[k++] = environ[i];
        }
    }
    if (env != NULL) {
        env[k] = handover;
    }
    return env;
}

/* A descriptor that is duplicated onto itself loses close-on-exec (POSIX). */
static int keep_open(posix_spawn_file_actions_t *a, int control,
                     const struct handover_socket *sockets, size_t n)
{
    int err = posix_spawn_file_actions_adddup2(a, control, control);

    for (size_t i = 0; i < n && err == 0; i++) {
        err = posix_spawn_file_actions_adddup2(a, sockets[i].fd, sockets[i].fd);
    }
    return err;
}

/* SIGUSR2 is blocked until the new program has decided about it: it may be sent to all of us. */
static int set_signals(posix_spawnattr_t *attr)
{
    sigset_t usr2;

    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    int err = posix_spawnattr_setsigmask(attr, &usr2);
    return err != 0 ? err : posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK);
}

static int spawn(char *const *argv, char **env, int control, const struct handover_socket *sockets,
                 size_t n, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;

    int err = posix_spawn_file_actions_init(&actions);
    if (err != 0) {
        return err;
    }
    /* Libraries open files of their own without close-on-exec (libcurl: its connections).
     * Linux 5.11; where it fails, the new process has some files more. */
    (void)close_range(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC);
    err = posix_spawnattr_init(&attr);
    if (err == 0) {
        err = keep_open(&actions, control, sockets, n);
        if (err == 0) {
            err = set_signals(&attr);
        }
        if (err == 0) {
            err = posix_spawnp(pid, argv[0], &actions, &attr, argv, env);
        }
        posix_spawnattr_destroy(&attr);
    }
    posix_spawn_file_actions_destroy(&actions);
    return err;
}

/* ---- what the child says ---- */

static void let_go(struct handover *h)
{
    ev_io_stop(h->loop, &h->io);
    ev_timer_stop(h->loop, &h->timer);
    close(h->control);
    free(h->errors);
    *h = (struct handover){.control = -1};
}

/* How it ended, after making sure that it has. */
static void end_child(struct handover *h, const char *hung, char *why, size_t size)
{
    int status = 0;
    pid_t pid;

    if (hung != NULL) {
        (void)kill(h->pid, SIGKILL);
    }
    do {
        pid = waitpid(h->pid, &status, 0);
    } while (pid < 0 && errno == EINTR);
    if (hung != NULL) {
        snprintf(why, size, "%s", hung);
    } else if (WIFEXITED(status)) {
        snprintf(why, size, "it ended with exit code %d; its standard error says why",
                 WEXITSTATUS(status));
    } else {
        snprintf(why, size, "it was ended by signal %d", WTERMSIG(status));
    }
}

static void fail(struct handover *h, const char *hung)
{
    const struct handover_ops *ops = h->ops;
    void *arg = h->arg;
    char *errors = h->errors;
    char nothing[] = "";
    char why[120];

    h->errors = NULL;
    end_child(h, hung, why, sizeof(why));
    let_go(h);
    ops->on_failed(arg, why, errors != NULL ? errors : nothing);
    free(errors);
}

/* The errors of its configuration, up to the end of the stream. */
static void on_errors(struct ev_loop *loop, ev_io *io, int revents)
{
    struct handover *h = io->data;
    char text[1024];

    (void)loop;
    (void)revents;
    ssize_t n = recv(h->control, text, sizeof(text), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    char *errors =
        n > 0 && h->n_errors < ERRORS_MAX ? realloc(h->errors, h->n_errors + (size_t)n + 1) : NULL;
    if (errors == NULL) {
        fail(h, NULL);
        return;
    }
    memcpy(errors + h->n_errors, text, (size_t)n);
    h->n_errors += (size_t)n;
    errors[h->n_errors] = '\0';
    h->errors = errors;
}

static void on_control(struct ev_loop *loop, ev_io *io, int revents)
{
    struct handover *h = io->data;
    char said;

    (void)loop;
    (void)revents;
    ssize_t n = recv(h->control, &said, 1, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n == 1 && said == HANDOVER_READY) {
        h->ops->on_ready(h->arg);
    } else if (n == 1 && said == HANDOVER_SERVING) {
        pid_t pid = h->pid;
        const struct handover_ops *ops = h->ops;
        void *arg = h->arg;
        let_go(h);
        ops->on_serving(arg, pid);
    } else if (n == 1 && said == HANDOVER_REFUSED) {
        ev_set_cb(&h->io, on_errors);
    } else {
        fail(h, n == 1 ? "it speaks another version of the handover" : NULL);
    }
}

static void on_timeout(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop;
    (void)revents;
    fail(t->data, "it was not ready in time");
}

static void watch(struct handover *h)
{
    ev_io_init(&h->io, on_control, h->control, EV_READ);
    h->io.data = h;
    ev_io_start(h->loop, &h->io);
    ev_timer_init(&h->timer, on_timeout, START_TIMEOUT_S, 0.);
    h->timer.data = h;
    ev_timer_start(h->loop, &h->timer);
}

/* ---- what others call ---- */

enum rc handover_start(struct handover *h, struct ev_loop *loop, char *const *argv,
                       const struct handover_socket *sockets, size_t n,
                       const struct handover_ops *ops, void *arg)
{
    int pair[2];
    pid_t pid = 0;

    if (h->pid != 0) {
        return RC_BUSY;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return rc_from_errno(errno);
    }
    char *variable = describe(pair[1], sockets, n);
    char **env = variable != NULL ? make_environment(variable) : NULL;
    int err = env == NULL ? ENOMEM : spawn(argv, env, pair[1], sockets, n, &pid);
    free(env);
    free(variable);
    close(pair[1]);
    if (err != 0) {
        close(pair[0]);
        return err == ENOMEM ? RC_NO_MEMORY : rc_from_errno(err);
    }
    *h = (struct handover){.loop = loop, .ops = ops, .arg = arg, .pid = pid, .control = pair[0]};
    watch(h);
    return RC_OK;
}

void handover_go(struct handover *h)
{
    static const char go = HANDOVER_GO;

    CHECK(h->pid != 0);
    (void)send(h->control, &go, 1, MSG_NOSIGNAL); /* one that is gone is noticed by its end */
}

void handover_cancel(struct handover *h)
{
    char why[120];

    if (h->pid != 0) {
        end_child(h, "", why, sizeof(why));
        let_go(h);
    }
}
