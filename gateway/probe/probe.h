/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One attempt to reach a control plane as a VM's agent does: TCP, then TLS with the name as SNI,
 * the mesh's roots and ALPN h2. No byte of HTTP is sent, and never a client certificate. Blocks,
 * for a bounded time; for the command line.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "certs/cert_set.h"
#include "core/base/rc.h"
#include "core/net/addr.h"

struct probe_opts {
    const struct addr *peer; /**< borrowed; with its port */
    struct addr source;      /**< to leave from; ADDR_NONE: the kernel chooses */
    const char *server_name; /**< borrowed; what the certificate has to be for */
    struct root_set *roots;  /**< borrowed; NULL: only TCP is tried */
    double timeout_s;        /**< for the whole attempt */
    bool large;              /**< a ClientHello of more than one packet, as agents send it */
};

enum probe_end {
    PROBE_OK,
    PROBE_NO_SOURCE,         /**< the source is no address of this machine */
    PROBE_NO_CONNECTION,     /**< refused, no route, or no answer at all */
    PROBE_NO_ANSWER,         /**< connected, but the handshake does not get on */
    PROBE_CLOSED,            /**< the peer closed the connection during the handshake */
    PROBE_NOT_BELIEVED,      /**< its certificate is not valid for this name and these roots */
    PROBE_WANTS_CERTIFICATE, /**< it lets nobody in who shows no client certificate */
    PROBE_TLS,               /**< the handshake failed for another reason */
    PROBE_NO_H2,             /**< it speaks TLS, but not HTTP/2 */
};

struct probe_result {
    enum probe_end end;
    char why[320];        /**< of every end but PROBE_OK: printable, one line */
    double connect_s;     /**< how long TCP took; 0: not connected */
    double total_s;       /**< until TLS was up; 0: it was not */
    uint32_t path_mtu;    /**< as the kernel knows it; 0: not connected */
    uint32_t retransmits; /**< packets that were sent again */
    bool unknown_root;    /**< PROBE_NOT_BELIEVED because what it has shown leads to no root */
    int64_t from;         /**< the dates of its certificate, also when it is not believed */
    int64_t to;           /**< 0: it has shown none */
};

/**
 * Try.
 *
 * Effects  the process ignores SIGPIPE from now on: OpenSSL writes to a connection that was closed.
 * Returns  RC_OK, whatever came of it; RC_NO_MEMORY; RC_NO_FILES.
 */
enum rc probe_run(const struct probe_opts *o, struct probe_result *out) MUST_USE;
