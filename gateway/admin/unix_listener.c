/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/admin/unix_listener.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG 64

static enum rc fail(enum rc rc, char *err, size_t err_size, const char *path, const char *what)
{
    (void)snprintf(err, err_size, "%s: %s", path, what);
    return rc;
}

static enum rc fail_errno(char *err, size_t err_size, const char *path, const char *call)
{
    int e = errno;
    char reason[128];

    (void)snprintf(err, err_size, "%s: %s: %s", path, call, strerror_r(e, reason, sizeof(reason)));
    return rc_from_errno(e);
}

static int new_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Does a process listen there? A full backlog is one, too. */
static bool somebody_listens(const struct sockaddr_un *sun)
{
    int fd = new_socket();

    if (fd < 0) {
        return true; /* not known: leave it alone */
    }
    bool dead = connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) != 0 &&
                (errno == ECONNREFUSED || errno == ENOENT);
    close(fd);
    return !dead;
}

/* Make room for the new socket. */
static enum rc remove_stale(const struct sockaddr_un *sun, char *err, size_t err_size)
{
    const char *path = sun->sun_path;
    struct stat st;

    if (lstat(path, &st) != 0) {
        return errno == ENOENT ? RC_OK : fail_errno(err, err_size, path, "stat");
    }
    if (!S_ISSOCK(st.st_mode)) {
        return fail(RC_INVALID, err, err_size, path, "there is a file that is no socket");
    }
    if (somebody_listens(sun)) {
        return fail(RC_BUSY, err, err_size, path, "another process listens there");
    }
    if (unlink(path) != 0 && errno != ENOENT) {
        return fail_errno(err, err_size, path, "unlink");
    }
    return RC_OK;
}

/*
 * The file is born with the mode of the unbound socket less the umask (unix(7), bind), so chmod()
 * only ever adds what the umask took. Before listen() nobody can connect anyway.
 */
static const char *bind_and_listen(int fd, const struct sockaddr_un *sun, mode_t mode,
                                   struct unix_listener_id *id)
{
    struct stat st;

    if (fchmod(fd, mode) != 0) {
        return "fchmod";
    }
    if (bind(fd, (const struct sockaddr *)sun, sizeof(*sun)) != 0) {
        return "bind";
    }
    const char *failed = NULL;
    if (lstat(sun->sun_path, &st) != 0) {
        failed = "stat";
    } else if (chmod(sun->sun_path, mode) != 0) {
        failed = "chmod";
    } else if (listen(fd, LISTEN_BACKLOG) != 0) {
        failed = "listen";
    }
    if (failed != NULL) {
        int e = errno;
        (void)unlink(sun->sun_path);
        errno = e;
        return failed;
    }
    *id = (struct unix_listener_id){.dev = st.st_dev, .ino = st.st_ino};
    return NULL;
}

enum rc unix_listener_open(const char *path, uint32_t mode, int *fd, struct unix_listener_id *id,
                           char *err, size_t err_size)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(sun.sun_path)) {
        return fail(RC_INVALID, err, err_size, path, "is too long for a unix socket");
    }
    (void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
    TRY(remove_stale(&sun, err, err_size));
    int s = new_socket();
    if (s < 0) {
        return fail_errno(err, err_size, path, "socket");
    }
    const char *failed = bind_and_listen(s, &sun, (mode_t)(mode & 0777), id);
    if (failed != NULL) {
        enum rc rc = fail_errno(err, err_size, path, failed);
        close(s);
        return rc;
    }
    *fd = s;
    return RC_OK;
}

void unix_listener_unlink(const char *path, const struct unix_listener_id *id)
{
    struct stat st;

    if (lstat(path, &st) == 0 && st.st_dev == id->dev && st.st_ino == id->ino) {
        (void)unlink(path);
    }
}
