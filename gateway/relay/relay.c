/* SPDX-License-Identifier: Apache-2.0 */
/* The pair: one stream of a VM, one stream of an upstream, and the tries in between. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/h2/limits.h"
#include "gateway/relay/relay_internal.h"

#define RELAY_MAGIC 0x4e1a9001u

/* Pauses between tries of one stream: the pool's own pacing comes on top. */
#define RETRY_FIRST_S 0.05
#define RETRY_LAST_S 2.0

#define LOST_UPSTREAM "error reading from server: EOF (xdsgate lost its connection to istiod)"
#define RETIRED_UPSTREAM "transport is closing: istiod retires this connection"

static const struct h2_stream_ops down_ops;
static const struct h2_stream_ops up_ops;

static void ask(struct relay *r, double pause);

/* ---- life ---- */

static void reap(struct worker_reap *reap_node)
{
    struct relay *r = LIST_ENTRY(reap_node, struct relay, reap);

    CHECK(r->down == NULL && r->up == NULL && r->ticket.pool == NULL);
    h2_headers_fini(&r->request);
    h2_headers_fini(&r->response);
    bufq_clear(&r->open_message);
    bufq_clear(&r->replay);
    r->magic = 0;
    free(r);
}

static struct relay *new_relay(struct vm_session *vm)
{
    struct relay *r = calloc(1, sizeof(*r));
    uint32_t message = vm->route->limits->message_bytes;

    if (r == NULL) {
        return NULL;
    }
    r->magic = RELAY_MAGIC;
    r->vm = vm;
    r->worker = vm->h2->worker;
    grpc_frame_init(&r->scan, message);
    bufq_init(&r->open_message, &r->worker->pool, (size_t)message + GRPC_FRAME_HEADER_BYTES);
    bufq_init(&r->replay, &r->worker->pool, (size_t)message + 2 * H2_STREAM_WINDOW_BYTES);
    list_init(&r->reap.node);
    list_init(&r->ticket.node);
    r->reap.fn = reap;
    r->progress_at = worker_now(r->worker);
    return r;
}

static void log_end(const struct relay *r)
{
    char peer[ADDR_TEXT_BYTES];
    char id[SPIFFE_URI_BYTES + 1] = "";

    if (r->vm->identity != NULL) {
        id[spiffe_format(r->vm->identity, id)] = '\0';
    }
    log_event(LOG_INFO, "stream ended", LOG_S("peer", addr_format(&r->vm->peer, peer)), LOG_S("spiffe_id", id),
              LOG_S("kind", r->is_ads ? "ads" : r->is_agent ? "ca" : "other"),
              LOG_S("reason", end_label((enum end_reason)r->why)), LOG_S("grpc_status", r->status_text),
              LOG_I("bytes_up", r->bytes_up), LOG_I("bytes_down", r->bytes_down), LOG_I("tries", r->tries));
}

/* Let go of the upstream stream: reset it if it is still open. */
static void drop_up(struct relay *r)
{
    struct h2_stream *up = r->up;

    if (r->ticket.pool != NULL) {
        pool_cancel(&r->ticket);
        counter_add(&r->worker->counters->v[COUNTER_STREAMS_WAITING], -1);
    }
    if (up == NULL) {
        return;
    }
    r->up = NULL;
    h2_stream_detach(up);
    h2_stream_reset(up, H2_CANCEL);
    up_session_closed(r->up_session);
    r->up_session = NULL;
}

/* The end is on its way to the VM, or the VM is gone. */
static void set_over(struct relay *r, enum end_reason why)
{
    CHECK(!r->over);
    r->over = true;
    r->why = (uint8_t)why;
    ev_timer_stop(r->worker->loop, &r->timer);
    drop_up(r);
    bufq_clear(&r->open_message);
    bufq_clear(&r->replay);
    r->vm->n_ads -= r->is_ads;
    counter_add(&r->worker->counters->v[COUNTER_STREAMS_OPEN], -1);
    counter_add(&r->worker->counters->stream_ends[why], 1);
}

