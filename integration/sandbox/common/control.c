/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: one thread, up to MAX_CLIENTS clients, each line a command, each answer a
 * line. The loop's lock is held while a command is answered, never while a socket is read or
 * written, so a slow client cannot stop the loop.
 */
#include "integration/sandbox/common/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "integration/sandbox/common/json.h"
#include "integration/sandbox/common/os.h"

#define MAX_CLIENTS 16
#define MAX_LINE_BYTES 65536

struct client {
    int fd;         /* -1 when the slot is free */
    struct text in; /* bytes not yet ended by a newline */
};

struct control {
    const char *path; /* borrowed */
    struct loop *loop;
    control_fn fn;
    void *user;
    int listen_fd;
    int stop_fd[2]; /* a byte in [1] ends the thread */
    pthread_t thread;
    struct client clients[MAX_CLIENTS];
};

void control_ok(struct text *reply)
{
    text_add(reply, "{\"ok\":true}");
}

void control_error(struct text *reply, const char *why)
{
    json_open(reply, NULL, '{');
    json_bool(reply, "ok", false);
    json_str(reply, "error", why);
    json_close(reply, '}');
}

static void client_end(struct client *c)
{
    (void)close(c->fd);
    c->fd = -1;
    text_fini(&c->in);
}

static bool send_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t r = send(fd, p, n, MSG_NOSIGNAL);

        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r <= 0) {
            return false;
        }
        p += r;
        n -= (size_t)r;
    }
    return true;
}

static bool answer_line(struct control *c, int fd, const char *line)
{
    struct names argv = {0};
    struct text reply = {0};
    bool ok;

    names_split(&argv, line, ' ');
    if (argv.n == 0) {
        control_error(&reply, "empty command");
    } else {
        (void)pthread_mutex_lock(&c->loop->lock);
        c->fn(c->user, argv.n, argv.v, &reply);
        (void)pthread_mutex_unlock(&c->loop->lock);
    }
    text_add(&reply, "\n");
    ok = send_all(fd, reply.p, reply.len);
    text_fini(&reply);
    names_fini(&argv);
    return ok;
}

/* Answer every whole line that has come; keep the rest. */
static void client_read(struct control *c, struct client *cl)
{
    char part[4096];
    ssize_t n = recv(cl->fd, part, sizeof(part), 0);
    char *nl;

    if (n <= 0 || cl->in.len + (size_t)n > MAX_LINE_BYTES) {
        client_end(cl);
        return;
    }
    text_add_n(&cl->in, part, (size_t)n);
    while ((nl = memchr(cl->in.p, '\n', cl->in.len)) != NULL) {
        size_t used = (size_t)(nl - cl->in.p) + 1;

        *nl = '\0';
        if (!answer_line(c, cl->fd, cl->in.p)) {
            client_end(cl);
            return;
        }
        memmove(cl->in.p, cl->in.p + used, cl->in.len - used);
        cl->in.len -= used;
    }
}

static void client_accept(struct control *c)
{
    int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC);

    for (int i = 0; fd >= 0 && i < MAX_CLIENTS; i++) {
        if (c->clients[i].fd < 0) {
            c->clients[i].fd = fd;
            return;
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

static void *control_thread(void *arg)
{
    struct control *c = arg;

    for (;;) {
        struct pollfd fds[MAX_CLIENTS + 2] = {0};

        fds[0] = (struct pollfd){.fd = c->stop_fd[0], .events = POLLIN};
        fds[1] = (struct pollfd){.fd = c->listen_fd, .events = POLLIN};
        for (int i = 0; i < MAX_CLIENTS; i++) {
            fds[i + 2] = (struct pollfd){.fd = c->clients[i].fd, .events = POLLIN};
        }
        if (poll(fds, MAX_CLIENTS + 2, -1) < 0 && errno != EINTR) {
            return NULL;
        }
        if (fds[0].revents != 0) {
            return NULL;
        }
        if (fds[1].revents != 0) {
            client_accept(c);
        }
        for (int i = 0; i < MAX_CLIENTS; i++) {
            if (fds[i + 2].fd >= 0 && fds[i + 2].revents != 0) {
                client_read(c, &c->clients[i]);
            }
        }
    }
}

static int listen_at(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    mode_t old;
    int r;

    if (fd < 0 || strlen(path) >= sizeof(addr.sun_path)) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return -1;
    }
    memcpy(addr.sun_path, path, strlen(path));
    (void)unlink(path);
    old = umask(0177);
    r = bind(fd, (const struct sockaddr *)&addr, sizeof(addr));
    (void)umask(old);
    if (r != 0 || listen(fd, MAX_CLIENTS) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

struct control *control_open(const char *path, struct loop *loop, control_fn fn, void *user)
{
    struct control *c = sbx_alloc(sizeof(*c));

    c->path = path;
    c->loop = loop;
    c->fn = fn;
    c->user = user;
    for (int i = 0; i < MAX_CLIENTS; i++) {
        c->clients[i].fd = -1;
    }
    c->listen_fd = listen_at(path);
    if (c->listen_fd < 0 || pipe2(c->stop_fd, O_CLOEXEC) != 0 ||
        pthread_create(&c->thread, NULL, control_thread, c) != 0) {
        log_info("control socket %s: %s", path, strerror(errno));
        free(c);
        return NULL;
    }
    return c;
}

void control_close(struct control *c)
{
    if (c == NULL) {
        return;
    }
    if (write(c->stop_fd[1], "", 1) == 1) {
        (void)pthread_join(c->thread, NULL);
    }
    for (int i = 0; i < MAX_CLIENTS; i++) {
        if (c->clients[i].fd >= 0) {
            client_end(&c->clients[i]);
        }
    }
    (void)close(c->stop_fd[0]);
    (void)close(c->stop_fd[1]);
    (void)close(c->listen_fd);
    (void)unlink(c->path);
    free(c);
}
