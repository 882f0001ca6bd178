/* SPDX-License-Identifier: Apache-2.0 */
/* Whose configuration is shown to whom asks, and what becomes of it when VMs come, go, and are
 * forgotten. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/log.h"
#include "gateway/registry/registry_config.h"
#include "tests/gateway/registry/registry_fixture.h"
#include "tests/gateway/vmconfig/config_fixture.h"

static int start(void **state)
{
    const struct registry_opts opts = {
        .forget_after_s = 3600, .max_vms = 1000, .keep_config_bytes = CONFIG_BUDGET};

    *state = registry_make(&opts);
    return 0;
}

static struct config_store_stats stats_of(struct fixture *f)
{
    struct config_store_stats stats;

    config_store_stats(registry_configs(f->r), &stats);
    return stats;
}

static void set_budget(struct fixture *f, uint64_t bytes)
{
    const struct registry_opts opts = {
        .forget_after_s = 3600, .max_vms = 1000, .keep_config_bytes = bytes};

    registry_set_opts(f->r, &opts);
}

/* ---- what passes ---- */

static void respond(struct fixture *f, struct guest *g, const char *nonce, const char *words)
{
    struct config_push *push = NULL;
    enum config_loss why = CONFIG_LOSSES;
    struct pb_out o = {0};

    config_response(&o, XDS_DELTA, XDS_CDS, "v", nonce, words);
    enum config_taken taken =
        config_take_in(registry_configs(f->r), XDS_DELTA, &o, o.n + 5, &push, &why);
    vm_keep_response(g->vm, g->stream, XDS_CDS, taken, &push, why);
    assert_null(push);
    pb_free(&o);
}

static void request(struct fixture *f, struct guest *g, const char *nonce)
{
    struct xds_request q;
    struct pb_out o = {0};

    pb_text(&o, 2, xds_type_url(XDS_CDS));
    pb_text(&o, 6, nonce);
    const struct xds_piece piece = {o.data, o.n};
    assert_int_equal(xds_request_read(XDS_DELTA, &piece, 1, &q), RC_OK);
    (void)vm_request(g->vm, g->stream, &q, o.n, f->now_ms);
    vm_keep_request(g->vm, g->stream, &q, o.data, o.n, f->now_ms);
    pb_free(&o);
}

static void live(struct fixture *f, struct guest *g, const char *words)
{
    request(f, g, "");
    respond(f, g, "1", words);
    request(f, g, "1");
}

/* A VM with a stream that has these clusters. */
static struct guest *vm_with(struct fixture *f, const char *name, const char *address, uint8_t key,
                             const char *words)
{
    struct guest *g = guest_of(f, name, address, key);

    guest_must_come(f, g);
    live(f, g, words);
    return g;
}

/* ---- what is shown ---- */

/* "kept 2", "none 0"; or why there is nothing. */
static const char *show(struct fixture *f, const char *name)
{
    static char text[REGISTRY_WHY_BYTES];
    struct registry_config c;

    enum rc rc = registry_config(f->r, name, &c, text);
    if (rc != RC_OK) {
        assert_true(rc == RC_NOT_FOUND || rc == RC_BUSY);
        return text;
    }
    const struct vm_config_type_view *t = &c.config.types[XDS_CDS];
    (void)snprintf(text, sizeof(text), "%s%s %zu %s", c.is_on ? "" : "off ",
                   vm_config_state_name(t->state), t->n_resources, vm_state_name(c.state));
    registry_config_fini(&c);
    return text;
}

static void test_registry_config__by_name_and_id__what_it_has(void **state)
{
    struct fixture *f = *state;
    struct registry_config c;
    struct vm_config_resource r;
    char why[REGISTRY_WHY_BYTES];

    (void)vm_with(f, "vm1", "10.0.0.1", 1, "a=1 b=2");
    (void)vm_with(f, "vm2", "10.0.0.2", 2, "a=1");
    assert_int_equal(registry_config(f->r, "vm1.vms", &c, why), RC_OK);
    assert_true(c.is_on);
    assert_string_equal(c.name, "vm1.vms");
    assert_int_equal(c.config.types[XDS_CDS].n_resources, 2);
    vm_config_view_resource(&c.config.types[XDS_CDS], 1, &r);
    assert_string_equal(r.name, "b");
    registry_config_fini(&c);
    assert_string_equal(show(f, "vm2"), "kept 1 connected");
    assert_string_equal(show(f, "vm3"), "there is no VM of this name");
}

