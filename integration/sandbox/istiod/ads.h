/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "integration/sandbox/istiod/node.h"
#include "integration/sandbox/istiod/server.h"
#include "integration/sandbox/istiod/watch.h"

/** One ADS stream of one VM. Lives from its acceptance to the end of its call. */
struct ads_stream {
    struct ads_stream *next; /* borrowed; the server's list */
    struct ads_stream *prev;
    struct server *server; /* borrowed */
    struct call *call;     /* borrowed until on_end */
    bool delta;
    enum auth_method auth;
    struct names identities;
    struct node node;    /* id NULL until the first request */
    struct entry *entry; /* borrowed from the registry; NULL without one */
    struct watch watch[XDS_TYPES];
    size_t node_bytes; /* packed size of the first request's node */
    uint64_t requests;
    uint64_t held; /* names in initial_resource_versions of all requests */
    uint64_t health_reports;
    int64_t since_ms;        /* when it arrived */
    struct timer wait_timer; /* for the rate limit */
};
