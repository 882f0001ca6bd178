/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a VM from the messages that pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gateway/registry/registry_fixture.h"

#define NONCE_1              \
    "2026-11-22T00:11:30Z/1" \
    "11111111-1111-1111-1111-111111111111"
#define NONCE_2              \
    "2026-11-22T00:11:30Z/2" \
    "22222222-2222-2222-2222-222222222222"

struct scene {
    struct fixture *f;
    struct guest *g;
};

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));
    void *f = NULL;

    (void)registry_setup(&f);
    s->f = f;
    s->g = guest_of(s->f, "vm1", "192.168.7.11", 1);
    guest_must_come(s->f, s->g);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    void *f = s->f;

    (void)registry_teardown(&f);
    free(s);
    return 0;
}

/* The row of a type; NULL: there is none. */
static const struct xds_sync *row_of(const struct vm_view *v, enum xds_type type)
{
    for (uint8_t i = 0; i < v->n_sync; i++) {
        if (v->sync[i].type == (uint8_t)type) {
            return &v->sync[i];
        }
    }
    return NULL;
}

static void assert_sync(struct scene *s, enum xds_type type, const char *expected)
{
    struct vm_view v;

    must_see(s->f, "vm1.vms", &v);
    const struct xds_sync *row = row_of(&v, type);
    assert_string_equal(row != NULL ? xds_sync_state_name((enum xds_sync_state)row->state) : "none",
                        expected);
    vm_view_fini(&v);
}

static void assert_events(struct scene *s, const char *expected)
{
    struct vm_view v;
    char text[1024] = "";
    size_t n = 0;

    must_see(s->f, "vm1.vms", &v);
    for (uint8_t i = 0; i < v.events.n; i++) {
        struct vm_event e = vm_events_get(&v.events, i);
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s%s%s", i > 0 ? ", " : "",
                              vm_what_name(e.what), vm_event_detail(&e)[0] != '\0' ? " " : "",
                              vm_event_detail(&e));
    }
    assert_string_equal(text, expected);
    vm_view_fini(&v);
}

/* ---- configuration ---- */

static void test_vm__asks_gets_acknowledges__is_synced(void **state)
{
    struct scene *s = *state;
    struct vm_view v;

    assert_sync(s, XDS_CDS, "none");
    assert_int_equal(guest_request(s->f, s->g, XDS_CDS, "", NULL), XDS_SUBSCRIBED);
    assert_sync(s, XDS_CDS, "NOT SENT");
    s->f->now_ms += 5;
    guest_push(s->f, s->g, XDS_CDS, NONCE_1);
    assert_sync(s, XDS_CDS, "STALE");
    s->f->now_ms += 7;
    assert_int_equal(guest_request(s->f, s->g, XDS_CDS, NONCE_1, NULL), XDS_ACKED);
    assert_sync(s, XDS_CDS, "SYNCED");

    must_see(s->f, "vm1.vms", &v);
    const struct xds_sync *row = row_of(&v, XDS_CDS);
    assert_string_equal(row->nonce, NONCE_1);
    assert_true(row->sent_ms == START_MS + 5);
    assert_true(xds_sync_acked_ms(row) == START_MS + 12);
    assert_int_equal(row->bytes, 1000);
    assert_int_equal(row->n_resources, 3);
    assert_int_equal(v.messages_up, 2);
    assert_int_equal(v.messages_down, 1);
    assert_int_equal(v.bytes_up, 200);
    assert_int_equal(v.bytes_down, 1000);
    assert_true(v.last_seen_ms == START_MS + 12);
    vm_view_fini(&v);
}

static void test_vm__rejects__is_in_error_until_it_acknowledges(void **state)
{
    struct scene *s = *state;
    struct vm_view v;

    (void)guest_request(s->f, s->g, XDS_LDS, "", NULL);
    guest_push(s->f, s->g, XDS_LDS, NONCE_1);
    s->f->now_ms += 3;
    assert_int_equal(guest_request(s->f, s->g, XDS_LDS, NONCE_1, "bad listener"), XDS_NACKED);

    assert_sync(s, XDS_LDS, "ERROR");
    must_see(s->f, "vm1.vms", &v);
    assert_int_equal(v.n_nacks, 1);
    assert_int_equal(v.last_nack, XDS_LDS);
    assert_string_equal(shared_text_get(v.nacks[XDS_LDS].text), "bad listener");
    assert_true(v.nacks[XDS_LDS].at_ms == START_MS + 3);
    vm_view_fini(&v);

    guest_push(s->f, s->g, XDS_LDS, NONCE_2);
    (void)guest_request(s->f, s->g, XDS_LDS, NONCE_2, NULL);
    assert_sync(s, XDS_LDS, "SYNCED");
    must_see(s->f, "vm1.vms", &v);
    assert_int_equal(v.last_nack, XDS_LDS); /* still told when it was */
    vm_view_fini(&v);
}