/* Take the time left to say the end: a VM that does not read it is reset after stall_timeout. */
static void wait_for_vm(struct relay *r)
{
    ev_timer_stop(r->worker->loop, &r->timer);
    ev_timer_set(&r->timer, r->vm->route->limits->stall_timeout, 0.);
    ev_timer_start(r->worker->loop, &r->timer);
}

/* Bytes of the VM that will not go up any more: give their window back, so that its reset or end can come. */
static void credit_rest(struct relay *r)
{
    if (r->down != NULL) {
        h2_stream_credit(r->down, r->down->unconsumed);
    }
}

static void send_response(struct relay *r, struct h2_headers *h, bool end)
{
    struct h2_headers out = {0};

    if (relay_response_headers(r, h, &out) != RC_OK || h2_stream_respond(r->down, &out, end) != RC_OK) {
        h2_stream_reset(r->down, H2_INTERNAL_ERROR);
    }
    r->responded = true;
    h2_headers_fini(&out);
}

void relay_finish(struct relay *r, enum grpc_status status, const char *message, enum end_reason why)
{
    struct h2_headers h = {0};

    CHECK_MAGIC(r, RELAY_MAGIC);
    if (r->over) {
        return;
    }
    set_over(r, why);
    snprintf(r->status_text, sizeof(r->status_text), "%d", (int)status);
    if (r->down == NULL) {
        return;
    }
    credit_rest(r);
    enum rc rc = RC_OK;
    if (r->responded) {
        rc = grpc_status_add(&h, status, message);
        h2_stream_end(r->down, &h);
    } else {
        r->responded = true;
        rc = grpc_status_response(&h, status, message);
        if (rc == RC_OK) {
            rc = h2_stream_respond(r->down, &h, true);
        }
    }
    if (rc != RC_OK) {
        h2_stream_reset(r->down, H2_INTERNAL_ERROR);
    }
    h2_headers_fini(&h);
    wait_for_vm(r);
}

/* ---- committing ---- */

/* n bytes of the VM went up for good: open its window by those that were not credited on receipt. */
static void credit_down(struct relay *r, size_t n)
{
    size_t early = n < r->early_credit ? n : r->early_credit;

    r->early_credit -= early;
    n -= early;
    if (r->down != NULL) {
        h2_stream_credit(r->down, n < r->down->unconsumed ? n : r->down->unconsumed);
    }
}

/* From here on the stream is not offered to another upstream: forget what was kept, open the VM's window. */
static void commit(struct relay *r)
{
    if (r->committed) {
        return;
    }
    r->committed = true;
    bufq_clear(&r->replay);
    h2_headers_fini(&r->request);
    credit_down(r, r->sent_uncredited);
    r->sent_uncredited = 0;
}

static void on_stall_timer(struct ev_loop *loop, ev_timer *t, int revents);

static void arm_stall_timer(struct relay *r)
{
    ev_timer_stop(r->worker->loop, &r->timer);
    ev_init(&r->timer, on_stall_timer);
    r->timer.data = r;
    ev_timer_set(&r->timer, r->vm->route->limits->stall_timeout / 4, 0.);
    ev_timer_start(r->worker->loop, &r->timer);
}

/* The upstream has answered with something that is no refusal. */
static void admit(struct relay *r)
{
    if (r->answered) {
        return;
    }
    r->answered = true;
    counter_add(&r->worker->counters->v[COUNTER_STREAMS_ADMITTED], 1);
    up_session_outcome(r->up_session, POOL_ADMITTED);
    commit(r);
    if (!r->responded) {
        send_response(r, &r->response, false);
        h2_headers_fini(&r->response);
    }
}

/* ---- tries ---- */

static void try_again(struct relay *r, enum pool_outcome outcome)
{
    double pause = RETRY_FIRST_S;

    up_session_outcome(r->up_session, outcome);
    drop_up(r);
    h2_headers_fini(&r->response);
    r->up_headers = false;
    r->sent_uncredited = 0;
    for (uint32_t i = 1; i < r->tries && pause < RETRY_LAST_S; i++) {
        pause *= 2;
    }
    counter_add(&r->worker->counters->v[COUNTER_STREAMS_RETRIED], 1);
    ask(r, pause < RETRY_LAST_S ? pause : RETRY_LAST_S);
}

static bool may_try_again(const struct relay *r)
{
    return !r->committed && !r->over && worker_now(r->worker) < r->deadline;
}

