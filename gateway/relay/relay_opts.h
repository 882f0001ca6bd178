/* SPDX-License-Identifier: Apache-2.0 */
/* What the configuration says about a terminating route and the limits of its listener. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** `limits:` of a listener. Counts are 1 or more; times are in seconds. */
struct listener_limits {
    uint32_t connections;            /**< default 20000 */
    uint32_t connections_per_source; /**< default 10000: a site may sit behind one NAT address */
    uint32_t handshakes_in_flight;   /**< per worker; more wait, each up to a second; default 64 */
    double handshake_timeout;        /**< accept to first byte of HTTP/2; default 10s */
    double first_request_timeout;    /**< stream open to complete first message; default 30s */
    uint32_t streams_per_connection; /**< SETTINGS_MAX_CONCURRENT_STREAMS; default 16 */
    uint32_t ads_streams_per_vm;     /**< on one connection; default 4 */
    uint32_t new_streams_per_second; /**< of one connection; default 20 */
    uint32_t header_bytes;           /**< names, values and 32 each; default 16KiB */
    uint32_t headers;                /**< default 64 */
    uint32_t message_bytes;          /**< VM to istiod; default 4MiB, what istiod takes */
    double stall_timeout;            /**< no progress at all; default 60s */
    uint32_t
        unauthenticated_streams_per_second; /**< of all VMs without a certificate; default 50 */
    uint32_t bad_connections_per_second;    /**< of one source; default 100 */
    uint32_t frame_flood; /**< control frames a connection may send in 10 s; default 2000 */
};

/** What a terminating route says beyond its upstream. Owned by the config snapshot. */
struct relay_opts {
    bool anonymous_allow; /**< relay a VM with neither certificate nor token */
    bool all_methods;     /**< methods: ["*"] */
    char **methods;   /**< owned, NULL-terminated "/pkg.Service/Method"; ignored with all_methods */
    bool all_headers; /**< headers: all */
    char **extra_headers; /**< owned, NULL-terminated lower-case names let through besides the
                             agent's */
};
