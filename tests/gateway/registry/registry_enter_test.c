/* SPDX-License-Identifier: Apache-2.0 */
/* Who is let in, and who has to go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/log.h"

#include "tests/gateway/registry/registry_fixture.h"

#define A "192.168.7.11"
#define B "192.168.7.12"

/* ---- one VM ---- */

static void test_registry__first_stream__is_seen_with_what_it_claims(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", A, 1);
    struct vm_view v;

    guest_must_enter(f, g);
    assert_state(f, "vm1.vms", VM_IS_CONNECTING);
    guest_admit(f, g);

    must_see(f, "vm1.vms", &v);
    assert_int_equal(v.state, VM_IS_CONNECTED);
    assert_true(v.id == UINT64_C(0x3133fe0f58c47e30)); /* of sha256sum */
    assert_string_equal(vm_claim_text(v.claim, VM_IDENTITY), WEB);
    assert_string_equal(vm_claim_text(v.claim, VM_GROUP), "web");
    assert_string_equal(vm_claim_text(v.claim, VM_NETWORK), "vm-net");
    assert_string_equal(vm_claim_text(v.claim, VM_CLUSTER), "cl1");
    assert_string_equal(vm_claim_text(v.claim, VM_VERSION), "1.29.0");
    assert_string_equal(vm_claim_label(v.claim, "app"), "web");
    assert_string_equal(vm_claim_label(v.claim, "istio.io/rev"), "default");
    assert_null(vm_claim_label(v.claim, "istio.io/re"));
    assert_true(v.claim->verified);
    assert_string_equal(shared_text_get(v.pod), "istiod-6d9");
    assert_int_equal(v.endpoint.port, 15012);
    assert_true(v.connected_since_ms == START_MS);
    assert_true(v.certificate.known);
    assert_memory_equal(v.certificate.key, certificate_of(1).key, REGISTRY_KEY_BYTES);
    assert_string_equal(v.certificate.serial, "5e41a101");
    assert_int_equal(v.reconnects, 0);
    assert_int_equal(v.last_end, END_NONE);
    vm_view_fini(&v);
}

static void test_registry__stream_ends_and_comes_again__is_the_same_vm(void **state)
{
    struct fixture *f = *state;
    struct guest *g = guest_of(f, "vm1", A, 1);
    struct vm_view v;

    for (int i = 0; i < 3; i++) {
        guest_must_come(f, g);
        assert_int_equal(f->after, i == 0 ? END_NONE : END_UP_RETIRED);
        f->now_ms += 1000;
        guest_leave(f, g, i < 2 ? END_UP_RETIRED : END_PING_TIMEOUT);
    }

    must_see(f, "vm1.vms", &v);
    assert_int_equal(v.state, VM_IS_DISCONNECTED);
    assert_int_equal(v.reconnects, 2);
    assert_int_equal(v.ends[END_UP_RETIRED], 2);
    assert_int_equal(v.ends[END_PING_TIMEOUT], 1);
    assert_int_equal(v.last_end, END_PING_TIMEOUT);
    assert_true(v.connected_since_ms == 0);
    assert_true(v.last_seen_ms == START_MS + 3000);
    vm_view_fini(&v);
}

static void test_registry__same_name_of_another_identity__is_another_vm(void **state)
{
    struct fixture *f = *state;
    struct guest *a = guest_of(f, "vm1", A, 1);
    struct guest *b = guest_of(f, "vm1", A, 2);

    b->claim.identity = DB;
    guest_must_come(f, a);
    guest_must_come(f, b);

    assert_int_equal(count_seen(f, "vm1.vms"), 2);
    assert_nothing_ended(f);
}

/* ---- rule duplicate ---- */

static void test_duplicate__newer_stream_of_the_same_key__ends_the_older(void **state)
{
    struct fixture *f = *state;
    struct guest *old = guest_of(f, "vm1", A, 1);
    struct guest *new = guest_of(f, "vm1", A, 1);
    struct vm_view v;

    guest_must_come(f, old);
    new->claim.worker = 3;
    f->now_ms += 10;
    guest_must_come(f, new);

    assert_int_equal(f->after, END_REPLACED);
    assert_ended(f, old, END_REPLACED);
    guest_leave(f, old, END_REPLACED);
    must_see(f, "vm1.vms", &v);
    assert_int_equal(v.state, VM_IS_CONNECTED);
    assert_true(v.connected_since_ms == START_MS + 10);
    assert_int_equal(v.ends[END_REPLACED], 1);
    vm_view_fini(&v);
    guest_leave(f, new, END_DOWN_CLOSED);
    assert_state(f, "vm1.vms", VM_IS_DISCONNECTED);
}