/* Is this final block a refusal before any answer that is worth another try? (wire facts 1.4, 4.3, 11.4) */
static bool is_refusal(const struct relay *r, const struct h2_headers *h, enum pool_outcome *outcome)
{
    if (!r->is_agent || !may_try_again(r)) {
        return false;
    }
    switch (grpc_status_of(h)) {
    case GRPC_RESOURCE_EXHAUSTED:
        *outcome = POOL_EXHAUSTED;
        return true;
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

static void on_ready(struct pool_ticket *t, struct up_session *up)
{
    struct relay *r = LIST_ENTRY(t, struct relay, ticket);

    CHECK_MAGIC(r, RELAY_MAGIC);
    counter_add(&r->worker->counters->v[COUNTER_STREAMS_WAITING], -1);
    enum rc rc = h2_session_request(up_session_h2(up), &r->request, &up_ops, r, &r->up);
    if (rc == RC_BUSY) {
        ask(r, RETRY_FIRST_S);
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
    if (r->down_ended) {
        h2_stream_end(r->up, NULL);
    }
    arm_stall_timer(r);
}

static void on_failed(struct pool_ticket *t, const char *why)
{
    struct relay *r = LIST_ENTRY(t, struct relay, ticket);
    char text[256];

    CHECK_MAGIC(r, RELAY_MAGIC);
    counter_add(&r->worker->counters->v[COUNTER_STREAMS_WAITING], -1);
    snprintf(text, sizeof(text), "xdsgate: no istiod took the stream in time (last problem: %s)", why);
    relay_finish(r, GRPC_UNAVAILABLE, text, END_UP_UNAVAILABLE);
}

static uint32_t fairness_key(const struct vm_session *vm)
{
    uint32_t key = 2166136261u;
    for (size_t i = 0; i < sizeof(vm->peer.ip); i++) {
        key = (key ^ vm->peer.ip[i]) * 16777619u;
    }
    return (key ^ vm->peer.port) * 16777619u;
}

static void ask(struct relay *r, double pause)
{
    double now = worker_now(r->worker);

    if (r->deadline <= 0) {
        r->deadline = now + POOL_DEADLINE_S;
    }
    r->ticket.key = fairness_key(r->vm);
    r->ticket.deadline = r->deadline;
    r->ticket.not_before = now + pause;
    r->ticket.on_ready = on_ready;
    r->ticket.on_failed = on_failed;
    if (pool_ask(r->vm->route->pool, &r->ticket) != RC_OK) {
        relay_finish(r, GRPC_UNAVAILABLE, "xdsgate: too many streams wait for istiod, try again later",
                     END_UP_UNAVAILABLE);
        return;
    }
    counter_add(&r->worker->counters->v[COUNTER_STREAMS_WAITING], 1);
}

/* ---- VM to istiod ---- */

/* Whole messages (or any bytes of other methods) go up; they are kept until committed. */
static enum rc push_up(struct relay *r, const uint8_t *data, size_t n)
{
    if (!r->committed && !r->is_agent && r->replay.len + n > RELAY_OTHER_REPLAY_BYTES && r->up != NULL) {
        commit(r);
    }
    if (!r->committed) {
        TRY(bufq_append(&r->replay, data, n));
    }
    return r->up != NULL ? h2_stream_send(r->up, data, n) : RC_OK;
}

static enum rc push_open_message(struct relay *r)
{
    while (r->open_message.len > 0) {
        size_t n;
        const uint8_t *p = bufq_peek(&r->open_message, &n);
        TRY(push_up(r, p, n));
        r->early_credit += n;
        bufq_drain(&r->open_message, n);
    }
    return RC_OK;
}

static bool has_asked(const struct relay *r)
{
    return r->ticket.pool != NULL || r->up != NULL || r->tries > 0;
}

/*
 * The agent's methods: bytes of the open message are credited at once, or a message larger than the window could
 * never be completed; whole messages are credited when they went up.
 */
static enum rc take_framed(struct relay *r, const uint8_t *data, size_t n)
{
    size_t complete = 0;

    TRY(grpc_frame_feed(&r->scan, data, n, &complete));
    if (complete > 0) {
        TRY(push_open_message(r));
        TRY(push_up(r, data, complete));
    }
    TRY(bufq_append(&r->open_message, data + complete, n - complete));
    h2_stream_credit(r->down, n - complete);
    if (complete > 0 && !has_asked(r)) {
        ask(r, 0);
    }
    return RC_OK;
}

static void refuse_bytes(struct relay *r, enum rc rc)
{
    struct counters *c = r->worker->counters;

    if (rc == RC_PEER_LIMIT) {
        counter_add(&c->v[COUNTER_LIMIT_MESSAGE_BYTES], 1);
        relay_finish(r, GRPC_RESOURCE_EXHAUSTED, "xdsgate: message larger than message_bytes", END_LIMIT);
    } else if (rc == RC_NO_MEMORY || rc == RC_FULL) {
        relay_finish(r, GRPC_RESOURCE_EXHAUSTED, "xdsgate: out of buffer memory", END_MEMORY);
    } else {
        relay_finish(r, GRPC_INTERNAL, "xdsgate: malformed gRPC frame", END_REFUSED);
    }
}

static void on_down_data(struct h2_stream *st, const uint8_t *data, size_t n)
{
    struct relay *r = st->user;

    CHECK_MAGIC(r, RELAY_MAGIC);
    if (r->over) {
        h2_stream_credit(st, n);
        return;
    }
    r->bytes_up += n;
    counter_add(&r->worker->counters->v[COUNTER_BYTES_UP], (int64_t)n);
    enum rc rc = r->is_agent ? take_framed(r, data, n) : push_up(r, data, n);
    if (rc != RC_OK && !r->over) {
        refuse_bytes(r, rc);
    }
}

static void on_down_end(struct h2_stream *st)
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
    } else if (!has_asked(r)) {
        ask(r, 0);
    }
}

/* Trailers of a request mean nothing in gRPC and are never relayed; nothing in them can be identity. */
static void on_down_headers(struct h2_stream *st, struct h2_headers *h, bool end)
{
    struct relay *r = st->user;

    if (h2_headers_count(h, "x-forwarded-client-cert") > 0) {
        counter_add(&r->worker->counters->v[COUNTER_XFCC_STRIPPED], 1);
    }
    if (end) {
        on_down_end(st);
    }
}

/* Our bytes left towards the VM: the upstream may send more. */
static void on_down_sent(struct h2_stream *st, size_t n)
{
    struct relay *r = st->user;

    r->progress_at = worker_now(r->worker);
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
        set_over(r, conn_gone || error == H2_NO_ERROR ? END_DOWN_CLOSED : END_DOWN_RESET);
    }
    ev_timer_stop(r->worker->loop, &r->timer);
    log_end(r);
    CHECK(r->vm->n_relays > 0);
    r->vm->n_relays--;
    worker_reap_later(r->worker, &r->reap);
}

