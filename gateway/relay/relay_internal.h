/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of gateway/relay share. Included inside this folder only. */
#pragma once

#include "certs/spiffe.h"
#include "gateway/relay/grpc_status.h"
#include "gateway/relay/relay.h"
#include "gateway/relay/relay_tap.h"
#include "xds/grpc_frame.h"

/** Of methods that are not the agent's, at most this much is kept to be offered again. */
#define RELAY_OTHER_REPLAY_BYTES (64 * 1024)

/** How what waits on one of the two streams leaves: up to mark it has to be gone in time. */
struct relay_progress {
    uint64_t sent;   /**< bytes that left */
    uint64_t mark;   /**< in terms of sent */
    double since;    /**< when the mark was set, monotonic */
    double moved_at; /**< when bytes last left, monotonic */
};

struct relay {
    uint32_t magic;
    struct vm_session *vm;         /**< borrowed; outlives its streams */
    struct worker *worker;         /**< borrowed */
    struct h2_stream *down;        /**< borrowed until on_closed; NULL then */
    struct h2_stream *up;          /**< borrowed until on_closed; NULL while there is none */
    struct up_session *up_session; /**< borrowed while up is set */
    struct pool_ticket ticket;
    struct token_wait token; /**< for the token of the VM's service account */
    uint64_t token_serial;   /**< of the token in request */
    struct list blocked;     /**< on the pool's list while its VM makes it block istiod */
    struct worker_reap reap;
    ev_timer timer;            /**< the first message, then stalls */
    struct h2_headers request; /**< for the upstream; kept until committed */
    struct h2_headers
        response;          /**< held back until the first message or the end (agent's methods) */
    struct relay_csr *csr; /**< owned; of a CSR, from its message on */
    struct relay_tap tap;  /**< of an ADS stream */
    struct grpc_frame_scan scan; /**< VM to istiod, agent's methods */
    struct bufq open_message;    /**< the message that is not complete */
    struct bufq replay;          /**< complete bytes, kept until committed */
    size_t held;                 /**< bytes counted in the listener's held_bytes */
    size_t open_uncredited;      /**< bytes of open_message that the VM's window still counts */
    size_t early_credit;         /**< bytes on their way up that were credited on receipt */
    size_t sent_uncredited;      /**< bytes framed up before committing */
    uint64_t bytes_up;
    uint64_t bytes_down;
    double deadline;   /**< of all tries together, monotonic */
    double granted_at; /**< when this try's upstream stream was opened, monotonic */
    struct relay_progress down_progress; /**< towards the VM */
    struct relay_progress up_progress;   /**< towards istiod */
    uint32_t tries;
    uint8_t why;   /**< enum end_reason */
    bool is_agent; /**< one of the agent's three methods */
    bool is_ads;
    bool is_delta;       /**< of an ADS stream */
    bool tap_is_blind;   /**< it had no memory: where responses begin is not known any more */
    bool has_token;      /**< request has a token of ours */
    bool committed;      /**< the upstream answered, or too much was sent to offer it again */
    bool answered;       /**< the first answer came */
    bool up_headers;     /**< a response block came from this upstream stream */
    bool responded;      /**< response headers went down */
    bool down_ended;     /**< the VM ended its side */
    bool over;           /**< the end went down, or the VM is gone */
    char status_text[8]; /**< grpc-status that went down, for the log */
};

#define RELAY_MAGIC 0x4e1a9001u

/** What the two streams of a pair call. */
extern const struct h2_stream_ops relay_down_ops;
extern const struct h2_stream_ops relay_up_ops;

/** A decision about a request. */
struct relay_verdict {
    int http_status;         /**< 200: see status; else a plain HTTP answer */
    enum grpc_status status; /**< GRPC_OK: relay it */
    const char *message;     /**< static */
    enum counter counter;    /**< a limit that was reached, or COUNTER_COUNT */
    bool no_body;            /**< a HEAD request */
};

/** Method, content type and identity of a request; fills r->is_agent, r->is_ads. */
struct relay_verdict relay_judge(struct relay *r, const struct h2_headers *h);

/** The block that goes up: pseudo-headers, what the route lets through, the identity. RC_NO_MEMORY,
 * RC_FULL. */
enum rc relay_request_headers(struct relay *r, const struct h2_headers *h,
                              struct h2_headers *out) MUST_USE;

/** The block that goes down, of a response or trailers. RC_NO_MEMORY. */
enum rc relay_response_headers(const struct relay *r, const struct h2_headers *h,
                               struct h2_headers *out) MUST_USE;

/** Take a request of a VM. The stream is answered, or paired by a new relay. */
void relay_open(struct vm_session *vm, struct h2_stream *st, struct h2_headers *h, bool end);

/** End the VM's stream with a status; the upstream stream ends, too. No effect when it is over. */
void relay_finish(struct relay *r, enum grpc_status status, const char *message,
                  enum end_reason why);

