/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/xds_sync.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const enum xds_variant variants[] = {XDS_SOTW, XDS_DELTA};

/* A request of type t about a nonce; in state of the world for a name. */
static enum xds_sync_event request(struct xds_sync *s, enum xds_variant variant, const char *nonce,
                                   int64_t now_ms)
{
    struct xds_request r = {.type = s->type, .n_subscribe = 1};

    (void)snprintf(r.nonce, sizeof(r.nonce), "%s", nonce);
    return xds_sync_request(s, variant, &r, now_ms);
}

static enum xds_sync_event reject(struct xds_sync *s, enum xds_variant variant, const char *nonce,
                                  const char *text, int64_t now_ms)
{
    struct xds_request r = {.type = s->type, .has_error = true};

    (void)snprintf(r.nonce, sizeof(r.nonce), "%s", nonce);
    (void)snprintf(r.error_text, sizeof(r.error_text), "%s", text);
    return xds_sync_request(s, variant, &r, now_ms);
}

static enum xds_sync_event leave(struct xds_sync *s, enum xds_variant variant, const char *nonce)
{
    struct xds_request r = {.type = s->type};

    (void)snprintf(r.nonce, sizeof(r.nonce), "%s", nonce);
    return xds_sync_request(s, variant, &r, 0);
}

static void respond(struct xds_sync *s, const char *nonce, int64_t now_ms)
{
    const struct xds_response r = {
        .type = s->type, .url = "", .nonce = nonce, .bytes = 100, .n_resources = 3, .n_removed = 1};

    xds_sync_response(s, &r, now_ms);
}

/* Subscribed, with one response on its way to the VM. */
static struct xds_sync make_sent(enum xds_variant variant, enum xds_type type, const char *nonce)
{
    struct xds_sync s = {.type = (uint8_t)type};

    assert_int_equal(request(&s, variant, "", 1000), XDS_SUBSCRIBED);
    respond(&s, nonce, 2000);
    return s;
}

static void test_xds_sync__usual_course__not_sent_then_stale_then_synced(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(variants); i++) {
        struct xds_sync s = {.type = XDS_CDS};
        assert_int_equal(s.state, XDS_IGNORED);
        assert_int_equal(request(&s, variants[i], "", 1000), XDS_SUBSCRIBED);
        assert_int_equal(s.state, XDS_NOT_SENT);
        respond(&s, "n1", 2000);
        assert_int_equal(s.state, XDS_STALE);
        assert_int_equal(s.sent_ms, 2000);
        assert_int_equal(xds_sync_acked_ms(&s), 0);
        assert_int_equal(request(&s, variants[i], "n1", 3000), XDS_ACKED);
        assert_int_equal(s.state, XDS_SYNCED);
        assert_int_equal(xds_sync_acked_ms(&s), 3000);
        respond(&s, "n2", 4000);
        assert_int_equal(s.state, XDS_STALE);
        assert_int_equal(xds_sync_acked_ms(&s), 0);
        assert_int_equal(s.n_nacks, 0);
    }
}

/* Without delta, who wants other names says the last nonce again, hours after it was pushed. */
static void test_xds_sync__other_names_after_the_ack__is_no_second_ack(void **state)
{
    struct xds_sync s = make_sent(XDS_SOTW, XDS_EDS, "n1");
    (void)state;

    assert_int_equal(request(&s, XDS_SOTW, "n1", 2003), XDS_ACKED);
    assert_int_equal(request(&s, XDS_SOTW, "n1", 9000000), XDS_SUBSCRIBED);
    assert_int_equal(s.state, XDS_SYNCED);
    assert_int_equal(xds_sync_acked_ms(&s), 2003);
    respond(&s, "n2", 9000001);
    assert_int_equal(request(&s, XDS_SOTW, "n2", 9000002), XDS_ACKED);
}

