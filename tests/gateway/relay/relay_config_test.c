/* SPDX-License-Identifier: Apache-2.0 */
/* What passes on a VM's stream ends in what is shown of its configuration; and what cannot be kept
 * passes all the same, at once. */
#include "tests/gateway/relay/tap_fixture.h"

#include "gateway/registry/registry_config.h"
#include "tests/gateway/vmconfig/config_fixture.h"

#define SECRET_URL URL("envoy.extensions.transport_sockets.tls.v3.Secret")

static void start_with(struct tap *t, uint64_t budget)
{
    const struct registry_opts opts = {
        .forget_after_s = 3600, .max_vms = 100, .keep_config_bytes = budget};

    start(t);
    registry_set_opts(t->registry, &opts);
}

/* istiod sends these clusters, in one frame of HTTP/2 or in some; the VM must have them at once. */
static void push_words(struct tap *t, struct peer_stream *up, struct peer_stream *down,
                       const char *nonce, const char *words, size_t piece)
{
    struct pb_out message = {0};
    struct pb_out frame = {0};
    size_t before = down->len;

    config_response(&message, XDS_DELTA, XDS_CDS, "v", nonce, words);
    pb_frame(&frame, 0, message.data, message.n);
    for (size_t at = 0; at < frame.n; at += piece) {
        size_t n = frame.n - at < piece ? frame.n - at : piece;
        peer_send(up, frame.data + at, n);
        rig_run(&t->rig);
        assert_int_equal(down->len, before + at + n); /* nothing is held back */
    }
    assert_memory_equal(down->data + before, frame.data, frame.n);
    pb_free(&message);
    pb_free(&frame);
}

/* "kept: a b", or why not. */
static const char *show(struct tap *t, enum xds_type type)
{
    static char text[REGISTRY_WHY_BYTES];
    struct registry_config c;
    size_t n = 0;

    assert_int_equal(registry_config(t->registry, "vm1.vms", &c, text), RC_OK);
    const struct vm_config_type_view *v = &c.config.types[type];
    n += (size_t)snprintf(text, sizeof(text), "%s:", vm_config_state_name(v->state));
    for (size_t i = 0; i < v->n_resources; i++) {
        struct vm_config_resource r;
        vm_config_view_resource(v, i, &r);
        n += (size_t)snprintf(text + n, sizeof(text) - n, " %s", r.name);
    }
    assert_true(n < sizeof(text));
    registry_config_fini(&c);
    return text;
}

static uint64_t in_use(struct tap *t)
{
    struct config_store_stats stats;

    config_store_stats(registry_configs(t->registry), &stats);
    return stats.bytes;
}

static void test_relay_config__pushes_and_acks__shown(void **state)
{
    (void)state;

    for (size_t piece = 1; piece < 100; piece += 9) {
        struct tap t;
        start_with(&t, CONFIG_BUDGET);
        struct peer_stream *down = come(&t, OURS);
        struct peer_stream *up = answered(&t);
        push_words(&t, up, down, "n1", "b=1 a=2", piece);
        assert_string_equal(show(&t, XDS_CDS), "none:");
        ask(&t, down, CDS, "n1", NULL);
        assert_string_equal(show(&t, XDS_CDS), "kept: a b");
        push_words(&t, up, down, "n2", "c=1 -a", piece);
        ask(&t, down, CDS, "n2", "no");
        assert_string_equal(show(&t, XDS_CDS), "kept: a b");
        push_words(&t, up, down, "n3", "c=1 -a", piece);
        ask(&t, down, CDS, "n3", NULL);
        assert_string_equal(show(&t, XDS_CDS), "kept: b c");
        wire_close(down->peer->wire, END_DOWN_CLOSED);
        rig_run(&t.rig);
        assert_string_equal(show(&t, XDS_CDS), "kept: b c");
        stop(&t);
    }
}

