/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <grpc/grpc.h>

#include "integration/sandbox/common/loop.h"
#include "integration/sandbox/istiod/authn.h"
#include "integration/sandbox/istiod/ca.h"
#include "integration/sandbox/istiod/call.h"
#include "integration/sandbox/istiod/limiter.h"
#include "integration/sandbox/istiod/registry.h"
#include "integration/sandbox/istiod/resources.h"

struct ads_stream;

/** Options of the sandbox control plane, from the command line. All borrowed. */
struct server_opts {
    const char *listen; /* ADDRESS:PORT, port 0 picks one */
    const char *trust_domain;
    const char *cluster_id;
    const char *audience;
    struct cidr_list gateways;     /* owned by main */
    int64_t max_connection_age_ms; /* 0: none */
    int64_t cert_ttl_s;            /* 0: what the request asks for */
    size_t push_bytes;
};

/** How often things happened, for tests. */
struct server_counters {
    uint64_t streams;  /* ADS streams that arrived */
    uint64_t admitted; /* of them, past all checks */
    uint64_t not_ready;
    uint64_t rate_limited;
    uint64_t refused; /* by `fault refuse-next` */
    uint64_t unauthenticated;
    uint64_t permission_denied;
    uint64_t registration_failed;
    uint64_t csr_ok;
    uint64_t csr_failed;
    uint64_t unimplemented;
    uint64_t early_health; /* health as first message, ignored */
};

/** The sandbox control plane: one gRPC core server and all its state. Lock of `loop`. */
struct server {
    struct loop *loop;              /* borrowed */
    const struct server_opts *opts; /* borrowed */
    struct ca *ca;                  /* borrowed */
    struct registry registry;
    struct limiter limiter;
    struct resource_set resources;
    uint64_t push_counter;
    struct ads_stream *streams; /* list of live ADS streams */
    struct server_counters counters;
    struct timer sweep_timer;
    grpc_server *grpc;      /* owned */
    int port;               /* bound */
    struct tag request_tag; /* of the outstanding request_call */
    struct tag shutdown_tag;
    grpc_call *new_call; /* filled by request_call */
    grpc_call_details new_details;
    grpc_metadata_array new_headers;
    bool not_ready;      /* fault */
    bool csr_hang;       /* fault: CreateCertificate is never answered */
    int64_t refuse_left; /* fault: so many new ADS streams */
    int refuse_code;     /* ... get this status */
    bool shut_down;      /* shutdown_tag came back */
};

/**
 * Bind, and begin to accept.
 *
 * grace_ms  of registrations; rate: new ADS streams a second, 0 for no limit.
 * Returns   false when the address cannot be bound or the certificate is refused (logged).
 */
bool server_open(struct server *s, struct loop *loop, const struct server_opts *opts, struct ca *ca,
                 int64_t grace_ms, int64_t rate);

/** Begin the end: no new calls, live ones are cancelled. Lock held; then loop_fini(). */
void server_shutdown(struct server *s);

/** Release what is left; after loop_fini(). */
void server_close(struct server *s);

/** Make a new version of about push_bytes a type and push it to every stream. */
void server_push(struct server *s, size_t push_bytes);

/**
 * Authenticate a call.
 *
 * identities  gets who it is.
 * why         gets the reasons when it is nobody.
 */
enum auth_method server_authenticate(struct server *s, const struct call *c,
                                     struct names *identities, struct text *why);

/* The methods, each in its own file. */

/** Handle an ADS stream (ads.c). */
void ads_accept(struct server *s, struct call *c, bool delta);

/** A new version is there: mark all subscribed types of every stream and send. */
void ads_push_all(struct server *s);

/** End every ADS stream with a status. */
void ads_drop_all(struct server *s, int status, const char *text);

/** Handle CreateCertificate (csr.c). */
void csr_accept(struct server *s, struct call *c);
