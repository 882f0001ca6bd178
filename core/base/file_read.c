/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/file_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/wipe.h"

/* Until the end, or until size bytes. */
static enum rc read_all(int fd, char *buf, size_t size, size_t *n)
{
    while (*n < size) {
        ssize_t got = read(fd, buf + *n, size - *n);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got == 0 ? RC_OK : RC_SYSTEM;
        }
        *n += (size_t)got;
    }
    return RC_FULL;
}

static enum rc read_fd(int fd, size_t max, char **out, size_t *n)
{
    char *buf = malloc(max + 1); /* one more, to see that there is more */
    size_t have = 0;

    if (buf == NULL) {
        return RC_NO_MEMORY;
    }
    enum rc rc = read_all(fd, buf, max + 1, &have);
    if (rc != RC_OK) {
        int reason = errno;
        wipe_free(buf, have);
        errno = reason;
        return rc;
    }
    buf[have] = '\0';
    *out = buf;
    *n = have;
    return RC_OK;
}

static void close_quietly(int fd)
{
    int reason = errno;

    (void)close(fd);
    errno = reason;
}

enum rc file_read(const char *path, size_t max, struct stat *st, char **out, size_t *n)
{
    /* Without O_NONBLOCK, opening a pipe would wait for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat mine;
    enum rc rc = RC_SYSTEM;

    if (fd < 0) {
        return RC_SYSTEM;
    }
    if (fstat(fd, &mine) == 0) {
        rc = S_ISREG(mine.st_mode) ? read_fd(fd, max, out, n) : RC_INVALID;
    }
    if (rc == RC_OK && st != NULL) {
        *st = mine;
    }
    close_quietly(fd);
    return rc;
}

enum rc file_read_waiting(const char *path, size_t max, char **out, size_t *n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0) {
        return RC_SYSTEM;
    }
    enum rc rc = read_fd(fd, max, out, n);
    close_quietly(fd);
    return rc;
}
