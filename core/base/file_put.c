/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/file_put.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/check.h"

static enum rc write_fd(int fd, const struct file_put *f)
{
    const char *p = f->data;
    size_t left = f->n;

    while (left > 0) {
        ssize_t n = write(fd, p, left);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return RC_SYSTEM;
        }
        p += n;
        left -= (size_t)n;
    }
    return RC_OK;
}

static enum rc look_at_folder(const char *path, struct stat *st)
{
    char *copy = strdup(path);

    if (copy == NULL) {
        return RC_NO_MEMORY;
    }
    enum rc rc = stat(dirname(copy), st) == 0 ? RC_OK : RC_SYSTEM;
    free(copy);
    return rc;
}

bool file_put_replaces(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

enum rc file_put_may(const char *path)
{
    char *folder = NULL;
    char *copy = strdup(path);

    /* The last slash makes it an error when it is no folder. */
    if (copy == NULL || asprintf(&folder, "%s/", dirname(copy)) < 0) {
        free(copy);
        return RC_NO_MEMORY;
    }
    enum rc rc = access(folder, W_OK | X_OK) == 0 ? RC_OK : RC_SYSTEM;
    free(folder);
    free(copy);
    return rc;
}

/* Whoever makes a file in /tmp does not get the next key by it. */
static enum rc check_owner(const struct file_put *f, const struct stat *older)
{
    struct stat folder;

    if (older->st_uid == geteuid()) {
        return RC_OK;
    }
    TRY(look_at_folder(f->path, &folder));
    if (older->st_uid != folder.st_uid && (folder.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        errno = EPERM;
        return RC_SYSTEM;
    }
    return RC_OK;
}

/* An older file's owner stays the owner, as far as we may: who reads a key reads the next one. When
 * its group cannot stay, ours gets no more rights than everybody. *mode gets what is left. */
static enum rc keep_owner(int fd, const struct file_put *f, mode_t *mode)
{
    struct stat st;

    if (!f->keep_owner || lstat(f->path, &st) != 0 || !S_ISREG(st.st_mode)) {
        return RC_OK;
    }
    TRY(check_owner(f, &st));
    if (fchown(fd, st.st_uid, st.st_gid) != 0 && fchown(fd, (uid_t)-1, st.st_gid) != 0) {
        *mode &= ~(S_IRWXG & ~(f->mode << 3));
    }
    return RC_OK;
}

/* Write the new content beside its place. temporary: gets its name; NULL on failure. */
static enum rc prepare(const struct file_put *f, char **temporary)
{
    char *name = NULL;

    if (asprintf(&name, "%s.XXXXXX", f->path) < 0) {
        return RC_NO_MEMORY;
    }
    int fd = mkostemp(name, O_CLOEXEC); /* mode 0600 */
    if (fd < 0) {
        free(name);
        return RC_SYSTEM;
    }
    mode_t mode = f->mode;
    enum rc rc = keep_owner(fd, f, &mode);
    if (rc == RC_OK) {
        rc = write_fd(fd, f);
    }
    if (rc == RC_OK && (fchmod(fd, mode) != 0 || fsync(fd) != 0)) {
        rc = RC_SYSTEM;
    }
    if (close(fd) != 0 && rc == RC_OK) {
        rc = RC_SYSTEM;
    }
    if (rc != RC_OK) {
        int reason = errno;
        (void)unlink(name);
        free(name);
        errno = reason;
        return rc;
    }
    *temporary = name;
    return RC_OK;
}

/* A rename lasts when its folder is on the disk. Not every file system can be asked for it. */
static void sync_folder(const char *path)
{
    char *copy = strdup(path);
    int fd = copy != NULL ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    free(copy);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

static enum rc put_prepared(const struct file_put *files, size_t n, char **temporaries,
                            size_t *failed)
{
    for (size_t i = 0; i < n; i++) {
        if (rename(temporaries[i], files[i].path) != 0) {
            *failed = i;
            return RC_SYSTEM;
        }
        free(temporaries[i]);
        temporaries[i] = NULL;
    }
    for (size_t i = 0; i < n; i++) {
        sync_folder(files[i].path);
    }
    return RC_OK;
}

enum rc file_put_all(const struct file_put *files, size_t n, size_t *failed)
{
    char *temporaries[FILE_PUT_MAX] = {NULL};
    enum rc rc = RC_OK;

    CHECK(n > 0 && n <= FILE_PUT_MAX);
    for (size_t i = 0; i < n && rc == RC_OK; i++) {
        rc = prepare(&files[i], &temporaries[i]);
        *failed = i;
    }
    if (rc == RC_OK) {
        rc = put_prepared(files, n, temporaries, failed);
    }
    int reason = errno;
    for (size_t i = 0; i < n; i++) {
        if (temporaries[i] != NULL) {
            (void)unlink(temporaries[i]);
            free(temporaries[i]);
        }
    }
    errno = reason;
    return rc;
}
