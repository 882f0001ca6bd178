/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to an answer: which page, who may see it, what it says. Knows no HTTP library. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/admin/server.h"

/** What a route is decided by. Borrowed strings. */
struct routes_request {
    const char *method;
    const char *path; /**< without the query */
    const char *host; /**< the Host header; NULL when there is none */
    size_t n_hosts;   /**< how many Host headers there are */
    bool has_body;
    bool verbose;      /**< ?verbose */
    bool any_host;     /**< the Host header does not matter on this connection */
    bool metrics_only; /**< health and metrics only */
    bool may_change;   /**< the unix socket */
    uint32_t uid;      /**< then: who calls */
    /** As of struct admin_call; NULL: there are no arguments. */
    const char *(*argument)(const struct admin_call *call, const char *name);
    const void *place;
};

struct routes_answer {
    unsigned status;
    const char *type;   /**< static storage */
    const char *policy; /**< Content-Security-Policy; static storage */
    char *body;         /**< owned, from malloc() */
    size_t n_bytes;
};

/** Fill *out. RC_OK; RC_NO_MEMORY (nothing to free). */
enum rc routes_answer(const struct routes_request *q, const struct admin_source *source,
                      struct routes_answer *out) MUST_USE;
