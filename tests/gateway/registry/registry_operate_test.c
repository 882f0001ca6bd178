/* SPDX-License-Identifier: Apache-2.0 */
/* Revoked VMs, and those that have to register anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/registry/vm_id.h"
#include "tests/gateway/registry/registry_fixture.h"

#define A "192.168.7.11"
#define B "192.168.7.12"

static void must_revoke(struct fixture *f, const char *name)
{
    char why[REGISTRY_WHY_BYTES];

    assert_int_equal(registry_revoke(f->r, name, "uid 0", f->now_ms, why), RC_OK);
}

static void must_unrevoke(struct fixture *f, const char *name)
{
    char why[REGISTRY_WHY_BYTES];

    assert_int_equal(registry_unrevoke(f->r, name, "uid 0", f->now_ms, why), RC_OK);
}

static void assert_cannot(enum rc rc, enum rc expected, const char *why, const char *reason)
{
    assert_int_equal(rc, expected);
    assert_string_equal(why, reason);
}

static void test_revoke__connected__stream_ends_and_none_begins(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", A, 1);
    struct guest *other = guest_of(f, "vm2", B, 2);

    guest_must_come(f, g);
    guest_must_come(f, other);
    must_revoke(f, "vm1.vms");

    assert_ended(f, g, END_REVOKED);
    assert_state(f, "vm1.vms", VM_IS_REVOKED);
    assert_state(f, "vm2.vms", VM_IS_CONNECTED);
    guest_leave(f, g, END_REVOKED);
    guest_must_not_enter(f, g, RULE_REVOKED);
    assert_true(registry_key_is_revoked(f->r, certificate_of(1).key));
    assert_false(registry_key_is_revoked(f->r, certificate_of(2).key));

    must_unrevoke(f, "vm1");
    assert_false(registry_key_is_revoked(f->r, certificate_of(1).key));
    assert_state(f, "vm1.vms", VM_IS_REFUSED);
    guest_must_come(f, g);
    assert_state(f, "vm1.vms", VM_IS_CONNECTED);
}

static void test_revoke__two_streams__both_end(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", A, 1);
    struct guest *second = guest_of(f, "vm1", A, 2);

    second->claim.one_for_each_address = false;
    guest_must_come(f, g);
    guest_must_come(f, second);
    must_revoke(f, "vm1");

    assert_int_equal(f->n_ended, 2);
    assert_int_equal(f->ended[0].stream + f->ended[1].stream, g->stream + second->stream);
}

/* It moves to another address: another node id, the same VM. */
static void test_revoke__seen_under_two_addresses__is_one_vm(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", A, 1);

    guest_must_come(f, g);
    guest_leave(f, g, END_DOWN_CLOSED);
    guest_rename(g, "vm1", B);
    g->claim.certificate = certificate_of(2);
    guest_must_come(f, g);
    must_revoke(f, "vm1.vms");

    assert_ended(f, g, END_REVOKED);
    guest_leave(f, g, END_REVOKED);
    assert_true(registry_key_is_revoked(f->r, certificate_of(1).key));
    assert_true(registry_key_is_revoked(f->r, certificate_of(2).key));
}

static void test_revoke__comes_under_another_name__is_known_by_its_key(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", A, 1);
    struct guest *renamed = guest_of(f, "innocent", B, 1);
    const struct registry_certificate next = certificate_of(9);

    guest_must_come(f, g);
    must_revoke(f, "vm1");
    guest_leave(f, g, END_REVOKED);
    guest_must_not_enter(f, renamed, RULE_REVOKED);
    assert_state(f, "innocent.vms", VM_IS_REVOKED);

    registry_issued(f->r, certificate_of(1).key, &next, f->now_ms); /* was on its way */
    renamed->claim.certificate = next;
    guest_must_not_enter(f, renamed, RULE_REVOKED);
}

