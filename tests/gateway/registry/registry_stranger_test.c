/* SPDX-License-Identifier: Apache-2.0 */
/* VMs without a certificate: what they can do before istiod has believed them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gateway/registry/registry_fixture.h"

#define A "192.168.7.11"

static void test_stranger__certificate_holder_is_connected__is_refused(void **state)
{
    struct fixture *f = *state;
    struct guest *vm = guest_of(f, "vm1", A, 1);
    struct guest *stranger = guest_of(f, "vm1", A, 0);

    guest_must_come(f, vm);
    guest_must_not_enter(f, stranger, RULE_DUPLICATE);

    assert_nothing_ended(f);
}

static void test_stranger__istiod_has_not_answered__is_in_nobodys_way(void **state)
{
    struct fixture *f = *state;
    struct guest *stranger = guest_of(f, "vm1", A, 0);
    struct guest *second = guest_of(f, "vm1", A, 0);
    struct guest *vm = guest_of(f, "vm1", A, 1);

    guest_must_enter(f, stranger);
    guest_must_enter(f, second);
    guest_must_come(f, vm);

    assert_nothing_ended(f);
    assert_state(f, "vm1.vms", VM_IS_CONNECTED);
    guest_leave(f, stranger, END_UP_ENDED);
    guest_leave(f, second, END_UP_ENDED);
    assert_state(f, "vm1.vms", VM_IS_CONNECTED);
}

static void test_stranger__istiod_answers_when_another_is_believed__has_to_end(void **state)
{
    struct fixture *f = *state;
    struct guest *first = guest_of(f, "vm1", A, 0);
    struct guest *second = guest_of(f, "vm1", A, 0);
    struct vm_view v;

    guest_must_enter(f, first);
    guest_must_enter(f, second);
    guest_admit(f, first);
    assert_state(f, "vm1.vms", VM_IS_CONNECTED);
    guest_admit(f, second);

    assert_ended(f, second, END_REFUSED);
    must_see(f, "vm1.vms", &v);
    assert_int_equal(v.refused_rule, RULE_DUPLICATE);
    assert_int_equal(v.state, VM_IS_CONNECTED);
    vm_view_fini(&v);
    guest_leave(f, second, END_REFUSED);
    assert_state(f, "vm1.vms", VM_IS_CONNECTED);
}

static void test_stranger__believed_and_another_comes__other_is_refused(void **state)
{
    struct fixture *f = *state;
    struct guest *first = guest_of(f, "vm1", A, 0);
    struct guest *second = guest_of(f, "vm2", A, 0);

    guest_must_come(f, first);
    guest_must_not_enter(f, second, RULE_DUPLICATE);

    guest_leave(f, first, END_DOWN_CLOSED);
    guest_must_come(f, second);
}

/* A VM gets its first certificate after its first stream. */
static void test_stranger__certificate_comes_from_where_it_is__replaces(void **state)
{
    struct fixture *f = *state;
    struct guest *token = guest_of(f, "vm1", A, 0);
    struct guest *elsewhere = guest_of(f, "vm1", A, 1);
    struct guest *here = guest_of(f, "vm1", A, 1);

    guest_must_come(f, token);
    assert_int_equal(addr_parse("192.168.7.99:1", &elsewhere->claim.peer), RC_OK);
    guest_must_not_enter(f, elsewhere, RULE_DUPLICATE);
    assert_nothing_ended(f);
    guest_must_come(f, here);

    assert_ended(f, token, END_REPLACED);
}

static void test_stranger__speaks_of_a_known_vm__its_claims_are_not_shown(void **state)
{
    struct fixture *f = *state;
    struct guest *vm = guest_of(f, "vm1", A, 1);
    struct guest *stranger = guest_of(f, "vm1", A, 0);
    struct vm_view v;

    guest_must_come(f, vm);
    guest_leave(f, vm, END_DOWN_CLOSED);
    guest_set(stranger, XDS_NODE_GROUP, "evil");
    guest_must_enter(f, stranger);

    must_see(f, "vm1.vms", &v);
    assert_int_equal(v.state, VM_IS_CONNECTING);
    assert_string_equal(vm_claim_text(v.claim, VM_GROUP), "web");
    vm_view_fini(&v);

    guest_admit(f, stranger); /* so it is none */
    must_see(f, "vm1.vms", &v);
    assert_int_equal(v.state, VM_IS_CONNECTED);
    assert_string_equal(vm_claim_text(v.claim, VM_GROUP), "evil");
    vm_view_fini(&v);
}

