/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that get no relay: a gRPC status at once, or an HTTP status for what is not gRPC. */
#include <stdio.h>
#include <string.h>

#include "core/base/log.h"
#include "gateway/relay/relay_internal.h"

/* An HTTP answer waits for the end of its request, but not for more of it than this. */
#define BODY_BYTES_MAX (64 * 1024)

/* A client that does not speak gRPC, perhaps a person with curl: a status and a sentence. */
static enum rc answer_http(struct h2_stream *st, int status, bool no_body)
{
    const char *text =
        status == 415   ? "xdsgate relays gRPC only: content-type must be application/grpc\n"
        : status == 431 ? "the request's headers are larger than this listener takes\n"
                        : "gRPC requests are POST requests\n";
    struct h2_headers h = {0};
    char number[12];

    snprintf(number, sizeof(number), "%d", status);
    enum rc rc = h2_headers_add_str(&h, ":status", number);
    if (rc == RC_OK) {
        rc = h2_headers_add_str(&h, "content-type", "text/plain");
    }
    if (rc == RC_OK) {
        rc = h2_stream_respond(st, &h, no_body);
    }
    if (rc == RC_OK && !no_body) {
        rc = h2_stream_send(st, (const uint8_t *)text, strlen(text));
        h2_stream_end(st, NULL);
    }
    h2_headers_fini(&h);
    return rc;
}

/* ---- a request with a body that is not gRPC: answered when it has ended ---- */

static void answer_waiting(struct h2_stream *st)
{
    int status = (int)(uintptr_t)st->user;

    h2_stream_detach(st);
    if (answer_http(st, status, false) != RC_OK) {
        h2_stream_reset(st, H2_INTERNAL_ERROR);
    }
}

static void on_waiting_headers(struct h2_stream *st, struct h2_headers *h, bool end)
{
    (void)h;
    if (end) {
        answer_waiting(st);
    }
}

static void on_waiting_data(struct h2_stream *st, const uint8_t *data, size_t n)
{
    (void)data;
    (void)n;
    if (st->unconsumed > BODY_BYTES_MAX) {
        answer_waiting(st);
    }
}

static void on_waiting_closed(struct h2_stream *st, uint32_t error)
{
    (void)st;
    (void)error;
}

static const struct h2_stream_ops waiting_ops = {
    .on_headers = on_waiting_headers,
    .on_data = on_waiting_data,
    .on_end = answer_waiting,
    .on_closed = on_waiting_closed,
};

/* The status itself is what the stream remembers: there is nothing to free. */
static void answer_at_end(struct h2_stream *st, int status)
{
    st->user = (void *)(uintptr_t)status;
    st->ops = &waiting_ops;
}

void relay_refuse(struct vm_session *vm, struct h2_stream *st, const struct relay_verdict *v,
                  bool end)
{
    struct h2_headers h = {0};
    char peer[ADDR_TEXT_BYTES];
    enum rc rc;

    counter_add(&vm->h2->worker->counters->v[COUNTER_STREAMS_REFUSED], 1);
    if (v->counter != COUNTER_COUNT) {
        counter_add(&vm->h2->worker->counters->v[v->counter], 1);
    }
    log_event(LOG_INFO, "stream refused", LOG_S("peer", addr_format(&vm->peer, peer)),
              LOG_I("http", v->http_status), LOG_I("grpc_status", v->status),
              LOG_S("detail", v->message));
    if (v->http_status != 200 && !end && !st->over_limit) {
        answer_at_end(st, v->http_status);
        return;
    }
    if (v->http_status != 200) {
        rc = answer_http(st, v->http_status, v->no_body);
    } else {
        rc = grpc_status_response(&h, v->status, v->message);
        if (rc == RC_OK) {
            rc = h2_stream_respond(st, &h, true);
        }
    }
    if (rc != RC_OK) {
        h2_stream_reset(st, H2_INTERNAL_ERROR);
    }
    h2_headers_fini(&h);
    h2_count_flood(vm->h2, 1);
}
