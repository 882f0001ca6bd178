/* SPDX-License-Identifier: Apache-2.0 */
/* The side of the new process: what it was given, and how it says that it takes over. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/net/sock.h"
#include "gateway/daemon/handover.h"
#include "gateway/daemon/handover_wire.h"

/* The old process has only to stop its watchers. */
#define GO_TIMEOUT_MS 10000

/* A descriptor of this process, from text; -1: it is none. It is ours alone from now on. */
static int read_fd(const char *text)
{
    char *end;

    errno = 0;
    long fd = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || fd < 3 || fd > 1000000 ||
        fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0) {
        return -1;
    }
    return (int)fd;
}

static bool listens_there(int fd, const struct addr *addr)
{
    struct addr local;
    int listening = 0;
    socklen_t len = sizeof(listening);

    sock_local_addr(fd, &local);
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening != 0 &&
           addr_same_ip(&local, addr) && local.port == addr->port;
}

/* ADDRESS=FD; changes text. */
static bool read_socket(char *text, struct handover_socket *out)
{
    char *equals = strchr(text, '=');

    if (equals == NULL) {
        return false;
    }
    *equals = '\0';
    out->fd = read_fd(equals + 1);
    if (out->fd < 0) {
        return false;
    }
    if (addr_parse(text, &out->addr) == RC_OK && listens_there(out->fd, &out->addr)) {
        return true;
    }
    log_event(LOG_WARNING, "a socket that was handed over is not what it is called",
              LOG_S("address", text));
    close(out->fd);
    return false;
}

static size_t count_words(const char *text)
{
    size_t n = 1;
    for (; *text != '\0'; text++) {
        n += *text == ' ';
    }
    return n;
}

static enum rc parse(char *text, struct handover_in *out)
{
    char *rest = NULL;
    const char *version = strtok_r(text, " ", &rest);
    const char *control = strtok_r(NULL, " ", &rest);

    if (version == NULL || strcmp(version, HANDOVER_VERSION) != 0 || control == NULL) {
        return RC_INVALID;
    }
    out->control = read_fd(control);
    if (out->control < 0) {
        return RC_INVALID;
    }
    for (char *word; (word = strtok_r(NULL, " ", &rest)) != NULL;) {
        if (read_socket(word, &out->sockets[out->n])) {
            out->n++;
        }
    }
    return RC_OK;
}

enum rc handover_receive(struct handover_in *out)
{
    const char *variable = getenv(HANDOVER_VARIABLE);
    struct handover_in in = {.control = -1};

    *out = in;
    if (variable == NULL) {
        return RC_NOT_FOUND;
    }
    char *text = strdup(variable);
    in.sockets = calloc(count_words(variable), sizeof(*in.sockets));
    (void)unsetenv(HANDOVER_VARIABLE);
    enum rc rc = text == NULL || in.sockets == NULL ? RC_NO_MEMORY : parse(text, &in);
    free(text);
    if (rc != RC_OK) {
        free(in.sockets);
        return rc;
    }
    *out = in;
    return RC_OK;
}

int handover_pick(struct handover_in *in, const struct addr *addr)
{
    for (size_t i = 0; i < in->n; i++) {
        struct handover_socket *s = &in->sockets[i];
        if (s->fd >= 0 && addr_same_ip(&s->addr, addr) && s->addr.port == addr->port) {
            int fd = s->fd;
            s->fd = -1;
            return fd;
        }
    }
    return -1;
}

static void say(struct handover_in *in, char what)
{
    (void)send(in->control, &what, 1, MSG_NOSIGNAL); /* nobody there: nobody to wait for */
}

void handover_wait_for_go(struct handover_in *in)
{
    struct pollfd p = {.fd = in->control, .events = POLLIN};
    char go;

    if (in->control < 0) {
        return;
    }
    say(in, HANDOVER_READY);
    int n;
    do {
        n = poll(&p, 1, GO_TIMEOUT_MS);
    } while (n < 0 && errno == EINTR);
    if (n <= 0 || recv(in->control, &go, 1, MSG_DONTWAIT) != 1 || go != HANDOVER_GO) {
        log_event(LOG_WARNING, "the old process did not answer; this one serves");
    }
}

void handover_serving(struct handover_in *in)
{
    if (in->control >= 0) {
        say(in, HANDOVER_SERVING);
        handover_in_fini(in);
    }
}

void handover_refuse(struct handover_in *in, const char *errors)
{
    size_t n = strlen(errors);

    if (in->control < 0) {
        return;
    }
    say(in, HANDOVER_REFUSED);
    while (n > 0) {
        ssize_t done = send(in->control, errors, n, MSG_NOSIGNAL);
        if (done < 0 && errno != EINTR) {
            return;
        }
        errors += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
}

void handover_in_fini(struct handover_in *in)
{
    for (size_t i = 0; i < in->n; i++) {
        if (in->sockets[i].fd >= 0) {
            close(in->sockets[i].fd);
        }
    }
    if (in->control >= 0) {
        close(in->control);
    }
    free(in->sockets);
    *in = (struct handover_in){.control = -1};
}
