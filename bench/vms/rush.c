/* SPDX-License-Identifier: Apache-2.0 */
/* VMs connect: new ones, or after all of them were cut in one instant. */
#include "bench/load/answer.h"
#include "bench/vms/fleet.h"
#include "core/base/check.h"
#include "core/base/clock.h"

#define RUSH_DEADLINE_S 60.0

static void finish(struct fleet *f)
{
    struct rush *r = &f->rush;
    struct answer a;

    ev_timer_stop(f->loop, &r->deadline);
    r->running = false;
    answer_open(&a);
    answer_int(&a, "up", r->up);
    answer_int(&a, "failed", r->failed);
    answer_num(&a, "seconds", clock_mono() - r->began);
    answer_times(&a, &r->times, 1e3, "ms");
    answer_tally(&a, "reasons", &r->reasons);
    answer_close(&a);
    commands_release(&f->commands);
}

static void note_failed(struct rush *r, const char *why)
{
    r->failed++;
    tally_add(&r->reasons, why);
}

/* Start as many as may be in flight; answer when nothing is left to start or to wait for. */
static void go_on(struct fleet *f)
{
    struct rush *r = &f->rush;

    if (r->starting) { /* a connection that failed at once, reported from the loop below */
        return;
    }
    r->starting = true;
    while (r->next < r->end && r->in_flight < r->at_most) {
        struct vm *v = f->vms[r->next++];
        v->opened_at = clock_mono();
        enum rc rc = vm_open(v);
        if (rc != RC_OK) {
            note_failed(r, rc_text(rc));
        } else {
            r->in_flight++;
        }
    }
    r->starting = false;
    if (r->next == r->end && r->in_flight == 0) {
        finish(f);
    }
}

void rush_note_up(struct fleet *f, const struct vm *v)
{
    struct rush *r = &f->rush;

    CHECK(r->running && r->in_flight > 0);
    r->in_flight--;
    r->up++;
    times_add(&r->times, clock_mono() - (r->from_instant ? r->began : v->opened_at));
    go_on(f);
}

void rush_note_failed(struct fleet *f, const char *why)
{
    struct rush *r = &f->rush;

    if (r->running && r->in_flight > 0) {
        r->in_flight--;
        note_failed(r, why);
        go_on(f);
    }
}

static void on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct fleet *f = w->data;
    struct rush *r = &f->rush;
    uint32_t end = r->next;
    uint32_t left = r->in_flight;

    (void)loop;
    (void)revents;
    CHECK_MAGIC(f, FLEET_MAGIC);
    for (; r->next < r->end; r->next++) {
        note_failed(r, "its turn did not come within 60 s");
    }
    for (uint32_t i = 0; i < end && left > 0; i++) {
        if (f->vms[i]->state == VM_OPENING) {
            left--;
            vm_close(f->vms[i], LINK_RST, "not up within 60 s");
        }
    }
}

static void begin(struct fleet *f, uint32_t n, uint32_t at_most, bool from_instant)
{
    struct rush *r = &f->rush;

    *r = (struct rush){.running = true, .at_most = at_most, .from_instant = from_instant};
    r->end = f->n_vms;
    r->next = f->n_vms - n;
    r->began = clock_mono();
    ev_timer_init(&r->deadline, on_deadline, RUSH_DEADLINE_S, 0);
    r->deadline.data = f;
    ev_now_update(f->loop);
    ev_timer_start(f->loop, &r->deadline);
    commands_hold(&f->commands);
}

static bool read_numbers(const struct words *w, uint64_t max, uint64_t *n, uint64_t *at_most)
{
    *at_most = UINT32_MAX;
    return word_int(w->at[0], 1, max, n) &&
           (w->n < 2 || word_int(w->at[1], 1, UINT32_MAX, at_most));
}

bool rush_open(void *arg, const struct words *w)
{
    struct fleet *f = arg;
    uint64_t n;
    uint64_t at_most;

    CHECK_MAGIC(f, FLEET_MAGIC);
    if (!read_numbers(w, FLEET_VMS_MAX - f->first - f->n_vms, &n, &at_most)) {
        return false;
    }
    if (!fleet_grow(f, (uint32_t)n)) {
        answer_error("out of memory");
        return true;
    }
    begin(f, (uint32_t)n, (uint32_t)at_most, false);
    go_on(f);
    return true;
}

bool rush_reconnect(void *arg, const struct words *w)
{
    struct fleet *f = arg;
    uint64_t n;
    uint64_t at_most;

    CHECK_MAGIC(f, FLEET_MAGIC);
    if (!read_numbers(w, f->n_vms, &n, &at_most)) {
        return false;
    }
    begin(f, (uint32_t)n, (uint32_t)at_most, true);
    for (uint32_t i = f->rush.next; i < f->rush.end; i++) {
        vm_close(f->vms[i], LINK_RST, "cut by us");
    }
    go_on(f);
    return true;
}
