/* SPDX-License-Identifier: Apache-2.0 */
/* What the tap of agents' streams tells the registry, what it lets pass, and what it ends. */
#include "tests/gateway/relay/tap_fixture.h"

/* ---- the registry ---- */

struct seen {
    enum vm_state state;
    enum xds_sync_state cds;
    enum end_reason last_end;
    enum rule refused;
    uint32_t n_nacks;
    bool knows_istiod; /* one has answered it */
    char pod[64];
    char name[VM_NAME_BYTES];
    unsigned n;
};

static bool see(void *arg, const struct vm_view *v)
{
    struct seen *s = arg;

    s->n++;
    s->state = v->state;
    s->last_end = v->last_end;
    s->refused = v->refused_rule;
    s->n_nacks = v->n_nacks;
    s->knows_istiod = v->endpoint.family != ADDR_NONE;
    snprintf(s->pod, sizeof(s->pod), "%s", shared_text_get(v->pod));
    (void)snprintf(s->name, sizeof(s->name), "%s", v->name);
    for (unsigned i = 0; i < v->n_sync; i++) {
        if (v->sync[i].type == XDS_CDS) {
            s->cds = (enum xds_sync_state)v->sync[i].state;
        }
    }
    return true;
}

/* The only VM there is. */
static struct seen look(struct tap *t)
{
    struct seen s = {.n = 0};

    (void)registry_collect(t->registry, 0, 1, see, &s);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.name, "vm1.vms");
    return s;
}

static void assert_vm(struct tap *t, enum vm_state state, const char *cds)
{
    struct seen s = look(t);

    assert_string_equal(vm_state_name(s.state), vm_state_name(state));
    assert_string_equal(xds_sync_state_name(s.cds), cds);
}

/* ---- tests ---- */

static void test_relay_tap__first_request__passes_and_is_connecting_until_the_answer(void **state)
{
    struct tap t;
    (void)state;
    start(&t);

    struct peer_stream *down = come(&t, OURS);
    assert_non_null(rig_up(&t.rig, 0));
    assert_true(rig_up(&t.rig, 0)->len > 0);
    assert_vm(&t, VM_IS_CONNECTING, "NOT SENT");
    struct peer_stream *up = answered(&t);
    assert_vm(&t, VM_IS_CONNECTING, "NOT SENT"); /* it may still be a refusal */
    push(&t, up, CDS, "n1");

    assert_vm(&t, VM_IS_CONNECTED, "STALE");
    assert_false(down->ended);
    assert_int_equal(t.tally.types[XDS_CDS].requests, 1);
    wire_close(down->peer->wire, END_DOWN_CLOSED);
    rig_run(&t.rig);
    assert_vm(&t, VM_IS_DISCONNECTED, "STALE");
    assert_string_equal(end_label(look(&t).last_end), end_label(END_DOWN_CLOSED));
    assert_true(look(&t).knows_istiod);
    stop(&t);
}

static void test_relay_tap__discovery_knows_the_pod__so_does_the_vm(void **state)
{
    static const char *const pods[] = {"istiod-7"};
    struct tap t;
    (void)state;
    start(&t);
    struct address_set *s = upstream_addresses(t.rig.upstream);
    assert_int_equal(s->n, 1);
    assert_int_equal(upstream_set_addresses(t.rig.upstream, s->addrs, pods, 1), RC_OK);
    address_set_unref(&s);

    (void)come(&t, OURS);
    assert_string_equal(look(&t).pod, "");
    push(&t, answered(&t), CDS, "n1");

    assert_string_equal(look(&t).pod, "istiod-7");
    stop(&t);
}

