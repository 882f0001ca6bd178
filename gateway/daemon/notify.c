/* SPDX-License-Identifier: Apache-2.0 */
/* See sd_notify(3) and sd_watchdog_enabled(3), "Notes" and "Environment". */
#include "gateway/daemon/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/check.h"

#define MESSAGE_BYTES 512

static enum rc find_socket(struct sockaddr_un *to, socklen_t *n)
{
    const char *name = getenv("NOTIFY_SOCKET");

    if (name == NULL || name[0] == '\0') {
        return RC_NOT_FOUND;
    }
    size_t len = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof(to->sun_path)) {
        return RC_INVALID;
    }
    *to = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(to->sun_path, name, len);
    if (name[0] == '@') {
        to->sun_path[0] = '\0'; /* abstract: as long as it is, without a zero at its end */
    }
    *n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] == '/'));
    return RC_OK;
}

static enum rc send_to(int fd, const struct sockaddr_un *to, socklen_t to_len, const char *text,
                       size_t n)
{
    const struct timeval patience = {.tv_sec = NOTIFY_WAIT_S};
    ssize_t sent;

    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) != 0) {
        return rc_from_errno(errno);
    }
    do {
        sent = sendto(fd, text, n, MSG_NOSIGNAL, (const struct sockaddr *)to, to_len);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? rc_from_errno(errno) : RC_OK;
}

enum rc notify_tell(const char *fmt, ...)
{
    struct sockaddr_un to;
    socklen_t to_len;
    char text[MESSAGE_BYTES];
    va_list ap;

    TRY(find_socket(&to, &to_len));
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    CHECK(n > 0 && (size_t)n < sizeof(text));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return rc_from_errno(errno);
    }
    enum rc rc = send_to(fd, &to, to_len, text, (size_t)n);
    close(fd);
    return rc;
}

/* A decimal number and nothing else. */
static bool read_number(const char *text, uint64_t *out)
{
    char *end;

    if (text == NULL || text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

uint64_t notify_watchdog_usec(void)
{
    const char *pid = getenv("WATCHDOG_PID");
    uint64_t usec;
    uint64_t whom;

    if (!read_number(getenv("WATCHDOG_USEC"), &usec)) {
        return 0;
    }
    return pid == NULL || (read_number(pid, &whom) && whom == (uint64_t)getpid()) ? usec : 0;
}
