/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New content for files that belong together, such as a certificate and its key. Nobody ever reads
 * half a file: each is written beside its place under another name and put there by rename(2), all
 * of them only after all are on the disk. So what fails, but for a rename, changes nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/base/rc.h"

/** So many files at once. */
#define FILE_PUT_MAX 16

struct file_put {
    const char *path; /**< borrowed; a link at this place is replaced, not followed */
    const void *data; /**< borrowed */
    size_t n;         /**< bytes */
    mode_t mode;      /**< permissions, whatever the umask is */
    bool keep_owner;  /**< an older file's owner and group stay; else the new one is ours */
};

/**
 * Put them in place, in this order. With keep_owner a file that is replaced keeps its owner and
 * group, as far as we may; where the group cannot stay, ours has the rights of everybody. That is
 * refused where anybody could have made the older file: it is neither ours nor its folder's
 * owner's, and others may write to the folder.
 *
 * files    borrowed.
 * n        1 .. FILE_PUT_MAX.
 * failed   gets the index of the file that could not be written.
 * Returns  RC_OK; RC_NO_MEMORY; RC_SYSTEM with errno set, EPERM when an owner is refused.
 */
enum rc file_put_all(const struct file_put *files, size_t n, size_t *failed) MUST_USE;

/** Is something at this place that a file would replace? A link is, wherever it leads: what it
 * names may be on a medium that is not there just now. */
bool file_put_replaces(const char *path);

/** Does the folder of this path take a file of ours? Makes none. RC_OK; RC_NO_MEMORY; RC_SYSTEM
 * with errno set. */
enum rc file_put_may(const char *path) MUST_USE;
