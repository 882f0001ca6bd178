/* SPDX-License-Identifier: Apache-2.0 */
/* Readers: all VMs, those that have changed, those that are gone; and what a VM costs. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gateway/registry/registry_fixture.h"

/* ---- memory of the code under test ---- */

/* What the allocator needs for itself with each block. */
#define BLOCK_BYTES 8

static size_t allocations;
static size_t live_bytes;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

static void *note(void *p)
{
    allocations++;
    live_bytes += p != NULL ? malloc_usable_size(p) + BLOCK_BYTES : 0;
    return p;
}

static void forget(void *p)
{
    live_bytes -= p != NULL ? malloc_usable_size(p) + BLOCK_BYTES : 0;
}

void *__wrap_malloc(size_t n)
{
    return note(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return note(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n)
{
    forget(p);
    return note(__real_realloc(p, n));
}

void __wrap_free(void *p)
{
    forget(p);
    __real_free(p);
}

/* ---- many VMs ---- */

static struct guest *number(struct fixture *f, unsigned i)
{
    char name[32];
    char address[32];

    snprintf(name, sizeof(name), "vm%u", i);
    snprintf(address, sizeof(address), "10.%u.%u.%u", i / 65536, i / 256 % 256, i % 256);
    struct guest *g = guest_of(f, name, address, 1);
    memcpy(g->claim.certificate.key, &i, sizeof(i));
    return g;
}

static void come_many(struct fixture *f, struct guest **g, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        g[i] = number(f, i);
        guest_must_come(f, g[i]);
    }
}

static void go_many(struct fixture *f, struct guest **g, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        guest_leave(f, g[i], END_DOWN_CLOSED);
    }
}

struct seen {
    unsigned times[1000];
    unsigned n;
    unsigned enough; /* stop after so many; 0: never */
};

static bool see(void *arg, const struct vm_view *v)
{
    struct seen *s = arg;
    unsigned i = (unsigned)strtoul(v->name + 2, NULL, 10);

    assert_true(i < 1000);
    s->times[i]++;
    s->n++;
    return s->n != s->enough;
}

static void test_collect__many__each_once(void **state)
{
    struct fixture *f = *state;
    struct guest *g[1000];
    struct seen s = {.n = 0};

    come_many(f, g, 1000);
    (void)registry_collect(f->r, 0, f->now_ms, see, &s);

    assert_int_equal(s.n, 1000);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(s.times[i], 1);
    }
}

static void test_collect__reader_has_seen_enough__stops(void **state)
{
    struct fixture *f = *state;
    struct guest *g[1000];
    struct seen s = {.enough = 3};

    come_many(f, g, 1000);
    (void)registry_collect(f->r, 0, f->now_ms, see, &s);

    assert_int_equal(s.n, 3);
}

/* ---- changes ---- */

static uint64_t collect(struct fixture *f, uint64_t since, unsigned expected)
{
    struct seen s = {.n = 0};
    uint64_t next = registry_collect(f->r, since, f->now_ms, see, &s);

    assert_int_equal(s.n, expected);
    return next;
}

static void test_collect__since__only_those_that_changed(void **state)
{
    struct fixture *f = *state;
    struct guest *g[10];
    struct vm_view v;

    come_many(f, g, 10);
    uint64_t next = collect(f, 0, 10);
    next = collect(f, next, 0);

    (void)guest_request(f, g[3], XDS_CDS, "", NULL);
    next = collect(f, next, 1);
    guest_push(f, g[4], XDS_CDS, "n");
    next = collect(f, next, 1);
    vm_unread(g[5]->vm, g[5]->stream, false, 1);
    next = collect(f, next, 1);
    registry_refused(f->r, &g[6]->claim, RULE_GROUP, "no", f->now_ms);
    next = collect(f, next, 1);
    const struct registry_certificate c = certificate_of(77);
    registry_issued(f->r, g[7]->claim.certificate.key, &c, f->now_ms);
    next = collect(f, next, 1);
    guest_leave(f, g[8], END_DOWN_CLOSED);
    next = collect(f, next, 1);
    guest_must_enter(f, g[8]);
    next = collect(f, next, 1);
    guest_admit(f, g[8]);
    next = collect(f, next, 1);
    must_see(f, "vm1.vms", &v);
    vm_view_fini(&v);
    next = collect(f, next, 0);
    assert_true(next > (uint64_t)f->now_ms);
}

/* Nothing may be missed because clocks of workers are behind. */
static void test_collect__change_with_an_older_time__is_seen(void **state)
{
    struct fixture *f = *state;
    struct guest *g[1];

    come_many(f, g, 1);
    f->now_ms += 1000;
    uint64_t next = collect(f, 0, 1);
    f->now_ms -= 1000;
    (void)guest_request(f, g[0], XDS_CDS, "", NULL);

    (void)collect(f, next, 1);
}

static void test_gone__forgotten_ones__are_told_since_then(void **state)
{
    struct fixture *f = *state;
    struct guest *g[2];
    uint64_t ids[REGISTRY_GONE_MAX];
    size_t n = 9;

    come_many(f, g, 2);
    uint64_t next = collect(f, 0, 2);
    go_many(f, g, 2);
    assert_true(registry_gone(f->r, next, ids, &n));
    assert_int_equal(n, 0);

    f->now_ms += 3600 * 1000;
    registry_sweep(f->r, f->now_ms);

    assert_true(registry_gone(f->r, next, ids, &n));
    assert_int_equal(n, 2);
    assert_true(ids[0] != ids[1]);
    uint64_t later = collect(f, next, 0);
    assert_true(registry_gone(f->r, later, ids, &n));
    assert_int_equal(n, 0);
}

