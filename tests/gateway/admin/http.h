/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP by hand, for tests: what is sent is exactly what the test wrote. Failures end the test. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct http_answer {
    int status;         /**< 0: the connection ended without an answer */
    char head[2048];    /**< status line and headers, with their newlines */
    char body[1 << 17]; /**< as long as Content-Length says; a string */
};

/** Connect to 127.0.0.1:port from a source such as "127.0.0.2" (NULL: the kernel chooses). */
int http_dial_tcp(const char *source, const char *target, uint16_t port);
int http_dial_unix(const char *path);

void http_send(int fd, const char *text);

/** Wait for an answer (of a HEAD: no_body) or the end of the connection. At most 10 s. */
void http_receive(int fd, int no_body, struct http_answer *out);

/** Wait until the peer has closed, discarding what it sends. At most 10 s. */
void http_await_end(int fd);

/** A TCP port that is free, and of this process until it ends; another one each time. */
uint16_t http_free_port(void);
