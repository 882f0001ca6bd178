/* SPDX-License-Identifier: Apache-2.0 */
/* What a VM has is what it has acknowledged; and what is not known as a whole is not shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gateway/vmconfig/config_fixture.h"

#define assert_shown(f, type, text) assert_string_equal(config_shown(f, type), text)
#define assert_changed(f, type, text) assert_string_equal(config_changed(f, type), text)

static uint64_t losses(struct config_fixture *f, enum config_loss why)
{
    struct config_store_stats stats;

    config_store_stats(f->s, &stats);
    return stats.losses[why];
}

/* ---- ACK and NACK ---- */

static void test_vm_config__nothing_acknowledged__nothing_is_shown(void **state)
{
    struct config_fixture f;
    (void)state;

    config_start(&f, XDS_SOTW, CONFIG_BUDGET);
    assert_shown(&f, XDS_CDS, "none");
    config_ask(&f, XDS_CDS, "", "", "");
    config_push(&f, XDS_CDS, "1", "a=1 b=2");
    assert_shown(&f, XDS_CDS, "none");
    config_stop(&f);
}

static void test_vm_config__ack__shows_what_was_sent_sorted_with_version_and_time(void **state)
{
    struct config_fixture f;
    struct vm_config_view v;
    (void)state;

    config_start(&f, XDS_SOTW, CONFIG_BUDGET);
    config_ask(&f, XDS_CDS, "", "", "");
    config_push(&f, XDS_CDS, "1", "b=2 a=1");
    config_ack(&f, XDS_CDS, "1", "");

    assert_shown(&f, XDS_CDS, "a=1 b=2");
    assert_changed(&f, XDS_CDS, "");
    const struct vm_config_type_view *t = config_view(&f, &v, XDS_CDS);
    assert_string_equal(t->version, "v1");
    assert_int_equal(t->acked_ms, f.now_ms);
    assert_int_equal(t->changed_ms, 0);
    vm_config_view_fini(&v);
    config_stop(&f);
}

static void test_vm_config__second_response__last_change_by_resource(void **state)
{
    struct config_fixture f;
    struct vm_config_view v;
    (void)state;

    config_start(&f, XDS_SOTW, CONFIG_BUDGET);
    config_ask(&f, XDS_LDS, "", "", "");
    config_push(&f, XDS_LDS, "1", "a=1 b=2 c=3");
    config_ack(&f, XDS_LDS, "1", "");
    config_push(&f, XDS_LDS, "2", "a=1 b=9 d=4");
    config_ack(&f, XDS_LDS, "2", "");
    int64_t changed_ms = f.now_ms;
    config_push(&f, XDS_LDS, "3", "a=1 b=9 d=4"); /* changes nothing */
    config_ack(&f, XDS_LDS, "3", "");

    assert_shown(&f, XDS_LDS, "a=1 b=9 d=4");
    assert_changed(&f, XDS_LDS, "~b=2>9 -c=3 +d=4");
    const struct vm_config_type_view *t = config_view(&f, &v, XDS_LDS);
    assert_string_equal(t->version, "v3");
    assert_string_equal(t->changed_version, "v2");
    assert_int_equal(t->changed_ms, changed_ms);
    assert_int_equal(t->acked_ms, f.now_ms);
    vm_config_view_fini(&v);
    config_stop(&f);
}

