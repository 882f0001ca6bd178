/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams that nobody wants any more. Servers count resets: grpc-go's are patient, nghttp2's end
 * the connection, and with it the streams of all other VMs, after 1,000 at once or 33 a second. So
 * a stream is ended by its own half first, istiod then ends the other; what still comes is credited
 * and dropped. After LEAVE_S it is reset, at a pace that no server minds. Where the end of our half
 * might mean something else, the reset is the first thing that istiod hears.
 */
#include "gateway/upstream/pool_internal.h"

#include <stdlib.h>

#include "core/base/check.h"

/* How long istiod may take to end a stream. */
#define LEAVE_S 2.0

/* Resets of a connection, a second and in a burst. */
#define RESETS_PER_S 25.0

struct left_stream {
    struct list node;         /**< on up->left until it is reset, by until */
    struct h2_stream *st;     /**< borrowed until on_closed */
    struct up_session *up;    /**< borrowed; outlives its streams */
    struct pool_debt *debtor; /**< borrowed; NULL: gone */
    struct list debt;         /**< on debtor->streams */
    double until;             /**< monotonic */
    struct worker_reap reap;
};

static void reap(struct worker_reap *r)
{
    free(LIST_ENTRY(r, struct left_stream, reap));
}

static void on_headers(struct h2_stream *st, struct h2_headers *h, bool end)
{
    (void)st, (void)h, (void)end;
}

static void on_data(struct h2_stream *st, const uint8_t *data, size_t n)
{
    (void)data;
    h2_stream_credit(st, n);
}

static void on_end(struct h2_stream *st)
{
    (void)st;
}

static void on_closed(struct h2_stream *st, uint32_t error)
{
    struct left_stream *l = st->user;

    (void)error;
    list_del(&l->node);
    list_del(&l->debt);
    if (l->debtor != NULL) {
        l->debtor->n--;
    }
    l->up->n_left--;
    up_session_closed(l->up);
    worker_reap_later(l->up->pool->worker, &l->reap);
}

static const struct h2_stream_ops left_ops = {
    .on_headers = on_headers, .on_data = on_data, .on_end = on_end, .on_closed = on_closed};

/* ---- resets ---- */

static void arm(struct up_session *up, double after)
{
    struct ev_loop *loop = up->pool->worker->loop;

    ev_timer_stop(loop, &up->left_timer);
    ev_timer_set(&up->left_timer, after > 0 ? after : 0, 0.);
    ev_timer_start(loop, &up->left_timer);
}

static void reset_next(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct up_session *up = t->data;
    double now = worker_now(up->pool->worker);

    (void)loop;
    (void)revents;
    while (!list_empty(&up->left)) {
        struct left_stream *l = LIST_ENTRY(up->left.next, struct left_stream, node);
        if (now < l->until) {
            arm(up, l->until - now);
            return;
        }
        if (up_session_end_when_unwanted(up)) {
            return; /* all its streams go with it */
        }
        if (!bucket_take(&up->resets, now)) {
            arm(up, 1 / RESETS_PER_S);
            return;
        }
        list_del(&l->node);
        h2_stream_reset(l->st, H2_CANCEL);
    }
}

void up_session_leave_init(struct up_session *up)
{
    list_init(&up->left);
    bucket_init(&up->resets, RESETS_PER_S, worker_now(up->pool->worker));
    ev_init(&up->left_timer, reset_next);
    up->left_timer.data = up;
}

/* ---- without memory for more: reset at once ---- */

static void on_bare_closed(struct h2_stream *st, uint32_t error)
{
    struct up_session *up = st->user;

    (void)error;
    up->n_left--;
    up_session_closed(up);
}

static const struct h2_stream_ops bare_ops = {
    .on_headers = on_headers, .on_data = on_data, .on_end = on_end, .on_closed = on_bare_closed};

static void leave_at_once(struct up_session *up, struct h2_stream *st)
{
    st->ops = &bare_ops;
    st->user = up;
    h2_stream_reset(st, H2_CANCEL);
}

/* ---- what others call ---- */

bool up_stream_is_left(const struct h2_stream *st)
{
    return st->ops == &left_ops || st->ops == &bare_ops;
}

void up_session_leave(struct up_session *up, struct h2_stream *st, bool half_close,
                      struct pool_debt *debtor)
{
    struct left_stream *l = calloc(1, sizeof(*l));

    CHECK_MAGIC(up, UP_MAGIC);
    half_close = half_close || st->got_end; /* istiod has answered: nothing can look whole to it */
    up->n_left++;
    bufq_clear(&st->out);
    h2_stream_credit(st, st->unconsumed);
    if (l == NULL) {
        leave_at_once(up, st);
        return;
    }
    *l = (struct left_stream){.st = st, .up = up, .debtor = debtor};
    list_init(&l->reap.node);
    l->reap.fn = reap;
    l->until = worker_now(up->pool->worker) + (half_close ? LEAVE_S : 0);
    if (list_empty(&up->left) || !half_close) {
        arm(up, half_close ? LEAVE_S : 0);
    }
    /* one that waits for nothing goes first */
    list_add_tail(half_close ? &up->left : up->left.next, &l->node);
    list_add_tail(&debtor->streams, &l->debt);
    debtor->n++;
    st->ops = &left_ops;
    st->user = l;
    if (half_close) {
        h2_stream_end(st, NULL);
    }
}

void pool_debt_init(struct pool_debt *d)
{
    list_init(&d->streams);
    d->n = 0;
}

void pool_debt_forget(struct pool_debt *d)
{
    for (struct list *n; (n = list_pop(&d->streams)) != NULL;) {
        LIST_ENTRY(n, struct left_stream, debt)->debtor = NULL;
    }
    d->n = 0;
}
