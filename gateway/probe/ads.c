/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/probe/ads.h"

#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/h2/session.h"
#include "core/net/worker.h"

#define ADS "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"

/** Of a trust domain that nobody has (RFC 6761), so that it is nobody even where nothing else is
 * compared. */
#define NOBODY "URI=spiffe://xdsgate.invalid/ns/xdsgate-probe/sa/nobody"

/** Statuses of gRPC: google.golang.org/grpc/codes. */
enum { EXHAUSTED = 8, UNIMPLEMENTED = 12, UNAVAILABLE = 14, UNAUTHENTICATED = 16 };

/** How long the peer has to see our end of the connection. */
#define FAREWELL_S 0.5

/* Protobuf: a field of bytes, its number and length; all are shorter than 128 bytes, but for the
 * first. A DiscoveryRequest with a Node of a namespace that is not NOBODY's, and the type of
 * clusters (envoy service/discovery/v3/discovery.proto, config/core/v3/base.proto). */
#define NODE_ID "sidecar~192.0.2.1~nobody.xdsgate-probe-other~xdsgate-probe-other.svc.cluster.local"
#define NS "xdsgate-probe-other"
#define TYPE "type.googleapis.com/envoy.config.cluster.v3.Cluster"

struct attempt {
    const struct probe_ads_opts *o;
    struct probe_ads_result *r;
    struct worker *worker;
    struct h2_session *h2;    /* ours until it is bound, then its connection's; NULL: over */
    struct h2_stream *stream; /* borrowed; NULL: none, or over */
    bool answered;
};

/* ---- the message ---- */

struct bytes {
    uint8_t data[512];
    size_t n;
};

static void put_field(struct bytes *out, unsigned number, const void *data, size_t n)
{
    CHECK(out->n + n + 3 <= sizeof(out->data) && n < 1U << 14);
    out->data[out->n++] = (uint8_t)(number << 3 | 2);
    if (n >= 128) {
        out->data[out->n++] = (uint8_t)(0x80 | (n & 0x7f));
        out->data[out->n++] = (uint8_t)(n >> 7);
    } else {
        out->data[out->n++] = (uint8_t)n;
    }
    memcpy(out->data + out->n, data, n);
    out->n += n;
}

static void put_text(struct bytes *out, unsigned number, const char *text)
{
    put_field(out, number, text, strlen(text));
}

/* A message of gRPC: not compressed, its length, the request. */
static void make_request(struct bytes *out)
{
    struct bytes value = {.n = 0};
    struct bytes entry = {.n = 0};
    struct bytes metadata = {.n = 0};
    struct bytes node = {.n = 0};
    struct bytes request = {.n = 0};

    put_text(&value, 3, NS);
    put_text(&entry, 1, "NAMESPACE");
    put_field(&entry, 2, value.data, value.n);
    put_field(&metadata, 1, entry.data, entry.n);
    put_text(&node, 1, NODE_ID);
    put_field(&node, 3, metadata.data, metadata.n);
    put_field(&request, 2, node.data, node.n);
    put_text(&request, 4, TYPE);
    const uint8_t head[5] = {0, 0, 0, (uint8_t)(request.n >> 8), (uint8_t)request.n};
    CHECK(request.n + sizeof(head) <= sizeof(out->data));
    memcpy(out->data, head, sizeof(head));
    memcpy(out->data + sizeof(head), request.data, request.n);
    out->n = sizeof(head) + request.n;
}

static enum rc make_headers(const struct attempt *a, struct h2_headers *out)
{
    TRY(h2_headers_add_str(out, ":method", "POST"));
    TRY(h2_headers_add_str(out, ":scheme", "https"));
    TRY(h2_headers_add_str(out, ":path", ADS));
    TRY(h2_headers_add_str(out, ":authority", a->o->server_name));
    TRY(h2_headers_add_str(out, "content-type", "application/grpc"));
    TRY(h2_headers_add_str(out, "te", "trailers"));
    TRY(h2_headers_add_str(out, "user-agent", "xdsgate-probe"));
    return a->o->nameless ? RC_OK : h2_headers_add_str(out, "x-forwarded-client-cert", NOBODY);
}