static void test_vm_config__nack__what_was_there_stays_and_it_is_told(void **state)
{
    struct config_fixture f;
    struct vm_config_view v;
    (void)state;

    config_start(&f, XDS_SOTW, CONFIG_BUDGET);
    config_ask(&f, XDS_CDS, "", "", "");
    config_push(&f, XDS_CDS, "1", "a=1");
    config_ack(&f, XDS_CDS, "1", "");
    config_push(&f, XDS_CDS, "2", "a=2");
    config_nack(&f, XDS_CDS, "2");

    assert_shown(&f, XDS_CDS, "a=1");
    assert_changed(&f, XDS_CDS, "");
    const struct vm_config_type_view *t = config_view(&f, &v, XDS_CDS);
    assert_int_equal(t->rejected_ms, f.now_ms);
    assert_true(t->partly_rejected);
    vm_config_view_fini(&v);

    config_ask(&f, XDS_CDS, "2", "v1", ""); /* a later request names the last response, too */
    assert_shown(&f, XDS_CDS, "a=1");
    config_push(&f, XDS_CDS, "3", "a=3");
    config_ack(&f, XDS_CDS, "3", "");
    assert_changed(&f, XDS_CDS, "~a=1>3");
    assert_false(config_view(&f, &v, XDS_CDS)->partly_rejected);
    vm_config_view_fini(&v);
    config_stop(&f);
}

static void test_vm_config__late_ack__is_about_its_own_response(void **state)
{
    struct config_fixture f;
    (void)state;

    config_start(&f, XDS_DELTA, CONFIG_BUDGET);
    config_ask(&f, XDS_CDS, "", "", "*");
    config_push(&f, XDS_CDS, "1", "a=1");
    config_push(&f, XDS_CDS, "2", "b=2");
    config_ack(&f, XDS_CDS, "1", "");
    assert_shown(&f, XDS_CDS, "a=1");
    config_ack(&f, XDS_CDS, "2", "");
    assert_shown(&f, XDS_CDS, "a=1 b=2");

    config_push(&f, XDS_CDS, "3", "c=3");
    config_push(&f, XDS_CDS, "4", "d=4");
    config_nack(&f, XDS_CDS, "3");
    config_ack(&f, XDS_CDS, "4", "");
    assert_shown(&f, XDS_CDS, "a=1 b=2 d=4");
    config_stop(&f);
}

static void test_vm_config__same_nonce_of_another_type__is_not_its_ack(void **state)
{
    struct config_fixture f;
    (void)state;

    config_start(&f, XDS_SOTW, CONFIG_BUDGET);
    config_ask(&f, XDS_CDS, "", "", "");
    config_ask(&f, XDS_LDS, "", "", "");
    config_push(&f, XDS_CDS, "n", "a=1");
    config_push(&f, XDS_LDS, "n", "b=2");
    config_ack(&f, XDS_LDS, "n", "");
    assert_shown(&f, XDS_CDS, "none");
    assert_shown(&f, XDS_LDS, "b=2");
    config_stop(&f);
}

static void test_vm_config__more_than_is_held_unanswered__is_lost_not_half(void **state)
{
    struct config_fixture f;
    char nonce[8];
    (void)state;

    config_start(&f, XDS_DELTA, CONFIG_BUDGET);
    config_ask(&f, XDS_CDS, "", "", "*");
    for (unsigned i = 0; i < 9; i++) {
        snprintf(nonce, sizeof(nonce), "%u", i);
        config_push(&f, XDS_CDS, nonce, "a=1");
    }
    config_ack(&f, XDS_CDS, "0", "");
    assert_shown(&f, XDS_CDS, "unreadable");
    config_ack(&f, XDS_CDS, "1", "");
    assert_shown(&f, XDS_CDS, "unreadable");
    config_stop(&f);
}

/* ---- state of the world by name ---- */

static void test_vm_config__sotw_by_name__adds_and_drops_what_is_not_asked_for(void **state)
{
    struct config_fixture f;
    (void)state;

    config_start(&f, XDS_SOTW, CONFIG_BUDGET);
    config_ask(&f, XDS_EDS, "", "", "a b");
    config_push(&f, XDS_EDS, "1", "a=1 b=2");
    config_ack(&f, XDS_EDS, "1", "b a");
    config_push(&f, XDS_EDS, "2", "b=3");
    config_ack(&f, XDS_EDS, "2", "a b");
    assert_shown(&f, XDS_EDS, "a=1 b=3");
    assert_changed(&f, XDS_EDS, "~b=2>3");

    config_ask(&f, XDS_EDS, "2", "v2", "b c");
    assert_shown(&f, XDS_EDS, "b=3");
    assert_changed(&f, XDS_EDS, "-a=1");
    config_push(&f, XDS_EDS, "3", "c=4");
    config_ack(&f, XDS_EDS, "3", "b c");
    assert_shown(&f, XDS_EDS, "b=3 c=4");

    config_ask(&f, XDS_EDS, "3", "v3", "");
    assert_shown(&f, XDS_EDS, "");
    assert_changed(&f, XDS_EDS, "-b=3 -c=4");
    config_stop(&f);
}

