/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <linux/sockios.h>
#include <linux/tcp.h> /* tcpi_bytes_acked, which the C library does not know */
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTEN_BACKLOG 4096
#define KEEPALIVE_IDLE_S 30
#define KEEPALIVE_INTERVAL_S 10
#define KEEPALIVE_PROBES 3

/* The part of the file descriptors that is reserved, and the least of it. */
#define RESERVED_SHARE 16
#define RESERVED_MIN 8

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static int set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value));
}

static int open_socket(const struct addr *a)
{
    int family = a->family == ADDR_V6 ? AF_INET6 : AF_INET;
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static enum rc fail(int fd, int err)
{
    close(fd);
    return rc_from_errno(err);
}

enum rc sock_listen(const struct addr *bind_to, bool shared, int *out, const char **what)
{
    struct sockaddr_storage ss;
    socklen_t len = addr_to_sockaddr(bind_to, &ss);
    int fd = open_socket(bind_to);

    *what = "socket";
    if (fd < 0) {
        return rc_from_errno(errno);
    }
    *what = "setsockopt";
    if (set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1) != 0 ||
        (shared && set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1) != 0) ||
        (bind_to->family == ADDR_V6 && set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) != 0)) {
        return fail(fd, errno);
    }
    *what = "bind";
    if (bind(fd, (struct sockaddr *)&ss, len) != 0) {
        return fail(fd, errno);
    }
    *what = "listen";
    if (listen(fd, LISTEN_BACKLOG) != 0) {
        return fail(fd, errno);
    }
    *out = fd;
    return RC_OK;
}

enum rc sock_connect(const struct addr *peer, const struct addr *source, int *out)
{
    struct sockaddr_storage ss;
    socklen_t len;
    int fd = open_socket(peer);

    if (fd < 0) {
        return rc_from_errno(errno);
    }
    sock_tune(fd, false);
    if (source->family != ADDR_NONE) {
        (void)set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
        len = addr_to_sockaddr(source, &ss);
        if (bind(fd, (struct sockaddr *)&ss, len) != 0) {
            return fail(fd, errno);
        }
    }
    len = addr_to_sockaddr(peer, &ss);
    if (connect(fd, (struct sockaddr *)&ss, len) != 0 && errno != EINPROGRESS) {
        enum rc why = fail(fd, errno);
        return why == RC_NO_ADDRESS ? RC_NO_PORT : why; /* connect(2) has the one errno for both */
    }
    *out = fd;
    return RC_OK;
}

enum rc sock_connect_result(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int err = 0;
    socklen_t len = sizeof(err);

    if (poll(&p, 1, 0) == 0) {
        return RC_AGAIN;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0) {
        return rc_from_errno(errno);
    }
    return err == 0 ? RC_OK : rc_from_errno(err);
}

void sock_tune(int fd, bool user_timeout)
{
    (void)set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    (void)set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    (void)set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    (void)set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    (void)set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
    if (user_timeout) {
        (void)set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, SOCK_USER_TIMEOUT_MS);
    }
}

void sock_local_addr(int fd, struct addr *out)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);

    *out = (struct addr){0};
    if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0) {
        addr_from_sockaddr((struct sockaddr *)&ss, out);
    }
}

bool sock_source_holds(int fd, const struct addr *source)
{
    struct addr local;

    if (source->family == ADDR_NONE) {
        return true;
    }
    sock_local_addr(fd, &local);
    return addr_same_ip(&local, source);
}

void sock_sent(int fd, uint64_t *acknowledged, uint64_t *waiting)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    int queued = 0;

    *acknowledged = 0;
    *waiting = 0;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
        ioctl(fd, SIOCOUTQ, &queued) == 0 && queued >= 0) {
        *acknowledged = info.tcpi_bytes_acked;
        *waiting = (uint64_t)queued;
    }
}

/* The kernel gives the lowest number that is free, so a number says how many are in use. */
bool sock_is_of_reserve(int fd)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) != 0) {
        return false;
    }
    rlim_t reserved = l.rlim_cur / RESERVED_SHARE;
    reserved = reserved < RESERVED_MIN ? RESERVED_MIN : reserved;
    return (rlim_t)fd + reserved >= l.rlim_cur;
}

bool sock_has_files(int fd)
{
    int next = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    if (next < 0) {
        return false;
    }
    close(next);
    return !sock_is_of_reserve(next);
}