/* ---- the answer ---- */

/* What a peer says may stand in a log. */
static void set_why(struct attempt *a, const char *text, size_t n)
{
    char *why = a->r->why;

    n = n < sizeof(a->r->why) - 1 ? n : sizeof(a->r->why) - 1;
    memcpy(why, text, n);
    why[n] = '\0';
    for (char *c = why; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = '?';
        }
    }
}

static void answer(struct attempt *a, enum probe_ads_end end, const char *why)
{
    if (!a->answered) {
        a->answered = true;
        a->r->end = end;
        set_why(a, why, strlen(why));
    }
}

/* 0 to 16 in one or two digits; -1 for anything else. */
static int read_status(const char *text, size_t n)
{
    int status = 0;

    if (n == 0 || n > 2) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }
        status = 10 * status + (text[i] - '0');
    }
    return status <= UNAUTHENTICATED ? status : -1;
}

static enum probe_ads_end end_of(int status)
{
    switch (status) {
    case UNAUTHENTICATED:
        return PROBE_ADS_REFUSED;
    case EXHAUSTED:
    case UNAVAILABLE:
        return PROBE_ADS_BUSY;
    case UNIMPLEMENTED:
    case -1:
        return PROBE_ADS_NOT_ISTIO;
    default:
        return PROBE_ADS_TAKEN;
    }
}

static void take_status(struct attempt *a, const char *text, size_t n, const struct h2_headers *h)
{
    size_t n_message = 0;
    const char *message = h2_headers_find(h, "grpc-message", &n_message);

    if (a->answered) {
        return;
    }
    a->r->status = read_status(text, n);
    answer(a, end_of(a->r->status), "");
    if (message != NULL) {
        set_why(a, message, n_message);
    }
}

static void on_headers(struct h2_stream *st, struct h2_headers *h, bool end)
{
    struct attempt *a = st->user;
    size_t n = 0;
    const char *http = h2_headers_find(h, ":status", &n);
    bool refused = http != NULL && (n != 3 || memcmp(http, "200", 3) != 0);
    const char *status = h2_headers_find(h, "grpc-status", &n);

    if (status != NULL) {
        take_status(a, status, n, h);
    } else if (refused || end) {
        answer(a, PROBE_ADS_NOT_ISTIO, "it does not answer as gRPC does");
    }
}

/* A response: whoever we said we are, we are served. */
static void on_data(struct h2_stream *st, const uint8_t *data, size_t n)
{
    (void)data;
    h2_stream_credit(st, n);
    answer(st->user, PROBE_ADS_TAKEN, "");
}

static void on_end(struct h2_stream *st)
{
    answer(st->user, PROBE_ADS_NOT_ISTIO, "it does not answer as gRPC does");
}

static void on_sent(struct h2_stream *st, size_t n)
{
    (void)st;
    (void)n;
}

static void on_closed(struct h2_stream *st, uint32_t error)
{
    struct attempt *a = st->user;

    (void)error;
    a->stream = NULL;
    answer(a, PROBE_ADS_NO_ANSWER, "it reset the stream");
}

static const struct h2_stream_ops stream_ops = {
    .on_headers = on_headers,
    .on_data = on_data,
    .on_end = on_end,
    .on_sent = on_sent,
    .on_closed = on_closed,
};

/* ---- the connection ---- */

static enum rc ask(struct attempt *a)
{
    struct h2_headers h = {0};
    struct bytes message;
    enum rc rc = make_headers(a, &h);

