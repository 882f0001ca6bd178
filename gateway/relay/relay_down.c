/* SPDX-License-Identifier: Apache-2.0 */
/* VM to istiod: what the VM sends on its stream. */
#include "core/base/check.h"
#include "gateway/relay/relay_internal.h"

/* Whole messages of the largest size that the VMs of a listener may hold on one worker. */
#define HELD_MESSAGES 16

/* Whole messages (or any bytes of other methods) go up; they are kept until committed. */
static enum rc push_up(struct relay *r, const uint8_t *data, size_t n)
{
    if (!r->committed && !r->is_agent && r->replay.len + n > RELAY_OTHER_REPLAY_BYTES &&
        r->up != NULL) {
        relay_commit(r);
    }
    if (!r->committed) {
        TRY(bufq_append(&r->replay, data, n));
    }
    if (r->up == NULL) {
        return RC_OK;
    }
    relay_will_send(r, r->up);
    return h2_stream_send(r->up, data, n);
}

static enum rc push_open_message(struct relay *r)
{
    r->early_credit += r->open_message.len - r->open_uncredited;
    r->open_uncredited = 0;
    while (r->open_message.len > 0) {
        size_t n;
        const uint8_t *p = bufq_peek(&r->open_message, &n);
        TRY(push_up(r, p, n));
        bufq_drain(&r->open_message, n);
    }
    return RC_OK;
}

/*
 * A message larger than the window could never be completed if its bytes were credited only when
 * they go up, so those of the open message are credited on receipt; but only while nothing
 * complete waits before it, or a VM could fill our memory message by message.
 */
void relay_credit_open(struct relay *r)
{
    bool waits = r->committed ? r->up != NULL && r->up->out.len > 0 : r->replay.len > 0;

    if (r->open_uncredited > 0 && !waits && r->down != NULL) {
        h2_stream_credit(r->down, r->open_uncredited);
        r->open_uncredited = 0;
    }
}

/* The open message, of which n bytes more came, does not go up. */
static void drop_message(struct relay *r, size_t n)
{
    bufq_clear(&r->open_message);
    n += r->open_uncredited;
    r->open_uncredited = 0;
    if (r->down != NULL) {
        h2_stream_credit(r->down, n);
    }
}

/* n bytes that end a message. */
static enum rc take_message(struct relay *r, const uint8_t *data, size_t n)
{
    switch (relay_tap_message(r, data, n)) {
    case RELAY_TAP_PASS:
        break;
    case RELAY_TAP_DROP:
        drop_message(r, n);
        return RC_OK;
    case RELAY_TAP_OVER:
        return RC_OK;
    }
    TRY(push_open_message(r));
    TRY(push_up(r, data, n));
    if (!relay_has_asked(r)) {
        relay_ask(r, 0);
    }
    return RC_OK;
}

/* The agent's methods: only whole messages go up, and are credited when they did. */
static enum rc take_framed(struct relay *r, const uint8_t *data, size_t n)
{
    while (n > 0 && !r->over) {
        size_t used = 0;
        bool complete = false;
        TRY(grpc_frame_step(&r->scan, data, n, &used, &complete));
        if (complete) {
            TRY(take_message(r, data, used));
        } else {
            TRY(bufq_append(&r->open_message, data, used));
            r->open_uncredited += used;
            relay_credit_open(r);
        }
        data += used;
        n -= used;
    }
    return RC_OK;
}

void relay_count_held(struct relay *r)
{
    size_t held = r->open_message.len + r->replay.len;

    r->vm->route->shared->held_bytes += held - r->held;
    r->held = held;
}

/*
 * Messages that are not complete or not admitted cost us memory before istiod has said a word about
 * the VM. All VMs without a certificate may hold so much together; VMs with one have as much again.
 */
static bool holds_too_much(const struct relay *r)
{
    size_t most = HELD_MESSAGES * (size_t)r->vm->route->limits->message_bytes;

    return r->held > 0 &&
           r->vm->route->shared->held_bytes > (r->vm->cert != NULL ? 2 * most : most);
}