/** Answer a request that gets no relay: at once, or when its body has ended (end: it has none). */
void relay_refuse(struct vm_session *vm, struct h2_stream *st, const struct relay_verdict *v,
                  bool end);

/* ---- life (relay.c) ---- */

/** The end is on its way to the VM, or the VM is gone: let go of the upstream side. Once. */
void relay_set_over(struct relay *r, enum end_reason why);

/** The VM's stream is gone and the relay over: log it and free it in the reap phase. */
void relay_bury(struct relay *r);

/** Give the VM time to read its end; it is reset after stall_timeout. */
void relay_wait_for_vm(struct relay *r);

/** Give back the window of bytes that will not go up any more, so that the VM's end can come. */
void relay_credit_rest(struct relay *r);

/** Send response headers (or trailers-only) down. */
void relay_send_response(struct relay *r, struct h2_headers *h, bool end);

/** Let go of the upstream stream, which ends by itself, and of the ticket. */
void relay_drop_up(struct relay *r);

/** The stream was opened: its first message has to come in time. */
void relay_set_first_request_timer(struct relay *r);

/** The first message is there: from now on the timer looks for stalls. */
void relay_set_stall_timer(struct relay *r);

/** Bytes are about to be queued on st, one of the pair: unless others wait there already, its time
 * begins now. */
void relay_will_send(struct relay *r, const struct h2_stream *st);

/** n bytes of istiod were queued for the VM: is there so much that it has to be watched? */
void relay_has_queued(struct relay *r, size_t n);

/** n bytes left on one of the pair. */
void relay_has_sent(struct relay *r, struct relay_progress *p, size_t n);

/* ---- tokens (relay_token.c) ---- */

/** Must the request have a token of ours before it goes to istiod? */
bool relay_needs_token(const struct relay *r);

/** Get it. True: it is there. False: it will be asked for again when it is there, or the relay is
 * over. */
bool relay_get_token(struct relay *r);

/** Wait for no token any more. */
void relay_drop_token(struct relay *r);

/** istiod answers "unauthenticated": the token, if it was ours, is given to nobody any more. */
void relay_reject_token(struct relay *r);

/* ---- who asks (relay_speaker.c) ---- */

/** Who asks, as the upstream will see it. */
struct relay_speaker {
    struct spiffe_id id;
    char uri[SPIFFE_URI_BYTES]; /**< "": nobody */
    bool verified;              /**< by a certificate; a token is the upstream's to verify */
    int64_t token_expiry_s;     /**< 0: no token speaks */
};

/** Before the request has gone up; its route has a tap. */
void relay_find_speaker(const struct relay *r, struct relay_speaker *s);

/** NULL: nobody. */
const struct spiffe_id *relay_speaker_id(const struct relay_speaker *s);

/* ---- CSRs (relay_csr.c); their route has a tap ---- */

/** The CSR is complete. */
enum relay_tap_fate relay_csr_message(struct relay *r);

/** n bytes of the answer pass. */
void relay_csr_response(struct relay *r, const uint8_t *data, size_t n);

/** Let go of it. */
void relay_csr_end(struct relay *r);

/* ---- tries (relay_try.c) ---- */

/** Queue for an upstream stream, not before pause seconds. The relay may be over afterwards. */
void relay_ask(struct relay *r, double pause);

/** Was an upstream stream ever asked for? */
bool relay_has_asked(const struct relay *r);

/** From here on the stream is not offered to another upstream: forget what was kept, open the VM's
 * window. */
void relay_commit(struct relay *r);

/** n bytes of the VM went up for good: open its window by those that were not credited on receipt.
 */
void relay_credit_down(struct relay *r, size_t n);

/** The upstream has answered with something that is no refusal. */
void relay_admit(struct relay *r);

/** Tell the pacer that an ADS stream was admitted; other methods tell it nothing. */
void relay_tell_admitted(struct relay *r);

/** May the stream be offered again? */
bool relay_may_try_again(const struct relay *r);

/** Is this final block a refusal before any answer that is worth another try? (wire
 * facts 1.4, 4.3, 11.4) */
bool relay_is_refusal(const struct relay *r, const struct h2_headers *h,
                      enum pool_outcome *outcome);

/** The VM is told this final block instead of an answer: tell the pacer what it means. */
void relay_tell_final(struct relay *r, const struct h2_headers *h);

/** Let go of this try and offer the stream again. */
void relay_try_again(struct relay *r, enum pool_outcome outcome);

/** Its upstream stream is gone already: offer the stream again. */
void relay_try_again_after_loss(struct relay *r, struct up_session *up);

/* ---- VM to istiod (relay_down.c) ---- */

/** Count what is kept of the VM's messages among its listener's held_bytes. */
void relay_count_held(struct relay *r);

/** Bytes went up or the relay was committed: give the VM window for its open message if it may
 * have it. */
void relay_credit_open(struct relay *r);

/** The VM ended its side. */
void relay_on_down_end(struct h2_stream *st);
