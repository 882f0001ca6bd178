/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminating relay: a VM's connection (vm_session) and, for each of its streams, the pair of a
 * down stream and an up stream (relay).
 *
 * VM to istiod, the agent's methods are cut into gRPC messages: a message is passed on when it is
 * complete, and the first one before an upstream stream is asked for. Until istiod has answered,
 * everything the VM sent is kept, so that a stream refused before any answer can be offered again,
 * elsewhere or later, unseen by the VM; its window stays shut meanwhile, so what is kept is
 * bounded. istiod to VM, and for other methods, bytes stream through.
 *
 * A lost upstream stream always ends the VM's stream: Node, nonces, subscriptions and health live
 * in the stream, and agents only send them again on a new one (wire facts 12.8). Worker-local.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "certs/cert_peer.h"
#include "certs/cert_set.h"
#include "core/h2/session.h"
#include "gateway/relay/relay_opts.h"
#include "gateway/tokens/tokens.h"
#include "gateway/upstream/bucket.h"
#include "gateway/upstream/pool.h"

struct relay_tap_env;

/** What the VMs of a listener share on one worker. */
struct relay_shared {
    struct bucket anonymous; /**< streams without a certificate */
    size_t held_bytes;       /**< of VMs' messages that istiod has not admitted yet */
};

/** What a terminating route is for one worker. Borrowed by connections, which hold it by `hold` and
 * `release`. */
struct relay_route {
    const char *listener;                 /**< its name, borrowed */
    const struct relay_opts *opts;        /**< borrowed */
    const struct listener_limits *limits; /**< borrowed */
    struct pool *pool;                    /**< borrowed */
    struct relay_shared *shared;          /**< borrowed */
    struct token_clerk *tokens;           /**< borrowed; there when the upstream wants tokens */
    const struct relay_tap_env *tap;      /**< borrowed; NULL: nobody looks at what passes */
    struct list *sessions;                /**< vm_session list of the worker; borrowed */
    void *owner;
    void (*hold)(void *owner);
    void (*release)(void *owner);
};

/** Who is told about a connection; each at most once. */
struct vm_session_owner {
    void (*opened)(void *arg); /**< the handshake is done */
    /** It is gone. opened: after a handshake. blame_s: what to blame its source for, in seconds. */
    void (*over)(void *arg, void *place, bool opened, double blame_s);
    void *arg;
    void *place; /**< what the connection occupies, for the owner */
};

/** A VM's terminated connection. */
struct vm_session {
    uint32_t magic;
    struct list node;          /**< on route->sessions */
    struct h2_session *h2;     /**< borrowed until on_dead */
    struct relay_route *route; /**< held */
    bool opened;               /**< the handshake is done */
    bool asked;                /**< a request came */
    bool draining;
    bool expiry_told;       /**< that its certificate expires soon */
    uint8_t leaving;        /**< enum end_reason: it has to go, whatever its streams do */
    struct cert_peer *cert; /**< owned; NULL: has not shown a certificate */
    struct addr peer;
    struct bucket new_streams;
    struct pool_debt left; /**< streams to istiod that it has left and that are not over */
    uint32_t n_ads;        /**< ADS streams open */
    uint32_t n_relays;
    double since; /**< monotonic */
    struct vm_session_owner owner;
};

/**
 * Serve an accepted connection whose ClientHello was read. fd is owned, also on failure.
 *
 * prefix, n   the bytes read so far, copied.
 * owner       copied; nothing is called when this call fails.
 * Returns RC_OK; RC_NO_MEMORY.
 */
enum rc vm_session_accept(struct worker *w, int fd, const struct addr *peer, const uint8_t *prefix,
                          size_t n, struct cert_set *certs, struct relay_route *route,
                          const struct vm_session_owner *owner) MUST_USE;

/** The SPIFFE ID that it has shown, "" without a certificate. Borrowed. */
const char *vm_session_identity(const struct vm_session *vm);

/** What one step of draining ended. */
enum vm_drained { VM_DRAINED_NOTHING, VM_DRAINED_STREAM, VM_DRAINED_CONNECTION };

/** End its oldest stream with status 14, or the connection when it has none left. */
enum vm_drained vm_session_drain_one(struct vm_session *vm);

/** Has its certificate expired? Then it has to leave; and the registry hears when it expires soon.
 * now: seconds since 1970. */
void vm_session_check_date(struct vm_session *vm, int64_t now);

/** Would its listener's certificates of today not take it any more? Then it has to leave. */
void vm_session_check_again(struct vm_session *vm, const struct cert_set *certs);

/** End the streams, then the connection, of one that has to leave. No effect on others. */
void vm_session_leave(struct vm_session *vm);

/** End it now. */
void vm_session_kill(struct vm_session *vm, enum end_reason why);

/** The retire function of pools: end the VM's stream that is paired with this upstream stream, with
 * status 14. */
void relay_retire(struct h2_stream *up, enum end_reason why);
