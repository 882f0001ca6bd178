/* SPDX-License-Identifier: Apache-2.0 */
/* The address of an API server as a kubeconfig gives it. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/rc.h"

/** A DNS name of 253 characters, or an IPv6 address. */
#define KUBE_HOST_BYTES 256
#define KUBE_PREFIX_BYTES 256

struct kube_url {
    char host[KUBE_HOST_BYTES];     /**< a name or an address, an IPv6 address without brackets */
    bool ipv6;                      /**< the host needs brackets */
    uint16_t port;                  /**< 443 when the text has none */
    char prefix[KUBE_PREFIX_BYTES]; /**< path before /api, without "/" at its end; "" mostly */
};

/**
 * Read "https://HOST[:PORT][/PREFIX]".
 *
 * text  zero-terminated.
 * why   on failure, a static text that says what is expected.
 * Returns RC_OK or RC_INVALID: another scheme (credentials never travel unencrypted), a user, a
 * query, odd characters, too long.
 */
enum rc kube_url_parse(const char *text, struct kube_url *out, const char **why) MUST_USE;

/** Room for "https://HOST:PORT/PREFIX" and its zero. */
#define KUBE_URL_BYTES (KUBE_HOST_BYTES + KUBE_PREFIX_BYTES + 32)

/** Write it. host: in the place of its own, a name of fewer than KUBE_HOST_BYTES; NULL: its own.
 * out: KUBE_URL_BYTES. */
void kube_url_write(const struct kube_url *u, const char *host, char *out);

/** Is it a DNS name or an IPv4 address by its characters: letters, digits, "-", "_" and "."? */
bool kube_host_is_valid(const char *host);