static void test_registry_config__several_of_one_name__candidates(void **state)
{
    struct fixture *f = *state;

    (void)vm_with(f, "vm1", "10.0.0.1", 1, "a=1");
    struct guest *g = guest_of(f, "vm1", "10.0.0.2", 2);
    g->claim.identity = DB;
    guest_must_come(f, g);
    assert_non_null(strstr(show(f, "vm1"), "several VMs have this name:"));
}

/* The same VM with another address is another row: the one that is there is meant. */
static void test_registry_config__address_changed__the_one_that_is_connected(void **state)
{
    struct fixture *f = *state;

    struct guest *g = vm_with(f, "vm1", "10.0.0.1", 1, "a=1 b=2");
    f->now_ms += 1000;
    (void)vm_with(f, "vm1", "10.0.0.2", 1, "a=1");
    f->now_ms += 1000;
    guest_leave(f, g, END_DOWN_CLOSED);
    assert_string_equal(show(f, "vm1"), "kept 1 connected");
}

static void test_registry_config__gone__stays_until_forgotten(void **state)
{
    struct fixture *f = *state;

    struct guest *g = vm_with(f, "vm1", "10.0.0.1", 1, "a=1");
    assert_int_equal(stats_of(f).vms, 1);
    guest_leave(f, g, END_DOWN_CLOSED);
    assert_string_equal(show(f, "vm1"), "kept 1 disconnected");
    f->now_ms += 3600 * 1000;
    registry_sweep(f->r, f->now_ms);
    assert_string_equal(show(f, "vm1"), "there is no VM of this name");
    assert_int_equal(stats_of(f).vms, 0);
    assert_int_equal(stats_of(f).blobs, 0);
}

static void test_registry_config__older_stream__is_not_listened_to(void **state)
{
    struct fixture *f = *state;

    struct guest *old = guest_of(f, "vm1", "10.0.0.1", 1);
    old->claim.one_for_each_address = false;
    guest_must_come(f, old);
    request(f, old, "");
    respond(f, old, "1", "a=1 b=2 c=3");
    struct guest *g = guest_of(f, "vm1", "10.0.0.1", 1);
    g->claim.one_for_each_address = false;
    guest_must_come(f, g);
    live(f, g, "a=1");
    respond(f, old, "2", "d=4");
    request(f, old, "1");
    request(f, old, "2");
    assert_string_equal(show(f, "vm1"), "kept 1 connected");
    guest_leave(f, g, END_DOWN_CLOSED); /* the older one speaks again, and much was missed */
    request(f, old, "3");
    assert_string_equal(show(f, "vm1"), "incomplete 0 connected");
}

/* Without a certificate, and not believed yet: somebody who has read a name in a list. */
static void test_registry_config__stranger_of_a_known_name__hides_nothing(void **state)
{
    struct fixture *f = *state;

    struct guest *g = vm_with(f, "vm1", "10.0.0.1", 1, "a=1");
    guest_leave(f, g, END_DOWN_CLOSED);
    struct guest *stranger = guest_of(f, "vm1", "10.0.0.1", 0);
    guest_must_enter(f, stranger);
    request(f, stranger, "");
    assert_string_equal(show(f, "vm1"), "kept 1 connecting");
    guest_leave(f, stranger, END_UP_CLOSED);
    assert_string_equal(show(f, "vm1"), "kept 1 disconnected");

    guest_must_enter(f, stranger);
    request(f, stranger, "");
    guest_admit(f, stranger);
    respond(f, stranger, "2", "a=1 b=2");
    request(f, stranger, "2");
    assert_string_equal(show(f, "vm1"), "kept 2 connected");
}

static void test_registry_config__off__nothing_is_made(void **state)
{
    struct fixture *f = *state;

    set_budget(f, 0);
    (void)vm_with(f, "vm1", "10.0.0.1", 1, "a=1");
    assert_string_equal(show(f, "vm1"), "off incomplete 0 connected");
    assert_int_equal(stats_of(f).bytes, 0);
}