static void test_vm_config__nds__is_one_table(void **state)
{
    struct config_fixture f;
    (void)state;

    for (enum xds_variant variant = XDS_SOTW; variant <= XDS_DELTA; variant++) {
        config_start(&f, variant, CONFIG_BUDGET);
        config_ask(&f, XDS_NDS, "", "", "");
        config_push(&f, XDS_NDS, "1", "=1");
        config_ack(&f, XDS_NDS, "1", "");
        config_push(&f, XDS_NDS, "2", "=2");
        config_ack(&f, XDS_NDS, "2", "");
        assert_shown(&f, XDS_NDS, "=2");
        assert_changed(&f, XDS_NDS, "~=1>2");
        config_stop(&f);
    }
}

static void test_vm_config__secrets_and_other_types__never(void **state)
{
    static const enum xds_type never[] = {XDS_SDS, XDS_PCDS, XDS_WDS, XDS_WADS};
    struct config_fixture f;
    (void)state;

    for (unsigned i = 0; i < CONFIG_TYPES; i++) {
        assert_int_equal(xds_type_flags(config_type_at(i)) & XDS_SECRET, 0);
        assert_int_equal(config_type_index(config_type_at(i)), i);
    }
    config_start(&f, XDS_DELTA, CONFIG_BUDGET);
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        config_ask(&f, never[i], "", "", "a");
        config_push(&f, never[i], "1", "a=1");
        config_ack(&f, never[i], "1", "");
        assert_shown(&f, never[i], "never");
    }
    config_stop(&f);
}

/* ---- delta ---- */

static void test_vm_config__delta__adds_replaces_removes(void **state)
{
    struct config_fixture f;
    (void)state;

    config_start(&f, XDS_DELTA, CONFIG_BUDGET);
    config_ask(&f, XDS_CDS, "", "", "*");
    config_push(&f, XDS_CDS, "1", "a=1 b=2 c=3");
    config_ack(&f, XDS_CDS, "1", "");
    config_push(&f, XDS_CDS, "2", "d=4 b=5 -c -never");
    config_ack(&f, XDS_CDS, "2", "");
    assert_shown(&f, XDS_CDS, "a=1 b=5 d=4");
    assert_changed(&f, XDS_CDS, "~b=2>5 -c=3 +d=4");
    config_ask(&f, XDS_CDS, "", "", "-a"); /* it has asked for all: nothing goes */
    assert_shown(&f, XDS_CDS, "a=1 b=5 d=4");
    config_stop(&f);
}

static void test_vm_config__delta_unsubscribed__goes(void **state)
{
    struct config_fixture f;
    (void)state;

    config_start(&f, XDS_DELTA, CONFIG_BUDGET);
    config_ask(&f, XDS_RDS, "", "", "a b c");
    config_push(&f, XDS_RDS, "1", "a=1 b=2 c=3");
    config_ack(&f, XDS_RDS, "1", "");
    config_ask(&f, XDS_RDS, "", "", "-c -a d");
    assert_shown(&f, XDS_RDS, "b=2");
    assert_changed(&f, XDS_RDS, "-a=1 -c=3");
    config_push(&f, XDS_RDS, "2", "d=4");
    config_ack(&f, XDS_RDS, "2", "");
    assert_shown(&f, XDS_RDS, "b=2 d=4");
    config_stop(&f);
}