/* At once, or behind headers as a proxy may write it. */
static void test_relay_tap__istiod_refuses__that_is_no_answer(void **state)
{
    static const char *const trailers[] = {"grpc-status", "16", "grpc-message", "no", NULL};
    (void)state;

    for (unsigned i = 0; i < 2; i++) {
        struct tap t;
        start(&t);
        struct peer_stream *down = come(&t, OURS);
        if (i == 0) {
            answer_status(&t.rig, rig_up(&t.rig, 0), "16", "no");
        } else {
            peer_end(answered(&t), trailers);
            rig_run(&t.rig);
        }

        assert_status(down, "16", "no");
        assert_false(look(&t).knows_istiod);
        assert_vm(&t, VM_IS_DISCONNECTED, "NOT SENT");
        stop(&t);
    }
}

static void test_relay_tap__page_of_a_proxy__that_is_no_answer(void **state)
{
    static const char *const page[] = {":status", "403", "content-type", "text/html", NULL};
    struct tap t;
    (void)state;
    start(&t);
    (void)come(&t, OURS);

    peer_respond(rig_up(&t.rig, 0), page, false);
    peer_send(rig_up(&t.rig, 0), "<html>", 6);
    rig_run(&t.rig);

    assert_false(look(&t).knows_istiod);
    stop(&t);
}

/* Byte by byte the request is the same. */
static void test_relay_tap__first_request_in_pieces__goes_up_as_it_was(void **state)
{
    struct tap t;
    (void)state;
    start(&t);
    struct peer_stream *whole = come(&t, OURS);
    struct peer_stream *first = rig_up(&t.rig, 0);
    uint8_t *bytes = malloc(first->len);
    size_t n = first->len;
    memcpy(bytes, first->data, n);
    wire_close(whole->peer->wire, END_DOWN_CLOSED);
    rig_run(&t.rig);

    struct peer_stream *st = peer_request(rig_vm(&t.rig, RIG_ID), rig_ads_request, false);
    for (size_t i = 0; i < n; i++) {
        assert_null(rig_up(&t.rig, 1));
        peer_send(st, bytes + i, 1);
        rig_run(&t.rig);
    }

    assert_non_null(rig_up(&t.rig, 1));
    assert_int_equal(rig_up(&t.rig, 1)->len, n);
    assert_memory_equal(rig_up(&t.rig, 1)->data, bytes, n);
    assert_vm(&t, VM_IS_CONNECTING, "NOT SENT");
    free(bytes);
    stop(&t);
}

static void test_relay_tap__response_and_ack__stale_then_synced(void **state)
{
    struct tap t;
    (void)state;
    start(&t);
    struct peer_stream *down = come(&t, OURS);
    struct peer_stream *up = answered(&t);

    push(&t, up, CDS, "n1");
    assert_vm(&t, VM_IS_CONNECTED, "STALE");
    assert_true(down->len > 0);
    ask(&t, down, CDS, "n1", NULL);
    assert_vm(&t, VM_IS_CONNECTED, "SYNCED");
    push(&t, up, CDS, "n2");
    assert_vm(&t, VM_IS_CONNECTED, "STALE");
    size_t before = up->len;
    ask(&t, down, CDS, "n2", "no such filter");

    assert_vm(&t, VM_IS_CONNECTED, "ERROR");
    assert_int_equal(look(&t).n_nacks, 1);
    assert_true(up->len > before); /* istiod is told */
    assert_int_equal(t.tally.types[XDS_CDS].responses, 2);
    assert_int_equal(t.tally.types[XDS_CDS].acks, 1);
    assert_int_equal(t.tally.types[XDS_CDS].nacks, 1);
    stop(&t);
}

static void test_relay_tap__address_of_another__7_and_istiod_sees_no_stream(void **state)
{
    struct tap t;
    (void)state;
    start(&t);

    struct peer_stream *down = come(&t, OF_ANOTHER);

    assert_status(down, "7", "xdsgate: registration refused (address)");
    rig_advance(&t.rig, 1);
    assert_null(rig_up(&t.rig, 0));
    assert_int_equal(t.tally.refused[RULE_ADDRESS], 1);
    assert_vm(&t, VM_IS_REFUSED, "IGNORED");
    assert_int_equal(look(&t).refused, RULE_ADDRESS);
    stop(&t);
}

