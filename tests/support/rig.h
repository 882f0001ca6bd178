/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's data path in one process: a worker with its real loop, a pool, a terminating route,
 * VMs and istiods in memory, and a clock that only moves in rig_advance(). rig_stop() checks that
 * nothing is left: connections, streams, tickets, chunks.
 */
#pragma once

#include "gateway/relay/relay.h"
#include "tests/support/h2_peer.h"

#define RIG_PEERS_MAX 64

/** What becomes of dialled connections. */
enum rig_dials {
    RIG_DIAL_OPEN, /**< they open at once */
    RIG_DIAL_HANG, /**< nothing happens */
    RIG_DIAL_FAIL, /**< they fail in the handshake */
};

struct rig {
    struct worker *worker;
    struct upstream *upstream;
    struct pool *pool;
    struct tokens *tokens; /**< with UPSTREAM_TOKEN */
    struct token_clerk *clerk;
    int token_wakes;
    struct relay_opts opts;
    struct listener_limits limits;
    struct relay_shared shared;
    struct list sessions;
    struct relay_route route;
    int holds;       /**< of the route, by sessions */
    unsigned opened; /**< owner calls */
    unsigned over;
    double blame_s; /* of all that are over */
    enum rig_dials dials;
    uint32_t istiod_max_streams; /**< SETTINGS of coming istiods; 0: not sent */
    bool istiod_takes_none;      /**< coming istiods' SETTINGS allow no stream */
    uint32_t istiod_window;      /**< of coming istiods' streams and connections; 0: 65535 */
    bool istiod_manual_credit;   /**< of coming istiods */
    struct h2_peer *vms[RIG_PEERS_MAX];
    size_t n_vms;
    struct h2_peer *istiods[RIG_PEERS_MAX];
    size_t n_istiods;
};

/** What a rig is made of; zero members take the defaults of the configuration. */
struct rig_opts {
    const char *const *endpoints; /**< NULL-terminated "IP"; port 15012; NULL: "10.1.0.1" */
    enum upstream_identity identity;
    const char *cluster_id;
    uint32_t streams_per_connection;
    uint32_t max_new_streams_per_second; /**< 0: 100000; the pacer has its own test */
    bool auto_pace;
};

/** Start one. */
void rig_start(struct rig *r, const struct rig_opts *opts);

/** A started rig that could not get memory: false (only with failing_malloc). */
bool rig_try_start(struct rig *r, const struct rig_opts *opts);

/** End everything and check that nothing is left. */
void rig_stop(struct rig *r);

/** A VM that connects and opens; identity is a SPIFFE ID or NULL. NULL: refused for lack of memory.
 */
struct h2_peer *rig_vm(struct rig *r, const char *identity);

/** Let everything happen that can happen without time passing. */
void rig_run(struct rig *r);

/** Let seconds pass, in small steps. */
void rig_advance(struct rig *r, double seconds);

/** Let a long time pass, in steps of a tenth of a second. */
void rig_pass(struct rig *r, double seconds);

/** One turn of the worker's loop. */
void rig_turn(struct rig *r);

/** The stream of all istiods that came n-th (0: the first), or NULL. */
struct peer_stream *rig_up(struct rig *r, size_t n);

/** Counter of the worker. */
uint64_t rig_count(const struct rig *r, enum counter which);

/** Connections of istiods that are open. */
size_t rig_open_istiods(const struct rig *r);

/** The identity most tests use. */
#define RIG_ID "spiffe://cluster.local/ns/vms/sa/web"

/** Requests of agents, as peer_request() takes them: ADS with delta, without, CreateCertificate. */
extern const char *const rig_ads_request[];
extern const char *const rig_sotw_request[];
extern const char *const rig_ca_request[];

/** A response of istiod: :status 200 and content-type. */
extern const char *const rig_response[];

/** Open an ADS stream whose first message has n bytes of payload. */
struct peer_stream *rig_ads(struct rig *r, struct h2_peer *vm, size_t n);

/** Answer an ADS stream with a message of n bytes. */
void rig_answer(struct rig *r, struct peer_stream *up, size_t n);
