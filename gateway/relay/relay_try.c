/* SPDX-License-Identifier: Apache-2.0 */
/* The tries of a stream: asking for an upstream stream, offering what the VM sent, trying again,
 * committing. */
#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/h2/limits.h"
#include "gateway/relay/relay_internal.h"

/* Pauses between tries of one stream: the pool's own pacing comes on top. */
#define RETRY_FIRST_S 0.05
#define RETRY_LAST_S 2.0

/* ---- committing ---- */

/* n bytes of the VM went up for good: open its window by those that were not credited on receipt.
 */
void relay_credit_down(struct relay *r, size_t n)
{
    size_t early = n < r->early_credit ? n : r->early_credit;

    r->early_credit -= early;
    n -= early;
    if (r->down != NULL) {
        h2_stream_credit(r->down, n < r->down->unconsumed ? n : r->down->unconsumed);
    }
}

/* From here on the stream is not offered to another upstream: forget what was kept, open the VM's
 * window. */
void relay_commit(struct relay *r)
{
    if (r->committed) {
        return;
    }
    r->committed = true;
    bufq_clear(&r->replay);
    relay_count_held(r);
    h2_headers_fini(&r->request);
    relay_credit_down(r, r->sent_uncredited);
    r->sent_uncredited = 0;
    relay_credit_open(r);
}

/* istiod limits ADS streams only: what other methods see says nothing about its limit (wire facts
 * 1.4). */
void relay_tell_admitted(struct relay *r)
{
    if (r->is_ads) {
        up_session_outcome(r->up_session, POOL_ADMITTED);
    }
}

/* The upstream has answered with something that is no refusal. */
void relay_admit(struct relay *r)
{
    if (r->answered) {
        return;
    }
    r->answered = true;
    counter_add(&r->worker->counters->v[COUNTER_STREAMS_ADMITTED], 1);
    relay_tell_admitted(r);
    relay_commit(r);
    if (!r->responded) {
        relay_send_response(r, &r->response, false);
        h2_headers_fini(&r->response);
    }
}

/* ---- tries ---- */
bool relay_has_asked(const struct relay *r)
{
    return r->token.clerk != NULL || r->ticket.pool != NULL || r->up != NULL || r->tries > 0;
}

/* What was kept is offered again from its start; the pause doubles with every try. */
static void offer_again(struct relay *r)
{
    double pause = RETRY_FIRST_S;

    h2_headers_fini(&r->response);
    r->up_headers = false;
    r->sent_uncredited = 0;
    for (uint32_t i = 1; i < r->tries && pause < RETRY_LAST_S; i++) {
        pause *= 2;
    }
    counter_add(&r->worker->counters->v[COUNTER_STREAMS_RETRIED], 1);
    relay_ask(r, pause < RETRY_LAST_S ? pause : RETRY_LAST_S);
}

void relay_try_again(struct relay *r, enum pool_outcome outcome)
{
    up_session_outcome(r->up_session, outcome);
    relay_drop_up(r);
    offer_again(r);
}

void relay_try_again_after_loss(struct relay *r, struct up_session *up)
{
    up_session_outcome(up, POOL_UNPROCESSED);
    offer_again(r);
}

bool relay_may_try_again(const struct relay *r)
{
    return !r->committed && !r->over && worker_now(r->worker) < r->deadline;
}

/* Does the block mean "not now"? */
static bool says_not_now(const struct relay *r, const struct h2_headers *h,
                         enum pool_outcome *outcome)
{
    switch (grpc_status_of(h)) {
    case GRPC_RESOURCE_EXHAUSTED:
        *outcome = r->is_ads ? POOL_EXHAUSTED : POOL_RETIRED;
        /* grpc-go says this of a message, whatever the pace */
        return !grpc_status_message_has(h, "larger than max");
    case GRPC_UNAVAILABLE:
        *outcome = POOL_NOT_READY;
        return true;
    case GRPC_UNKNOWN:
        *outcome = POOL_NOT_READY;
        return grpc_status_message_has(h, "server is not ready");
    default:
        return false;
    }
}

bool relay_is_refusal(const struct relay *r, const struct h2_headers *h, enum pool_outcome *outcome)
{
    return r->is_agent && relay_may_try_again(r) && says_not_now(r, h, outcome);
}