/* ---- streams that follow each other ---- */

static void test_vm_config__stream_over__what_it_has_stays_what_is_open_goes(void **state)
{
    struct config_fixture f;
    (void)state;

    config_start(&f, XDS_SOTW, CONFIG_BUDGET);
    config_ask(&f, XDS_CDS, "", "", "");
    config_push(&f, XDS_CDS, "1", "a=1");
    config_ack(&f, XDS_CDS, "1", "");
    config_push(&f, XDS_CDS, "2", "a=2");
    vm_config_stream(&f.c, false, false);
    assert_shown(&f, XDS_CDS, "a=1");

    vm_config_stream(&f.c, true, false);
    config_ask(&f, XDS_CDS, "2", "v1", ""); /* as some Envoys do: the nonce of another stream */
    assert_shown(&f, XDS_CDS, "a=1");
    config_push(&f, XDS_CDS, "3", "a=1 b=3");
    config_ack(&f, XDS_CDS, "3", "");
    assert_shown(&f, XDS_CDS, "a=1 b=3");
    assert_changed(&f, XDS_CDS, "+b=3");
    config_stop(&f);
}

static void test_vm_config__delta_again_with_what_it_has__change_across_the_streams(void **state)
{
    struct config_fixture f;
    (void)state;

    config_start(&f, XDS_DELTA, CONFIG_BUDGET);
    config_ask(&f, XDS_CDS, "", "", "*");
    config_push(&f, XDS_CDS, "1", "a=1 b=2 c=3");
    config_ack(&f, XDS_CDS, "1", "");
    config_reconnect(&f);
    config_ask(&f, XDS_CDS, "", "", "* ?c ?b ?a");
    assert_shown(&f, XDS_CDS, "a=1 b=2 c=3");
    config_push(&f, XDS_CDS, "2", "a=1 b=5 d=4 -c"); /* all, and what is gone */
    assert_shown(&f, XDS_CDS, "a=1 b=2 c=3");
    config_ack(&f, XDS_CDS, "2", "");
    assert_shown(&f, XDS_CDS, "a=1 b=5 d=4");
    assert_changed(&f, XDS_CDS, "~b=2>5 -c=3 +d=4");
    config_stop(&f);
}

static void test_vm_config__delta_again_with_nothing__shows_none_until_all_is_there(void **state)
{
    struct config_fixture f;
    (void)state;

    config_start(&f, XDS_DELTA, CONFIG_BUDGET);
    config_ask(&f, XDS_CDS, "", "", "*");
    config_push(&f, XDS_CDS, "1", "a=1 b=2");
    config_ack(&f, XDS_CDS, "1", "");
    config_reconnect(&f);
    config_ask(&f, XDS_CDS, "", "", "*"); /* Envoy was started anew */
    assert_shown(&f, XDS_CDS, "none");
    config_push(&f, XDS_CDS, "2", "b=2 c=3");
    config_ack(&f, XDS_CDS, "2", "");
    assert_shown(&f, XDS_CDS, "b=2 c=3");
    assert_changed(&f, XDS_CDS, "-a=1 +c=3");
    config_stop(&f);
}

/* What the VM had before this process knew it: names only, until istiod's answer brings them. */
static void test_vm_config__delta_has_what_was_not_seen__incomplete_until_it_is(void **state)
{
    struct config_fixture f;
    (void)state;

    config_start(&f, XDS_DELTA, CONFIG_BUDGET);
    config_ask(&f, XDS_CDS, "", "", "* ?a ?b ?c");
    assert_shown(&f, XDS_CDS, "incomplete");
    config_push(&f, XDS_CDS, "1", "a=1");
    config_ack(&f, XDS_CDS, "1", "");
    assert_shown(&f, XDS_CDS, "incomplete");
    config_push(&f, XDS_CDS, "2", "c=3 -b");
    config_ack(&f, XDS_CDS, "2", "");
    assert_shown(&f, XDS_CDS, "a=1 c=3");
    assert_changed(&f, XDS_CDS, "");
    config_push(&f, XDS_CDS, "3", "c=4");
    config_ack(&f, XDS_CDS, "3", "");
    assert_changed(&f, XDS_CDS, "~c=3>4");
    config_stop(&f);
}