static void test_xds_sync__responses__are_counted(void **state)
{
    struct xds_sync s = make_sent(XDS_DELTA, XDS_EDS, "n1");
    (void)state;

    respond(&s, "n2", 3000);
    assert_int_equal(s.n_responses, 2);
    assert_int_equal(s.bytes, 100);
    assert_int_equal(s.all_bytes, 200);
    assert_int_equal(s.n_resources, 3);
    assert_int_equal(s.n_removed, 1);
    assert_string_equal(s.nonce, "n2");
}

static void test_xds_sync__older_nonce__is_late_and_changes_nothing(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(variants); i++) {
        struct xds_sync s = make_sent(variants[i], XDS_CDS, "n1");
        respond(&s, "n2", 2000);
        struct xds_sync before = s;
        assert_int_equal(request(&s, variants[i], "n1", 3000), XDS_LATE);
        assert_int_equal(request(&s, variants[i], "n", 3000), XDS_LATE);
        assert_int_equal(request(&s, variants[i], "n22", 3000), XDS_LATE);
        assert_memory_equal(&s, &before, sizeof(s));
    }
}

/* Envoy that comes back to another istiod still has the nonce of the one before. */
static void test_xds_sync__first_request_with_a_nonce__subscribes(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(variants); i++) {
        struct xds_sync s = {.type = XDS_RDS};
        assert_int_equal(request(&s, variants[i], "of another stream", 1), XDS_SUBSCRIBED);
        assert_int_equal(s.state, XDS_NOT_SENT);
        assert_int_equal(request(&s, variants[i], "of another stream", 2), XDS_LATE);
        assert_int_equal(s.state, XDS_NOT_SENT);
    }
}

static void test_xds_sync__nack__is_an_error_until_an_ack(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(variants); i++) {
        struct xds_sync s = make_sent(variants[i], XDS_LDS, "n1");
        assert_int_equal(reject(&s, variants[i], "n1", "bad", 3000), XDS_NACKED);
        assert_int_equal(s.state, XDS_ERROR);
        assert_int_equal(s.n_nacks, 1);
        assert_int_equal(xds_sync_acked_ms(&s), 3000);
        respond(&s, "n2", 4000); /* a push does not make it better */
        assert_int_equal(s.state, XDS_ERROR);
        assert_int_equal(xds_sync_acked_ms(&s), 0);
        assert_int_equal(request(&s, variants[i], "n1", 5000), XDS_LATE);
        assert_int_equal(s.state, XDS_ERROR);
        assert_int_equal(request(&s, variants[i], "n2", 6000), XDS_ACKED);
        assert_int_equal(s.state, XDS_SYNCED);
        assert_int_equal(s.n_nacks, 1);
    }
}

static void test_xds_sync__nack_of_an_older_response__is_an_error_too(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(variants); i++) {
        struct xds_sync s = make_sent(variants[i], XDS_CDS, "n1");
        respond(&s, "n2", 3000);
        assert_int_equal(request(&s, variants[i], "n2", 4000), XDS_ACKED);
        assert_int_equal(reject(&s, variants[i], "n1", "bad", 5000), XDS_NACKED);
        assert_int_equal(s.state, XDS_ERROR);
        assert_int_equal(xds_sync_acked_ms(&s), 4000); /* not of that one */
    }
}

/* istiod keeps the text and asks whether it is empty. */
static void test_xds_sync__nack_without_a_text__is_counted_and_no_error(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(variants); i++) {
        struct xds_sync s = make_sent(variants[i], XDS_CDS, "n1");
        assert_int_equal(reject(&s, variants[i], "n1", "", 3000), XDS_NACKED);
        assert_int_equal(s.state, XDS_STALE);
        assert_int_equal(s.n_nacks, 1);
        assert_int_equal(request(&s, variants[i], "n1", 4000), XDS_ACKED);
        assert_int_equal(reject(&s, variants[i], "n1", "bad", 5000), XDS_NACKED);
        assert_int_equal(s.state, XDS_ERROR);
        assert_int_equal(reject(&s, variants[i], "n1", "", 6000), XDS_NACKED);
        assert_int_equal(s.state, XDS_SYNCED);
    }
}