static void test_duplicate__another_key__is_refused_and_shown(void **state)
{
    struct fixture *f = *state;
    struct guest *vm = guest_of(f, "vm1", A, 1);
    struct guest *other = guest_of(f, "vm1", A, 2);
    struct registry_refusal refusal;
    struct vm_view v;

    guest_must_come(f, vm);
    other->claim.peer.port = 999;
    assert_int_equal(guest_enter(f, other, &refusal), RC_PEER_DENIED);

    assert_string_equal(refusal.detail,
                        "another VM is connected with this identity and the address 192.168.7.11, "
                        "and this one, from 192.168.7.11:999, does not show the same key; if it is "
                        "the same VM, its old connection is over within a minute");
    assert_nothing_ended(f);
    must_see(f, "vm1.vms", &v);
    assert_int_equal(v.state, VM_IS_CONNECTED);
    assert_int_equal(v.claim->peer.port, 51234);
    assert_memory_equal(v.certificate.key, certificate_of(1).key, REGISTRY_KEY_BYTES);
    assert_int_equal(v.refused_rule, RULE_DUPLICATE);
    assert_int_equal(v.refused_times, 1);
    assert_false(v.refused_passed);
    assert_string_equal(shared_text_get(v.refused_detail), refusal.detail);
    vm_view_fini(&v);
    guest_leave(f, vm, END_DOWN_CLOSED);
    guest_must_come(f, other); /* nobody is in the way any more */
}

/* The same address under another name is the same address. */
static void test_duplicate__another_name_with_the_address__is_in_the_way_too(void **state)
{
    struct fixture *f = *state;
    struct guest *vm = guest_of(f, "vm1", A, 1);
    struct guest *other = guest_of(f, "vm2", A, 2);
    struct guest *renamed = guest_of(f, "vm3", A, 1);

    guest_must_come(f, vm);
    guest_must_not_enter(f, other, RULE_DUPLICATE);
    assert_state(f, "vm2.vms", VM_IS_REFUSED);

    guest_must_come(f, renamed);

    assert_ended(f, vm, END_REPLACED);
}

/* A site behind one NAT address: the peers are the same, what is registered is not. */
static void test_duplicate__other_address_or_network_or_identity__is_in_nobodys_way(void **state)
{
    struct fixture *f = *state;
    struct guest *g[] = {guest_of(f, "vm1", A, 1), guest_of(f, "vm2", B, 2),
                         guest_of(f, "vm3", A, 3), guest_of(f, "vm4", A, 4)};

    guest_set(g[2], XDS_NODE_NETWORK, "other-net");
    g[3]->claim.identity = DB;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(addr_parse("203.0.113.1:1000", &g[i]->claim.peer), RC_OK);
        guest_must_come(f, g[i]);
    }

    assert_nothing_ended(f);
}

static void test_duplicate__network_of_a_label__is_the_network(void **state)
{
    struct fixture *f = *state;
    struct guest *vm = guest_of(f, "vm1", A, 1);
    struct guest *other = guest_of(f, "vm2", A, 2);

    guest_must_come(f, vm);
    guest_set(other, XDS_NODE_NETWORK, "");
    other->node.labels = "topology.istio.io/network=vm-net";
    other->node.n_labels = 1;

    guest_must_not_enter(f, other, RULE_DUPLICATE);
}

/* istiod takes the address of the node id when one of the others is no address. */
static void test_duplicate__addresses_that_are_none__leave_that_of_the_id(void **state)
{
    struct fixture *f = *state;
    struct guest *vm = guest_of(f, "vm1", A, 1);
    struct guest *other = guest_of(f, "vm2", A, 2);

    guest_must_come(f, vm);
    guest_set(other, XDS_NODE_INSTANCE_IPS, B ",no address");
    guest_must_not_enter(f, other, RULE_DUPLICATE);

    guest_set(other, XDS_NODE_INSTANCE_IPS, B "," A);
    guest_must_come(f, other);
}