/* A VM may say that it has whatever it likes, and each name is a block of the budget. */
static void test_vm_config__delta_has_very_many_that_were_not_seen__full(void **state)
{
    struct config_fixture f;
    char *words = malloc(20000 * 8 + 2);
    size_t n = 1;
    (void)state;

    assert_non_null(words);
    words[0] = '*';
    for (unsigned i = 0; i < 20000; i++) {
        n += (size_t)snprintf(words + n, 9, " ?%06u", i);
    }
    config_start(&f, XDS_DELTA, CONFIG_BUDGET * 64);
    config_ask(&f, XDS_CDS, "", "", words);
    assert_shown(&f, XDS_CDS, "full");
    config_ask(&f, XDS_LDS, "", "", "* ?a");
    config_push(&f, XDS_LDS, "1", "a=1");
    config_ack(&f, XDS_LDS, "1", "");
    assert_shown(&f, XDS_LDS, "a=1"); /* the others stay */
    config_stop(&f);
    free(words);
}

static void test_vm_config__delta_has_another_version__is_not_ours(void **state)
{
    struct config_fixture f;
    (void)state;

    config_start(&f, XDS_DELTA, CONFIG_BUDGET);
    config_ask(&f, XDS_CDS, "", "", "*");
    config_push(&f, XDS_CDS, "1", "a=1");
    config_ack(&f, XDS_CDS, "1", "");
    config_reconnect(&f);
    config_ask(&f, XDS_CDS, "", "", "* ?a@7");
    assert_shown(&f, XDS_CDS, "incomplete");
    config_push(&f, XDS_CDS, "2", "a=7");
    config_ack(&f, XDS_CDS, "2", "");
    assert_shown(&f, XDS_CDS, "a=7");
    assert_changed(&f, XDS_CDS, "~a=1>7");
    config_stop(&f);
}

static void test_vm_config__sotw_again_with_nothing__shows_none_until_the_answer(void **state)
{
    struct config_fixture f;
    (void)state;

    config_start(&f, XDS_SOTW, CONFIG_BUDGET);
    config_ask(&f, XDS_EDS, "", "", "a b");
    config_push(&f, XDS_EDS, "1", "a=1 b=2");
    config_ack(&f, XDS_EDS, "1", "a b");
    config_reconnect(&f);
    config_ask(&f, XDS_EDS, "", "", "a");
    assert_shown(&f, XDS_EDS, "none");
    config_push(&f, XDS_EDS, "2", "a=1");
    config_ack(&f, XDS_EDS, "2", "a");
    assert_shown(&f, XDS_EDS, "a=1");
    assert_changed(&f, XDS_EDS, "-b=2");
    config_stop(&f);
}

static void test_vm_config__switched_on_in_the_middle__whole_pushes_heal_parts_do_not(void **state)
{
    struct config_fixture f;
    (void)state;

    config_start(&f, XDS_SOTW, CONFIG_BUDGET);
    vm_config_free(&f.c);
    f.c = vm_config_new(f.s, false);
    config_ack(&f, XDS_EDS, "7", "a b");
    assert_shown(&f, XDS_EDS, "incomplete");
    config_push(&f, XDS_EDS, "8", "a=1");
    config_ack(&f, XDS_EDS, "8", "a b");
    assert_shown(&f, XDS_EDS, "incomplete");
    config_ack(&f, XDS_CDS, "7", "");
    assert_shown(&f, XDS_CDS, "incomplete");
    config_push(&f, XDS_CDS, "8", "a=1");
    config_ack(&f, XDS_CDS, "8", "");
    assert_shown(&f, XDS_CDS, "a=1");

    config_reconnect(&f);
    config_ask(&f, XDS_EDS, "", "v8", "a b");
    config_push(&f, XDS_EDS, "9", "a=1 b=2");
    config_ack(&f, XDS_EDS, "9", "a b");
    assert_shown(&f, XDS_EDS, "a=1 b=2");
    config_stop(&f);
}

