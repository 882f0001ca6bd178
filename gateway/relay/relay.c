/* SPDX-License-Identifier: Apache-2.0 */
/* The pair: its life from a VM's request to the end of the VM's stream. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/h2/limits.h"
#include "gateway/relay/relay_internal.h"

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
    list_init(&r->blocked);
    r->reap.fn = reap;
    return r;
}

static void log_end(const struct relay *r)
{
    char peer[ADDR_TEXT_BYTES];

    log_event(LOG_INFO, "stream ended", LOG_S("peer", addr_format(&r->vm->peer, peer)),
              LOG_S("spiffe_id", vm_session_identity(r->vm)),
              LOG_S("kind", r->is_ads     ? "ads"
                            : r->is_agent ? "ca"
                                          : "other"),
              LOG_S("reason", end_label((enum end_reason)r->why)),
              LOG_S("grpc_status", r->status_text), LOG_I("bytes_up", r->bytes_up),
              LOG_I("bytes_down", r->bytes_down), LOG_I("tries", r->tries));
}

/* Let go of the upstream stream. To other methods than the agent's, the end of our side might mean
 * that a request is complete. */
void relay_drop_up(struct relay *r)
{
    struct h2_stream *up = r->up;

    relay_drop_token(r);
    if (r->ticket.pool != NULL) {
        pool_cancel(&r->ticket);
        counter_add(&r->worker->counters->v[COUNTER_STREAMS_WAITING], -1);
    }
    if (up == NULL) {
        return;
    }
    r->up = NULL;
    up_session_leave(r->up_session, up, r->is_agent, &r->vm->left);
    r->up_session = NULL;
}

/* The end is on its way to the VM, or the VM is gone. */
void relay_set_over(struct relay *r, enum end_reason why)
{
    CHECK(!r->over);
    r->over = true;
    r->why = (uint8_t)why;
    ev_timer_stop(r->worker->loop, &r->timer);
    pool_unblocked(r->vm->route->pool, &r->blocked);
    relay_drop_up(r);
    relay_tap_end(r);
    bufq_clear(&r->open_message);
    bufq_clear(&r->replay);
    relay_count_held(r);
    r->vm->n_ads -= r->is_ads;
    counter_add(&r->worker->counters->v[COUNTER_STREAMS_OPEN], -1);
    counter_add(&r->worker->counters->stream_ends[why], 1);
}

void relay_bury(struct relay *r)
{
    CHECK(r->over && r->down == NULL);
    ev_timer_stop(r->worker->loop, &r->timer);
    log_end(r);
    CHECK(r->vm->n_relays > 0);
    r->vm->n_relays--;
    worker_reap_later(r->worker, &r->reap);
}

/* Take the time left to say the end: a VM that does not read it is reset after stall_timeout. */
void relay_wait_for_vm(struct relay *r)
{
    ev_timer_stop(r->worker->loop, &r->timer);
    ev_timer_set(&r->timer, r->vm->route->limits->stall_timeout, 0.);
    ev_timer_start(r->worker->loop, &r->timer);
}

/* Bytes of the VM that will not go up any more: give their window back, so that its reset or end
 * can come. */
void relay_credit_rest(struct relay *r)
{
    if (r->down != NULL) {
        h2_stream_credit(r->down, r->down->unconsumed);
    }
}

void relay_send_response(struct relay *r, struct h2_headers *h, bool end)
{
    struct h2_headers out = {0};

    if (relay_response_headers(r, h, &out) != RC_OK ||
        h2_stream_respond(r->down, &out, end) != RC_OK) {
        h2_stream_reset(r->down, H2_INTERNAL_ERROR);
    }
    r->responded = true;
    h2_headers_fini(&out);
}

void relay_finish(struct relay *r, enum grpc_status status, const char *message,
                  enum end_reason why)
{
    struct h2_headers h = {0};

    CHECK_MAGIC(r, RELAY_MAGIC);
    if (r->over) {
        return;
    }
    relay_set_over(r, why);
    snprintf(r->status_text, sizeof(r->status_text), "%d", (int)status);
    if (r->down == NULL) {
        return;
    }
    relay_credit_rest(r);
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
    relay_wait_for_vm(r);
}

/* ---- opening ---- */

static void start(struct relay *r, struct h2_stream *st, bool end)
{
    r->down = st;
    st->ops = &relay_down_ops;
    st->user = r;
    r->vm->n_relays++;
    r->vm->n_ads += r->is_ads;
    counter_add(&r->worker->counters->v[COUNTER_STREAMS_OPEN], 1);
    relay_set_first_request_timer(r);
    if (end) {
        relay_on_down_end(st);
    } else if (!r->is_agent) {
        relay_ask(r, 0);
    }
}

void relay_open(struct vm_session *vm, struct h2_stream *st, struct h2_headers *h, bool end)
{
    static const struct relay_verdict too_large = {431, GRPC_OK, "", COUNTER_COUNT, false};
    static const struct relay_verdict stopping = {
        200, GRPC_UNAVAILABLE, "xdsgate: transport is closing", COUNTER_COUNT, false};
    static const struct relay_verdict no_memory = {200, GRPC_RESOURCE_EXHAUSTED,
                                                   "xdsgate: out of memory", COUNTER_COUNT, false};
    struct relay *r = new_relay(vm);

    counter_add(&vm->h2->worker->counters->v[COUNTER_STREAMS_TOTAL], 1);
    if (r == NULL) {
        relay_refuse(vm, st, &no_memory, end);
        return;
    }
    struct relay_verdict v = st->over_limit ? too_large
                             : vm->draining ? stopping
                                            : relay_judge(r, h);
    if (v.http_status == 200 && v.status == GRPC_OK &&
        relay_request_headers(r, h, &r->request) != RC_OK) {
        v = no_memory;
    }
    if (v.http_status != 200 || v.status != GRPC_OK) {
        size_t n = 0;
        const char *method = h2_headers_find(h, ":method", &n);
        v.no_body = method != NULL && n == 4 && memcmp(method, "HEAD", 4) == 0;
        relay_refuse(vm, st, &v, end);
        worker_reap_later(r->worker, &r->reap);
        return;
    }
    start(r, st, end);
}
