/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of rc.def as lookup tables. */
#include "core/base/rc.h"

#include <errno.h>

static const struct {
    enum rc_category category;
    const char *text;
} rows[] = {
#define RC(name, cat, txt) [RC_##name] = {RC_CAT_##cat, txt},
#include "core/base/rc.def"
#undef RC
};

enum rc_category rc_category(enum rc rc)
{
    return rows[rc].category;
}

const char *rc_text(enum rc rc)
{
    return rows[rc].text;
}

enum rc rc_from_errno(int err)
{
    switch (err) {
    case EAGAIN:
    case EINTR:
    case EINPROGRESS:
        return RC_AGAIN;
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
        return RC_RESET;
    case ETIMEDOUT:
        return RC_TIMEOUT;
    case ECONNREFUSED:
        return RC_REFUSED;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
        return RC_UNREACHABLE;
    case EADDRNOTAVAIL:
        return RC_NO_ADDRESS;
    case ENOMEM:
    case ENOBUFS:
        return RC_NO_MEMORY;
    case EMFILE:
    case ENFILE:
        return RC_NO_FILES;
    case ENOENT:
        return RC_NOT_FOUND;
    default:
        return RC_SYSTEM;
    }
}
