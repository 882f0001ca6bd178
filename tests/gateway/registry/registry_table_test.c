/* SPDX-License-Identifier: Apache-2.0 */
/* Who is remembered, for how long, and how many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gateway/registry/registry_fixture.h"

#define A "192.168.7.11"
#define B "192.168.7.12"

static void come_and_go(struct fixture *f, const char *name, const char *address, uint8_t key,
                        bool admitted)
{
    struct guest *g = guest_of(f, name, address, key);

    guest_must_enter(f, g);
    if (admitted) {
        guest_admit(f, g);
    }
    guest_leave(f, g, END_UP_ENDED);
}

static void come_and_go_many(struct fixture *f, const char *prefix, unsigned n, uint8_t key,
                             bool admitted)
{
    for (unsigned i = 0; i < n; i++) {
        char name[32];
        char address[32];
        snprintf(name, sizeof(name), "%s%u", prefix, i);
        snprintf(address, sizeof(address), "10.1.%u.%u", i / 256, i % 256);
        come_and_go(f, name, address, key, admitted);
    }
}

static void test_registry__gone_for_long__is_forgotten(void **state)
{
    struct fixture *f = *state;

    come_and_go(f, "vm1", A, 1, true);
    f->now_ms += 1800 * 1000;
    come_and_go(f, "vm2", B, 2, true);
    f->now_ms += 1800 * 1000 - 1;
    registry_sweep(f->r, f->now_ms);
    assert_int_equal(count_seen(f, NULL), 2);

    f->now_ms += 1;
    registry_sweep(f->r, f->now_ms);

    assert_int_equal(count_seen(f, "vm1.vms"), 0);
    assert_int_equal(count_seen(f, "vm2.vms"), 1);
}

static void test_registry__connected_for_long__is_not_forgotten(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", A, 1);

    guest_must_come(f, g);
    f->now_ms += INT64_C(1000000000);
    registry_sweep(f->r, f->now_ms);

    assert_int_equal(count_seen(f, "vm1.vms"), 1);
    guest_leave(f, g, END_DOWN_CLOSED);
    registry_sweep(f->r, f->now_ms);
    assert_int_equal(count_seen(f, "vm1.vms"), 1);
}

static void test_registry__full__longest_gone_makes_room(void **state)
{
    const struct registry_opts opts = {.forget_after_s = 3600, .max_vms = 3};
    struct fixture *f = registry_make(&opts);
    struct guest *a = guest_of(f, "vm1", A, 1);
    struct guest *b = guest_of(f, "vm2", B, 2);
    (void)state;

    guest_must_come(f, a);
    guest_must_come(f, b);
    guest_leave(f, b, END_DOWN_CLOSED);
    come_and_go(f, "vm3", "192.168.7.13", 3, true);
    come_and_go(f, "vm4", "192.168.7.14", 4, true);

    assert_int_equal(count_seen(f, NULL), 3);
    assert_int_equal(count_seen(f, "vm1.vms"), 1);
    assert_int_equal(count_seen(f, "vm2.vms"), 0);
    registry_unmake(&f);
}

static void test_registry__full_of_those_that_are_connected__refuses(void **state)
{
    const struct registry_opts opts = {.forget_after_s = 3600, .max_vms = 1};
    const struct registry_opts more = {.forget_after_s = 3600, .max_vms = 2};
    struct fixture *f = registry_make(&opts);
    struct guest *a = guest_of(f, "vm1", A, 1);
    struct guest *b = guest_of(f, "vm2", B, 2);
    struct registry_refusal refusal;
    (void)state;

    guest_must_come(f, a);
    assert_int_equal(guest_enter(f, b, &refusal), RC_FULL);
    registry_set_opts(f->r, &more);
    guest_must_come(f, b);

    guest_leave(f, a, END_DOWN_CLOSED);
    guest_leave(f, b, END_DOWN_CLOSED);
    registry_set_opts(f->r, &opts);
    assert_int_equal(count_seen(f, NULL), 1);
    registry_unmake(&f);
}

static void test_registry__one_key_under_many_names__only_few_are_remembered(void **state)
{
    struct fixture *f = *state;

    come_and_go(f, "vm1", A, 1, true);
    come_and_go_many(f, "evil", 100, 2, true);

    assert_int_equal(count_seen(f, "vm1.vms"), 1);
    assert_int_equal(count_seen(f, "evil99.vms"), 1);
    assert_true(count_seen(f, NULL) <= 1 + 9);
}

static void issue(struct fixture *f, uint8_t holder, uint8_t heir)
{
    const struct registry_certificate c = certificate_of(heir);

    registry_issued(f->r, certificate_of(holder).key, &c, f->now_ms);
}

/* A new key for each name does not help either: each was given to the holder of another. */
static void test_registry__heirs_under_many_names__only_few_are_remembered(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 1; i < 200; i++) {
        char name[32];
        snprintf(name, sizeof(name), "evil%u", i);
        come_and_go(f, name, A, (uint8_t)i, true);
        issue(f, (uint8_t)i, (uint8_t)(i + 1));
    }

    assert_true(count_seen(f, NULL) <= 9);
}