static void test_relay_tap__rule_reports__passes_and_is_counted(void **state)
{
    struct tap t;
    (void)state;
    start(&t);
    t.registration.actions[RULE_ADDRESS] = POLICY_REPORT;

    struct peer_stream *down = come(&t, OF_ANOTHER);
    push(&t, answered(&t), CDS, "n1");

    assert_false(down->ended);
    assert_int_equal(t.tally.reported[RULE_ADDRESS], 1);
    assert_int_equal(t.tally.refused[RULE_ADDRESS], 0);
    assert_vm(&t, VM_IS_CONNECTED, "STALE");
    stop(&t);
}

static void test_relay_tap__compressed_first_request__3(void **state)
{
    struct tap t;
    struct pb_out q = {0};
    (void)state;
    start(&t);
    struct peer_stream *down = peer_request(rig_vm(&t.rig, RIG_ID), rig_ads_request, false);

    put_node(&q, REQUEST_NODE, OURS, NULL);
    pb_text(&q, REQUEST_URL, CDS);
    say(&t, down, 1, &q);

    assert_status(down, "3", "it is compressed");
    assert_null(rig_up(&t.rig, 0));
    assert_int_equal(t.tally.refused[RULE_READABLE], 1);
    assert_int_equal(t.tally.unread_up, 1);
    stop(&t);
}

static void test_relay_tap__unreadable_later_request__3_and_istiod_does_not_see_it(void **state)
{
    struct tap t;
    struct pb_out junk = {0};
    (void)state;
    start(&t);
    struct peer_stream *down = come(&t, OURS);
    struct peer_stream *up = answered(&t);
    size_t before = up->len;

    pb_put(&junk, "\xff\xff\xff", 3);
    say(&t, down, 0, &junk);

    assert_status(down, "3", "xdsgate: request refused (readable)");
    assert_int_equal(up->len, before);
    assert_vm(&t, VM_IS_REFUSED, "NOT SENT");
    stop(&t);
}

static void test_relay_tap__foreign_type_later__dropped_and_the_stream_goes_on(void **state)
{
    struct tap t;
    (void)state;
    start(&t);
    struct peer_stream *down = come(&t, OURS);
    struct peer_stream *up = answered(&t);
    size_t before = up->len;

    ask(&t, down, "istio.io/debug", NULL, NULL);
    assert_int_equal(up->len, before);
    assert_int_equal(t.tally.dropped[RULE_TYPE], 1);
    ask(&t, down, LDS, NULL, NULL);

    assert_true(up->len > before);
    assert_false(down->ended || up->ended);
    assert_int_equal(t.tally.types[XDS_LDS].requests, 1);
    assert_int_equal(look(&t).refused, RULE_TYPE); /* shown with the VM */
    stop(&t);
}

/* Far more than a stream's window: what is left out gives it back. */
static void test_relay_tap__many_dropped__the_window_stays_open(void **state)
{
    struct tap t;
    char *url = malloc(60001);
    (void)state;
    start(&t);
    struct peer_stream *down = come(&t, OURS);
    struct peer_stream *up = answered(&t);
    size_t before = up->len;

    memset(url, 'a', 60000);
    url[60000] = '\0';
    t.registration.actions[RULE_READABLE] = POLICY_OFF; /* such a URL is odd */
    for (unsigned i = 0; i < 50; i++) {
        ask(&t, down, url, NULL, NULL);
    }
    assert_int_equal(t.tally.dropped[RULE_TYPE], 50);
    assert_int_equal(up->len, before);
    ask(&t, down, LDS, NULL, NULL);

    assert_true(up->len > before);
    free(url);
    stop(&t);
}