static void test_vm__rejects_what_it_never_asked_for__is_told_and_leaves_no_row(void **state)
{
    struct scene *s = *state;

    assert_int_equal(guest_request(s->f, s->g, XDS_SDS, NONCE_1, "bad"), XDS_UNASKED);
    assert_sync(s, XDS_SDS, "none");
    assert_events(s, "connected");
}

static void test_vm__new_stream__begins_from_nothing(void **state)
{
    struct scene *s = *state;
    struct vm_view v;

    (void)guest_request(s->f, s->g, XDS_CDS, "", NULL);
    guest_push(s->f, s->g, XDS_CDS, NONCE_1);
    (void)guest_request(s->f, s->g, XDS_CDS, NONCE_1, "bad cluster");
    guest_leave(s->f, s->g, END_UP_CLOSED);
    assert_sync(s, XDS_CDS, "ERROR"); /* as it was last */
    guest_must_enter(s->f, s->g);

    assert_sync(s, XDS_CDS, "none");
    must_see(s->f, "vm1.vms", &v);
    assert_int_equal(v.endpoint.family, ADDR_NONE);
    assert_null(v.pod);
    assert_int_equal(v.n_nacks, 1);
    assert_int_equal(v.last_nack, XDS_CDS);
    vm_view_fini(&v);
}

static void test_vm__longest_nonce__is_told_from_others(void **state)
{
    struct scene *s = *state;
    char nonce[XDS_NONCE_BYTES];

    (void)guest_request(s->f, s->g, XDS_CDS, "", NULL);
    (void)guest_request(s->f, s->g, XDS_EDS, "", NULL);
    guest_push(s->f, s->g, XDS_CDS, NONCE_1);
    for (size_t n = 1; n < sizeof(nonce); n++) {
        memset(nonce, 'x', n);
        nonce[n] = '\0';
        guest_push(s->f, s->g, XDS_EDS, nonce);
        assert_int_equal(guest_request(s->f, s->g, XDS_EDS, nonce, NULL), XDS_ACKED);
        nonce[n - 1] = 'y';
        assert_int_equal(guest_request(s->f, s->g, XDS_EDS, nonce, NULL), XDS_LATE);
    }
    assert_int_equal(guest_request(s->f, s->g, XDS_CDS, NONCE_1, NULL), XDS_ACKED);
    guest_push(s->f, s->g, XDS_EDS, NONCE_2); /* and a short one again */
    assert_int_equal(guest_request(s->f, s->g, XDS_EDS, NONCE_2, NULL), XDS_ACKED);
    assert_sync(s, XDS_CDS, "SYNCED");
    assert_sync(s, XDS_EDS, "SYNCED");
}

static void test_vm__all_types__have_rows(void **state)
{
    struct scene *s = *state;

    for (unsigned t = 0; t < XDS_TYPES; t++) {
        (void)guest_request(s->f, s->g, (enum xds_type)t, "", NULL);
        guest_push(s->f, s->g, (enum xds_type)t, NONCE_1);
        assert_int_equal(guest_request(s->f, s->g, (enum xds_type)t, NONCE_1, NULL), XDS_ACKED);
    }
    for (unsigned t = 0; t < XDS_TYPES; t++) {
        assert_sync(s, (enum xds_type)t, "SYNCED");
    }
}

static void test_vm__other_types__are_counted_only(void **state)
{
    struct scene *s = *state;
    struct vm_view v;

    assert_int_equal(guest_request(s->f, s->g, XDS_OTHER, "", NULL), XDS_SUBSCRIBED);
    assert_int_equal(guest_request(s->f, s->g, XDS_OTHER, "", "bad"), XDS_SUBSCRIBED);
    guest_push(s->f, s->g, XDS_OTHER, NONCE_1);
    vm_unread(s->g->vm, s->g->stream, true, 17);

    must_see(s->f, "vm1.vms", &v);
    assert_int_equal(v.n_sync, 0);
    assert_int_equal(v.messages_up, 2);
    assert_int_equal(v.messages_down, 2);
    assert_int_equal(v.bytes_down, 1017);
    assert_int_equal(v.unread, 1);
    vm_view_fini(&v);
}

/* ---- health ---- */

