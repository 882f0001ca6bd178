/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A push that is expected: which VMs have it, and when. When fewer messages are expected than VMs
 * are up, whoever gets them first counts: the backend pushes in its own order.
 */
#include "bench/load/answer.h"
#include "bench/vms/fleet.h"
#include "core/base/check.h"
#include "core/base/clock.h"

static void answer_if_over(struct fleet *f, bool at_deadline)
{
    struct expected *e = &f->expected;
    struct answer a;

    if (!e->waiting || !(at_deadline || e->done == e->wanted || e->left == 0)) {
        return;
    }
    ev_timer_stop(f->loop, &e->deadline);
    e->waiting = false;
    answer_open(&a);
    answer_int(&a, "done", e->done);
    answer_int(&a, "missing", e->wanted - e->done);
    answer_int(&a, "stalled", e->stalled);
    answer_num(&a, "seconds", (e->done == e->wanted ? e->last : clock_mono()) - e->began);
    answer_times(&a, &e->times, 1e3, "ms");
    answer_close(&a);
    commands_release(&f->commands);
}

void expected_note_push(struct fleet *f, struct vm *v, uint32_t bytes)
{
    struct expected *e = &f->expected;

    if (v->armed_bytes != bytes || e->done == e->wanted) {
        return;
    }
    v->armed_bytes = 0;
    e->left--;
    e->done++;
    e->last = clock_mono();
    times_add(&e->times, e->last - e->began);
    answer_if_over(f, false);
}

void expected_note_gone(struct fleet *f, struct vm *v)
{
    if (v->armed_bytes != 0) {
        v->armed_bytes = 0;
        f->expected.left--;
        answer_if_over(f, false);
    }
}

bool expected_arm(void *arg, const struct words *w)
{
    struct fleet *f = arg;
    struct expected *e = &f->expected;
    struct answer a;
    uint64_t bytes;
    uint64_t n = UINT32_MAX;

    CHECK_MAGIC(f, FLEET_MAGIC);
    if (!word_int(w->at[0], MESSAGE_MIN_BYTES, MESSAGE_MAX_BYTES, &bytes) ||
        (w->n > 1 && !word_int(w->at[1], 1, UINT32_MAX, &n))) {
        return false;
    }
    *e = (struct expected){.armed = true};
    for (uint32_t i = 0; i < f->n_vms; i++) {
        struct vm *v = f->vms[i];
        bool takes_part = v->state == VM_UP && !v->is_stalled;
        v->armed_bytes = takes_part ? (uint32_t)bytes : 0;
        e->left += takes_part ? 1 : 0;
        e->stalled += v->is_stalled ? 1 : 0;
    }
    e->wanted = n < e->left ? (uint32_t)n : e->left;
    answer_open(&a);
    answer_int(&a, "armed", e->wanted);
    answer_close(&a);
    e->began = clock_mono();
    e->last = e->began;
    return true;
}

static void on_deadline(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct fleet *f = t->data;

    (void)loop;
    (void)revents;
    CHECK_MAGIC(f, FLEET_MAGIC);
    answer_if_over(f, true);
}

bool expected_wait(void *arg, const struct words *w)
{
    struct fleet *f = arg;
    struct expected *e = &f->expected;
    double seconds;

    CHECK_MAGIC(f, FLEET_MAGIC);
    if (!word_num(w->at[0], 0, 86400, &seconds)) {
        return false;
    }
    if (!e->armed) {
        answer_error("nothing is expected");
        return true;
    }
    e->waiting = true;
    ev_timer_init(&e->deadline, on_deadline, seconds, 0);
    e->deadline.data = f;
    ev_now_update(f->loop);
    ev_timer_start(f->loop, &e->deadline);
    commands_hold(&f->commands);
    answer_if_over(f, false);
    return true;
}