/* ---- losses ---- */

static void test_vm_config__ack_of_what_was_not_seen__type_is_lost_until_a_new_stream(void **state)
{
    struct config_fixture f;
    (void)state;

    config_start(&f, XDS_DELTA, CONFIG_BUDGET);
    config_ask(&f, XDS_CDS, "", "", "*");
    config_ask(&f, XDS_LDS, "", "", "*");
    config_push(&f, XDS_CDS, "1", "a=1");
    config_ack(&f, XDS_CDS, "1", "");
    config_push(&f, XDS_LDS, "1l", "l=1");
    config_ack(&f, XDS_LDS, "1l", "");
    config_ack(&f, XDS_CDS, "compressed", "");
    assert_shown(&f, XDS_CDS, "unreadable");
    assert_shown(&f, XDS_LDS, "l=1");
    assert_int_equal(losses(&f, CONFIG_LOSS_UNREADABLE), 1);
    config_push(&f, XDS_CDS, "2", "b=1");
    config_ack(&f, XDS_CDS, "2", "");
    assert_shown(&f, XDS_CDS, "unreadable");

    config_reconnect(&f);
    config_ask(&f, XDS_CDS, "", "", "* ?a ?b");
    assert_shown(&f, XDS_CDS, "incomplete");
    config_push(&f, XDS_CDS, "3", "a=1 b=1");
    config_ack(&f, XDS_CDS, "3", "");
    assert_shown(&f, XDS_CDS, "a=1 b=1");
    assert_changed(&f, XDS_CDS, "");
    config_stop(&f);
}

/* The first response cannot be read, a later part can: it must not pass for the whole. */
static void test_vm_config__first_response_not_seen__parts_are_not_shown(void **state)
{
    struct config_fixture f;
    (void)state;

    config_start(&f, XDS_DELTA, CONFIG_BUDGET);
    config_ask(&f, XDS_EDS, "", "", "a b");
    config_ack(&f, XDS_EDS, "compressed", "");
    config_push(&f, XDS_EDS, "2", "b=1");
    config_ack(&f, XDS_EDS, "2", "");
    assert_shown(&f, XDS_EDS, "unreadable");
    config_stop(&f);
}

/* A value that takes what the budget has. */
static const char *long_words(char *buf, size_t room)
{
    size_t n = 0;

    for (unsigned i = 0; i < 40; i++) {
        n += (size_t)snprintf(buf + n, room - n, "%03u=%0100u ", i, i);
    }
    return buf;
}

static void test_vm_config__no_room__old_state_goes_and_full_response_heals(void **state)
{
    struct config_fixture f;
    char words[8192];
    (void)state;

    config_start(&f, XDS_SOTW, 10000);
    config_ask(&f, XDS_CDS, "", "", "");
    config_ask(&f, XDS_EDS, "", "", "a");
    config_push(&f, XDS_CDS, "1", "a=1");
    config_ack(&f, XDS_CDS, "1", "");
    config_push(&f, XDS_EDS, "1e", "a=1");
    config_ack(&f, XDS_EDS, "1e", "a");
    config_push(&f, XDS_CDS, "2", long_words(words, sizeof(words)));
    assert_shown(&f, XDS_CDS, "full");
    assert_int_equal(losses(&f, CONFIG_LOSS_FULL), 1);
    config_ack(&f, XDS_CDS, "2", "");
    assert_shown(&f, XDS_CDS, "full");
    assert_shown(&f, XDS_EDS, "a=1"); /* the others stay */

    config_push(&f, XDS_CDS, "3", "a=1 b=2");
    config_ack(&f, XDS_CDS, "3", "");
    assert_shown(&f, XDS_CDS, "a=1 b=2");
    assert_changed(&f, XDS_CDS, ""); /* from what, nobody knows */
    config_stop(&f);
}

