/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of gateway/relay share. Included inside this folder only. */
#pragma once

#include "gateway/relay/grpc_status.h"
#include "gateway/relay/relay.h"
#include "xds/grpc_frame.h"

/** Of methods that are not the agent's, at most this much is kept to be offered again. */
#define RELAY_OTHER_REPLAY_BYTES (64 * 1024)

struct relay {
    uint32_t magic;
    struct vm_session *vm;          /**< borrowed; outlives its streams */
    struct worker *worker;          /**< borrowed */
    struct h2_stream *down;         /**< borrowed until on_closed; NULL then */
    struct h2_stream *up;           /**< borrowed until on_closed; NULL while there is none */
    struct up_session *up_session;  /**< borrowed while up is set */
    struct pool_ticket ticket;
    struct worker_reap reap;
    ev_timer timer;                 /**< the first message, then stalls */
    struct h2_headers request;      /**< for the upstream; kept until committed */
    struct h2_headers response;     /**< held back until the first message or the end (agent's methods) */
    struct grpc_frame_scan scan;    /**< VM to istiod, agent's methods */
    struct bufq open_message;       /**< the message that is not complete; credited already */
    struct bufq replay;             /**< complete bytes, kept until committed */
    size_t early_credit;            /**< bytes on their way up that were credited on receipt */
    size_t sent_uncredited;         /**< bytes framed up before committing */
    uint64_t bytes_up;
    uint64_t bytes_down;
    double deadline;                /**< of all tries together, monotonic */
    double progress_at;             /**< when bytes last left in either direction */
    uint32_t tries;
    uint8_t why;                    /**< enum end_reason */
    bool is_agent;                  /**< one of the agent's three methods */
    bool is_ads;
    bool committed;                 /**< the upstream answered, or too much was sent to offer it again */
    bool answered;                  /**< the first answer came */
    bool up_headers;                /**< a response block came from this upstream stream */
    bool responded;                 /**< response headers went down */
    bool down_ended;                /**< the VM ended its side */
    bool over;                      /**< the end went down, or the VM is gone */
    char status_text[8];            /**< grpc-status that went down, for the log */
};

/** A decision about a request. */
struct relay_verdict {
    int http_status;            /**< 200: see status; else a plain HTTP answer */
    enum grpc_status status;    /**< GRPC_OK: relay it */
    const char *message;        /**< static */
    enum counter counter;       /**< a limit that was reached, or COUNTER_COUNT */
};

/** Method, content type and identity of a request; fills r->is_agent, r->is_ads. */
struct relay_verdict relay_judge(struct relay *r, const struct h2_headers *h);

/** The block that goes up: pseudo-headers, what the route lets through, the identity. RC_NO_MEMORY, RC_FULL. */
enum rc relay_request_headers(struct relay *r, const struct h2_headers *h, struct h2_headers *out) MUST_USE;

/** The block that goes down, of a response or trailers. RC_NO_MEMORY. */
enum rc relay_response_headers(const struct relay *r, const struct h2_headers *h, struct h2_headers *out) MUST_USE;

/** Take a request of a VM. The stream is answered, or paired by a new relay. */
void relay_open(struct vm_session *vm, struct h2_stream *st, struct h2_headers *h, bool end);

/** End the VM's stream with a status; the upstream stream is reset. No effect when it is over. */
void relay_finish(struct relay *r, enum grpc_status status, const char *message, enum end_reason why);

/** Answer a request that gets no relay. */
void relay_refuse(struct vm_session *vm, struct h2_stream *st, const struct relay_verdict *v);
