/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does istiod believe a name that is given in x-forwarded-client-cert, from this address?
 *
 * One ADS stream says that it is somebody who exists nowhere, and that it wants the configuration
 * of another one who exists nowhere. istiod authenticates before it looks at that: 16 says that it
 * does not believe, and 7, that it does (pilot/pkg/xds/auth.go). Nothing is registered, and no
 * certificate is asked for. Blocks, for a bounded time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "certs/cert_set.h"
#include "core/base/rc.h"
#include "core/net/addr.h"

struct probe_ads_opts {
    const struct addr *peer; /**< borrowed; with its port */
    struct addr source;      /**< to leave from; ADDR_NONE: the kernel chooses */
    const char *server_name; /**< borrowed; what its certificate has to be for */
    struct root_set *roots;  /**< borrowed */
    double timeout_s;        /**< for the whole attempt */
    bool nameless;           /**< without the header: is anybody let in? */
    const uint32_t *stop;    /**< borrowed; atomic: give up when it is not 0. NULL: never */
};

enum probe_ads_end {
    PROBE_ADS_REFUSED,   /**< not authenticated */
    PROBE_ADS_TAKEN,     /**< authenticated */
    PROBE_ADS_BUSY,      /**< it is not ready, or answers too many others: nothing is known */
    PROBE_ADS_NOT_ISTIO, /**< it does not speak gRPC, or has no ADS */
    PROBE_ADS_NO_TLS,    /**< connected, but it is nobody who is believed: another service */
    PROBE_ADS_NO_ANSWER, /**< no connection, or no answer in time: nothing is known */
};

struct probe_ads_result {
    enum probe_ads_end end;
    int status;    /**< of gRPC; -1: none came */
    char why[256]; /**< for people: printable, one line; "" when there is nothing to say */
};

/**
 * Try once.
 *
 * Effects  none on other threads; the caller's has no worker.
 * Returns  RC_OK, whatever came of it; RC_NO_MEMORY.
 */
enum rc probe_ads(const struct probe_ads_opts *o, struct probe_ads_result *out) MUST_USE;
