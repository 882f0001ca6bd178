/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP addresses with ports, and networks. A small value type: 28 bytes less than sockaddr_storage
 * matter with thousands of connections. IPv4-mapped IPv6 addresses are turned into IPv4 on the way
 * in.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/base/rc.h"

enum addr_family { ADDR_NONE = 0, ADDR_V4 = 4, ADDR_V6 = 6 };

struct addr {
    uint8_t family; /**< enum addr_family */
    uint16_t port;  /**< host byte order; 0 when it does not matter */
    uint32_t scope; /**< IPv6 scope id, 0 mostly */
    uint8_t ip[16]; /**< network order; the first 4 for ADDR_V4 */
};

/** A network: the first prefix bits of ip count. */
struct addr_net {
    struct addr base;
    uint8_t prefix; /**< 0 .. 32 or 0 .. 128 */
};

/** Room for the longest addr_format() text with its final zero: "[...%4294967295]:65535". */
#define ADDR_TEXT_BYTES 64

/**
 * "10.0.0.1:15012", "[::1]:15012" or "[fe80::1%eth0]:15012" (a scope, name or number, is for
 * link-local addresses only). The port is needed, 0 .. 65535; whether 0 makes sense is the caller's
 * matter. RC_INVALID for anything else (also names).
 */
enum rc addr_parse(const char *text, struct addr *out) MUST_USE;

/** "10.0.0.1" or "::1", port 0. RC_INVALID for anything else. */
enum rc addr_parse_ip(const char *text, struct addr *out) MUST_USE;

/** "192.168.7.0/24", "fd00::/8", or a plain address (its full length). RC_INVALID when malformed or
 * when bits behind the prefix are set. */
enum rc addr_net_parse(const char *text, struct addr_net *out) MUST_USE;

/** Is a inside net (families must agree; the port does not count)? */
bool addr_in_net(const struct addr *a, const struct addr_net *net);

/** From what accept() or getsockname() gave. family ADDR_NONE for foreign families. */
void addr_from_sockaddr(const struct sockaddr *sa, struct addr *out);

/** To what bind() and connect() take. Returns its length; a->family must not be ADDR_NONE. */
socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *out);

/** Same family and bytes (the port does not count). */
bool addr_same_ip(const struct addr *a, const struct addr *b);

/** 127.0.0.0/8, ::1, and 0.0.0.0 and :: which connect there. */
bool addr_is_loopback(const struct addr *a);

/** "IP:PORT" or "[IP]:PORT" into buf of ADDR_TEXT_BYTES; returns buf. */
const char *addr_format(const struct addr *a, char *buf);

/** Only the IP; returns buf. */
const char *addr_format_ip(const struct addr *a, char *buf);
