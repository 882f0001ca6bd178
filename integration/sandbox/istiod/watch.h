/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "integration/sandbox/common/text.h"
#include "integration/sandbox/common/wire.h"

/** What one stream has subscribed to of one type, and how far it is in sync. Strings owned. */
struct watch {
    bool subscribed;
    struct names names; /* subscribed names; only of EDS and RDS */
    char *version_sent; /* NULL while nothing was sent */
    char *nonce_sent;   /* NULL while nothing was sent */
    char *nonce_acked;  /* NULL while nothing was acknowledged */
    char *error;        /* text of the last NACK; NULL after an ACK */
    int64_t error_code;
    size_t n_resources; /* in the last response */
    uint64_t sent;      /* responses */
    uint64_t acks;
    uint64_t nacks;
    uint64_t stale;     /* requests with an old nonce, ignored */
    bool pending;       /* a response has to be sent */
    bool pending_all;   /* ... with every subscribed resource */
    struct names added; /* ... with these, when not all */
};

/** One request as both variants give it. All borrowed. */
struct watch_request {
    const char *nonce; /* "" for none */
    bool is_nack;
    int64_t error_code;
    const char *error;
    char *const *subscribe; /* SotW: all names of the request */
    size_t n_subscribe;
    char *const *unsubscribe; /* delta only */
    size_t n_unsubscribe;
};

/** Take a state-of-the-world request in; may set pending. */
void watch_on_sotw(struct watch *w, enum xds_type type, const struct watch_request *rq);

/** Take a delta request in; may set pending. initial_resource_versions count as subscribe. */
void watch_on_delta(struct watch *w, enum xds_type type, const struct watch_request *rq);

/** A response was sent; clears pending. */
void watch_on_sent(struct watch *w, const char *version, const char *nonce, size_t n_resources);

/** As proxy-status says it: SYNCED, STALE, "NOT SENT", ERROR, or IGNORED when not subscribed. */
const char *watch_state(const struct watch *w);

/** Does a stream with this watch get the resource, when all is to be sent? */
bool watch_wants(const struct watch *w, enum xds_type type, const char *name);

/** Release the strings. */
void watch_fini(struct watch *w);