static void test_revoke__knocks_with_a_new_key__that_key_is_known_from_then_on(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", A, 1);

    guest_must_come(f, g);
    must_revoke(f, "vm1");
    guest_leave(f, g, END_REVOKED);
    g->claim.certificate = certificate_of(5);
    guest_must_not_enter(f, g, RULE_REVOKED);

    guest_rename(g, "innocent", B);
    guest_must_not_enter(f, g, RULE_REVOKED);
}

/* A VM without a certificate has no key that one could know. */
static void test_revoke__comes_without_a_certificate__is_known_by_its_name(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", A, 0);

    guest_must_come(f, g);
    must_revoke(f, "vm1");
    assert_ended(f, g, END_REVOKED);
    guest_leave(f, g, END_REVOKED);

    guest_must_not_enter(f, g, RULE_REVOKED);
}

/* vm2 has once pretended to be vm1; that vm2 is revoked must not end the real one. */
static void test_revoke__somebody_who_pretended_to_be_it__it_goes_on(void **state)
{
    struct fixture *f = *state;
    struct guest *real = guest_of(f, "vm1", A, 1);
    struct guest *evil = guest_of(f, "vm1", A, 2);

    guest_must_come(f, evil);
    guest_leave(f, evil, END_DOWN_CLOSED);
    guest_must_come(f, real);
    guest_rename(evil, "vm2", B);
    guest_must_come(f, evil);
    must_revoke(f, "vm2");

    assert_ended(f, evil, END_REVOKED);
    assert_state(f, "vm1.vms", VM_IS_CONNECTED);
}

static void test_revoke__several_are_meant__are_listed(void **state)
{
    struct fixture *f = *state;
    struct guest *a = guest_of(f, "vm1", A, 1);
    struct guest *b = guest_of(f, "vm1", A, 2);
    char why[REGISTRY_WHY_BYTES];

    b->claim.identity = DB;
    guest_must_come(f, a);
    guest_must_come(f, b);

    assert_int_equal(registry_revoke(f->r, "vm1.vms", "uid 0", f->now_ms, why), RC_BUSY);
    assert_non_null(strstr(why, "several VMs have this name: vm1.vms (id "));
    assert_non_null(strstr(why, "(id 3133fe0f58c47e30)"));
    assert_nothing_ended(f);
    must_revoke(f, "3133fe0f58c47e30");
    assert_ended(f, a, END_REVOKED);
    guest_leave(f, a, END_REVOKED);
}

/* Who only claims a name does not keep the operator from revoking its owner. */
static void test_revoke__strangers_claim_the_name__owner_is_meant(void **state)
{
    struct fixture *f = *state;
    struct guest *vm = guest_of(f, "vm1", A, 1);
    struct guest *stranger = guest_of(f, "vm1", B, 0);

    stranger->claim.identity = DB;
    guest_must_come(f, vm);
    registry_refused(f->r, &stranger->claim, RULE_NAMESPACE, "no", f->now_ms);
    guest_must_enter(f, stranger);
    must_revoke(f, "vm1");

    assert_ended(f, vm, END_REVOKED);
}

static void test_revoke__nobody_is_meant__is_said(void **state)
{
    struct fixture *f = *state;
    char why[REGISTRY_WHY_BYTES];

    enum rc rc = registry_revoke(f->r, "vm1", "uid 0", f->now_ms, why);
    assert_cannot(rc, RC_NOT_FOUND, why, "there is no VM of this name");
    rc = registry_unrevoke(f->r, "vm1", "uid 0", f->now_ms, why);
    assert_cannot(rc, RC_NOT_FOUND, why, "no revoked VM has this name");
    rc = registry_reregister(f->r, "vm1", 10, "uid 0", f->now_ms, why);
    assert_cannot(rc, RC_NOT_FOUND, why, "there is no VM of this name");
}

/* ---- the others that are hit ---- */