static void test_registry__strangers_under_many_names__push_nobody_out(void **state)
{
    struct fixture *f = *state;

    come_and_go_many(f, "vm", 20, 0, true);
    come_and_go_many(f, "stranger", 500, 0, false);

    assert_int_equal(count_seen(f, "vm0.vms"), 1);
    assert_int_equal(count_seen(f, "vm19.vms"), 1);
    assert_int_equal(count_seen(f, "stranger499.vms"), 1);
    assert_int_equal(count_seen(f, NULL), 20 + 64);
}

static void test_registry__strangers_that_wait_for_istiod__are_bounded(void **state)
{
    struct fixture *f = *state;
    const unsigned n = 1030;
    struct guest **g = calloc(n, sizeof(*g));
    struct registry_refusal refusal;
    unsigned let_in = 0;

    for (unsigned i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof(name), "stranger%u", i);
        g[i] = guest_of(f, name, A, 0);
        enum rc rc = guest_enter(f, g[i], &refusal);
        assert_int_equal(rc, i < 1024 ? RC_OK : RC_FULL);
        let_in += rc == RC_OK;
    }
    assert_int_equal(let_in, 1024);
    come_and_go(f, "vm1", B, 1, true); /* others are not concerned */
    for (unsigned i = 0; i < 1024; i++) {
        guest_leave(f, g[i], END_UP_ENDED);
    }
    come_and_go(f, "again", A, 0, true);
    free(g);
}

static void refuse_many(struct fixture *f, const char *prefix, unsigned n, uint8_t key)
{
    for (unsigned i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof(name), "%s%u", prefix, i);
        struct guest *g = guest_of(f, name, A, key);
        registry_refused(f->r, &g->claim, RULE_GROUP, "it may not", f->now_ms);
    }
}

static void test_registry__refused_under_many_names__are_bounded(void **state)
{
    struct fixture *f = *state;

    come_and_go(f, "vm1", A, 1, true);
    refuse_many(f, "refused", 300, 2);
    refuse_many(f, "stranger", 300, 0);

    assert_int_equal(count_seen(f, "vm1.vms"), 1);
    assert_int_equal(count_seen(f, "refused299.vms"), 1); /* strangers push only strangers out */
    assert_int_equal(count_seen(f, "refused107.vms"), 0);
    assert_int_equal(count_seen(f, NULL), 1 + 192 + 64);
    f->now_ms += 3600 * 1000;
    registry_sweep(f->r, f->now_ms);
    assert_int_equal(count_seen(f, NULL), 0);
}