static void test_duplicate__no_address_at_all__is_in_nobodys_way(void **state)
{
    struct fixture *f = *state;
    struct guest *a = guest_of(f, "vm1", A, 1);
    struct guest *b = guest_of(f, "vm2", A, 2);

    guest_set(a, XDS_NODE_ID, "vm-a");
    guest_set(b, XDS_NODE_ID, "vm-b");
    guest_set(a, XDS_NODE_INSTANCE_IPS, "");
    guest_set(b, XDS_NODE_INSTANCE_IPS, "");
    guest_must_come(f, a);
    guest_must_come(f, b);

    assert_int_equal(count_seen(f, "vm-a"), 1);
}

static void test_duplicate__only_reports__both_live_and_it_is_shown(void **state)
{
    struct fixture *f = *state;
    struct guest *vm = guest_of(f, "vm1", A, 1);
    struct guest *other = guest_of(f, "vm2", A, 2);
    struct registry_refusal refusal;
    struct vm_view v;

    guest_must_come(f, vm);
    other->claim.duplicate_passes = true;
    assert_int_equal(guest_enter(f, other, &refusal), RC_OK);

    assert_int_equal(refusal.rule, RULE_DUPLICATE);
    assert_true(refusal.detail[0] != '\0');
    assert_nothing_ended(f);
    guest_admit(f, other);
    must_see(f, "vm2.vms", &v);
    assert_int_equal(v.state, VM_IS_CONNECTED);
    assert_int_equal(v.refused_rule, RULE_DUPLICATE);
    assert_true(v.refused_passed);
    vm_view_fini(&v);
    guest_leave(f, vm, END_DOWN_CLOSED);
    guest_leave(f, other, END_DOWN_CLOSED);
    assert_state(f, "vm2.vms", VM_IS_DISCONNECTED);
}

static void test_duplicate__only_reports_and_same_key__nobody_has_to_go(void **state)
{
    struct fixture *f = *state;
    struct guest *old = guest_of(f, "vm1", A, 1);
    struct guest *new = guest_of(f, "vm1", A, 1);

    new->claim.duplicate_passes = true;
    guest_must_come(f, old);
    guest_must_come(f, new);

    assert_nothing_ended(f);
}

static void test_duplicate__same_address_written_otherwise__is_in_the_way(void **state)
{
    struct fixture *f = *state;
    struct guest *vm = guest_of(f, "vm1", A, 1);
    struct guest *other = guest_of(f, "vm2", "::ffff:" A, 2);

    guest_must_come(f, vm);

    guest_must_not_enter(f, other, RULE_DUPLICATE);
}

static void test_duplicate__rule_is_off__newest_speaks_and_then_the_older_again(void **state)
{
    struct fixture *f = *state;
    struct guest *old = guest_of(f, "vm1", A, 1);
    struct guest *new = guest_of(f, "vm1", A, 2);
    struct vm_view v;

    old->claim.one_for_each_address = false;
    new->claim.one_for_each_address = false;
    new->claim.listener = "second";
    guest_must_come(f, old);
    guest_must_come(f, new);
    assert_nothing_ended(f);
    assert_int_equal(guest_request(f, new, XDS_CDS, "", NULL), XDS_SUBSCRIBED);
    assert_int_equal(guest_request(f, old, XDS_LDS, "", NULL), XDS_LATE);
    must_see(f, "vm1.vms", &v);
    assert_string_equal(vm_claim_text(v.claim, VM_LISTENER), "second");
    assert_int_equal(v.n_sync, 1);
    vm_view_fini(&v);

    guest_leave(f, new, END_DOWN_CLOSED);

    must_see(f, "vm1.vms", &v);
    assert_int_equal(v.state, VM_IS_CONNECTED);
    assert_string_equal(vm_claim_text(v.claim, VM_LISTENER), "istiod");
    assert_int_equal(v.n_sync, 0);
    vm_view_fini(&v);
    assert_int_equal(guest_request(f, old, XDS_LDS, "", NULL), XDS_SUBSCRIBED);
}

static void test_registry__many_streams_of_one_vm__are_bounded(void **state)
{
    struct fixture *f = *state;
    struct guest *g[9];
    struct registry_refusal refusal;

    for (size_t i = 0; i < 9; i++) {
        g[i] = guest_of(f, "vm1", A, 1);
        g[i]->claim.one_for_each_address = false;
        assert_int_equal(guest_enter(f, g[i], &refusal), i < 8 ? RC_OK : RC_FULL);
    }
}

/* ---- keys and their heirs ---- */

static void issue(struct fixture *f, uint8_t holder, uint8_t heir)
{
    const struct registry_certificate c = certificate_of(heir);

    registry_issued(f->r, certificate_of(holder).key, &c, f->now_ms);
}

