/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/vms/fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/answer.h"
#include "core/base/check.h"

static void on_up(struct vm *v)
{
    struct fleet *f = v->home->owner;

    CHECK_MAGIC(f, FLEET_MAGIC);
    f->n_up++;
    rush_note_up(f, v);
}

static void on_message(struct vm *v, const struct message *m)
{
    struct fleet *f = v->home->owner;

    CHECK_MAGIC(f, FLEET_MAGIC);
    if (m->kind == MESSAGE_PUSH) {
        f->pushes++;
        expected_note_push(f, v, m->bytes);
    } else if (m->kind == MESSAGE_ECHO) {
        ping_note_echo(f, v);
    }
}

static void on_over(struct vm *v, const char *why)
{
    struct fleet *f = v->home->owner;
    bool was_up = v->state == VM_UP;

    CHECK_MAGIC(f, FLEET_MAGIC);
    v->state = VM_DOWN;
    v->is_stalled = false;
    if (was_up) {
        f->n_up--;
        expected_note_gone(f, v);
        ping_note_gone(f, v);
    }
    if (was_up && !v->is_leaving) {
        f->lost++;
        tally_add(&f->lost_reasons, why);
    }
    if (!was_up) {
        rush_note_failed(f, why);
    }
}

static const struct vm_ops vm_ops = {on_up, on_message, on_over};

void fleet_init(struct fleet *f, struct ev_loop *loop)
{
    memset(f, 0, sizeof(*f));
    f->magic = FLEET_MAGIC;
    f->loop = loop;
    f->home.link.loop = loop;
    f->home.ops = &vm_ops;
    f->home.owner = f;
}

/* Take the last VM away. */
static void drop_last(struct fleet *f, enum link_farewell farewell)
{
    struct vm **v = &f->vms[f->n_vms - 1];

    vm_close(*v, farewell, "closed by us");
    f->n_vms--;
    vm_free(v);
}

void fleet_fini(struct fleet *f)
{
    CHECK_MAGIC(f, FLEET_MAGIC);
    while (f->n_vms > 0) {
        drop_last(f, LINK_RST);
    }
    free(f->pinging.vms);
    free(f->vms);
}

bool fleet_grow(struct fleet *f, uint32_t n)
{
    uint32_t wanted = f->n_vms + n;
    uint32_t had = f->n_vms;

    if (wanted > f->room) {
        struct vm **vms = realloc(f->vms, wanted * sizeof(struct vm *));
        if (vms == NULL) {
            return false;
        }
        f->vms = vms;
        f->room = wanted;
    }
    while (f->n_vms < wanted) {
        struct vm *v = vm_new(&f->home, f->first + f->n_vms);
        if (v == NULL) {
            while (f->n_vms > had) {
                drop_last(f, LINK_RST);
            }
            return false;
        }
        f->vms[f->n_vms++] = v;
    }
    return true;
}

static bool run_close(void *arg, const struct words *w)
{
    struct fleet *f = arg;
    struct answer a;
    uint64_t n = f->n_vms;
    enum link_farewell farewell = LINK_FIN;

    CHECK_MAGIC(f, FLEET_MAGIC);
    if (strcmp(w->at[0], "all") != 0 && !word_int(w->at[0], 0, f->n_vms, &n)) {
        return false;
    }
    if (w->n > 1 && strcmp(w->at[1], "rst") == 0) {
        farewell = LINK_RST;
    } else if (w->n > 1 && strcmp(w->at[1], "fin") != 0) {
        return false;
    }
    for (uint64_t i = 0; i < n; i++) {
        drop_last(f, farewell);
    }
    answer_open(&a);
    answer_int(&a, "closed", n);
    answer_close(&a);
    return true;
}

static void answer_stalled(const struct fleet *f)
{
    struct answer a;
    uint32_t n = 0;

    for (uint32_t i = 0; i < f->n_vms; i++) {
        n += f->vms[i]->is_stalled ? 1 : 0;
    }
    answer_open(&a);
    answer_int(&a, "stalled", n);
    answer_close(&a);
}