static void refuse_bytes(struct relay *r, enum rc rc)
{
    struct counters *c = r->worker->counters;

    if (rc == RC_PEER_LIMIT) {
        counter_add(&c->v[COUNTER_LIMIT_MESSAGE_BYTES], 1);
        relay_finish(r, GRPC_RESOURCE_EXHAUSTED, "xdsgate: message larger than message_bytes",
                     END_LIMIT);
    } else if (rc == RC_NO_MEMORY || rc == RC_FULL) {
        relay_finish(r, GRPC_RESOURCE_EXHAUSTED, "xdsgate: out of buffer memory", END_MEMORY);
    } else {
        relay_finish(r, GRPC_INTERNAL, "xdsgate: malformed gRPC frame", END_REFUSED);
    }
}

/* A piece from the middle of a message that is shorter was made so on purpose. */
#define TINY_BYTES 32

static void on_down_data(struct h2_stream *st, const uint8_t *data, size_t n)
{
    struct relay *r = st->user;

    CHECK_MAGIC(r, RELAY_MAGIC);
    if (r->over) {
        h2_stream_credit(st, n);
        return;
    }
    bool tiny = n < TINY_BYTES && r->open_message.len > 0;
    r->bytes_up += n;
    counter_add(&r->worker->counters->v[COUNTER_BYTES_UP], (int64_t)n);
    enum rc rc = r->is_agent ? take_framed(r, data, n) : push_up(r, data, n);
    relay_count_held(r);
    if (tiny && r->open_message.len > 0) {
        h2_count_flood(st->session, 1);
    }
    if (rc == RC_OK && holds_too_much(r)) {
        counter_add(&r->worker->counters->v[COUNTER_LIMIT_HELD], 1);
        rc = RC_FULL;
    }
    if (rc != RC_OK && !r->over) {
        refuse_bytes(r, rc);
    }
}

void relay_on_down_end(struct h2_stream *st)
{
    struct relay *r = st->user;

    CHECK_MAGIC(r, RELAY_MAGIC);
    if (r->over || r->down_ended) {
        return;
    }
    r->down_ended = true;
    if (r->is_agent && !grpc_frame_at_boundary(&r->scan)) {
        refuse_bytes(r, RC_PEER_MALFORMED);
        return;
    }
    if (r->up != NULL) {
        h2_stream_end(r->up, NULL);
    } else if (!relay_has_asked(r)) {
        relay_ask(r, 0);
    }
}

/* Trailers of a request mean nothing in gRPC and are never relayed; nothing in them can be
 * identity. */
static void on_down_headers(struct h2_stream *st, struct h2_headers *h, bool end)
{
    struct relay *r = st->user;

    if (h2_headers_count(h, "x-forwarded-client-cert") > 0) {
        counter_add(&r->worker->counters->v[COUNTER_XFCC_STRIPPED], 1);
    }
    if (end) {
        relay_on_down_end(st);
    }
}

/* Our bytes left towards the VM: the upstream may send more. */
static void on_down_sent(struct h2_stream *st, size_t n)
{
    struct relay *r = st->user;

    relay_has_sent(r, &r->down_progress, n);
    r->bytes_down += n;
    counter_add(&r->worker->counters->v[COUNTER_BYTES_DOWN], (int64_t)n);
    if (r->up != NULL) {
        h2_stream_credit(r->up, n < r->up->unconsumed ? n : r->up->unconsumed);
    }
}

static void on_down_closed(struct h2_stream *st, uint32_t error)
{
    struct relay *r = st->user;
    bool conn_gone = conn_is_dead(st->session->conn);

    CHECK_MAGIC(r, RELAY_MAGIC);
    r->down = NULL;
    if (!r->over) {
        relay_set_over(r, conn_gone || error == H2_NO_ERROR ? END_DOWN_CLOSED : END_DOWN_RESET);
    }
    relay_bury(r);
}

const struct h2_stream_ops relay_down_ops = {
    .on_headers = on_down_headers,
    .on_data = on_down_data,
    .on_end = relay_on_down_end,
    .on_sent = on_down_sent,
    .on_closed = on_down_closed,
};