static void test_vm__says_how_it_does__changes_are_noted(void **state)
{
    struct scene *s = *state;
    struct vm_view v;

    (void)guest_request(s->f, s->g, XDS_CDS, "", NULL);
    s->f->now_ms += 1;
    assert_int_equal(guest_request(s->f, s->g, XDS_HEALTH, "", "no answer on :8080"),
                     XDS_SUBSCRIBED);
    must_see(s->f, "vm1.vms", &v);
    assert_int_equal(v.health, VM_UNHEALTHY);
    assert_true(v.health_since_ms == START_MS + 1);
    assert_string_equal(shared_text_get(v.health_message), "no answer on :8080");
    vm_view_fini(&v);

    s->f->now_ms += 1;
    (void)guest_request(s->f, s->g, XDS_HEALTH, "", "still none");
    s->f->now_ms += 1;
    (void)guest_request(s->f, s->g, XDS_HEALTH, "", "still none");
    must_see(s->f, "vm1.vms", &v);
    assert_true(v.health_since_ms == START_MS + 1);
    assert_string_equal(shared_text_get(v.health_message), "still none");
    vm_view_fini(&v);

    (void)guest_request(s->f, s->g, XDS_HEALTH, "", NULL);
    must_see(s->f, "vm1.vms", &v);
    assert_int_equal(v.health, VM_HEALTHY);
    assert_true(v.health_since_ms == START_MS + 3);
    assert_string_equal(shared_text_get(v.health_message), "");
    vm_view_fini(&v);
    assert_events(s, "connected, unhealthy, healthy");
}

/* istiod does so, too (pilot/pkg/xds/delta.go). */
static void test_vm__health_as_the_first_message__is_ignored(void **state)
{
    struct scene *s = *state;
    struct vm_view v;

    (void)guest_request(s->f, s->g, XDS_HEALTH, "", NULL);
    must_see(s->f, "vm1.vms", &v);
    assert_int_equal(v.health, VM_HEALTH_UNKNOWN);
    vm_view_fini(&v);

    (void)guest_request(s->f, s->g, XDS_HEALTH, "", NULL);
    must_see(s->f, "vm1.vms", &v);
    assert_int_equal(v.health, VM_HEALTHY);
    vm_view_fini(&v);
    guest_leave(s->f, s->g, END_UP_CLOSED);
    guest_must_come(s->f, s->g);
    (void)guest_request(s->f, s->g, XDS_HEALTH, "", "bad");
    must_see(s->f, "vm1.vms", &v);
    assert_int_equal(v.health, VM_HEALTHY); /* what was known stays */
    vm_view_fini(&v);
}

/* ---- events ---- */

static void test_events__of_a_life__are_in_order(void **state)
{
    struct scene *s = *state;

    (void)guest_request(s->f, s->g, XDS_CDS, "", NULL);
    guest_push(s->f, s->g, XDS_CDS, NONCE_1);
    (void)guest_request(s->f, s->g, XDS_CDS, NONCE_1, "bad");
    guest_leave(s->f, s->g, END_UP_RETIRED);
    registry_refused(s->f->r, &s->g->claim, RULE_ADDRESS, "why", s->f->now_ms);

    assert_events(s,
                  "connected, push CDS, nack CDS, disconnected upstream_retired, refused address");
}

static void test_events__many_pushes__leave_room_for_the_others(void **state)
{
    struct scene *s = *state;

    (void)guest_request(s->f, s->g, XDS_CDS, "", NULL);
    (void)guest_request(s->f, s->g, XDS_HEALTH, "", NULL);
    for (int i = 0; i < 100; i++) {
        guest_push(s->f, s->g, XDS_CDS, NONCE_1);
        guest_push(s->f, s->g, XDS_EDS, NONCE_2);
    }

    assert_events(s, "connected, healthy, push CDS, push EDS");
    guest_push(s->f, s->g, XDS_CDS, NONCE_1);
    assert_events(s, "connected, healthy, push EDS, push CDS");
}

static void test_events__more_than_are_kept__newest_stay(void **state)
{
    struct scene *s = *state;
    struct vm_view v;

    (void)guest_request(s->f, s->g, XDS_CDS, "", NULL);
    for (int i = 0; i < 20; i++) {
        s->f->now_ms++;
        (void)guest_request(s->f, s->g, XDS_HEALTH, "", i % 2 == 0 ? NULL : "bad");
    }

    must_see(s->f, "vm1.vms", &v);
    assert_int_equal(v.events.n, VM_EVENTS);
    for (uint8_t i = 0; i < VM_EVENTS; i++) {
        assert_true(vm_events_get(&v.events, i).at_ms == START_MS + 5 + i);
    }
    vm_view_fini(&v);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_vm__asks_gets_acknowledges__is_synced),
        TEST(test_vm__rejects__is_in_error_until_it_acknowledges),
        TEST(test_vm__rejects_what_it_never_asked_for__is_told_and_leaves_no_row),
        TEST(test_vm__new_stream__begins_from_nothing),
        TEST(test_vm__longest_nonce__is_told_from_others),
        TEST(test_vm__all_types__have_rows),
        TEST(test_vm__other_types__are_counted_only),
        TEST(test_vm__says_how_it_does__changes_are_noted),
        TEST(test_vm__health_as_the_first_message__is_ignored),
        TEST(test_events__of_a_life__are_in_order),
        TEST(test_events__many_pushes__leave_room_for_the_others),
        TEST(test_events__more_than_are_kept__newest_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
