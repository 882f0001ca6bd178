/* SPDX-License-Identifier: Apache-2.0 */
/* The timer of a pair: first for the VM's first message, then for an answer and for stalls. */
#include "core/base/check.h"
#include "core/h2/limits.h"
#include "gateway/relay/relay_internal.h"

/* How long an agent's method may stay without an answer before another istiod is asked, and how
 * often that is looked at. */
#define ANSWER_S 15.0
#define ANSWER_LOOK_S 3.0

/* How long a VM may take nothing while istiod has no window, before it counts as blocking. */
#define BLOCKED_S 2.0

static void on_stall_timer(struct ev_loop *loop, ev_timer *t, int revents);

static bool waits(const struct h2_stream *st)
{
    return st != NULL && st->out.len > 0;
}

static bool awaits_answer(const struct relay *r)
{
    return r->is_agent && !r->answered && r->up != NULL;
}

/* Has istiod run out of window, or will it soon? nghttp2 gives back half windows. */
static bool is_backed_up(const struct relay *r)
{
    return r->up != NULL && r->up->unconsumed >= H2_STREAM_WINDOW_BYTES / 2;
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

static void look_again(struct relay *r)
{
    double after = r->vm->route->limits->stall_timeout / 4;

    if (awaits_answer(r)) {
        after = least(after, ANSWER_LOOK_S);
    }
    if (is_backed_up(r)) {
        after = least(after, BLOCKED_S / 2);
    }
    ev_timer_stop(r->worker->loop, &r->timer);
    ev_timer_set(&r->timer, after, 0.);
    ev_timer_start(r->worker->loop, &r->timer);
}

void relay_has_queued(struct relay *r, size_t n)
{
    if (is_backed_up(r) && r->up->unconsumed - n < H2_STREAM_WINDOW_BYTES / 2) {
        look_again(r);
    }
}

void relay_set_stall_timer(struct relay *r)
{
    ev_timer_stop(r->worker->loop, &r->timer);
    ev_init(&r->timer, on_stall_timer);
    r->timer.data = r;
    look_again(r);
}

void relay_will_send(struct relay *r, const struct h2_stream *st)
{
    if (st->out.len > 0) {
        return;
    }
    struct relay_progress *p = st == r->down ? &r->down_progress : &r->up_progress;
    p->mark = p->sent + 1;
    p->since = worker_now(r->worker);
    if (!ev_is_active(&r->timer)) {
        look_again(r);
    }
}

void relay_has_sent(struct relay *r, struct relay_progress *p, size_t n)
{
    p->sent += n;
    p->moved_at = worker_now(r->worker);
    if (p == &r->down_progress) {
        pool_unblocked(r->vm->route->pool, &r->blocked);
    }
}

static void reset_down(struct relay *r)
{
    if (r->down != NULL) {
        h2_stream_reset(r->down, H2_CANCEL);
    }
}

static void end_stalled_vm(struct relay *r, const char *message)
{
    relay_finish(r, GRPC_UNAVAILABLE, message, END_STALL);
    reset_down(r);
}

/* istiod waits in a push to this VM, which takes nothing. Its push places are few and for all VMs:
 * beyond POOL_BLOCKED_MAX the one that has blocked for longest goes. */
static void note_blocking(struct relay *r)
{
    double now = worker_now(r->worker);
    const struct relay_progress *p = &r->down_progress;

    if (!is_backed_up(r) || now - p->moved_at < BLOCKED_S || now - p->since < BLOCKED_S ||
        !list_empty(&r->blocked)) {
        return;
    }
    struct list *longest = pool_blocked(r->vm->route->pool, &r->blocked);
    if (longest != NULL) {
        counter_add(&r->worker->counters->v[COUNTER_LIMIT_BLOCKED], 1);
        end_stalled_vm(LIST_ENTRY(longest, struct relay, blocked),
                       "xdsgate: the VM does not read, and too many do so");
    }
}

/* All that waited at the mark must be gone in time: a byte now and then is no progress. */
static bool is_stalled(const struct relay *r, const struct h2_stream *st, struct relay_progress *p)
{
    if (!waits(st)) {
        return false;
    }
    if (p->sent >= p->mark) {
        p->mark = p->sent + st->out.len;
        p->since = p->moved_at;
    }
    return worker_now(r->worker) - p->since > r->vm->route->limits->stall_timeout;
}

/* An istiod that is alive answers an agent within seconds; the agent itself would wait for ever,
 * and hold its certificate lock meanwhile (wire facts 1.4). true: the try is over. */
static bool give_up_waiting(struct relay *r)
{
    double waited = worker_now(r->worker) - r->granted_at;

    if (!awaits_answer(r) || waited < ANSWER_S) {
        return false;
    }
    if (relay_may_try_again(r) && up_session_has_other(r->up_session)) {
        relay_try_again(r, POOL_SILENT);
        return true;
    }
    if (r->is_ads || waited < POOL_DEADLINE_S) {
        return false; /* the first push of a busy istiod may take its time */
    }
    relay_finish(r, GRPC_UNAVAILABLE, "xdsgate: istiod did not answer", END_UP_UNAVAILABLE);
    return true;
}

static void on_stall_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct relay *r = t->data;

    (void)loop;
    (void)revents;
    CHECK_MAGIC(r, RELAY_MAGIC);
    if (r->over) {
        reset_down(r); /* it does not read its end */
        return;
    }
    if (give_up_waiting(r)) {
        return;
    }
    note_blocking(r);
    if (r->over) {
        return;
    }
    bool vm_stalls = is_stalled(r, r->down, &r->down_progress);
    bool istiod_stalls = is_stalled(r, r->up, &r->up_progress);
    if (!vm_stalls && !istiod_stalls) {
        if (awaits_answer(r) || waits(r->down) || waits(r->up)) {
            look_again(r);
        }
        return;
    }
    static const char text[] = "xdsgate: no progress within stall_timeout";
    counter_add(&r->worker->counters->v[COUNTER_LIMIT_STALL], 1);
    if (vm_stalls) {
        end_stalled_vm(r, text);
    } else {
        relay_finish(r, GRPC_UNAVAILABLE, text, END_STALL);
    }
}

static void on_first_request_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct relay *r = t->data;

    (void)loop;
    (void)revents;
    CHECK_MAGIC(r, RELAY_MAGIC);
    if (r->over) {
        reset_down(r);
        return;
    }
    if (!relay_has_asked(r)) {
        counter_add(&r->worker->counters->v[COUNTER_LIMIT_FIRST_REQUEST], 1);
        relay_finish(r, GRPC_DEADLINE_EXCEEDED, "xdsgate: the first message did not come in time",
                     END_FIRST_REQUEST);
    }
}

void relay_set_first_request_timer(struct relay *r)
{
    ev_init(&r->timer, on_first_request_timer);
    r->timer.data = r;
    ev_timer_set(&r->timer, r->vm->route->limits->first_request_timeout, 0.);
    ev_timer_start(r->worker->loop, &r->timer);
}