static const struct h2_stream_ops down_ops = {
    .on_headers = on_down_headers,
    .on_data = on_down_data,
    .on_end = on_down_end,
    .on_sent = on_down_sent,
    .on_closed = on_down_closed,
};

/* ---- istiod to VM ---- */

static void finish_with_block(struct relay *r, struct h2_headers *h, bool trailers_only)
{
    int status = grpc_status_of(h);
    struct h2_headers out = {0};

    admit(r);
    set_over(r, END_UP_ENDED);
    snprintf(r->status_text, sizeof(r->status_text), "%d", status);
    credit_rest(r);
    if (trailers_only && !r->responded) {
        send_response(r, h, true);
    } else if (relay_response_headers(r, h, &out) == RC_OK) {
        h2_stream_end(r->down, &out);
    } else {
        h2_stream_reset(r->down, H2_INTERNAL_ERROR);
    }
    h2_headers_fini(&out);
    wait_for_vm(r);
}

static void on_up_headers(struct h2_stream *st, struct h2_headers *h, bool end)
{
    struct relay *r = st->user;
    enum pool_outcome outcome = POOL_ADMITTED;

    CHECK_MAGIC(r, RELAY_MAGIC);
    if (end) {
        if (is_refusal(r, h, &outcome)) {
            try_again(r, outcome);
            return;
        }
        if (!r->up_headers && !r->responded) {
            r->answered = true; /* trailers only: the block is the response */
            commit(r);
            up_session_outcome(r->up_session, POOL_ADMITTED);
            finish_with_block(r, h, true);
        } else {
            finish_with_block(r, h, false);
        }
        return;
    }
    if (r->up_headers) {
        return; /* a block in the middle of a body: nghttp2 lets none through */
    }
    r->up_headers = true;
    h2_headers_take(&r->response, h);
    if (!r->is_agent) {
        admit(r); /* a client may wait for the headers alone */
    }
}