static void test_relay_tap__nack_of_what_was_never_asked__not_relayed(void **state)
{
    static const enum policy_action actions[] = {POLICY_ENFORCE, POLICY_REPORT, POLICY_OFF};
    (void)state;

    for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
        struct tap t;
        start(&t);
        t.registration.actions[RULE_NACK] = actions[i];
        struct peer_stream *down = come(&t, OURS);
        struct peer_stream *up = answered(&t);
        size_t before = up->len;

        ask(&t, down, LDS, "n1", "unasked");
        assert_int_equal(up->len, before);
        assert_int_equal(t.tally.dropped[RULE_NACK], actions[i] == POLICY_ENFORCE);
        assert_int_equal(t.tally.reported[RULE_NACK], actions[i] == POLICY_REPORT);
        assert_false(down->ended || up->ended);
        ask(&t, down, LDS, NULL, NULL);
        assert_true(up->len > before);
        stop(&t);
    }
}

/* Of two streams with one node id: the newer one speaks for the VM. */
static void test_relay_tap__unasked_nack_beside_a_newer_stream__not_relayed(void **state)
{
    static const char *const networks[] = {"another", NULL}; /* both stay; the older has to end */
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        struct tap t;
        start(&t);
        struct peer_stream *down = come(&t, OURS);
        struct peer_stream *up = answered(&t);
        (void)come_from(&t, OURS, networks[i]);
        assert_int_equal(t.ended, networks[i] == NULL); /* when its mail has come */
        size_t before = up->len;

        ask(&t, down, LDS, "n1", "unasked");
        assert_int_equal(up->len, before);
        assert_int_equal(t.tally.dropped[RULE_NACK], 1);
        ask(&t, down, CDS, "n1", "asked");
        assert_true(up->len > before);
        t.ended = 0;
        stop(&t);
    }
}

static void test_relay_tap__nack_of_what_was_left__not_relayed(void **state)
{
    struct tap t;
    struct pb_out q = {0};
    (void)state;

    start(&t);
    struct peer_stream *down = peer_request(rig_vm(&t.rig, RIG_ID), rig_sotw_request, false);
    put_node(&q, SOTW_NODE, OURS, NULL);
    pb_text(&q, SOTW_NAMES, "a");
    pb_text(&q, SOTW_URL, EDS);
    say(&t, down, 0, &q);
    struct peer_stream *up = answered(&t);
    pb_text(&q, SOTW_URL, EDS); /* no names: it wants no more of them */
    say(&t, down, 0, &q);
    size_t before = up->len;

    pb_text(&q, SOTW_URL, EDS);
    pb_message(&q, SOTW_ERROR, &(struct pb_out){0});
    say(&t, down, 0, &q);
    assert_int_equal(up->len, before);
    assert_int_equal(t.tally.dropped[RULE_NACK], 1);
    stop(&t);
}

static void test_relay_tap__stream_begins_with_a_nack__istiod_hears_nothing(void **state)
{
    static const enum policy_action actions[] = {POLICY_ENFORCE, POLICY_REPORT, POLICY_OFF};
    (void)state;

    for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
        struct tap t;
        start(&t);
        t.registration.actions[RULE_NACK] = actions[i];
        struct peer_stream *down = peer_request(rig_vm(&t.rig, RIG_ID), rig_ads_request, false);
        struct pb_out status = {0};
        struct pb_out q = {0};
        put_node(&q, REQUEST_NODE, OURS, NULL);
        pb_text(&q, REQUEST_URL, CDS);
        pb_number(&status, 1, 3);
        pb_message(&q, REQUEST_ERROR, &status);

        say(&t, down, 0, &q);

        assert_status(down, "7", "xdsgate: registration refused (nack)");
        assert_null(rig_up(&t.rig, 0));
        stop(&t);
    }
}

static void test_relay_tap__health__passes(void **state)
{
    struct tap t;
    (void)state;
    start(&t);
    struct peer_stream *down = come(&t, OURS);
    struct peer_stream *up = answered(&t);
    size_t before = up->len;

    ask(&t, down, xds_type_url(XDS_HEALTH), NULL, "the probe failed");

    assert_true(up->len > before);
    assert_int_equal(t.tally.types[XDS_HEALTH].requests, 1);
    assert_int_equal(look(&t).n_nacks, 0);
    stop(&t);
}