void relay_tell_final(struct relay *r, const struct h2_headers *h)
{
    enum pool_outcome outcome;

    if (grpc_status_of(h) == GRPC_UNAUTHENTICATED) {
        relay_reject_token(r);
    }
    if (r->is_ads) {
        up_session_outcome(r->up_session, says_not_now(r, h, &outcome) ? outcome : POOL_ADMITTED);
    }
}

static void on_ready(struct pool_ticket *t, struct up_session *up)
{
    struct relay *r = LIST_ENTRY(t, struct relay, ticket);

    CHECK_MAGIC(r, RELAY_MAGIC);
    counter_add(&r->worker->counters->v[COUNTER_STREAMS_WAITING], -1);
    enum rc rc = h2_session_request(up_session_h2(up), &r->request, &relay_up_ops, r, &r->up);
    if (rc == RC_BUSY) {
        relay_ask(r, RETRY_FIRST_S);
        return;
    }
    if (rc != RC_OK) {
        r->up = NULL;
        relay_finish(r, GRPC_RESOURCE_EXHAUSTED, "xdsgate: out of memory", END_MEMORY);
        return;
    }
    r->tries++;
    r->up_session = up;
    up_session_opened(up);
    r->up->out.cap = (size_t)r->vm->route->limits->message_bytes + 4 * H2_STREAM_WINDOW_BYTES;
    r->granted_at = worker_now(r->worker);
    relay_set_stall_timer(r);
    relay_will_send(r, r->up);
    for (size_t at = 0; at < r->replay.len;) {
        uint8_t piece[4096];
        size_t n = r->replay.len - at < sizeof(piece) ? r->replay.len - at : sizeof(piece);
        bufq_copy(&r->replay, at, piece, n);
        if (h2_stream_send(r->up, piece, n) != RC_OK) {
            relay_finish(r, GRPC_RESOURCE_EXHAUSTED, "xdsgate: out of memory", END_MEMORY);
            return;
        }
        at += n;
    }
    if (!r->is_agent && r->replay.len > RELAY_OTHER_REPLAY_BYTES) {
        relay_commit(r); /* the VM's window may be used up: no more data would come to commit it */
    }
    if (r->down_ended) {
        h2_stream_end(r->up, NULL);
    }
}

static void on_failed(struct pool_ticket *t, const char *why)
{
    struct relay *r = LIST_ENTRY(t, struct relay, ticket);
    char text[256];

    CHECK_MAGIC(r, RELAY_MAGIC);
    counter_add(&r->worker->counters->v[COUNTER_STREAMS_WAITING], -1);
    snprintf(text, sizeof(text), "xdsgate: no istiod took the stream in time (last problem: %s)",
             why);
    relay_finish(r, GRPC_UNAVAILABLE, text, END_UP_UNAVAILABLE);
}

/* A VM is its address and its identity, however many connections it makes. */
static uint32_t fairness_key(const struct vm_session *vm)
{
    const char *id = vm_session_identity(vm);

    return hash_bytes(hash_bytes(HASH_START, vm->peer.ip, sizeof(vm->peer.ip)), id, strlen(id));
}

void relay_ask(struct relay *r, double pause)
{
    double now = worker_now(r->worker);

    if (relay_needs_token(r) && !relay_get_token(r)) {
        return;
    }
    if (r->deadline <= 0) {
        r->deadline = now + POOL_DEADLINE_S;
    }
    r->ticket.key = fairness_key(r->vm);
    r->ticket.is_csr = r->is_agent && !r->is_ads;
    r->ticket.is_stranger = r->vm->cert == NULL;
    r->ticket.deadline = r->deadline;
    r->ticket.not_before = now + pause;
    r->ticket.on_ready = on_ready;
    r->ticket.on_failed = on_failed;
    if (pool_ask(r->vm->route->pool, &r->ticket) != RC_OK) {
        relay_finish(r, GRPC_UNAVAILABLE,
                     "xdsgate: too many streams wait for istiod, try again later",
                     END_UP_UNAVAILABLE);
        return;
    }
    counter_add(&r->worker->counters->v[COUNTER_STREAMS_WAITING], 1);
}