static void test_xds_sync__nack_before_the_first_response__is_an_error(void **state)
{
    struct xds_sync s = {.type = XDS_CDS};
    (void)state;

    assert_int_equal(request(&s, XDS_DELTA, "", 1000), XDS_SUBSCRIBED);
    assert_int_equal(reject(&s, XDS_DELTA, "", "bad", 2000), XDS_NACKED);
    assert_int_equal(s.state, XDS_ERROR);
    assert_int_equal(xds_sync_acked_ms(&s), 0); /* there is nothing that it could be of */
}

static void test_xds_sync__nack_of_what_was_never_asked_for__is_unasked(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(variants); i++) {
        struct xds_sync s = {.type = XDS_CDS};
        assert_int_equal(reject(&s, variants[i], "n1", "bad", 3000), XDS_UNASKED);
        assert_int_equal(s.state, XDS_IGNORED);
        assert_int_equal(s.n_nacks, 0);
    }
}

static void test_xds_sync__empty_nonce__subscribes_anew_in_sotw_and_adds_in_delta(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(variants); i++) {
        struct xds_sync s = make_sent(variants[i], XDS_EDS, "n1");
        assert_int_equal(request(&s, variants[i], "n1", 3000), XDS_ACKED);
        assert_int_equal(request(&s, variants[i], "", 4000), XDS_SUBSCRIBED);
        bool is_sotw = variants[i] == XDS_SOTW;
        assert_int_equal(s.state, is_sotw ? XDS_NOT_SENT : XDS_SYNCED);
        assert_int_equal(s.sent_ms, is_sotw ? 0 : 2000);
        assert_string_equal(s.nonce, is_sotw ? "" : "n1");
        assert_int_equal(s.n_responses, 1);
    }
}

static void test_xds_sync__subscribed_anew_after_a_nack__sotw_forgets_the_error(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(variants); i++) {
        struct xds_sync s = make_sent(variants[i], XDS_CDS, "n1");
        assert_int_equal(reject(&s, variants[i], "n1", "bad", 3000), XDS_NACKED);
        assert_int_equal(request(&s, variants[i], "", 4000), XDS_SUBSCRIBED);
        assert_int_equal(s.state, variants[i] == XDS_SOTW ? XDS_NOT_SENT : XDS_ERROR);
    }
}

static void test_xds_sync__no_names__leaves_in_sotw_what_has_no_wildcard(void **state)
{
    (void)state;

    for (unsigned t = 0; t < XDS_TYPES; t++) {
        bool by_name = t == XDS_EDS || t == XDS_RDS || t == XDS_SDS || t == XDS_ECDS;
        struct xds_sync s = make_sent(XDS_SOTW, (enum xds_type)t, "n1");
        assert_int_equal(leave(&s, XDS_SOTW, "n1"), by_name ? XDS_LEFT : XDS_ACKED);
        assert_int_equal(s.state, by_name ? XDS_IGNORED : XDS_SYNCED);

        s = make_sent(XDS_DELTA, (enum xds_type)t, "n1");
        assert_int_equal(leave(&s, XDS_DELTA, "n1"), XDS_ACKED);
        assert_int_equal(s.state, XDS_SYNCED);
    }
}

static void
test_xds_sync__after_it_was_left__a_nack_is_unasked_and_a_request_subscribes(void **state)
{
    struct xds_sync s = make_sent(XDS_SOTW, XDS_RDS, "n1");
    (void)state;

    assert_int_equal(reject(&s, XDS_SOTW, "n1", "bad", 3000), XDS_NACKED);
    assert_int_equal(leave(&s, XDS_SOTW, "n1"), XDS_LEFT);
    assert_int_equal(reject(&s, XDS_SOTW, "n1", "bad", 3000), XDS_UNASKED);
    respond(&s, "n2", 4000); /* was on its way */
    assert_int_equal(s.state, XDS_IGNORED);
    assert_int_equal(s.n_responses, 2);
    assert_int_equal(request(&s, XDS_SOTW, "n2", 5000), XDS_SUBSCRIBED);
    assert_int_equal(s.state, XDS_NOT_SENT);
    assert_int_equal(leave(&s, XDS_SOTW, ""), XDS_LEFT);
    assert_int_equal(s.state, XDS_IGNORED);
}

