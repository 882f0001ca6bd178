/* SPDX-License-Identifier: Apache-2.0 */
/* A listening unix socket with a mode, which is removed again at the end. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/rc.h"

/** Which file is ours: another process may have put its own in its place. */
struct unix_listener_id {
    dev_t dev;
    ino_t ino;
};

/**
 * Bind and listen. Nobody can connect before the mode is set. A socket file on which nobody listens
 * is replaced.
 *
 * path  borrowed. mode: permission bits, whatever the umask.
 * fd    owned by the caller; non-blocking. id: for unix_listener_unlink().
 * Returns RC_OK; RC_BUSY (somebody listens there); RC_INVALID (too long, or a file of another
 * kind); or the error of the call that failed. err gets the text.
 */
enum rc unix_listener_open(const char *path, uint32_t mode, int *fd, struct unix_listener_id *id,
                           char *err, size_t err_size) MUST_USE;

/** Remove the file if it is still ours. */
void unix_listener_unlink(const char *path, const struct unix_listener_id *id);