/* They have one name and identity, and so one denial, under the id of one of them. */
static void test_unrevoke__by_the_id_of_another_address__it_comes_back(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", A, 1);
    struct guest *moved = guest_of(f, "vm1", B, 2);
    char id[VM_ID_BYTES];
    uint64_t number = 0;

    guest_must_come(f, g);
    guest_must_come(f, moved);
    must_revoke(f, "3133fe0f58c47e30");
    guest_leave(f, g, END_REVOKED);
    guest_leave(f, moved, END_REVOKED);

    assert_int_equal(vm_id_of(WEB, moved->id, &number), RC_OK);
    must_unrevoke(f, vm_id_text(number, id));
    guest_must_come(f, moved);
    guest_must_come(f, g);
}

/* It would come back with it, but it is another VM that an operator has revoked. */
static void test_unrevoke__has_the_key_of_a_revoked_one__which_one_is_said(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", A, 1);
    struct guest *renamed = guest_of(f, "innocent", B, 1);
    char why[REGISTRY_WHY_BYTES];

    guest_must_come(f, g);
    guest_must_come(f, renamed);
    must_revoke(f, "vm1");
    assert_int_equal(f->n_ended, 2);
    guest_leave(f, g, END_REVOKED);
    guest_leave(f, renamed, END_REVOKED);
    guest_must_not_enter(f, renamed, RULE_REVOKED);

    enum rc rc = registry_unrevoke(f->r, "innocent", "uid 0", f->now_ms, why);
    assert_cannot(rc, RC_NOT_FOUND, why,
                  "innocent.vms has a key of another VM that is revoked: unrevoke that one, by its "
                  "id 3133fe0f58c47e30");
    must_unrevoke(f, "3133fe0f58c47e30");
    guest_must_come(f, renamed);
}

/* It was seen on another gateway, and may come here. */
static void test_revoke_absent__comes_then__is_refused(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", A, 1);
    const struct registry_absent vm = {
        .id = UINT64_C(0x3133fe0f58c47e30), .name = "vm1.vms", .identity = WEB};
    char why[REGISTRY_WHY_BYTES];

    assert_int_equal(registry_revoke_absent(f->r, &vm, "uid 0", f->now_ms, why), RC_OK);
    guest_must_not_enter(f, g, RULE_REVOKED);
    must_unrevoke(f, "3133fe0f58c47e30");
    guest_must_come(f, g);
}

static void test_revoke_absent__no_name_or_too_long__is_not_put_on_the_list(void **state)
{
    struct fixture *f = *state;
    char text[1024];
    const struct registry_absent wrong[] = {{.name = "", .identity = WEB},
                                            {.name = text, .identity = WEB},
                                            {.name = "vm1", .identity = text},
                                            {.name = "\xff", .identity = WEB},
                                            {.name = "vm1", .identity = "a b"}};
    char why[REGISTRY_WHY_BYTES];
    struct registry_count count;

    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(registry_revoke_absent(f->r, &wrong[i], "uid 0", f->now_ms, why),
                         RC_INVALID);
    }
    registry_count(f->r, &count);
    assert_int_equal(count.revoked, 0);
}

/* ---- the file ---- */

struct file {
    char dir[64];
    char path[128];
};

static void make_file(struct file *file)
{
    snprintf(file->dir, sizeof(file->dir), "/tmp/registry_test.XXXXXX");
    assert_non_null(mkdtemp(file->dir));
    snprintf(file->path, sizeof(file->path), "%s/deny.json", file->dir);
}

static void remove_file(const struct file *file)
{
    unlink(file->path);
    assert_int_equal(rmdir(file->dir), 0);
}

static void use(struct fixture *f, const struct file *file)
{
    char why[REGISTRY_WHY_BYTES];

    assert_int_equal(registry_use_deny_list(f->r, file->path, why), RC_OK);
}

