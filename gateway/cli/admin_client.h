/* SPDX-License-Identifier: Apache-2.0 */
/* Asking a running daemon: its admin API over HTTP. */
#pragma once

#include <stddef.h>

#include "core/base/rc.h"

/** Where a daemon listens if nobody says otherwise. */
#define ADMIN_CLIENT_DEFAULT "/run/xdsgate/admin.sock"

/** An answer of more bytes is given up. */
#define ADMIN_CLIENT_MAX_BYTES (256U * 1024 * 1024)

struct admin_answer {
    int status; /**< of HTTP */
    char *body; /**< owned: free(); a zero follows */
    size_t n;
};

/**
 * Ask.
 *
 * address  the path of a unix socket (with a "/" in it), or HOST:PORT.
 * method   "GET" or "POST".
 * path     behind "/api/v1/", with its arguments; what is no plain character of a path is encoded
 *          by admin_client_encode().
 * out      filled with RC_OK, whatever the status.
 * err      gets what is wrong and what to do, when the result is not RC_OK.
 * Returns RC_OK; RC_UNREACHABLE: nobody answers there; RC_SYSTEM: libcurl is missing or too old;
 *          RC_NO_MEMORY.
 */
enum rc admin_client_ask(const char *address, const char *method, const char *path,
                         struct admin_answer *out, char *err, size_t err_size) MUST_USE;

/** Text as one part of a path: every byte that is not a letter, a digit or one of "-._~" as %XX.
 * Owned by the caller; NULL: out of memory. */
char *admin_client_encode(const char *text);
