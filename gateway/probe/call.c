/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/probe/call.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/h2/session.h"
#include "core/net/worker.h"
#include "xds/grpc_frame.h"

/* The highest status of gRPC: google.golang.org/grpc/codes, Unauthenticated. */
#define STATUS_MAX 16

/* How long the peer has to see our end of the connection. */
#define FAREWELL_S 0.5

/* How soon somebody who wants us to stop is heard. */
#define LOOK_AGAIN_S 0.2

struct attempt {
    const struct call_way *way;
    const struct call_request *request;
    struct call_answer *r;
    struct worker *worker;
    struct h2_session *h2;    /* ours until it is bound, then its connection's; NULL: over */
    struct h2_stream *stream; /* borrowed; NULL: none, or over */
    bool answered;
    bool was_closed; /* the stream, before an answer: its connection says why if it is over, too */
    uint8_t *frame;  /* owned: what came of the first message, with its head */
    size_t n_frame;
};

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

static void answer(struct attempt *a, enum call_end end, const char *why)
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
    return status <= STATUS_MAX ? status : -1;
}

static void take_status(struct attempt *a, const char *text, size_t n, const struct h2_headers *h)
{
    size_t n_message = 0;
    const char *message = h2_headers_find(h, "grpc-message", &n_message);

    if (a->answered) {
        return;
    }
    a->r->status = read_status(text, n);
    answer(a, a->r->status < 0 ? CALL_NOT_GRPC : CALL_STATUS, "");
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
        answer(a, CALL_NOT_GRPC, "it does not answer as gRPC does");
    }
}

/* Bytes of the first message, its head included: 0 until that is known. */
static size_t wanted(const struct attempt *a)
{
    const uint8_t *f = a->frame;

    return a->n_frame < GRPC_FRAME_HEADER_BYTES
               ? 0
               : GRPC_FRAME_HEADER_BYTES +
                     ((size_t)f[1] << 24 | (size_t)f[2] << 16 | (size_t)f[3] << 8 | (size_t)f[4]);
}

static bool keep(struct attempt *a, const uint8_t *data, size_t n)
{
    if (n > CALL_ANSWER_MAX_BYTES - a->n_frame) {
        answer(a, CALL_NOT_GRPC, "its answer is too long");
        return false;
    }
    uint8_t *more = realloc(a->frame, a->n_frame + n);
    if (more == NULL) {
        answer(a, CALL_NO_ANSWER, rc_text(RC_NO_MEMORY));
        return false;
    }
    memcpy(more + a->n_frame, data, n);
    a->frame = more;
    a->n_frame += n;
    return true;
}

static void on_data(struct h2_stream *st, const uint8_t *data, size_t n)
{
    struct attempt *a = st->user;

    h2_stream_credit(st, n);
    if (n == 0 || a->answered || !keep(a, data, n)) {
        return;
    }
    if (a->request->first_message && wanted(a) > 0) {
        answer(a, CALL_MESSAGE, ""); /* that there is one is enough, however long it is */
    }
}

static void on_end(struct h2_stream *st)
{
    answer(st->user, CALL_NOT_GRPC, "it does not answer as gRPC does");
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
    a->was_closed = true;
}

static const struct h2_stream_ops stream_ops = {
    .on_headers = on_headers,
    .on_data = on_data,
    .on_end = on_end,
    .on_sent = on_sent,
    .on_closed = on_closed,
};

/* ---- the request ---- */

static enum rc make_headers(const struct attempt *a, struct h2_headers *out)
{
    TRY(h2_headers_add_str(out, ":method", "POST"));
    TRY(h2_headers_add_str(out, ":scheme", "https"));
    TRY(h2_headers_add_str(out, ":path", a->request->path));
    TRY(h2_headers_add_str(out, ":authority", a->way->server_name));
    TRY(h2_headers_add_str(out, "content-type", "application/grpc"));
    TRY(h2_headers_add_str(out, "te", "trailers"));
    TRY(h2_headers_add_str(out, "user-agent", "xdsgate"));
    return a->request->xfcc == NULL
               ? RC_OK
               : h2_headers_add_str(out, "x-forwarded-client-cert", a->request->xfcc);
}

/* A message of gRPC: not compressed, its length, its bytes. */
static enum rc send_message(struct attempt *a)
{
    size_t n = a->request->n;
    const uint8_t head[GRPC_FRAME_HEADER_BYTES] = {0, (uint8_t)(n >> 24), (uint8_t)(n >> 16),
                                                   (uint8_t)(n >> 8), (uint8_t)n};

