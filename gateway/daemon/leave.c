/* SPDX-License-Identifier: Apache-2.0 */
/* How the daemon ends: gracefully, at once, or by giving its place to a new process. */
#include <signal.h>

#include "core/base/log.h"
#include "gateway/daemon/daemon_internal.h"
#include "gateway/daemon/notify.h"

#define DRAIN_LOOK_S 0.05

/* Streams a second when no pacer says it: what every istiod lets in. */
#define PACE_DEFAULT 25.0

/* Not quite what istiod lets in: others come too. */
#define PACE_SHARE 0.8

/* ---- draining ---- */

struct drain_arg {
    double seconds;
    double pace; /* of one worker */
};

static enum rc do_drain(struct gate *g, void *arg)
{
    const struct drain_arg *a = arg;

    gate_drain(g, a->seconds, a->pace);
    return RC_OK;
}

static enum rc do_kill(struct gate *g, void *arg)
{
    (void)arg;
    gate_kill_all(g);
    return RC_OK;
}

static enum rc do_is_empty(struct gate *g, void *arg)
{
    *(bool *)arg = *(bool *)arg && gate_is_empty(g);
    return RC_OK;
}

static enum rc do_pause(struct gate *g, void *arg)
{
    gate_pause(g, *(const bool *)arg);
    return RC_OK;
}

void daemon_pause(struct daemon *d, bool paused)
{
    daemon_call_all(d, do_pause, &paused);
}

void daemon_kill_all(struct daemon *d)
{
    daemon_call_all(d, do_kill, NULL);
}

static void on_drain_look(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct daemon *d = t->data;
    bool empty = true;

    (void)revents;
    daemon_call_all(d, do_is_empty, &empty);
    if (empty) {
        ev_break(loop, EVBREAK_ALL);
    }
}

/* The slowest upstream decides: each VM comes back at once and must not wait in a queue, because
 * istiod forgets it after ten seconds. */
static double drain_pace(const struct daemon *d)
{
    double pace = PACE_DEFAULT;

    for (size_t i = 0; i < d->generation->config->n_upstreams; i++) {
        double rate = pacer_rate(&d->generation->upstreams[i]->pacer);
        pace = i == 0 || rate < pace ? rate : pace;
    }
    return pace * PACE_SHARE / d->n_workers;
}

static void drain(struct daemon *d)
{
    struct drain_arg a = {d->generation->config->drain_timeout, drain_pace(d)};

    d->draining = true;
    status_set_draining(&d->status);
    daemon_call_all(d, do_drain, &a);
    ev_timer_set(&d->drain_timer, 0., DRAIN_LOOK_S);
    ev_timer_start(d->loop, &d->drain_timer);
}

static void on_stop(struct ev_loop *loop, ev_signal *s, int revents)
{
    struct daemon *d = s->data;

    (void)loop;
    (void)revents;
    if (!d->draining) {
        handover_cancel(&d->handover);
        (void)notify_tell("STOPPING=1\nSTATUS=Ending the streams of VMs one by one");
        log_event(LOG_INFO, "stopping",
                  LOG_S("because", s->signum == SIGINT ? "SIGINT" : "SIGTERM"),
                  LOG_I("drain_seconds", d->generation->config->drain_timeout));
        drain(d);
        return;
    }
    if (s->signum == SIGINT) {
        log_event(LOG_WARNING, "ending at once", LOG_S("because", "a second SIGINT"));
        daemon_kill_all(d);
    }
}

/* ---- handing over ---- */

static void on_ready(void *arg)
{
    struct daemon *d = arg;

    daemon_pause(d, true);
    admin_stop(&d->admin);
    handover_go(&d->handover);
}

static void on_serving(void *arg, pid_t pid)
{
    struct daemon *d = arg;

    (void)notify_tell("MAINPID=%lld", (long long)pid);
    log_event(LOG_INFO, "handed over; the streams end one by one", LOG_I("pid", pid),
              LOG_I("drain_seconds", d->generation->config->drain_timeout));
    drain(d);
}

static void on_failed(void *arg, const char *why, char *errors)
{
    struct daemon *d = arg;

    daemon_log_errors(errors);
    log_event(LOG_ERROR, "the new program did not take over; this one goes on",
              LOG_S("detail", why));
    daemon_pause(d, false);
    if (d->admin == NULL && daemon_start_admin(d, d->generation->config) != RC_OK) {
        log_event(LOG_ERROR, "there are no admin pages until the next reload");
    }
}

static const struct handover_ops handover_ops = {on_ready, on_serving, on_failed};

static void on_usr2(struct ev_loop *loop, ev_signal *s, int revents)
{
    struct daemon *d = s->data;

    (void)loop;
    (void)revents;
    if (d->draining) {
        log_event(LOG_WARNING, "no handover: this process ends already");
        return;
    }
    log_event(LOG_INFO, "handing over", LOG_S("because", "SIGUSR2"), LOG_S("program", d->argv[0]));
    enum rc rc = handover_start(&d->handover, d->loop, d->argv, d->sockets.rows,
                                sockets_count(&d->sockets), &handover_ops, d);
    if (rc != RC_OK) {
        log_event(LOG_ERROR, "cannot start the new program; this one goes on",
                  LOG_S("program", d->argv[0]), LOG_S("reason", rc_text(rc)));
    }
}

void daemon_watch_leaving(struct daemon *d)
{
    sigset_t usr2;

    daemon_watch_signal(d, &d->term, SIGTERM, on_stop);
    daemon_watch_signal(d, &d->intr, SIGINT, on_stop);
    daemon_watch_signal(d, &d->usr2, SIGUSR2, on_usr2);
    ev_init(&d->drain_timer, on_drain_look);
    d->drain_timer.data = d;
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    (void)pthread_sigmask(SIG_UNBLOCK, &usr2, NULL); /* blocked by the process that started us */
}