static bool run_stall(void *arg, const struct words *w)
{
    struct fleet *f = arg;
    uint64_t n;

    CHECK_MAGIC(f, FLEET_MAGIC);
    if (!word_int(w->at[0], 0, f->n_up, &n)) {
        return false;
    }
    for (uint32_t i = 0; i < f->n_vms && n > 0; i++) {
        if (f->vms[i]->state == VM_UP) {
            vm_stall(f->vms[i], true);
            n--;
        }
    }
    answer_stalled(f);
    return true;
}

static bool run_unstall(void *arg, const struct words *w)
{
    struct fleet *f = arg;

    (void)w;
    CHECK_MAGIC(f, FLEET_MAGIC);
    for (uint32_t i = 0; i < f->n_vms; i++) {
        if (f->vms[i]->is_stalled) {
            vm_stall(f->vms[i], false);
        }
    }
    answer_stalled(f);
    return true;
}

static char *hex_of(struct outbox *o)
{
    char *hex = malloc(2 * (size_t)o->bytes + 1);
    uint8_t bytes[256];
    size_t at = 0;

    for (size_t n = 1; hex != NULL && n > 0;) {
        n = outbox_read(o, bytes, sizeof(bytes));
        for (size_t i = 0; i < n; i++, at += 2) {
            (void)snprintf(hex + at, 3, "%02x", bytes[i]);
        }
    }
    return hex;
}

/* What a VM of this number says first, for programs that are one themselves. */
static bool run_first(void *arg, const struct words *w)
{
    const struct message first = {.kind = MESSAGE_FIRST, .type = MESSAGE_CDS};
    struct fleet *f = arg;
    struct outbox o;
    struct answer a;
    uint64_t number;

    CHECK_MAGIC(f, FLEET_MAGIC);
    if (!word_int(w->at[0], 0, FLEET_VMS_MAX - 1, &number)) {
        return false;
    }
    outbox_init(&o, &f->home.messages, (uint32_t)number, NULL);
    (void)outbox_add(&o, &first);
    char *hex = hex_of(&o);
    if (hex == NULL) {
        answer_error("out of memory");
        return true;
    }
    answer_open(&a);
    answer_text(&a, "first", hex);
    answer_close(&a);
    free(hex);
    return true;
}

static bool run_status(void *arg, const struct words *w)
{
    struct fleet *f = arg;
    struct answer a;
    uint32_t stalled = 0;

    (void)w;
    CHECK_MAGIC(f, FLEET_MAGIC);
    for (uint32_t i = 0; i < f->n_vms; i++) {
        stalled += f->vms[i]->is_stalled ? 1 : 0;
    }
    answer_open(&a);
    answer_int(&a, "vms", f->n_vms);
    answer_int(&a, "up", f->n_up);
    answer_int(&a, "lost", f->lost);
    answer_tally(&a, "lost_reasons", &f->lost_reasons);
    answer_int(&a, "stalled", stalled);
    answer_int(&a, "pushes", f->pushes);
    answer_close(&a);
    return true;
}

const struct command fleet_commands[] = {
    {"open", "N [INFLIGHT]", 1, 2, rush_open},
    {"reconnect", "N [INFLIGHT], N at most what was opened", 1, 2, rush_reconnect},
    {"close", "N|all [fin|rst]", 1, 2, run_close},
    {"expect", "BYTES [N]", 1, 2, expected_arm},
    {"wait", "SECONDS", 1, 1, expected_wait},
    {"ping", "N SECONDS BYTES [RATE]", 3, 4, ping_run},
    {"stall", "N, at most what is up", 1, 1, run_stall},
    {"unstall", "", 0, 0, run_unstall},
    {"first", "N", 1, 1, run_first},
    {"status", "", 0, 0, run_status},
    {NULL, NULL, 0, 0, NULL},
};