    TRY(h2_stream_send(a->stream, head, sizeof(head)));
    TRY(h2_stream_send(a->stream, a->request->data, n));
    if (!a->request->first_message) {
        h2_stream_end(a->stream, NULL);
    }
    return RC_OK;
}

static enum rc ask(struct attempt *a)
{
    struct h2_headers h = {0};
    enum rc rc = make_headers(a, &h);

    if (rc == RC_OK) {
        rc = h2_session_request(a->h2, &h, &stream_ops, a, &a->stream);
    }
    h2_headers_fini(&h);
    return rc == RC_OK ? send_message(a) : rc;
}

/* ---- the connection ---- */

static void on_open(struct h2_session *s)
{
    struct attempt *a = s->user;
    enum rc rc = ask(a);

    if (rc != RC_OK) {
        answer(a, CALL_NO_ANSWER, rc == RC_BUSY ? "it takes no streams" : rc_text(rc));
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
    /* The reason speaks of VMs; the peer is none here. */
    const char *text = why == END_DOWN_CLOSED ? "it closed the connection" : end_text(why);

    answer(a, why == END_HANDSHAKE ? CALL_NO_TLS : CALL_NO_ANSWER,
           detail[0] != '\0' ? detail : text);
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
    const struct call_way *w = a->way;
    const struct h2_limits limits = {
        .header_bytes = 65536, .headers = 128, .settings_timeout = w->timeout_s};
    struct conn *c;

    TRY(h2_session_new(a->worker, H2_DIALLED, &limits, &session_ops, a, &a->h2));
    SSL *ssl = root_set_new_ssl(w->roots, w->server_name);
    enum rc rc = ssl == NULL ? RC_NO_MEMORY
                             : conn_dial(a->worker, w->peer, &w->source, ssl, w->timeout_s,
                                         &h2_conn_ops, a->h2, &c);
    if (rc != RC_OK) {
        h2_session_free(&a->h2);
        return rc;
    }
    h2_session_bind(a->h2, c);
    return RC_OK;
}

static bool is_stopped(const struct attempt *a)
{
    return a->way->stop != NULL && __atomic_load_n(a->way->stop, __ATOMIC_RELAXED) != 0;
}

/* Turns of the loop until done() or the time is over. */
static void turn_until(struct attempt *a, double seconds, bool (*done)(const struct attempt *a))
{
    double until = clock_mono() + seconds;
    double left = seconds;

    while (left > 0 && !done(a) && !is_stopped(a)) {
        worker_turn(a->worker, left < LOOK_AGAIN_S ? left : LOOK_AGAIN_S);
        left = until - clock_mono();
    }
}

static bool is_answered(const struct attempt *a)
{
    return a->answered || a->was_closed;
}

static bool is_gone(const struct attempt *a)
{
    return a->h2 == NULL;
}

/* Until it is answered, then until the connection is gone. */
static void run(struct attempt *a)
{
    turn_until(a, a->way->timeout_s, is_answered);
    answer(a, CALL_NO_ANSWER, a->was_closed ? "it reset the stream" : "no answer in time");
    if (a->stream != NULL) {
        h2_stream_reset(a->stream, H2_CANCEL);
    }
    if (a->h2 != NULL) {
        h2_session_end(a->h2, H2_NO_ERROR, END_DRAIN);
    }
    turn_until(a, FAREWELL_S, is_gone);
    if (a->h2 != NULL) {
        conn_kill(a->h2->conn, END_DRAIN);
        worker_settle(a->worker);
    }
}

/* The first message, if all of it came; it is not compressed, because we offer no compression. */
static void take_message(struct attempt *a)
{
    size_t n = wanted(a);

    if (n > 0 && a->n_frame >= n && a->frame[0] == 0) {
        a->r->n = n - GRPC_FRAME_HEADER_BYTES;
        memmove(a->frame, a->frame + GRPC_FRAME_HEADER_BYTES, a->r->n);
        a->r->data = a->frame;
        a->frame = NULL;
    }
    free(a->frame);
    a->frame = NULL;
}

enum rc call_run(const struct call_way *way, const struct call_request *request,
                 struct call_answer *out)
{
    struct attempt a = {.way = way, .request = request, .r = out};

    *out = (struct call_answer){.end = CALL_NO_ANSWER, .status = -1};
    TRY(worker_new(0, &a.worker));
    enum rc rc = dial(&a);
    if (rc == RC_OK) {
        run(&a);
        take_message(&a);
    } else if (rc != RC_NO_MEMORY) {
        answer(&a, CALL_NO_ANSWER, rc_text(rc));
        rc = RC_OK;
    }
    worker_free(&a.worker);
    return rc;
}

void call_answer_fini(struct call_answer *a)
{
    free(a->data);
    a->data = NULL;
}