/* Eight that nobody has believed, and then the VM itself. */
static void test_stranger__many_of_them__do_not_keep_the_vm_out(void **state)
{
    struct fixture *f = *state;
    struct guest *vm = guest_of(f, "vm1", A, 1);
    struct registry_refusal refusal;
    size_t n = 0;

    guest_must_come(f, vm);
    guest_leave(f, vm, END_DOWN_CLOSED);
    while (n < 20 && guest_enter(f, guest_of(f, "vm1", A, 0), &refusal) == RC_OK) {
        n++;
    }
    assert_in_range(n, 1, 8);
    guest_must_come(f, vm);
    assert_state(f, "vm1.vms", VM_IS_CONNECTED);
}

static void test_stranger__speaks_of_a_known_vm__says_nothing_of_how_it_does(void **state)
{
    struct fixture *f = *state;
    struct guest *vm = guest_of(f, "vm1", A, 1);
    struct guest *stranger = guest_of(f, "vm1", A, 0);
    struct vm_view v;

    guest_must_come(f, vm);
    (void)guest_request(f, vm, XDS_CDS, "", NULL);
    (void)guest_request(f, vm, XDS_HEALTH, "", NULL);
    guest_leave(f, vm, END_DOWN_CLOSED);
    guest_must_enter(f, stranger);
    (void)guest_request(f, stranger, XDS_CDS, "", NULL);
    (void)guest_request(f, stranger, XDS_CDS, "", "forged");
    (void)guest_request(f, stranger, XDS_HEALTH, "", "the disk burns");
    must_see(f, "vm1.vms", &v);
    assert_int_equal(v.health, VM_HEALTHY);
    assert_int_equal(v.n_nacks, 0);
    vm_view_fini(&v);

    guest_admit(f, stranger); /* so it is none */
    (void)guest_request(f, stranger, XDS_HEALTH, "", "the disk burns");
    must_see(f, "vm1.vms", &v);
    assert_int_equal(v.health, VM_UNHEALTHY);
    vm_view_fini(&v);
}

static void test_stranger__refused_while_the_vm_is_connected__is_not_noted_with_it(void **state)
{
    struct fixture *f = *state;
    struct guest *vm = guest_of(f, "vm1", A, 1);
    struct guest *stranger = guest_of(f, "vm1", A, 0);
    struct vm_view v;

    guest_must_come(f, vm);
    registry_refused(f->r, &stranger->claim, RULE_TYPE, "it asks for \"call 555-1234\"", f->now_ms);
    must_see(f, "vm1.vms", &v);
    assert_int_equal(v.refused_rule, RULES);
    vm_view_fini(&v);
}

/* It may be the VM itself, with an address of today. */
static void test_stranger__refused_while_the_vm_is_away__is_noted_for_what_it_is(void **state)
{
    struct fixture *f = *state;
    struct guest *vm = guest_of(f, "vm1", A, 1);
    struct guest *stranger = guest_of(f, "vm1", A, 0);
    struct vm_view v;

    guest_must_come(f, vm);
    guest_leave(f, vm, END_DOWN_CLOSED);
    registry_refused(f->r, &stranger->claim, RULE_ADDRESS, "it is not there", f->now_ms);
    must_see(f, "vm1.vms", &v);
    assert_int_equal(v.refused_rule, RULE_ADDRESS);
    assert_string_equal(shared_text_get(v.refused_detail),
                        "somebody without a certificate: it is not there");
    vm_view_fini(&v);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, registry_setup, registry_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_stranger__certificate_holder_is_connected__is_refused),
        TEST(test_stranger__istiod_has_not_answered__is_in_nobodys_way),
        TEST(test_stranger__istiod_answers_when_another_is_believed__has_to_end),
        TEST(test_stranger__believed_and_another_comes__other_is_refused),
        TEST(test_stranger__certificate_comes_from_where_it_is__replaces),
        TEST(test_stranger__speaks_of_a_known_vm__its_claims_are_not_shown),
        TEST(test_stranger__many_of_them__do_not_keep_the_vm_out),
        TEST(test_stranger__speaks_of_a_known_vm__says_nothing_of_how_it_does),
        TEST(test_stranger__refused_while_the_vm_is_connected__is_not_noted_with_it),
        TEST(test_stranger__refused_while_the_vm_is_away__is_noted_for_what_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
