/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/sandbox/istiod/watch.h"

#include "tests/integration/sandbox/unit.h"

/* names without const, as protobuf-c gives them */
static char name_a[] = "a";
static char name_b[] = "b";
static char *const one[] = {name_a};
static char *const two[] = {name_a, name_b};

static void sotw(struct watch *w, enum xds_type type, const char *nonce, char *const *names,
                 size_t n)
{
    struct watch_request rq = {.nonce = nonce, .error = "", .subscribe = names, .n_subscribe = n};

    watch_on_sotw(w, type, &rq);
}

static void delta(struct watch *w, enum xds_type type, const char *nonce, char *const *names,
                  size_t n)
{
    struct watch_request rq = {.nonce = nonce, .error = "", .subscribe = names, .n_subscribe = n};

    watch_on_delta(w, type, &rq);
}

static void nack(struct watch *w, bool is_delta)
{
    struct watch_request rq = {.nonce = "n1", .is_nack = true, .error = "bad", .error_code = 13};

    if (is_delta) {
        watch_on_delta(w, XDS_CDS, &rq);
    } else {
        watch_on_sotw(w, XDS_CDS, &rq);
    }
}

static void test_watch__life_of_a_type__states_as_proxy_status_says(void **state)
{
    struct watch w = {0};

    (void)state;
    assert_string_equal(watch_state(&w), "IGNORED");
    sotw(&w, XDS_CDS, "", NULL, 0);
    assert_true(w.pending && w.pending_all);
    assert_string_equal(watch_state(&w), "NOT SENT");
    watch_on_sent(&w, "v1", "n1", 4);
    assert_false(w.pending);
    assert_string_equal(watch_state(&w), "STALE");
    sotw(&w, XDS_CDS, "n1", NULL, 0);
    assert_false(w.pending);
    assert_string_equal(watch_state(&w), "SYNCED");
    watch_on_sent(&w, "v2", "n2", 4);
    assert_string_equal(watch_state(&w), "STALE");
    watch_fini(&w);
}

static void test_watch__old_nonce__is_ignored(void **state)
{
    struct watch w = {0};

    (void)state;
    sotw(&w, XDS_CDS, "", NULL, 0);
    watch_on_sent(&w, "v1", "n1", 4);
    watch_on_sent(&w, "v2", "n2", 4);

    sotw(&w, XDS_CDS, "n1", NULL, 0);

    assert_string_equal(watch_state(&w), "STALE");
    assert_int_equal(w.stale, 1);
    assert_int_equal(w.acks, 0);
    assert_false(w.pending);
    watch_fini(&w);
}

static void check_nack(bool is_delta)
{
    struct watch w = {0};

    if (is_delta) {
        delta(&w, XDS_CDS, "", NULL, 0);
    } else {
        sotw(&w, XDS_CDS, "", NULL, 0);
    }
    watch_on_sent(&w, "v1", "n1", 4);
    nack(&w, is_delta);
    assert_string_equal(watch_state(&w), "ERROR");
    assert_string_equal(w.error, "bad");
    assert_false(w.pending);
    if (is_delta) {
        delta(&w, XDS_CDS, "n1", NULL, 0);
    } else {
        sotw(&w, XDS_CDS, "n1", NULL, 0);
    }
    assert_string_equal(watch_state(&w), "SYNCED");
    watch_fini(&w);
}

static void test_watch__nack__is_an_error_until_the_next_ack(void **state)
{
    (void)state;
    check_nack(false);
    check_nack(true);
}

static void test_watch__sotw_names_added_with_the_ack__only_they_are_due(void **state)
{
    struct watch w = {0};

    (void)state;
    sotw(&w, XDS_EDS, "", one, 1);
    watch_on_sent(&w, "v1", "n1", 1);
    sotw(&w, XDS_EDS, "n1", two, 2);

    assert_true(w.pending);
    assert_false(watch_wants(&w, XDS_EDS, "a"));
    assert_true(watch_wants(&w, XDS_EDS, "b"));

    watch_on_sent(&w, "v1", "n2", 1);
    sotw(&w, XDS_EDS, "n2", one, 1);
    assert_false(w.pending);
    assert_int_equal(w.names.n, 1);
    watch_fini(&w);
}

static void test_watch__sotw_no_names_of_a_named_type__unsubscribes(void **state)
{
    struct watch w = {0};

    (void)state;
    sotw(&w, XDS_RDS, "", one, 1);
    watch_on_sent(&w, "v1", "n1", 1);
    sotw(&w, XDS_RDS, "n1", NULL, 0);
    assert_string_equal(watch_state(&w), "IGNORED");
    watch_fini(&w);
}

static void test_watch__sotw_reconnect_with_old_nonce__subscribes(void **state)
{
    struct watch w = {0};

    (void)state;
    sotw(&w, XDS_CDS, "of-another-stream", NULL, 0);
    assert_true(w.pending && w.subscribed);
    assert_int_equal(w.stale, 0);
    watch_fini(&w);
}

static void test_watch__delta_spontaneous_subscribe__only_the_new_ones_are_due(void **state)
{
    struct watch w = {0};
    struct watch_request gone = {.nonce = "", .error = "", .unsubscribe = one, .n_unsubscribe = 1};

    (void)state;
    delta(&w, XDS_EDS, "", one, 1);
    watch_on_sent(&w, "v1", "n1", 1);
    delta(&w, XDS_EDS, "", two, 2);
    assert_true(watch_wants(&w, XDS_EDS, "b"));
    assert_false(watch_wants(&w, XDS_EDS, "a"));
    watch_on_sent(&w, "v1", "n2", 1);

    watch_on_delta(&w, XDS_EDS, &gone);

    assert_false(names_has(&w.names, "a"));
    assert_false(w.pending);
    watch_fini(&w);
}

static void test_watch__wildcard__wants_everything(void **state)
{
    struct watch w = {0};

    (void)state;
    delta(&w, XDS_LDS, "", NULL, 0);
    assert_true(watch_wants(&w, XDS_LDS, "whatever"));
    assert_false(watch_wants(&w, XDS_RDS, "whatever"));
    watch_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watch__life_of_a_type__states_as_proxy_status_says),
        cmocka_unit_test(test_watch__old_nonce__is_ignored),
        cmocka_unit_test(test_watch__nack__is_an_error_until_the_next_ack),
        cmocka_unit_test(test_watch__sotw_names_added_with_the_ack__only_they_are_due),
        cmocka_unit_test(test_watch__sotw_no_names_of_a_named_type__unsubscribes),
        cmocka_unit_test(test_watch__sotw_reconnect_with_old_nonce__subscribes),
        cmocka_unit_test(test_watch__delta_spontaneous_subscribe__only_the_new_ones_are_due),
        cmocka_unit_test(test_watch__wildcard__wants_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
