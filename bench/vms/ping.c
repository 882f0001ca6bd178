/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Echo messages. In a closed loop each VM sends the next one when the answer is there. At a rate,
 * VMs take turns; one whose answer is still out is passed over, so that each waits for at most one.
 */
#include <stdlib.h>

#include "bench/load/answer.h"
#include "bench/vms/fleet.h"
#include "core/base/check.h"
#include "core/base/clock.h"

/* How often messages are sent at a rate: several leave together above a thousand a second. */
#define TICK_S 0.001

/* For answers that are out when the time is over. */
#define LAST_ANSWERS_S 10.0

static void finish(struct fleet *f)
{
    struct pinging *p = &f->pinging;
    struct answer a;

    ev_timer_stop(f->loop, &p->tick);
    ev_timer_stop(f->loop, &p->end);
    p->running = false;
    for (uint32_t i = 0; i < p->n_vms; i++) {
        if (p->vms[i] != NULL) {
            p->vms[i]->is_pinging = false;
            p->vms[i]->asked_at = 0;
        }
    }
    free(p->vms);
    p->vms = NULL;
    answer_open(&a);
    answer_int(&a, "messages", p->answered);
    answer_int(&a, "unanswered", p->sent - p->answered);
    answer_num(&a, "seconds", p->last - p->began);
    answer_times(&a, &p->times, 1e6, "us");
    answer_close(&a);
    commands_release(&f->commands);
}

static void send_one(struct fleet *f, struct vm *v)
{
    struct pinging *p = &f->pinging;

    v->asked_at = clock_mono();
    p->sent++;
    p->waiting++;
    if (!vm_ask(v, p->bytes) && v->asked_at > 0) {
        v->asked_at = 0; /* too much waits: it is out of the game */
        p->waiting--;
    }
}

void ping_note_echo(struct fleet *f, struct vm *v)
{
    struct pinging *p = &f->pinging;

    if (!v->is_pinging || v->asked_at <= 0) {
        return;
    }
    p->last = clock_mono();
    times_add(&p->times, p->last - v->asked_at);
    p->answered++;
    p->waiting--;
    v->asked_at = 0;
    if (!p->is_over && p->rate <= 0) {
        send_one(f, v);
    } else if (p->is_over && p->waiting == 0) {
        finish(f);
    }
}

void ping_note_gone(struct fleet *f, struct vm *v)
{
    struct pinging *p = &f->pinging;
    bool was_waiting = v->asked_at > 0;

    if (!v->is_pinging) {
        return;
    }
    v->is_pinging = false;
    v->asked_at = 0;
    for (uint32_t i = 0; i < p->n_vms; i++) {
        p->vms[i] = p->vms[i] == v ? NULL : p->vms[i];
    }
    if (was_waiting && --p->waiting == 0 && p->is_over) {
        finish(f);
    }
}

static void on_tick(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct fleet *f = t->data;
    struct pinging *p = &f->pinging;
    uint64_t due = (uint64_t)((clock_mono() - p->began) * p->rate);

    (void)loop;
    (void)revents;
    CHECK_MAGIC(f, FLEET_MAGIC);
    for (uint32_t i = 0; i < p->n_vms && p->sent < due; i++) {
        struct vm *v = p->vms[p->next];
        p->next = (p->next + 1) % p->n_vms;
        if (v != NULL && v->asked_at <= 0) {
            send_one(f, v);
        }
    }
}

static void on_end(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct fleet *f = t->data;
    struct pinging *p = &f->pinging;

    (void)revents;
    CHECK_MAGIC(f, FLEET_MAGIC);
    ev_timer_stop(loop, &p->tick);
    if (p->is_over || p->waiting == 0) {
        finish(f);
        return;
    }
    p->is_over = true;
    ev_timer_set(t, LAST_ANSWERS_S, 0);
    ev_timer_start(loop, t);
}

/* n of the VMs that are up and read, evenly spread. false: no memory, or there are not so many. */
static bool choose(struct fleet *f, uint32_t n)
{
    struct pinging *p = &f->pinging;
    uint32_t fit = 0;
    struct vm **able = malloc((f->n_vms + 1) * sizeof(struct vm *));

    for (uint32_t i = 0; i < f->n_vms && able != NULL; i++) {
        if (f->vms[i]->state == VM_UP && !f->vms[i]->is_stalled) {
            able[fit++] = f->vms[i];
        }
    }
    if (able == NULL || n > fit) {
        free(able);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        able[i] = able[(uint64_t)i * fit / n];
        able[i]->is_pinging = true;
    }
    p->vms = able;
    p->n_vms = n;
    return true;
}

static void begin(struct fleet *f, double seconds)
{
    struct pinging *p = &f->pinging;

    p->running = true;
    p->began = clock_mono();
    p->last = p->began;
    ev_now_update(f->loop);
    ev_timer_init(&p->end, on_end, seconds, 0);
    ev_timer_init(&p->tick, on_tick, TICK_S, TICK_S);
    p->end.data = f;
    p->tick.data = f;
    ev_timer_start(f->loop, &p->end);
    commands_hold(&f->commands);
    if (p->rate > 0) {
        ev_timer_start(f->loop, &p->tick);
        return;
    }
    for (uint32_t i = 0; i < p->n_vms; i++) {
        if (p->vms[i] != NULL) {
            send_one(f, p->vms[i]);
        }
    }
}

bool ping_run(void *arg, const struct words *w)
{
    struct fleet *f = arg;
    uint64_t n;
    uint64_t bytes;
    double seconds;
    double rate = 0;

    CHECK_MAGIC(f, FLEET_MAGIC);
    if (!word_int(w->at[0], 1, FLEET_VMS_MAX, &n) || !word_num(w->at[1], 0, 86400, &seconds) ||
        !word_int(w->at[2], MESSAGE_MIN_BYTES, MESSAGE_MAX_BYTES, &bytes) ||
        (w->n > 3 && !word_num(w->at[3], 0.001, 1e9, &rate))) {
        return false;
    }
    f->pinging = (struct pinging){.bytes = (uint32_t)bytes, .rate = rate};
    if (!choose(f, (uint32_t)n)) {
        answer_error("not so many VMs are up");
        return true;
    }
    begin(f, seconds);
    return true;
}
