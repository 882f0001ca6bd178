/* SPDX-License-Identifier: Apache-2.0 */
/* A whole small file: a configuration, a certificate, a key, a token. */
#pragma once

#include <stddef.h>
#include <sys/stat.h>

#include "core/base/rc.h"

/**
 * Read a regular file, so this never waits for anybody: a pipe in its place is refused, not opened
 * for ever.
 *
 * max      bytes; more is refused.
 * st       what fstat(2) says; NULL: nobody asks.
 * out      owned: wipe_free(), or free() what is no secret; a zero follows the *n bytes.
 * Returns  RC_OK; RC_INVALID: no regular file; RC_FULL: larger; RC_NO_MEMORY; RC_SYSTEM with errno
 *          set.
 */
enum rc file_read(const char *path, size_t max, struct stat *st, char **out, size_t *n) MUST_USE;

/** The same of whatever is there, until its end, which somebody may have to write first: for what
 * people name on a command line, such as <(kubectl get ...). Never RC_INVALID. */
enum rc file_read_waiting(const char *path, size_t max, char **out, size_t *n) MUST_USE;