static void test_registry_refused__again_and_again__is_one_vm_with_a_count(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", A, 1);
    struct vm_view v;

    for (int i = 0; i < 5; i++) {
        f->now_ms += 1000;
        registry_refused(f->r, &g->claim, RULE_GROUP, "it may not", f->now_ms);
    }
    must_see(f, "vm1.vms", &v);
    assert_int_equal(v.state, VM_IS_REFUSED);
    assert_int_equal(v.refused_rule, RULE_GROUP);
    assert_int_equal(v.refused_times, 5);
    assert_true(v.refused_ms == START_MS + 5000);
    assert_string_equal(shared_text_get(v.refused_detail), "it may not");
    assert_int_equal(v.events.n, 1);
    vm_view_fini(&v);

    registry_refused(f->r, &g->claim, RULE_LABELS, "nor that", f->now_ms);
    must_see(f, "vm1.vms", &v);
    assert_int_equal(v.refused_times, 1);
    assert_int_equal(v.events.n, 2);
    vm_view_fini(&v);

    guest_must_come(f, g); /* the rules are others now */
    assert_state(f, "vm1.vms", VM_IS_CONNECTED);
    f->now_ms += 1;
    guest_leave(f, g, END_DOWN_CLOSED);
    assert_state(f, "vm1.vms", VM_IS_DISCONNECTED);
}

/* One whose request cannot be read, or that has no node. */
static void test_registry_refused__without_a_node__is_shown_by_its_identity(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", A, 1);
    struct vm_view v;

    g->claim.node = NULL;
    registry_refused(f->r, &g->claim, RULE_READABLE, "compressed", f->now_ms);

    must_see(f, "", &v);
    assert_int_equal(v.state, VM_IS_REFUSED);
    assert_string_equal(vm_claim_text(v.claim, VM_IDENTITY), WEB);
    assert_int_equal(v.claim->peer.port, 51234);
    vm_view_fini(&v);
    guest_must_come(f, g); /* the rules are off */
    assert_state(f, "", VM_IS_CONNECTED);
}

static void test_registry_reported__rule_only_reports__is_shown_and_let_in(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", A, 1);
    struct vm_view v;

    registry_reported(f->r, &g->claim, RULE_GROUP, "it should not", f->now_ms);
    guest_must_come(f, g);

    must_see(f, "vm1.vms", &v);
    assert_int_equal(v.state, VM_IS_CONNECTED);
    assert_int_equal(v.refused_rule, RULE_GROUP);
    assert_true(v.refused_passed);
    vm_view_fini(&v);
}

static void test_registry_count__says_how_many_of_each(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", A, 1);
    struct registry_count c;

    guest_must_come(f, g);
    come_and_go_many(f, "gone", 2, 0, true);
    refuse_many(f, "refused", 3, 2);
    registry_count(f->r, &c);

    assert_int_equal(c.connected, 1);
    assert_int_equal(c.disconnected, 2);
    assert_int_equal(c.refused, 3);
    assert_int_equal(c.revoked, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, registry_setup, registry_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_registry__gone_for_long__is_forgotten),
        TEST(test_registry__connected_for_long__is_not_forgotten),
        cmocka_unit_test(test_registry__full__longest_gone_makes_room),
        cmocka_unit_test(test_registry__full_of_those_that_are_connected__refuses),
        TEST(test_registry__one_key_under_many_names__only_few_are_remembered),
        TEST(test_registry__heirs_under_many_names__only_few_are_remembered),
        TEST(test_registry__strangers_under_many_names__push_nobody_out),
        TEST(test_registry__strangers_that_wait_for_istiod__are_bounded),
        TEST(test_registry__refused_under_many_names__are_bounded),
        TEST(test_registry_refused__again_and_again__is_one_vm_with_a_count),
        TEST(test_registry_refused__without_a_node__is_shown_by_its_identity),
        TEST(test_registry_reported__rule_only_reports__is_shown_and_let_in),
        TEST(test_registry_count__says_how_many_of_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