static void test_vm_config__delta_no_room__parts_do_not_heal_a_new_stream_does(void **state)
{
    struct config_fixture f;
    char words[8192];
    (void)state;

    config_start(&f, XDS_DELTA, 10000);
    config_ask(&f, XDS_CDS, "", "", "*");
    config_push(&f, XDS_CDS, "1", "a=1");
    config_ack(&f, XDS_CDS, "1", "");
    config_push(&f, XDS_CDS, "2", long_words(words, sizeof(words)));
    config_ack(&f, XDS_CDS, "2", "");
    config_push(&f, XDS_CDS, "3", "a=2");
    config_ack(&f, XDS_CDS, "3", "");
    assert_shown(&f, XDS_CDS, "full");

    assert_int_equal(config_store_set_budget(f.s, CONFIG_BUDGET), RC_OK);
    config_reconnect(&f);
    config_ask(&f, XDS_CDS, "", "", "* ?a");
    config_push(&f, XDS_CDS, "4", "a=2 b=1");
    config_ack(&f, XDS_CDS, "4", "");
    assert_shown(&f, XDS_CDS, "a=2 b=1");
    config_stop(&f);
}

/* Whatever the budget is, what is shown is what the VM has, or nothing. */
static void test_vm_config__every_budget__right_or_not_shown(void **state)
{
    static const char *const good[] = {"a=1 b=2", "none", "full", "incomplete"};
    struct config_fixture f;
    (void)state;

    for (uint64_t budget = 1; budget < 12000; budget += 16) {
        bool found = false;
        config_start(&f, XDS_DELTA, budget);
        if (f.c != NULL) {
            config_ask(&f, XDS_EDS, "", "", "a c");
            config_push(&f, XDS_EDS, "1", "a=1 c=2");
            config_ack(&f, XDS_EDS, "1", "");
            config_push(&f, XDS_EDS, "2", "b=2");
            config_ack(&f, XDS_EDS, "2", "");
            config_ask(&f, XDS_EDS, "", "", "-c");
            for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
                found |= strcmp(config_shown(&f, XDS_EDS), good[i]) == 0;
            }
            assert_true(found);
            assert_true(budget < 11000 || strcmp(config_shown(&f, XDS_EDS), good[0]) == 0);
        }
        config_stop(&f);
    }
}

/* ---- strangers ---- */

static void test_vm_config__stranger_in_its_name__changes_nothing_until_believed(void **state)
{
    struct config_fixture f;
    (void)state;

    config_start(&f, XDS_DELTA, CONFIG_BUDGET);
    config_ask(&f, XDS_CDS, "", "", "*");
    config_push(&f, XDS_CDS, "1", "a=1");
    config_ack(&f, XDS_CDS, "1", "");
    vm_config_stream(&f.c, false, false);

    vm_config_stream(&f.c, true, true);
    config_ask(&f, XDS_CDS, "", "", "*");
    assert_shown(&f, XDS_CDS, "a=1");
    vm_config_stream(&f.c, true, true); /* and the next one */
    config_ask(&f, XDS_CDS, "", "", "*");
    assert_shown(&f, XDS_CDS, "a=1");
    vm_config_stream(&f.c, false, false);
    assert_shown(&f, XDS_CDS, "a=1");

    vm_config_stream(&f.c, true, true);
    config_ask(&f, XDS_CDS, "", "", "*");
    vm_config_believe(f.c);
    assert_shown(&f, XDS_CDS, "none");
    config_push(&f, XDS_CDS, "2", "a=2");
    config_ack(&f, XDS_CDS, "2", "");
    assert_shown(&f, XDS_CDS, "a=2");
    assert_changed(&f, XDS_CDS, "~a=1>2");
    config_stop(&f);
}

