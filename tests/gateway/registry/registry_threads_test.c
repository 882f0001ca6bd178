/* SPDX-License-Identifier: Apache-2.0 */
/* Two workers, two readers and an operator at once: for ThreadSanitizer, and for what must hold
 * when it is over. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/log.h"
#include "gateway/registry/vm_json.h"
#include "tests/gateway/registry/registry_fixture.h"

#define VMS 40
#define ROUNDS 60

struct shared {
    struct registry *r;
    uint64_t last_stream; /* atomic */
    int done;             /* atomic */
    unsigned n_ended;     /* atomic */
};

static void on_end(void *arg, unsigned worker, uint64_t stream, enum end_reason why)
{
    struct shared *s = arg;

    (void)worker;
    (void)stream;
    (void)why;
    __atomic_fetch_add(&s->n_ended, 1, __ATOMIC_RELAXED);
}

/* One stream of a VM on this worker, from its beginning to its end. */
static void live(struct fixture *f, struct shared *s, struct guest *g)
{
    struct registry_refusal refusal;
    struct registry_certificate next = certificate_of(0);

    f->now_ms++;
    f->last_stream = __atomic_fetch_add(&s->last_stream, 1, __ATOMIC_RELAXED);
    if (guest_enter(f, g, &refusal) != RC_OK) {
        return;
    }
    guest_admit(f, g);
    (void)guest_request(f, g, XDS_CDS, "", NULL);
    guest_push(f, g, XDS_CDS, "n1");
    (void)guest_request(f, g, XDS_CDS, "n1", NULL);
    guest_push(f, g, XDS_CDS, "n2");
    (void)guest_request(f, g, XDS_CDS, "n2", "bad");
    (void)guest_request(f, g, XDS_HEALTH, "", f->now_ms % 2 == 0 ? NULL : "bad");
    memcpy(next.key, &f->last_stream, sizeof(f->last_stream));
    registry_issued(s->r, g->claim.certificate.key, &next, f->now_ms);
    guest_leave(f, g, END_UP_CLOSED);
}

struct worker_arg {
    struct shared *shared;
    unsigned number;
};

/* Both workers have streams of the same VMs. */
static void *work(void *p)
{
    struct worker_arg *a = p;
    struct fixture f = {.r = a->shared->r, .now_ms = START_MS};
    struct guest *g[VMS];

    for (unsigned i = 0; i < VMS; i++) {
        char name[16];
        char address[32];
        snprintf(name, sizeof(name), "vm%u", i);
        snprintf(address, sizeof(address), "10.0.0.%u", i);
        g[i] = guest_of(&f, name, address, i % 4 == 0 ? 0 : (uint8_t)(i + 1));
        g[i]->claim.worker = a->number;
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < VMS; i++) {
            live(&f, a->shared, g[i]);
        }
        registry_sweep(f.r, f.now_ms);
    }
    guests_free(&f);
    return NULL;
}

static bool is_done(struct shared *s)
{
    return __atomic_load_n(&s->done, __ATOMIC_ACQUIRE) != 0;
}

static void *read_lists(void *p)
{
    struct shared *s = p;
    uint64_t since = 0;

    while (!is_done(s)) {
        char *body = NULL;
        size_t n = 0;
        struct doc_error err;
        json_t *all = NULL;
        assert_int_equal(vm_json_list(s->r, since, START_MS, &body, &n), RC_OK);
        assert_int_equal(doc_parse_json(body, n, &err, &all), RC_OK);
        uint64_t next = (uint64_t)json_integer_value(doc_at(all, "next", NULL));
        assert_true(next > since);
        since = next;
        json_decref(all);
        free(body);
    }
    return NULL;
}

static void *operate(void *p)
{
    struct shared *s = p;
    char why[REGISTRY_WHY_BYTES];
    const struct registry_opts opts = {.forget_after_s = 0.01, .max_vms = 30};

    for (unsigned i = 0; !is_done(s); i++) {
        char name[16];
        snprintf(name, sizeof(name), "vm%u", i % VMS);
        bool revoked = registry_revoke(s->r, name, "me", START_MS, why) == RC_OK;
        enum rc held = registry_reregister(s->r, name, 0.001, "me", START_MS, why);
        assert_true(held == RC_OK || held == RC_INVALID || held == RC_NOT_FOUND);
        (void)registry_key_is_revoked(s->r, certificate_of(1).key);
        registry_set_opts(s->r, &opts);
        assert_int_equal(registry_unrevoke(s->r, name, "me", START_MS, why) == RC_OK, revoked);
    }
    return NULL;
}

static void test_registry__workers_readers_and_an_operator__agree(void **state)
{
    const struct registry_opts opts = {.forget_after_s = 0.01, .max_vms = 30};
    struct shared s = {.last_stream = 1};
    struct worker_arg args[2] = {{&s, 0}, {&s, 1}};
    pthread_t workers[2];
    pthread_t others[3];
    struct registry_count count;
    (void)state;

    assert_int_equal(registry_new(&opts, on_end, &s, &s.r), RC_OK);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&workers[i], NULL, work, &args[i]), 0);
        assert_int_equal(pthread_create(&others[i], NULL, read_lists, &s), 0);
    }
    assert_int_equal(pthread_create(&others[2], NULL, operate, &s), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(workers[i], NULL), 0);
    }
    __atomic_store_n(&s.done, 1, __ATOMIC_RELEASE);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(others[i], NULL), 0);
    }

    registry_count(s.r, &count);
    assert_int_equal(count.connected, 0);
    assert_true(count.disconnected <= 30);
    registry_free(&s.r);
}

int main(void)
{
    const struct log_opts opts = {.level = LOG_ERROR};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registry__workers_readers_and_an_operator__agree),
    };
    return log_setup(&opts) == RC_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