static void test_registry_config__switched_off_and_on__all_goes_and_comes_again(void **state)
{
    struct fixture *f = *state;
    struct registry_config c;
    char why[REGISTRY_WHY_BYTES];

    struct guest *g = vm_with(f, "vm1", "10.0.0.1", 1, "a=1");
    assert_int_equal(registry_config(f->r, "vm1", &c, why), RC_OK); /* a reader has it meanwhile */
    set_budget(f, 0);
    assert_int_equal(stats_of(f).vms, 0);
    assert_int_equal(c.config.types[XDS_CDS].n_resources, 1);
    registry_config_fini(&c);
    assert_int_equal(stats_of(f).bytes, 0);
    request(f, g, "1");
    respond(f, g, "2", "b=1");
    assert_int_equal(stats_of(f).bytes, 0);

    set_budget(f, CONFIG_BUDGET);
    respond(f, g, "3", "b=2");
    request(f, g, "3");
    assert_string_equal(show(f, "vm1"), "incomplete 0 connected");
    guest_leave(f, g, END_DOWN_CLOSED);
    guest_must_come(f, g);
    live(f, g, "a=1 b=2");
    assert_string_equal(show(f, "vm1"), "kept 2 connected");
}

static void test_registry_config__smaller_budget__some_go(void **state)
{
    struct fixture *f = *state;
    char name[16];
    char address[32];
    char words[16];

    for (unsigned i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "vm%u", i);
        snprintf(address, sizeof(address), "10.0.0.%u", i);
        snprintf(words, sizeof(words), "a=%u", i);
        (void)vm_with(f, name, address, (uint8_t)(i + 1), words);
    }
    assert_int_equal(stats_of(f).vms, 50);
    uint64_t half = stats_of(f).bytes / 2;
    set_budget(f, half);
    assert_true(stats_of(f).bytes <= half);
    assert_in_range(stats_of(f).vms, 10, 40);
}

/* ---- threads ---- */

#define ROUNDS 150

struct shared {
    struct registry *r;
    uint64_t last_stream; /* atomic */
    int done;             /* atomic */
};

/* A worker: VMs that come, get, answer and go; some of both workers have one name. */
static void *work(void *p)
{
    struct shared *s = p;
    struct fixture f = {.r = s->r, .now_ms = START_MS};
    static const char *const words[] = {"a=1 b=2", "a=1", "b=3 c=4"};

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct registry_refusal refusal;
        char name[16];
        snprintf(name, sizeof(name), "vm%u", i % 5);
        struct guest *g = guest_of(&f, name, "10.0.0.1", (uint8_t)(i % 5 + 1));
        g->claim.one_for_each_address = false;
        f.last_stream = __atomic_fetch_add(&s->last_stream, 1, __ATOMIC_RELAXED);
        if (guest_enter(&f, g, &refusal) == RC_OK) {
            guest_admit(&f, g);
            live(&f, g, words[i % 3]);
        }
        guests_free(&f);
    }
    return NULL;
}

static void *read_all(void *p)
{
    struct shared *s = p;
    char why[REGISTRY_WHY_BYTES];
    struct registry_config c;

    for (unsigned i = 0; __atomic_load_n(&s->done, __ATOMIC_ACQUIRE) == 0; i++) {
        char name[16];
        snprintf(name, sizeof(name), "vm%u", i % 5);
        if (registry_config(s->r, name, &c, why) == RC_OK) {
            const struct vm_config_type_view *t = &c.config.types[XDS_CDS];
            for (size_t k = 0; k < t->n_resources; k++) {
                struct vm_config_resource r;
                vm_config_view_resource(t, k, &r);
                assert_int_equal(strlen(r.name), 1);
                assert_true(r.n_value > 0);
            }
            registry_config_fini(&c);
        }
    }
    return NULL;
}

static void *reload(void *p)
{
    static const uint64_t budgets[] = {0, 3000, CONFIG_BUDGET, 8000, CONFIG_BUDGET};
    struct shared *s = p;
    struct fixture f = {.r = s->r};

    for (unsigned i = 0; __atomic_load_n(&s->done, __ATOMIC_ACQUIRE) == 0; i++) {
        set_budget(&f, budgets[i % 5]);
        registry_sweep(s->r, START_MS);
    }
    return NULL;
}

