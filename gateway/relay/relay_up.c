/* SPDX-License-Identifier: Apache-2.0 */
/* istiod to VM: what the upstream answers. */
#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "gateway/relay/relay_internal.h"

#define LOST_UPSTREAM "error reading from server: EOF (xdsgate lost its connection to istiod)"
#define RETIRED_UPSTREAM "transport is closing: the connection to istiod is retired"

static void finish_with_block(struct relay *r, struct h2_headers *h, bool trailers_only)
{
    int status = grpc_status_of(h);
    struct h2_headers out = {0};

    relay_admit(r);
    relay_set_over(r, END_UP_ENDED);
    snprintf(r->status_text, sizeof(r->status_text), "%d", status);
    relay_credit_rest(r);
    if (trailers_only && !r->responded) {
        relay_send_response(r, h, true);
    } else if (relay_response_headers(r, h, &out) == RC_OK) {
        h2_stream_end(r->down, &out);
    } else {
        h2_stream_reset(r->down, H2_INTERNAL_ERROR);
    }
    h2_headers_fini(&out);
    relay_wait_for_vm(r);
}

static void on_up_headers(struct h2_stream *st, struct h2_headers *h, bool end)
{
    struct relay *r = st->user;
    enum pool_outcome outcome = POOL_ADMITTED;

    CHECK_MAGIC(r, RELAY_MAGIC);
    if (end) {
        if (relay_is_refusal(r, h, &outcome)) {
            relay_try_again(r, outcome);
            return;
        }
        if (!r->up_headers && !r->responded) {
            r->answered = true; /* trailers only: the block is the response */
            relay_commit(r);
            relay_tell_final(r, h);
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
        relay_admit(r); /* a client may wait for the headers alone */
    }
}

/* Does istiod believe who asks? Headers alone do not say so: a status may follow. Nor does a page
 * of a proxy before it. */
static bool is_welcome(const struct relay *r)
{
    size_t n = 0;
    const char *status = h2_headers_find(&r->response, ":status", &n);

    return status != NULL && n == 3 && memcmp(status, "200", 3) == 0;
}

static void on_up_data(struct h2_stream *st, const uint8_t *data, size_t n)
{
    struct relay *r = st->user;

    CHECK_MAGIC(r, RELAY_MAGIC);
    if (r->over) {
        h2_stream_credit(st, n);
        return;
    }
    if (!r->answered && is_welcome(r)) {
        relay_tap_admitted(r);
    }
    relay_admit(r);
    relay_tap_response(r, data, n);
    relay_will_send(r, r->down);
    enum rc rc = h2_stream_send(r->down, data, n);
    if (rc != RC_OK) {
        relay_finish(r, GRPC_UNAVAILABLE, "xdsgate: out of buffer memory", END_MEMORY);
        return;
    }
    relay_has_queued(r, n);
}

static void on_up_end(struct h2_stream *st)
{
    relay_finish(st->user, GRPC_UNKNOWN, "xdsgate: istiod ended the stream without a status",
                 END_UP_ENDED);
}

/* Bytes went up: from now on, or once committed, the VM may send as many more. */
static void on_up_sent(struct h2_stream *st, size_t n)
{
    struct relay *r = st->user;

    relay_has_sent(r, &r->up_progress, n);
    if (!r->committed) {
        r->sent_uncredited += n;
        return;
    }
    relay_credit_down(r, n);
    relay_credit_open(r);
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
    if (relay_may_try_again(r) && (unprocessed || (lost && r->is_agent))) {
        relay_try_again_after_loss(r, up);
        return;
    }
    if (lost) {
        relay_finish(r, GRPC_UNAVAILABLE, LOST_UPSTREAM, END_UP_CLOSED);
    } else {
        relay_finish(r, grpc_status_of_reset(error), "xdsgate: istiod reset the stream",
                     END_UP_RESET);
    }
}

const struct h2_stream_ops relay_up_ops = {
    .on_headers = on_up_headers,
    .on_data = on_up_data,
    .on_end = on_up_end,
    .on_sent = on_up_sent,
    .on_closed = on_up_closed,
};

void relay_retire(struct h2_stream *up, enum end_reason why)
{
    struct relay *r = up->ops == &relay_up_ops ? up->user : NULL;

    if (r == NULL) {
        return;
    }
    if (r->is_agent && relay_may_try_again(r)) {
        relay_try_again(r, POOL_RETIRED); /* nothing was answered: elsewhere, unseen by the VM */
    } else {
        relay_finish(r, GRPC_UNAVAILABLE, RETIRED_UPSTREAM, why);
    }
}
