/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMs behind a slow line: our PING waits in the line behind what was pushed before. Who reads
 * steadily is alive; who is silent is not.
 */
#include "tests/gateway/relay/relay_fixture.h"

#include "core/base/clock.h"

/* As an agent has it (grpc-go): the window it gives, and when it gives it again. */
#define AGENT_WINDOW_BYTES (1 << 20)
#define AGENT_CREDIT_BYTES (AGENT_WINDOW_BYTES / 4)

/* Never credited again: wide enough for all of a test. */
#define CONN_WINDOW_BYTES (64 << 20)

#define PUSH_BYTES (4 << 20)

#define TICK_S 0.1

static double started_at;

/* An agent with an ADS stream, which has the first bytes of a large push in its line. */
static struct peer_stream *start(struct rig *r)
{
    static const nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
                                                  AGENT_WINDOW_BYTES};
    struct rig_opts o = {.identity = UPSTREAM_XFCC};

    rig_start(r, &o);
    started_at = clock_mono();
    struct h2_peer *vm = rig_vm(r, RIG_ID);
    vm->manual_credit = true;
    assert_int_equal(nghttp2_submit_settings(vm->ng, 0, &window, 1), 0);
    assert_int_equal(nghttp2_session_set_local_window_size(vm->ng, 0, 0, CONN_WINDOW_BYTES), 0);
    struct peer_stream *down = rig_ads(r, vm, 10);
    vm->frozen = true; /* from now on the line decides */
    rig_answer(r, rig_up(r, 0), PUSH_BYTES);
    assert_true(vm->wire->out_len > AGENT_WINDOW_BYTES - H2_FRAME_BYTES);
    return down;
}

/* The VM takes what came over the line and gives window as grpc-go does. */
static void take(struct peer_stream *down, size_t n)
{
    struct h2_peer *vm = down->peer;

    vm->take_chunk = n;
    vm->frozen = false;
    (void)peer_pump(vm);
    if (down->uncredited >= AGENT_CREDIT_BYTES) {
        assert_int_equal(
            nghttp2_submit_window_update(vm->ng, 0, down->id, (int32_t)down->uncredited), 0);
        down->uncredited = 0;
        peer_write(vm);
    }
    vm->frozen = true;
}

/* Let time pass until so many seconds after the start, on a line of so many bytes a second, or
 * until the connection is gone. */
static void pass(struct rig *r, struct peer_stream *down, double until_s, size_t bytes_per_s)
{
    const struct wire *line = down->peer->wire;
    double before = clock_mono();

    while (clock_mono() < started_at + until_s && line->conn != NULL) {
        rig_advance(r, TICK_S);
        if (bytes_per_s > 0 && line->conn != NULL) {
            take(down, (size_t)((clock_mono() - before) * (double)bytes_per_s));
        }
        before = clock_mono();
    }
}

static void test_relay__ping_waits_behind_a_push__slow_reader_stays(void **state)
{
    struct rig r;
    (void)state;
    struct peer_stream *down = start(&r);

    pass(&r, down, 58, 12000);
    assert_int_equal(down->peer->pings, 0); /* it has not come through, 28 s after it was sent */
    pass(&r, down, 400, 12000);

    assert_int_equal(down->peer->wire->why, END_NONE);
    assert_false(down->closed);
    assert_message(down, PUSH_BYTES, 7);
    assert_true(down->peer->pings > 1);
    rig_stop(&r);
}

static void check_silent(double reads_for_s)
{
    struct rig r;
    struct peer_stream *down = start(&r);
    r.limits.stall_timeout = 1000;
    struct wire *line = down->peer->wire;

    pass(&r, down, reads_for_s, 12000);
    pass(&r, down, 39.5, 0);
    assert_non_null(line->conn);
    pass(&r, down, 40.5, 0);

    assert_null(line->conn);
    assert_int_equal(line->why, END_PING_TIMEOUT);
    assert_true(down->len < PUSH_BYTES);
    rig_stop(&r);
}

static void test_relay__vm_is_silent_from_the_start__ended_when_its_ping_is_due(void **state)
{
    (void)state;
    check_silent(0);
}

static void test_relay__slow_reader_falls_silent__ended_when_its_ping_is_due(void **state)
{
    (void)state;
    check_silent(29);
}

static void test_relay__slow_reader_falls_silent_while_a_ping_waits__ended_20_s_later(void **state)
{
    struct rig r;
    (void)state;
    struct peer_stream *down = start(&r);
    r.limits.stall_timeout = 1000;

    pass(&r, down, 45, 12000);
    assert_non_null(down->peer->wire->conn);
    pass(&r, down, 65, 0);

    assert_int_equal(down->peer->wire->why, END_PING_TIMEOUT);
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relay__ping_waits_behind_a_push__slow_reader_stays),
        cmocka_unit_test(test_relay__vm_is_silent_from_the_start__ended_when_its_ping_is_due),
        cmocka_unit_test(test_relay__slow_reader_falls_silent__ended_when_its_ping_is_due),
        cmocka_unit_test(test_relay__slow_reader_falls_silent_while_a_ping_waits__ended_20_s_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
