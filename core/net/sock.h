/* SPDX-License-Identifier: Apache-2.0 */
/* Socket calls with our options: non-blocking, close-on-exec, no delay, keepalive. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/rc.h"
#include "core/net/addr.h"

/** Ten seconds, as agents and istiod have it (grpc-go http2_client.go): a dead peer is noticed
 * while we send. */
#define SOCK_USER_TIMEOUT_MS 10000

/**
 * A listening socket. shared: SO_REUSEPORT, so that each worker has its own.
 * out: owned fd. Returns RC_OK or the error of the call that failed; *what names it (static text).
 */
enum rc sock_listen(const struct addr *bind_to, bool shared, int *out, const char **what) MUST_USE;

/**
 * Start to connect. source ADDR_NONE: the kernel chooses; else it is bound without claiming a port
 * yet (IP_BIND_ADDRESS_NO_PORT), so that ports run out per destination only. out: owned fd,
 * connecting. RC_OK (also while in progress) or an error: RC_NO_FILES; RC_NO_ADDRESS: source is not
 * an address of this machine; RC_NO_PORT: none is free towards this peer.
 */
enum rc sock_connect(const struct addr *peer, const struct addr *source, int *out) MUST_USE;

/** The result of a connect in progress: RC_OK, RC_AGAIN when not connected yet, or why it failed.
 */
enum rc sock_connect_result(int fd) MUST_USE;

/**
 * Set the options of a connected or accepted socket. Never fails: an option that is refused is left
 * out. user_timeout: also SOCK_USER_TIMEOUT_MS; not for passthrough, where a receiver may close its
 * window for long.
 */
void sock_tune(int fd, bool user_timeout);

/** The socket's own address; family ADDR_NONE when it has none. */
void sock_local_addr(int fd, struct addr *out);

/** How many bytes the peer has acknowledged (TCP_INFO), and how many wait for that; both 0 when the
 * socket does not say. */
void sock_sent(int fd, uint64_t *acknowledged, uint64_t *waiting);

/** Is the socket's own IP source (or source ADDR_NONE)? Asked before the first byte is sent. */
bool sock_source_holds(int fd, const struct addr *source);

/**
 * Is an accepted socket one of the last sixteenth of the file descriptors (at least eight), which
 * VMs' connections do not get? Without them no stream would find a connection to its upstream, and
 * nobody could ask what is wrong.
 */
bool sock_is_of_reserve(int fd);

/** Would a socket that is accepted now from the listening socket fd be none of the reserve? */
bool sock_has_files(int fd);