/* ---- many VMs ---- */

static void test_vm_config__vms_with_the_same__share_it(void **state)
{
    enum { VMS = 50 };
    struct config_fixture f[VMS];
    struct config_store_stats one;
    struct config_store_stats many;
    char words[8192];
    (void)state;

    long_words(words, sizeof(words));
    for (size_t i = 0; i < VMS; i++) {
        if (i == 0) {
            config_start(&f[0], XDS_SOTW, CONFIG_BUDGET);
        } else {
            f[i] = (struct config_fixture){.s = f[0].s, .variant = XDS_SOTW, .now_ms = 1};
            f[i].c = vm_config_new(f[0].s, true);
        }
        config_ask(&f[i], XDS_CDS, "", "", "");
        config_push(&f[i], XDS_CDS, "1", words);
        config_ack(&f[i], XDS_CDS, "1", "");
        if (i == 0) {
            config_store_stats(f[0].s, &one);
        }
    }
    config_store_stats(f[0].s, &many);
    assert_int_equal(many.blobs, one.blobs);
    assert_int_equal(many.vms, VMS);
    assert_true(many.bytes - one.bytes < VMS * 1500);
    for (size_t i = VMS - 1; i > 0; i--) {
        vm_config_free(&f[i].c);
    }
    config_stop(&f[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vm_config__nothing_acknowledged__nothing_is_shown),
        cmocka_unit_test(test_vm_config__ack__shows_what_was_sent_sorted_with_version_and_time),
        cmocka_unit_test(test_vm_config__second_response__last_change_by_resource),
        cmocka_unit_test(test_vm_config__nack__what_was_there_stays_and_it_is_told),
        cmocka_unit_test(test_vm_config__late_ack__is_about_its_own_response),
        cmocka_unit_test(test_vm_config__same_nonce_of_another_type__is_not_its_ack),
        cmocka_unit_test(test_vm_config__more_than_is_held_unanswered__is_lost_not_half),
        cmocka_unit_test(test_vm_config__sotw_by_name__adds_and_drops_what_is_not_asked_for),
        cmocka_unit_test(test_vm_config__nds__is_one_table),
        cmocka_unit_test(test_vm_config__secrets_and_other_types__never),
        cmocka_unit_test(test_vm_config__delta__adds_replaces_removes),
        cmocka_unit_test(test_vm_config__delta_unsubscribed__goes),
        cmocka_unit_test(test_vm_config__stream_over__what_it_has_stays_what_is_open_goes),
        cmocka_unit_test(test_vm_config__delta_again_with_what_it_has__change_across_the_streams),
        cmocka_unit_test(test_vm_config__delta_again_with_nothing__shows_none_until_all_is_there),
        cmocka_unit_test(test_vm_config__delta_has_what_was_not_seen__incomplete_until_it_is),
        cmocka_unit_test(test_vm_config__delta_has_very_many_that_were_not_seen__full),
        cmocka_unit_test(test_vm_config__delta_has_another_version__is_not_ours),
        cmocka_unit_test(test_vm_config__sotw_again_with_nothing__shows_none_until_the_answer),
        cmocka_unit_test(test_vm_config__switched_on_in_the_middle__whole_pushes_heal_parts_do_not),
        cmocka_unit_test(test_vm_config__ack_of_what_was_not_seen__type_is_lost_until_a_new_stream),
        cmocka_unit_test(test_vm_config__first_response_not_seen__parts_are_not_shown),
        cmocka_unit_test(test_vm_config__no_room__old_state_goes_and_full_response_heals),
        cmocka_unit_test(test_vm_config__delta_no_room__parts_do_not_heal_a_new_stream_does),
        cmocka_unit_test(test_vm_config__every_budget__right_or_not_shown),
        cmocka_unit_test(test_vm_config__stranger_in_its_name__changes_nothing_until_believed),
        cmocka_unit_test(test_vm_config__vms_with_the_same__share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