static void test_relay_config__off__costs_nothing(void **state)
{
    struct tap t;
    (void)state;

    start_with(&t, 0);
    struct peer_stream *down = come(&t, OURS);
    struct peer_stream *up = answered(&t);
    push_words(&t, up, down, "n1", "a=1", 1000);
    ask(&t, down, CDS, "n1", NULL);
    assert_string_equal(show(&t, XDS_CDS), "incomplete:");
    assert_int_equal(in_use(&t), 0);
    stop(&t);
}

/* Whatever the budget is, the VM gets every byte, and its ACKs go up. */
static void test_relay_config__every_budget__nothing_is_delayed(void **state)
{
    unsigned kept = 0;
    unsigned lost = 0;
    (void)state;

    for (uint64_t budget = 1; budget < 10000; budget += 499) {
        struct tap t;
        start_with(&t, budget);
        struct peer_stream *down = come(&t, OURS);
        struct peer_stream *up = answered(&t);
        size_t sent = up->len;
        push_words(&t, up, down, "n1", "a=1 b=2 c=3 d=4", 50);
        ask(&t, down, CDS, "n1", NULL);
        assert_true(up->len > sent);
        assert_false(down->ended);
        bool all = strcmp(show(&t, XDS_CDS), "kept: a b c d") == 0;
        kept += all;
        lost += !all;
        stop(&t);
    }
    assert_true(kept > 5 && lost > 3);
}

/* The stream ends in the middle of a response: what was held of it is given back. */
static void test_relay_config__cut_response__given_back(void **state)
{
    struct tap t;
    struct pb_out message = {0};
    struct pb_out frame = {0};
    (void)state;

    start_with(&t, CONFIG_BUDGET);
    uint64_t empty = in_use(&t);
    struct peer_stream *down = come(&t, OURS);
    struct peer_stream *up = answered(&t);
    config_response(&message, XDS_DELTA, XDS_CDS, "v", "n1", "a=1 b=2");
    pb_frame(&frame, 0, message.data, message.n);
    uint64_t before = in_use(&t);
    peer_send(up, frame.data, frame.n - 20);
    rig_run(&t.rig);
    assert_true(in_use(&t) > before);
    wire_close(down->peer->wire, END_DOWN_CLOSED);
    rig_run(&t.rig);
    assert_int_equal(in_use(&t), before);
    assert_true(before > empty);
    pb_free(&message);
    pb_free(&frame);
    stop(&t);
}

static void test_relay_config__compressed_response__unreadable_and_it_passes(void **state)
{
    struct tap t;
    (void)state;

    start_with(&t, CONFIG_BUDGET);
    struct peer_stream *down = come(&t, OURS);
    struct peer_stream *up = answered(&t);
    push_words(&t, up, down, "n1", "a=1", 1000);
    ask(&t, down, CDS, "n1", NULL);
    struct pb_out zipped = {0};
    pb_text(&zipped, 2, "whatever");
    size_t before = down->len;
    say(&t, up, 1, &zipped);
    assert_true(down->len > before);
    ask(&t, down, CDS, "n2", NULL);
    assert_string_equal(show(&t, XDS_CDS), "unreadable:");
    assert_int_equal(t.tally.unread_down, 1);
    stop(&t);
}

static void test_relay_config__secrets__pass_and_are_not_kept(void **state)
{
    struct tap t;
    (void)state;

    start_with(&t, CONFIG_BUDGET);
    struct peer_stream *down = come(&t, OURS);
    struct peer_stream *up = answered(&t);
    ask(&t, down, SECRET_URL, NULL, NULL);
    uint64_t before = in_use(&t);
    push(&t, up, SECRET_URL, "s1");
    ask(&t, down, SECRET_URL, "s1", NULL);
    assert_int_equal(in_use(&t), before);
    assert_string_equal(show(&t, XDS_SDS), "never:");
    stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relay_config__pushes_and_acks__shown),
        cmocka_unit_test(test_relay_config__off__costs_nothing),
        cmocka_unit_test(test_relay_config__every_budget__nothing_is_delayed),
        cmocka_unit_test(test_relay_config__cut_response__given_back),
        cmocka_unit_test(test_relay_config__compressed_response__unreadable_and_it_passes),
        cmocka_unit_test(test_relay_config__secrets__pass_and_are_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