static void on_up_data(struct h2_stream *st, const uint8_t *data, size_t n)
{
    struct relay *r = st->user;

    CHECK_MAGIC(r, RELAY_MAGIC);
    if (r->over) {
        h2_stream_credit(st, n);
        return;
    }
    admit(r);
    enum rc rc = h2_stream_send(r->down, data, n);
    if (rc != RC_OK) {
        relay_finish(r, GRPC_UNAVAILABLE, "xdsgate: out of buffer memory", END_MEMORY);
    }
}

static void on_up_end(struct h2_stream *st)
{
    relay_finish(st->user, GRPC_UNKNOWN, "xdsgate: istiod ended the stream without a status", END_UP_ENDED);
}

/* Bytes went up: from now on, or once committed, the VM may send as many more. */
static void on_up_sent(struct h2_stream *st, size_t n)
{
    struct relay *r = st->user;

    r->progress_at = worker_now(r->worker);
    if (!r->committed) {
        r->sent_uncredited += n;
        return;
    }
    credit_down(r, n);
}

static void on_up_closed(struct h2_stream *st, uint32_t error)
{
    struct relay *r = st->user;
    bool lost = conn_is_dead(st->session->conn);
    bool unprocessed = !lost && error == H2_REFUSED_STREAM;
    struct up_session *up = r->up_session;

    CHECK_MAGIC(r, RELAY_MAGIC);
    r->up = NULL;
    r->up_session = NULL;
    up_session_closed(up);
    if (r->over) {
        return;
    }
    if (may_try_again(r) && (unprocessed || (lost && r->is_agent))) {
        h2_headers_fini(&r->response);
        r->up_headers = false;
        r->sent_uncredited = 0;
        up_session_outcome(up, POOL_UNPROCESSED);
        counter_add(&r->worker->counters->v[COUNTER_STREAMS_RETRIED], 1);
        ask(r, RETRY_FIRST_S);
        return;
    }
    if (lost) {
        relay_finish(r, GRPC_UNAVAILABLE, LOST_UPSTREAM, END_UP_CLOSED);
    } else {
        relay_finish(r, grpc_status_of_reset(error), "xdsgate: istiod reset the stream", END_UP_RESET);
    }
}

static const struct h2_stream_ops up_ops = {
    .on_headers = on_up_headers,
    .on_data = on_up_data,
    .on_end = on_up_end,
    .on_sent = on_up_sent,
    .on_closed = on_up_closed,
};

void relay_retire(struct h2_stream *up)
{
    if (up->ops == &up_ops) {
        relay_finish(up->user, GRPC_UNAVAILABLE, RETIRED_UPSTREAM, END_UP_GOAWAY);
    }
}

/* ---- time ---- */

/* Is something waiting to leave that has not moved for stall_timeout? */
static bool is_stalled(const struct relay *r)
{
    bool down_waits = r->down != NULL && r->down->out.len > 0;
    bool up_waits = r->up != NULL && r->up->out.len > 0;
    return (down_waits || up_waits) &&
           worker_now(r->worker) - r->progress_at > r->vm->route->limits->stall_timeout;
}

static void on_stall_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct relay *r = t->data;

    (void)loop;
    (void)revents;
    CHECK_MAGIC(r, RELAY_MAGIC);
    if (r->over) {
        if (r->down != NULL) {
            h2_stream_reset(r->down, H2_CANCEL); /* it does not read its end */
        }
        return;
    }
    if (!is_stalled(r)) {
        if (r->down->out.len == 0 && (r->up == NULL || r->up->out.len == 0)) {
            r->progress_at = worker_now(r->worker);
        }
        arm_stall_timer(r);
        return;
    }
    counter_add(&r->worker->counters->v[COUNTER_LIMIT_STALL], 1);
    bool vm_stalls = r->down->out.len > 0;
    relay_finish(r, GRPC_UNAVAILABLE, "xdsgate: no progress within stall_timeout", END_STALL);
    if (vm_stalls && r->down != NULL) {
        h2_stream_reset(r->down, H2_CANCEL);
    }
}