/* The number that the first relay got. */
static uint64_t first_number(const struct tap *t)
{
    const uint64_t id = (uint64_t)1 << 32;

    assert_non_null(relay_index_find(&t->index, id));
    return id;
}

static void end_by_number(struct tap *t, uint64_t id, enum end_reason why)
{
    gateway_enter();
    relay_index_end(&t->index, id, why);
    gateway_leave();
    rig_run(&t->rig);
}

static void test_relay_tap__ended_by_number__status_says_why(void **state)
{
    static const struct {
        enum end_reason why;
        const char *status;
        const char *text;
    } rows[] = {{END_REVOKED, "7", "an operator has revoked this VM"},
                {END_REFUSED, "7", "another VM is connected"},
                {END_REPLACED, "14", "the same VM has opened another stream"},
                {END_REREGISTER, "14", "registered anew"}};
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct tap t;
        start(&t);
        struct peer_stream *down = come(&t, OURS);
        (void)answered(&t);
        uint64_t id = first_number(&t);

        end_by_number(&t, id, rows[i].why);
        assert_status(down, rows[i].status, rows[i].text);
        assert_null(relay_index_find(&t.index, id));
        assert_vm(&t, VM_IS_DISCONNECTED, "NOT SENT");
        assert_string_equal(end_label(look(&t).last_end), end_label(rows[i].why));
        end_by_number(&t, id, END_REVOKED); /* too late */
        stop(&t);
    }
}

static void test_relay_tap__ended_before_istiod_answers__istiods_stream_ends_too(void **state)
{
    struct tap t;
    (void)state;
    start(&t);
    struct peer_stream *down = come(&t, OURS);
    assert_non_null(rig_up(&t.rig, 0));

    end_by_number(&t, first_number(&t), END_REVOKED);
    assert_status(down, "7", "an operator has revoked this VM");
    rig_advance(&t.rig, 3);

    assert_true(rig_up(&t.rig, 0)->closed);
    stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relay_tap__first_request__passes_and_is_connecting_until_the_answer),
        cmocka_unit_test(test_relay_tap__discovery_knows_the_pod__so_does_the_vm),
        cmocka_unit_test(test_relay_tap__istiod_refuses__that_is_no_answer),
        cmocka_unit_test(test_relay_tap__page_of_a_proxy__that_is_no_answer),
        cmocka_unit_test(test_relay_tap__first_request_in_pieces__goes_up_as_it_was),
        cmocka_unit_test(test_relay_tap__response_and_ack__stale_then_synced),
        cmocka_unit_test(test_relay_tap__address_of_another__7_and_istiod_sees_no_stream),
        cmocka_unit_test(test_relay_tap__rule_reports__passes_and_is_counted),
        cmocka_unit_test(test_relay_tap__compressed_first_request__3),
        cmocka_unit_test(test_relay_tap__unreadable_later_request__3_and_istiod_does_not_see_it),
        cmocka_unit_test(test_relay_tap__foreign_type_later__dropped_and_the_stream_goes_on),
        cmocka_unit_test(test_relay_tap__many_dropped__the_window_stays_open),
        cmocka_unit_test(test_relay_tap__nack_of_what_was_never_asked__not_relayed),
        cmocka_unit_test(test_relay_tap__unasked_nack_beside_a_newer_stream__not_relayed),
        cmocka_unit_test(test_relay_tap__nack_of_what_was_left__not_relayed),
        cmocka_unit_test(test_relay_tap__stream_begins_with_a_nack__istiod_hears_nothing),
        cmocka_unit_test(test_relay_tap__health__passes),
        cmocka_unit_test(test_relay_tap__ended_by_number__status_says_why),
        cmocka_unit_test(test_relay_tap__ended_before_istiod_answers__istiods_stream_ends_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