static void set_key(struct guest *g, uint8_t key)
{
    g->claim.certificate = certificate_of(key);
}

static void test_keys__one_that_the_holder_was_given__replaces(void **state)
{
    struct fixture *f = *state;
    struct guest *old = guest_of(f, "vm1", A, 1);
    struct guest *new = guest_of(f, "vm1", A, 2);
    struct vm_view v;

    guest_must_come(f, old);
    issue(f, 1, 2);
    must_see(f, "vm1.vms", &v);
    assert_string_equal(v.certificate.serial, "5e41a102"); /* it has the new one, we know */
    assert_int_equal(vm_events_get(&v.events, (uint8_t)(v.events.n - 1)).what, VM_WHAT_ISSUED);
    vm_view_fini(&v);

    guest_must_come(f, new);

    assert_ended(f, old, END_REPLACED);
}

/* The connection for certificates shows the new key before the old ADS stream is over. */
static void test_keys__heir_of_an_heir__replaces(void **state)
{
    struct fixture *f = *state;
    struct guest *old = guest_of(f, "vm1", A, 1);
    struct guest *new = guest_of(f, "vm1", A, 3);

    guest_must_come(f, old);
    issue(f, 1, 2);
    issue(f, 2, 3);
    guest_must_come(f, new);

    assert_ended(f, old, END_REPLACED);
}

static void test_keys__older_than_the_one_that_is_shown__does_not_replace(void **state)
{
    struct fixture *f = *state;
    struct guest *vm = guest_of(f, "vm1", A, 1);
    struct guest *late = guest_of(f, "vm1", A, 1);

    guest_must_come(f, vm);
    issue(f, 1, 2);
    issue(f, 1, 3);
    guest_leave(f, vm, END_DOWN_CLOSED);
    set_key(vm, 2);
    guest_must_come(f, vm);

    guest_must_not_enter(f, late, RULE_DUPLICATE); /* 1 is over */
    set_key(late, 3);
    guest_must_not_enter(f, late, RULE_DUPLICATE); /* given to 1, not to 2 */

    assert_nothing_ended(f);
}

/* While the VM was away, another one has come under its name and address. */
static void test_keys__of_somebody_who_was_here_before__does_not_replace(void **state)
{
    struct fixture *f = *state;
    struct guest *vm = guest_of(f, "vm1", A, 1);
    struct guest *other = guest_of(f, "vm1", A, 2);

    guest_must_come(f, vm);
    guest_leave(f, vm, END_DOWN_CLOSED);
    guest_must_come(f, other);
    guest_leave(f, other, END_DOWN_CLOSED);
    guest_must_come(f, vm);

    guest_must_not_enter(f, other, RULE_DUPLICATE);
    issue(f, 2, 3); /* the other one renews its certificate */
    set_key(other, 3);
    guest_must_not_enter(f, other, RULE_DUPLICATE);

    assert_nothing_ended(f);
}

static void test_keys__many_were_given__shown_one_still_replaces(void **state)
{
    struct fixture *f = *state;
    struct guest *old = guest_of(f, "vm1", A, 1);
    struct guest *new = guest_of(f, "vm1", A, 1);

    guest_must_come(f, old);
    for (uint8_t i = 2; i < 30; i++) {
        issue(f, 1, i);
    }
    guest_must_come(f, new);

    assert_ended(f, old, END_REPLACED);
}

/* ---- certificates that expire ---- */

#define SOON " WARN  certificate of a VM expires soon vm=vm1.vms spiffe_id=" WEB " peer=10.0.0.1:"

static size_t count_lines(const char *path, const char *part)
{
    char line[1024];
    size_t n = 0;
    FILE *in = fopen(path, "re");

    assert_non_null(in);
    while (fgets(line, sizeof(line), in) != NULL) {
        n += strstr(line, part) != NULL;
    }
    assert_int_equal(fclose(in), 0);
    return n;
}

static bool tell(struct fixture *f, uint8_t key)
{
    const struct registry_certificate c = certificate_of(key);

    return registry_expires_soon(f->r, c.key, c.expiry_s);
}