    if (rc == RC_OK) {
        rc = h2_session_request(a->h2, &h, &stream_ops, a, &a->stream);
    }
    h2_headers_fini(&h);
    TRY(rc);
    make_request(&message);
    return h2_stream_send(a->stream, message.data, message.n);
}

static void on_open(struct h2_session *s)
{
    struct attempt *a = s->user;
    enum rc rc = ask(a);

    if (rc != RC_OK) {
        answer(a, PROBE_ADS_NO_ANSWER, rc == RC_BUSY ? "it takes no streams" : rc_text(rc));
    }
}

static void on_goaway(struct h2_session *s, uint32_t error, const char *text, size_t n)
{
    (void)s;
    (void)error;
    (void)text;
    (void)n;
}

static void on_limit(struct h2_session *s, enum counter which)
{
    (void)s;
    (void)which;
}

static void on_dead(struct h2_session *s, enum end_reason why)
{
    struct attempt *a = s->user;
    const char *detail = conn_detail(s->conn);

    /* OpenSSL's names of the alerts of TLS 1.3 and 1.2. */
    bool wants = strstr(detail, "certificate required") != NULL ||
                 strstr(detail, "alert bad certificate") != NULL;
    answer(a, wants ? PROBE_ADS_WANTS_CERTIFICATE : PROBE_ADS_NO_ANSWER,
           detail[0] != '\0' ? detail : end_text(why));
    a->h2 = NULL;
}

static const struct h2_session_ops session_ops = {
    .on_open = on_open,
    .on_goaway = on_goaway,
    .on_limit = on_limit,
    .on_dead = on_dead,
};

static enum rc dial(struct attempt *a)
{
    const struct h2_limits limits = {
        .header_bytes = 65536, .headers = 128, .settings_timeout = a->o->timeout_s};
    struct conn *c;

    TRY(h2_session_new(a->worker, H2_DIALLED, &limits, &session_ops, a, &a->h2));
    SSL *ssl = root_set_new_ssl(a->o->roots, a->o->server_name);
    enum rc rc = ssl == NULL ? RC_NO_MEMORY
                             : conn_dial(a->worker, a->o->peer, &a->o->source, ssl, a->o->timeout_s,
                                         &h2_conn_ops, a->h2, &c);
    if (rc != RC_OK) {
        h2_session_free(&a->h2);
        return rc;
    }
    h2_session_bind(a->h2, c);
    return RC_OK;
}

/* Until it is answered, then until the connection is gone. */
static void run(struct attempt *a)
{
    double until = clock_mono() + a->o->timeout_s;

    for (double left = a->o->timeout_s; !a->answered && left > 0; left = until - clock_mono()) {
        worker_turn(a->worker, left);
    }
    answer(a, PROBE_ADS_NO_ANSWER, "no answer in time");
    if (a->stream != NULL) {
        h2_stream_reset(a->stream, H2_CANCEL);
    }
    if (a->h2 != NULL) {
        h2_session_end(a->h2, H2_NO_ERROR, END_DRAIN);
    }
    until = clock_mono() + FAREWELL_S;
    for (double left = FAREWELL_S; a->h2 != NULL && left > 0; left = until - clock_mono()) {
        worker_turn(a->worker, left);
    }
    if (a->h2 != NULL) {
        conn_kill(a->h2->conn, END_DRAIN);
        worker_settle(a->worker);
    }
}

enum rc probe_ads(const struct probe_ads_opts *o, struct probe_ads_result *out)
{
    struct attempt a = {.o = o, .r = out};

    *out = (struct probe_ads_result){.end = PROBE_ADS_NO_ANSWER, .status = -1};
    TRY(worker_new(0, &a.worker));
    enum rc rc = dial(&a);
    if (rc == RC_OK) {
        run(&a);
    } else if (rc != RC_NO_MEMORY) {
        answer(&a, PROBE_ADS_NO_ANSWER, rc_text(rc));
        rc = RC_OK;
    }
    worker_free(&a.worker);
    return rc;
}
