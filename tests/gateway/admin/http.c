/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/gateway/admin/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_S 60

/* Below those which the kernel gives to connections, so that a free one stays free. */
#define PORTS_FIRST 22000
#define PORTS_N 10000

/* Where nobody listens; free_port() of integration/process/rig/process.py does the same. */
#define RESERVED_AT "127.255.255.254"

static int new_socket(int family)
{
    const struct timeval deadline = {.tv_sec = DEADLINE_S};
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline)), 0);
    return fd;
}

static struct sockaddr_in ip_address(const char *ip, uint16_t port)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET, ip, &sin.sin_addr), 1);
    return sin;
}

int http_dial_tcp(const char *source, const char *target, uint16_t port)
{
    struct sockaddr_in to = ip_address(target, port);
    int fd = new_socket(AF_INET);

    if (source != NULL) {
        struct sockaddr_in from = ip_address(source, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
    }
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

int http_dial_unix(const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd = new_socket(AF_UNIX);

    snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
    return fd;
}

void http_send(int fd, const char *text)
{
    size_t n = strlen(text);
    while (n > 0) {
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);
        assert_true(sent > 0);
        text += sent;
        n -= (size_t)sent;
    }
}

/* One byte at a time, so that nothing of a next answer is taken. False: the end. */
static int read_head(int fd, struct http_answer *out)
{
    size_t n = 0;

    while (n < sizeof(out->head) - 1) {
        ssize_t got = recv(fd, &out->head[n], 1, 0);
        if (got <= 0) {
            return 0;
        }
        out->head[++n] = '\0';
        if (n >= 4 && strcmp(&out->head[n - 4], "\r\n\r\n") == 0) {
            return 1;
        }
    }
    fail_msg("no end of the headers");
    return 0;
}

void http_receive(int fd, int no_body, struct http_answer *out)
{
    memset(out, 0, sizeof(*out));
    if (!read_head(fd, out)) {
        return;
    }
    assert_int_equal(sscanf(out->head, "HTTP/1.%*d %d", &out->status), 1);
    const char *length = strcasestr(out->head, "\r\nContent-Length:");
    assert_non_null(length);
    size_t want = no_body ? 0 : strtoul(length + 17, NULL, 10);
    assert_true(want < sizeof(out->body));
    for (size_t n = 0; n < want;) {
        ssize_t got = recv(fd, out->body + n, want - n, 0);
        assert_true(got > 0);
        n += (size_t)got;
    }
}

void http_await_end(int fd)
{
    char scratch[4096];
    ssize_t got = 0;

    do {
        got = recv(fd, scratch, sizeof(scratch), 0);
    } while (got > 0);
    if (got < 0) {
        assert_int_equal(errno, ECONNRESET); /* not the deadline */
    }
}

static void allow_reuse(int fd)
{
    const int on = 1;

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
}

static bool bind_to(int fd, const char *ip, uint16_t port)
{
    struct sockaddr_in sin = ip_address(ip, port);

    return bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0;
}

/* Hold the port, until this process ends, against others who reserve it; not against who is to
 * listen there. */
static bool reserve(uint16_t port)
{
    int holder = new_socket(AF_INET);
    int fd = new_socket(AF_INET);

    bool held = bind_to(holder, RESERVED_AT, port); /* alone: without SO_REUSEADDR */
    allow_reuse(holder);
    allow_reuse(fd);
    bool is_free = held && bind_to(fd, "0.0.0.0", port);
    close(fd);
    if (!is_free) {
        close(holder);
    }
    return is_free;
}

uint16_t http_free_port(void)
{
    static unsigned offset;
    uint16_t port;

    if (offset == 0) { /* other tests look for ports at the same time */
        assert_int_equal(getrandom(&offset, sizeof(offset), 0), sizeof(offset));
    }
    do {
        port = (uint16_t)(PORTS_FIRST + ++offset % PORTS_N);
    } while (!reserve(port));
    return port;
}