static void on_first_request_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct relay *r = t->data;

    (void)loop;
    (void)revents;
    CHECK_MAGIC(r, RELAY_MAGIC);
    if (r->over) {
        if (r->down != NULL) {
            h2_stream_reset(r->down, H2_CANCEL);
        }
        return;
    }
    if (!has_asked(r)) {
        counter_add(&r->worker->counters->v[COUNTER_LIMIT_FIRST_REQUEST], 1);
        relay_finish(r, GRPC_DEADLINE_EXCEEDED, "xdsgate: the first message did not come in time", END_FIRST_REQUEST);
    }
}

/* ---- opening ---- */

void relay_refuse(struct vm_session *vm, struct h2_stream *st, const struct relay_verdict *v)
{
    struct h2_headers h = {0};
    char http[12];
    char peer[ADDR_TEXT_BYTES];
    enum rc rc;

    counter_add(&vm->h2->worker->counters->v[COUNTER_STREAMS_REFUSED], 1);
    if (v->counter != COUNTER_COUNT) {
        counter_add(&vm->h2->worker->counters->v[v->counter], 1);
    }
    log_event(LOG_INFO, "stream refused", LOG_S("peer", addr_format(&vm->peer, peer)), LOG_I("http", v->http_status),
              LOG_I("grpc_status", v->status), LOG_S("detail", v->message));
    if (v->http_status != 200) {
        snprintf(http, sizeof(http), "%d", v->http_status);
        rc = h2_headers_add_str(&h, ":status", http);
    } else {
        rc = grpc_status_response(&h, v->status, v->message);
    }
    if (rc != RC_OK || h2_stream_respond(st, &h, true) != RC_OK) {
        h2_stream_reset(st, H2_INTERNAL_ERROR);
    }
    h2_headers_fini(&h);
}

static void start(struct relay *r, struct h2_stream *st, bool end)
{
    r->down = st;
    st->ops = &down_ops;
    st->user = r;
    r->vm->n_relays++;
    r->vm->n_ads += r->is_ads;
    counter_add(&r->worker->counters->v[COUNTER_STREAMS_OPEN], 1);
    ev_init(&r->timer, on_first_request_timer);
    r->timer.data = r;
    ev_timer_set(&r->timer, r->vm->route->limits->first_request_timeout, 0.);
    ev_timer_start(r->worker->loop, &r->timer);
    if (end) {
        on_down_end(st);
    } else if (!r->is_agent) {
        ask(r, 0);
    }
}

void relay_open(struct vm_session *vm, struct h2_stream *st, struct h2_headers *h, bool end)
{
    static const struct relay_verdict too_large = {431, GRPC_OK, "", COUNTER_COUNT};
    static const struct relay_verdict stopping = {200, GRPC_UNAVAILABLE, "xdsgate: transport is closing", COUNTER_COUNT};
    static const struct relay_verdict no_memory = {200, GRPC_RESOURCE_EXHAUSTED, "xdsgate: out of memory", COUNTER_COUNT};
    struct relay *r = new_relay(vm);

    counter_add(&vm->h2->worker->counters->v[COUNTER_STREAMS_TOTAL], 1);
    if (r == NULL) {
        relay_refuse(vm, st, &no_memory);
        return;
    }
    struct relay_verdict v = st->over_limit ? too_large : vm->draining ? stopping : relay_judge(r, h);
    if (v.http_status == 200 && v.status == GRPC_OK && relay_request_headers(r, h, &r->request) != RC_OK) {
        v = no_memory;
    }
    if (v.http_status != 200 || v.status != GRPC_OK) {
        relay_refuse(vm, st, &v);
        worker_reap_later(r->worker, &r->reap);
        return;
    }
    start(r, st, end);
}