static void test_revoke__process_starts_again__is_still_refused(void **state)
{
    const struct registry_opts opts = {.forget_after_s = 3600, .max_vms = 1000};
    struct fixture *f = *state;
    struct fixture *again = registry_make(&opts);
    struct guest *g = guest_of(f, "vm1", A, 1);
    struct registry_count count;
    struct file file;

    make_file(&file);
    use(f, &file);
    guest_must_come(f, g);
    must_revoke(f, "vm1");
    guest_leave(f, g, END_REVOKED);

    use(again, &file);
    registry_count(again->r, &count);
    assert_int_equal(count.revoked, 1);
    guest_must_not_enter(again, g, RULE_REVOKED);
    must_unrevoke(again, "3133fe0f58c47e30");
    guest_must_come(again, g);
    guest_leave(again, g, END_DOWN_CLOSED);
    remove_file(&file);
    registry_unmake(&again);
}

static void test_revoke__another_process_does_it__streams_end_here_too(void **state)
{
    const struct registry_opts opts = {.forget_after_s = 3600, .max_vms = 1000};
    struct fixture *f = *state;
    struct fixture *other = registry_make(&opts);
    struct guest *g = guest_of(f, "vm1", A, 1);
    struct guest *there = guest_of(other, "vm1", A, 1);
    struct file file;

    make_file(&file);
    use(f, &file);
    use(other, &file);
    guest_must_come(f, g);
    guest_must_come(other, there);
    must_revoke(other, "vm1");
    assert_nothing_ended(f);
    registry_sweep(f->r, f->now_ms);
    assert_ended(f, g, END_REVOKED);
    assert_state(f, "vm1.vms", VM_IS_REVOKED);

    must_unrevoke(other, "vm1");
    registry_sweep(f->r, f->now_ms);
    assert_state(f, "vm1.vms", VM_IS_CONNECTED); /* nobody has ended it yet */
    assert_nothing_ended(f);
    remove_file(&file);
    registry_unmake(&other);
}

static void test_use_deny_list__has_one_that_is_connected__its_stream_ends(void **state)
{
    const struct registry_opts opts = {.forget_after_s = 3600, .max_vms = 1000};
    struct fixture *f = *state;
    struct fixture *other = registry_make(&opts);
    struct guest *g = guest_of(f, "vm1", A, 1);
    struct guest *there = guest_of(other, "vm1", A, 1);
    char why[REGISTRY_WHY_BYTES];
    struct file file;

    make_file(&file);
    use(other, &file);
    guest_must_come(other, there);
    must_revoke(other, "vm1");
    guest_must_come(f, g);
    assert_int_equal(registry_use_deny_list(f->r, file.dir, why), RC_INVALID);
    assert_non_null(strstr(why, "it is not a regular file"));
    assert_nothing_ended(f);
    use(f, &file);

    assert_ended(f, g, END_REVOKED);
    remove_file(&file);
    registry_unmake(&other);
}

static void test_revoke__file_cannot_be_written__is_in_force_and_said(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", A, 1);
    char why[REGISTRY_WHY_BYTES];
    struct file file;

    make_file(&file);
    use(f, &file);
    remove_file(&file);
    guest_must_come(f, g);

    assert_int_equal(registry_revoke(f->r, "vm1", "uid 0", f->now_ms, why), RC_SYSTEM);
    assert_non_null(strstr(why, "deny.json: No such file or directory"));
    assert_ended(f, g, END_REVOKED);
}

/* ---- reregister ---- */

static void test_reregister__connected__ends_and_has_to_stay_away(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", A, 1);
    struct guest *other = guest_of(f, "vm2", B, 2);
    struct registry_refusal refusal;
    char why[REGISTRY_WHY_BYTES];

    guest_must_come(f, g);
    guest_must_come(f, other);
    assert_int_equal(registry_reregister(f->r, "vm1", 15, "uid 0", f->now_ms, why), RC_OK);
    assert_ended(f, g, END_REREGISTER);
    guest_leave(f, g, END_REREGISTER);

    f->now_ms += 14000;
    assert_int_equal(guest_enter(f, g, &refusal), RC_PEER_DENIED);
    assert_int_equal(refusal.rule, RULE_HELD);
    assert_string_equal(refusal.detail, "an operator wants this VM to be registered anew; it may "
                                        "come again in 1 s");
    assert_state(f, "vm1.vms", VM_IS_REFUSED);
    f->now_ms += 1000;
    guest_must_come(f, g);
}

