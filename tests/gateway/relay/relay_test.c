/* SPDX-License-Identifier: Apache-2.0 */
/* What a VM and an istiod see of a relayed stream that nothing goes wrong with, and how it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/support/rig.h"

static const char *const ok_trailers[] = {"grpc-status", "0", "grpc-message", "", NULL};

static void assert_text(const char *have, const char *want)
{
    assert_non_null(have);
    assert_string_equal(have, want);
}

static void assert_message(const struct peer_stream *st, size_t n, unsigned seed)
{
    size_t len;
    uint8_t *m = peer_message(n, seed, &len);

    assert_int_equal(st->len, len);
    assert_memory_equal(st->data, m, len);
    free(m);
}

static void test_relay__request_and_answer__both_arrive(void **state)
{
    struct rig r;
    (void)state;
    rig_start(&r, NULL);
    r.opts.anonymous_allow = true;

    struct peer_stream *down = rig_ads(&r, rig_vm(&r, NULL), 3000);
    struct peer_stream *up = rig_up(&r, 0);
    assert_non_null(up);
    assert_message(up, 3000, 3000);
    assert_false(up->ended);
    rig_answer(&r, up, 70000);

    assert_message(down, 70000, 7);
    assert_text(peer_header(down, ":status"), "200");
    assert_false(down->ended);
    assert_int_equal(rig_count(&r, COUNTER_STREAMS_ADMITTED), 1);
    assert_int_equal(rig_count(&r, COUNTER_BYTES_UP), 3005);
    assert_int_equal(rig_count(&r, COUNTER_BYTES_DOWN), 70005);
    rig_stop(&r);
}

static void test_relay__vm_half_closes__istiod_sees_it_and_its_trailers_come(void **state)
{
    struct rig r;
    (void)state;
    rig_start(&r, NULL);
    r.opts.anonymous_allow = true;
    struct peer_stream *down = rig_ads(&r, rig_vm(&r, NULL), 10);
    struct peer_stream *up = rig_up(&r, 0);
    rig_answer(&r, up, 10);

    peer_end(down, NULL);
    rig_run(&r);
    assert_true(up->ended && !up->closed);
    peer_end(up, ok_trailers);
    rig_run(&r);

    assert_true(down->closed);
    assert_int_equal(down->error, 0);
    assert_text(peer_header(down, "grpc-status"), "0");
    assert_int_equal(rig_count(&r, COUNTER_STREAMS_OPEN), 0);
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relay__request_and_answer__both_arrive),
        cmocka_unit_test(test_relay__vm_half_closes__istiod_sees_it_and_its_trailers_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