static void test_xds_sync__response_without_a_nonce__is_only_counted(void **state)
{
    struct xds_sync s = make_sent(XDS_SOTW, XDS_CDS, "n1");
    (void)state;

    assert_int_equal(request(&s, XDS_SOTW, "n1", 3000), XDS_ACKED);
    respond(&s, "", 4000);
    assert_int_equal(s.state, XDS_SYNCED);
    assert_string_equal(s.nonce, "n1");
    assert_int_equal(s.n_responses, 2);
}

static void test_xds_sync__longest_nonce__is_compared_as_a_whole(void **state)
{
    char nonce[XDS_NONCE_BYTES];
    (void)state;

    memset(nonce, 'n', sizeof(nonce));
    nonce[sizeof(nonce) - 1] = '\0';
    struct xds_sync s = make_sent(XDS_DELTA, XDS_CDS, nonce);
    nonce[sizeof(nonce) - 2] = '\0';
    assert_int_equal(request(&s, XDS_DELTA, nonce, 1), XDS_LATE);
    nonce[sizeof(nonce) - 2] = 'n';
    assert_int_equal(request(&s, XDS_DELTA, nonce, 1), XDS_ACKED);
}

static void test_xds_sync__names_of_states__are_istioctls(void **state)
{
    static const char *const names[XDS_SYNC_STATES] = {"IGNORED", "NOT SENT", "STALE", "SYNCED",
                                                       "ERROR"};
    (void)state;

    for (unsigned i = 0; i < XDS_SYNC_STATES; i++) {
        assert_string_equal(xds_sync_state_name((enum xds_sync_state)i), names[i]);
    }
}

/* Each VM has one for each type (issue 6: 2 KB a VM). */
static void test_xds_sync__its_size__is_bounded(void **state)
{
    (void)state;
    assert_true(sizeof(struct xds_sync) < 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xds_sync__usual_course__not_sent_then_stale_then_synced),
        cmocka_unit_test(test_xds_sync__other_names_after_the_ack__is_no_second_ack),
        cmocka_unit_test(test_xds_sync__responses__are_counted),
        cmocka_unit_test(test_xds_sync__older_nonce__is_late_and_changes_nothing),
        cmocka_unit_test(test_xds_sync__first_request_with_a_nonce__subscribes),
        cmocka_unit_test(test_xds_sync__nack__is_an_error_until_an_ack),
        cmocka_unit_test(test_xds_sync__nack_of_an_older_response__is_an_error_too),
        cmocka_unit_test(test_xds_sync__nack_without_a_text__is_counted_and_no_error),
        cmocka_unit_test(test_xds_sync__nack_before_the_first_response__is_an_error),
        cmocka_unit_test(test_xds_sync__nack_of_what_was_never_asked_for__is_unasked),
        cmocka_unit_test(test_xds_sync__empty_nonce__subscribes_anew_in_sotw_and_adds_in_delta),
        cmocka_unit_test(test_xds_sync__subscribed_anew_after_a_nack__sotw_forgets_the_error),
        cmocka_unit_test(test_xds_sync__no_names__leaves_in_sotw_what_has_no_wildcard),
        cmocka_unit_test(
            test_xds_sync__after_it_was_left__a_nack_is_unasked_and_a_request_subscribes),
        cmocka_unit_test(test_xds_sync__response_without_a_nonce__is_only_counted),
        cmocka_unit_test(test_xds_sync__longest_nonce__is_compared_as_a_whole),
        cmocka_unit_test(test_xds_sync__names_of_states__are_istioctls),
        cmocka_unit_test(test_xds_sync__its_size__is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