/* For ThreadSanitizer; and nothing is left when it is switched off. */
static void test_registry_config__workers_readers_and_reloads__agree(void **state)
{
    static void *(*const run[])(void *) = {work, work, read_all, reload};
    struct fixture *f = *state;
    struct shared s = {.r = f->r, .last_stream = 1};
    pthread_t threads[4];

    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run[i], &s), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        if (i == 2) {
            __atomic_store_n(&s.done, 1, __ATOMIC_RELEASE);
        }
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    set_budget(f, 0);
    assert_int_equal(stats_of(f).bytes, 0);
    assert_int_equal(stats_of(f).vms, 0);
}

static void test_registry_config__no_room__who_is_gone_makes_it(void **state)
{
    struct fixture *f = *state;
    char many[512] = "";

    for (size_t i = 0; i < 40; i++) {
        (void)snprintf(many + strlen(many), sizeof(many) - strlen(many), " c%zu=1", i);
    }
    struct guest *gone = vm_with(f, "vm1", "10.0.0.1", 1, many + 1);
    guest_leave(f, gone, END_DOWN_CLOSED);
    set_budget(f, 5000);
    assert_string_equal(show(f, "vm1"), "kept 40 disconnected");
    struct guest *more = vm_with(f, "vm2", "10.0.0.2", 2, "x=1");
    assert_true(stats_of(f).losses[CONFIG_LOSS_FULL] > 0);

    registry_sweep(f->r, f->now_ms);
    assert_string_equal(show(f, "vm1"), "none 0 disconnected");
    guest_leave(f, more, END_DOWN_CLOSED);
    guest_must_come(f, more);
    live(f, more, "x=1");
    assert_string_equal(show(f, "vm2"), "kept 1 connected");
}

/* ---- the log ---- */

static size_t count_lines(const char *path, const char *part)
{
    char line[1024];
    size_t n = 0;
    FILE *in = fopen(path, "r");

    assert_non_null(in);
    while (fgets(line, sizeof(line), in) != NULL) {
        n += strstr(line, part) != NULL;
    }
    assert_int_equal(fclose(in), 0);
    return n;
}

static void test_registry_config__no_room__one_line_a_minute(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/xdsgate-test-XXXXXX";
    struct log_opts opts = {LOG_TEXT, LOG_INFO, path};

    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(log_setup(&opts), RC_OK);
    set_budget(f, 2000);
    struct guest *g = vm_with(f, "vm1", "10.0.0.1", 1, "a=1 b=2 c=3 d=4 e=5 f=6 g=7 h=8");
    assert_true(stats_of(f).losses[CONFIG_LOSS_FULL] > 0);
    registry_sweep(f->r, f->now_ms);
    registry_sweep(f->r, f->now_ms + 120000);
    assert_int_equal(count_lines(path, "raise `registry.keep_config`"), 1);
    guest_leave(f, g, END_DOWN_CLOSED);
    guest_must_come(f, g);
    live(f, g, "a=1 b=2 c=3 d=4 e=5 f=6 g=7 h=8");
    registry_sweep(f->r, f->now_ms + 30000);
    assert_int_equal(count_lines(path, "raise `registry.keep_config`"), 1);
    registry_sweep(f->r, f->now_ms + 60000);
    assert_int_equal(count_lines(path, "raise `registry.keep_config`"), 2);
    opts.file = NULL;
    assert_int_equal(log_setup(&opts), RC_OK);
    (void)remove(path);
    assert_int_equal(fclose(fdopen(fd, "r")), 0);
}

#define T(name) \
    cmocka_unit_test_setup_teardown(test_registry_config__##name, start, registry_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(by_name_and_id__what_it_has),
        T(several_of_one_name__candidates),
        T(address_changed__the_one_that_is_connected),
        T(gone__stays_until_forgotten),
        T(older_stream__is_not_listened_to),
        T(stranger_of_a_known_name__hides_nothing),
        T(off__nothing_is_made),
        T(switched_off_and_on__all_goes_and_comes_again),
        T(smaller_budget__some_go),
        T(no_room__who_is_gone_makes_it),
        T(workers_readers_and_reloads__agree),
        T(no_room__one_line_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