static void test_gone__too_long_ago__all_are_to_be_collected(void **state)
{
    struct fixture *f = *state;
    uint64_t ids[REGISTRY_GONE_MAX];
    size_t n;

    assert_false(registry_gone(f->r, 1, ids, &n)); /* of another process */
    assert_false(registry_gone(f->r, UINT64_MAX, ids, &n));
    uint64_t next = collect(f, 0, 0);
    for (unsigned i = 0; i < REGISTRY_GONE_MAX + 1; i++) {
        struct guest *g = number(f, i);
        assert_int_equal(registry_gone(f->r, next, ids, &n), true);
        assert_int_equal(n, i);
        guest_must_come(f, g);
        guest_leave(f, g, END_DOWN_CLOSED);
        f->now_ms += 3600 * 1000;
        registry_sweep(f->r, f->now_ms);
    }

    assert_false(registry_gone(f->r, next, ids, &n));
    next = collect(f, 0, 0);
    assert_true(registry_gone(f->r, next, ids, &n));
    assert_int_equal(n, 0);
}

/* ---- what a VM costs ---- */

#define NONCE(n) "2026-11-22T00:11:30Z/" n "3f2504e0-4f89-41d3-9a0c-0305e82c3301"

static const char labels[] = "app=web\0version=v1\0istio.io/rev=default\0"
                             "service.istio.io/canonical-name=web\0"
                             "service.istio.io/canonical-revision=latest";

/* One as they are: six types, some pushes, healthy, a certificate that was renewed. */
static void live(struct fixture *f, struct guest *g)
{
    static const enum xds_type types[] = {XDS_CDS, XDS_EDS, XDS_LDS, XDS_RDS, XDS_NDS, XDS_ECDS};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        (void)guest_request(f, g, types[i], "", NULL);
        guest_push(f, g, types[i], NONCE("123456"));
        (void)guest_request(f, g, types[i], NONCE("123456"), NULL);
    }
    (void)guest_request(f, g, XDS_HEALTH, "", NULL);
}

static void test_vm__with_all_that_is_usual__costs_two_kilobytes(void **state)
{
    struct fixture *f = *state;
    const unsigned n = 1000;
    struct guest *g[1000];
    struct registry_certificate next = certificate_of(200);

    for (unsigned i = 0; i < n; i++) {
        g[i] = number(f, i);
        g[i]->node.labels = labels;
        g[i]->node.n_labels = 5;
        guest_set(g[i], XDS_NODE_LOCALITY, "region/zone/subzone");
    }
    size_t before = live_bytes;
    for (unsigned i = 0; i < n; i++) {
        guest_must_come(f, g[i]);
        live(f, g[i]);
        memcpy(next.key + 4, &i, sizeof(i));
        registry_issued(f->r, g[i]->claim.certificate.key, &next, f->now_ms);
    }
    size_t each = (live_bytes - before) / n;

    print_message("a VM costs %zu bytes\n", each);
    /* The tap inside a relay and its place in the index have the rest. */
    assert_in_range(each, 1000, 2048 - 56);
}

/* ---- the hot path ---- */

static void test_vm__pushes_and_acknowledges__allocates_nothing(void **state)
{
    struct fixture *f = *state;
    struct guest *g[1];

    come_many(f, g, 1);
    live(f, g[0]);
    size_t before = allocations;
    assert_true(before > 0);

    for (int i = 0; i < 100; i++) {
        live(f, g[0]);
    }

    assert_int_equal(allocations, before);
}

static void test_vm__acknowledgement__says_how_long_it_took(void **state)
{
    struct fixture *f = *state;
    struct guest *g[1];

    come_many(f, g, 1);
    (void)guest_request(f, g[0], XDS_CDS, "", NULL);
    assert_int_equal(f->waited_ms, 0);
    guest_push(f, g[0], XDS_CDS, "n1");
    f->now_ms += 30;
    assert_int_equal(guest_request(f, g[0], XDS_CDS, "n1", NULL), XDS_ACKED);
    assert_int_equal(f->waited_ms, 30);
    guest_push(f, g[0], XDS_CDS, "n2");
    f->now_ms += 7;
    assert_int_equal(guest_request(f, g[0], XDS_CDS, "n2", "no"), XDS_NACKED);
    assert_int_equal(f->waited_ms, 7);
    guest_push(f, g[0], XDS_CDS, "n3");
    f->now_ms -= 1000; /* the clock was set back */
    assert_int_equal(guest_request(f, g[0], XDS_CDS, "n3", NULL), XDS_ACKED);
    assert_int_equal(f->waited_ms, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, registry_setup, registry_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_collect__many__each_once),
        TEST(test_collect__reader_has_seen_enough__stops),
        TEST(test_collect__since__only_those_that_changed),
        TEST(test_collect__change_with_an_older_time__is_seen),
        TEST(test_gone__forgotten_ones__are_told_since_then),
        TEST(test_gone__too_long_ago__all_are_to_be_collected),
        TEST(test_vm__with_all_that_is_usual__costs_two_kilobytes),
        TEST(test_vm__pushes_and_acknowledges__allocates_nothing),
        TEST(test_vm__acknowledgement__says_how_long_it_took),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