static void test_expires_soon__connected_and_no_newer_one__said_once(void **state)
{
    struct fixture *f = *state;
    struct guest *vm = guest_of(f, "vm1", "10.0.0.1", 1);
    char path[] = "/tmp/xdsgate-test-XXXXXX";
    struct log_opts opts = {LOG_TEXT, LOG_INFO, path};
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(log_setup(&opts), RC_OK);
    assert_false(tell(f, 1)); /* nobody is there */
    guest_must_come(f, vm);
    assert_true(tell(f, 1));
    assert_int_equal(count_lines(path, SOON), 1);
    assert_int_equal(count_lines(path, " expires=2026-11-23T01:02:04Z"), 1);
    assert_true(tell(f, 1));
    guest_leave(f, vm, END_DOWN_CLOSED);
    assert_false(tell(f, 1));
    guest_must_come(f, vm);
    assert_true(tell(f, 1));
    assert_int_equal(count_lines(path, SOON), 1);

    issue(f, 1, 2);
    assert_true(tell(f, 1)); /* of an old connection */
    assert_int_equal(count_lines(path, SOON), 1);
    assert_true(tell(f, 2));
    assert_int_equal(count_lines(path, SOON), 2);
    opts.file = NULL;
    assert_int_equal(log_setup(&opts), RC_OK);
    assert_int_equal(remove(path), 0);
}

/* Two streams with different keys, which only a rule that was off lets be. */
static void two_streams(struct fixture *f, struct guest **old, struct guest **new)
{
    *old = guest_of(f, "vm1", A, 1);
    *new = guest_of(f, "vm1", A, 2);
    (*old)->claim.one_for_each_address = false;
    (*new)->claim.one_for_each_address = false;
    guest_must_come(f, *old);
    guest_must_come(f, *new);
}

static void test_keys__given_to_the_holder_of_another_stream__does_not_replace(void **state)
{
    struct fixture *f = *state;
    struct guest *old;
    struct guest *new;
    struct guest *third = guest_of(f, "vm1", A, 3);

    two_streams(f, &old, &new);
    issue(f, 2, 3);
    guest_must_not_enter(f, third, RULE_DUPLICATE); /* the old one is in the way */

    guest_leave(f, old, END_DOWN_CLOSED);
    guest_must_come(f, third);
    assert_ended(f, new, END_REPLACED);
}

/* Its slot is taken by another key: an older stream must not be known by that one. */
static void test_keys__of_an_older_stream_is_forgotten__nobody_replaces_that_one(void **state)
{
    struct fixture *f = *state;
    struct guest *old;
    struct guest *new;
    struct guest *third = guest_of(f, "vm1", A, 4);

    two_streams(f, &old, &new);
    issue(f, 2, 3);
    issue(f, 2, 4); /* takes the place of 1 */

    guest_must_not_enter(f, third, RULE_DUPLICATE);
    guest_leave(f, old, END_DOWN_CLOSED);
    guest_must_come(f, third);
    assert_ended(f, new, END_REPLACED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, registry_setup, registry_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_registry__first_stream__is_seen_with_what_it_claims),
        TEST(test_registry__stream_ends_and_comes_again__is_the_same_vm),
        TEST(test_registry__same_name_of_another_identity__is_another_vm),
        TEST(test_duplicate__newer_stream_of_the_same_key__ends_the_older),
        TEST(test_duplicate__another_key__is_refused_and_shown),
        TEST(test_duplicate__another_name_with_the_address__is_in_the_way_too),
        TEST(test_duplicate__other_address_or_network_or_identity__is_in_nobodys_way),
        TEST(test_duplicate__network_of_a_label__is_the_network),
        TEST(test_duplicate__addresses_that_are_none__leave_that_of_the_id),
        TEST(test_duplicate__no_address_at_all__is_in_nobodys_way),
        TEST(test_duplicate__only_reports__both_live_and_it_is_shown),
        TEST(test_duplicate__only_reports_and_same_key__nobody_has_to_go),
        TEST(test_duplicate__same_address_written_otherwise__is_in_the_way),
        TEST(test_duplicate__rule_is_off__newest_speaks_and_then_the_older_again),
        TEST(test_registry__many_streams_of_one_vm__are_bounded),
        TEST(test_expires_soon__connected_and_no_newer_one__said_once),
        TEST(test_keys__one_that_the_holder_was_given__replaces),
        TEST(test_keys__heir_of_an_heir__replaces),
        TEST(test_keys__older_than_the_one_that_is_shown__does_not_replace),
        TEST(test_keys__of_somebody_who_was_here_before__does_not_replace),
        TEST(test_keys__many_were_given__shown_one_still_replaces),
        TEST(test_keys__given_to_the_holder_of_another_stream__does_not_replace),
        TEST(test_keys__of_an_older_stream_is_forgotten__nobody_replaces_that_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
