/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates of open connections: one that has expired, or that the configuration in force
 * would not take any more, makes its VM leave. */
#include "core/base/clock.h"
#include "gateway/daemon/gate.h"

/* Open connections: dates are looked at so often; after a reload their certificates are checked a
 * few at a time, because each is a signature or two. */
#define SWEEP_S 5.0
#define CHECKS_AT_ONCE 16
#define CHECK_PAUSE_S 0.02

static void on_sweep(struct ev_loop *loop, ev_timer *t, int revents);

void gate_sweep_init(struct gate *g)
{
    ev_init(&g->sweep, on_sweep);
    g->sweep.data = g;
}

static void set_timer(struct gate *g)
{
    ev_timer_stop(g->worker->loop, &g->sweep);
    ev_timer_set(&g->sweep, g->to_check > 0 ? CHECK_PAUSE_S : SWEEP_S, 0.);
    ev_timer_start(g->worker->loop, &g->sweep);
}

static uint32_t count_sessions(const struct gate *g)
{
    uint32_t n = 0;
    for (struct list *i = g->sessions.next; i != &g->sessions; i = i->next) {
        n++;
    }
    return n;
}

void gate_sweep_all(struct gate *g)
{
    g->to_check = count_sessions(g);
    set_timer(g);
}

/* The next of the list, which goes to its end. */
static void check_next(struct gate *g)
{
    struct list *n = g->sessions.next;
    struct vm_session *vm = LIST_ENTRY(n, struct vm_session, node);
    struct site_listener *l = site_find_named(g->site, vm->route->listener);

    list_del(n);
    list_add_tail(&g->sessions, n);
    if (vm->opened && l != NULL && l->config->certs != NULL) {
        vm_session_check_again(vm, l->config->certs);
    }
}

static void on_sweep(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct gate *g = t->data;
    int64_t now = clock_wall();

    (void)loop;
    (void)revents;
    for (int i = 0; i < CHECKS_AT_ONCE && g->to_check > 0; i++, g->to_check--) {
        if (list_empty(&g->sessions)) {
            g->to_check = 0;
            break;
        }
        check_next(g);
    }
    for (struct list *n = g->sessions.next; n != &g->sessions; n = n->next) {
        struct vm_session *vm = LIST_ENTRY(n, struct vm_session, node);
        vm_session_check_date(vm, now);
        vm_session_leave(vm);
    }
    set_timer(g);
}