static void test_reregister__not_connected__is_said(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", A, 1);
    char why[REGISTRY_WHY_BYTES];

    guest_must_come(f, g);
    guest_leave(f, g, END_DOWN_CLOSED);

    enum rc rc = registry_reregister(f->r, "vm1", 15, "uid 0", f->now_ms, why);

    assert_cannot(rc, RC_INVALID, why, "vm1.vms is not connected: it registers anew when it comes");
    guest_must_come(f, g);
}

static void test_reregister__for_ever__is_an_hour(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", A, 1);
    char why[REGISTRY_WHY_BYTES];

    guest_must_come(f, g);
    assert_int_equal(registry_reregister(f->r, "vm1", 1e300, "uid 0", f->now_ms, why), RC_OK);
    guest_leave(f, g, END_REREGISTER);
    guest_must_not_enter(f, g, RULE_HELD);
    f->now_ms += 3600 * 1000;
    guest_must_come(f, g);
}

/* ---- names ---- */

static void test_vm_name_means__what_people_write__is_compared_whole(void **state)
{
    (void)state;

    assert_true(vm_name_means("vm1.vms", "vm1.vms", 1));
    assert_true(vm_name_means("vm1", "vm1.vms", 1));
    assert_true(vm_name_means("vm1.prod", "vm1.prod.vms", 1)); /* a host name with a dot */
    assert_true(vm_name_means("0000000000000001", "vm1.vms", 1));
    assert_false(vm_name_means("0000000000000001", "0000000000000001.vms", 2)); /* it may say so */
    assert_false(vm_name_means("0000000000000001", "0000000000000001", 2));
    assert_true(vm_name_means("0000000000000001.vms", "0000000000000001.vms", 2));
    assert_true(vm_name_means("vm1", "vm1", 1));
    assert_false(vm_name_means("vm1", "vm1.prod.vms", 1));
    assert_false(vm_name_means("vm", "vm1.vms", 1));
    assert_false(vm_name_means("", ".vms", 1));
    assert_false(vm_name_means("1", "vm1.vms", 1));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, registry_setup, registry_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_revoke__connected__stream_ends_and_none_begins),
        TEST(test_revoke__two_streams__both_end),
        TEST(test_revoke__seen_under_two_addresses__is_one_vm),
        TEST(test_revoke__comes_under_another_name__is_known_by_its_key),
        TEST(test_revoke__knocks_with_a_new_key__that_key_is_known_from_then_on),
        TEST(test_revoke__comes_without_a_certificate__is_known_by_its_name),
        TEST(test_revoke__somebody_who_pretended_to_be_it__it_goes_on),
        TEST(test_revoke__several_are_meant__are_listed),
        TEST(test_revoke__strangers_claim_the_name__owner_is_meant),
        TEST(test_revoke__nobody_is_meant__is_said),
        TEST(test_unrevoke__by_the_id_of_another_address__it_comes_back),
        TEST(test_unrevoke__has_the_key_of_a_revoked_one__which_one_is_said),
        TEST(test_revoke_absent__comes_then__is_refused),
        TEST(test_revoke_absent__no_name_or_too_long__is_not_put_on_the_list),
        TEST(test_revoke__process_starts_again__is_still_refused),
        TEST(test_revoke__another_process_does_it__streams_end_here_too),
        TEST(test_use_deny_list__has_one_that_is_connected__its_stream_ends),
        TEST(test_revoke__file_cannot_be_written__is_in_force_and_said),
        TEST(test_reregister__connected__ends_and_has_to_stay_away),
        TEST(test_reregister__not_connected__is_said),
        TEST(test_reregister__for_ever__is_an_hour),
        cmocka_unit_test(test_vm_name_means__what_people_write__is_compared_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
