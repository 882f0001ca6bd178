/* SPDX-License-Identifier: Apache-2.0 */
/* Responses taken apart: in any pieces the same, hostile ones never more than not kept, and of
 * secrets nothing stays in memory. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gateway/vmconfig/config_fixture.h"

#define SECRET "hunter2hunter2hunter2"
#define SECRET_URL "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
#define CDS_URL "type.googleapis.com/envoy.config.cluster.v3.Cluster"
#define LDS_URL "type.googleapis.com/envoy.config.listener.v3.Listener"

/* What is given back to malloc() must not have the secret in it. */
static bool watching;
static unsigned n_leaks;

void __real_free(void *p);
void __wrap_free(void *p);

void __wrap_free(void *p)
{
    if (watching && p != NULL &&
        memmem(p, malloc_usable_size(p), SECRET, sizeof(SECRET) - 1) != NULL) {
        n_leaks++;
    }
    __real_free(p);
}

static int start(void **state)
{
    struct config_store *s;

    assert_int_equal(config_store_new(&s), RC_OK);
    assert_int_equal(config_store_set_budget(s, CONFIG_BUDGET), RC_OK);
    *state = s;
    return 0;
}

static uint64_t in_use(struct config_store *s)
{
    struct config_store_stats stats;

    config_store_stats(s, &stats);
    return stats.bytes;
}

static int stop(void **state)
{
    struct config_store *s = *state;

    assert_int_equal(config_store_set_budget(s, 0), RC_OK);
    assert_int_equal(in_use(s), 0);
    config_store_free(&s);
    return 0;
}

/* "a b= -c": resources with a version of their own have it behind "@". */
static void write_push(const struct config_push *p, char *text, size_t room)
{
    size_t n = 0;

    text[0] = '\0';
    for (size_t i = 0; i < p->n; i++) {
        size_t n_value;
        bool there = config_blob_value(p->pairs[i].a, &n_value) != NULL;
        n += (size_t)snprintf(text + n, room - n, "%s%s:%zu%s%s ", there ? "" : "-",
                              config_blob_text(p->pairs[i].a), n_value,
                              p->pairs[i].b != NULL ? "@" : "", config_blob_text(p->pairs[i].b));
        assert_true(n < room);
    }
}

/* Take a message in, in pieces, and write what came of it. Frees nothing of it. */
static const char *take(struct config_store *s, enum xds_variant variant, const struct pb_out *o,
                        size_t piece)
{
    static char text[4096];
    struct config_push *push = NULL;
    enum config_loss why = CONFIG_LOSSES;
    uint64_t before = in_use(s);

    switch (config_take_in(s, variant, o, piece, &push, &why)) {
    case CONFIG_TAKEN:
        write_push(push, text, sizeof(text));
        break;
    case CONFIG_NOT_OURS:
        snprintf(text, sizeof(text), "not ours");
        break;
    case CONFIG_LOST:
        snprintf(text, sizeof(text), "lost: %s", config_loss_name(why));
        break;
    }
    config_push_free(&push);
    assert_int_equal(in_use(s), before);
    return text;
}

/* The same, in every size of pieces; frees o. */
static const char *take_all(struct config_store *s, enum xds_variant variant, struct pb_out *o)
{
    static char once[4096];

    snprintf(once, sizeof(once), "%s", take(s, variant, o, o->n + 5));
    for (size_t piece = 1; piece < o->n + 5; piece += 1 + piece / 16) {
        assert_string_equal(take(s, variant, o, piece), once);
    }
    pb_free(o);
    return once;
}

/* ---- good ones ---- */

static void test_config_intake__sotw__names_from_the_resources(void **state)
{
    static const enum xds_type types[] = {XDS_CDS, XDS_LDS, XDS_EDS, XDS_RDS, XDS_ECDS};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct pb_out o = {0};
        config_response(&o, XDS_SOTW, types[i], "v", "n", "bb=12 a=1");
        assert_string_equal(take_all(*state, XDS_SOTW, &o), "a:7 bb:9 ");
    }
}

static void test_config_intake__delta__names_beside_them_and_removed_ones(void **state)
{
    struct pb_out o = {0};

    config_response(&o, XDS_DELTA, XDS_RDS, "v", "n", "b=1 a=1 -c -aa");
    assert_string_equal(take_all(*state, XDS_DELTA, &o), "a:7 -aa:0 b:7 -c:0 ");
}

static void put_any(struct pb_out *o, uint32_t number, const char *url, const char *value)
{
    struct pb_out any = {0};

    pb_text(&any, 1, url);
    if (value != NULL) {
        pb_text(&any, 2, value);
    }
    pb_message(o, number, &any);
}

static void put_end(struct pb_out *o, const char *url)
{
    pb_text(o, 4, url);
    pb_text(o, 5, "n");
}

static void test_config_intake__delta_forms__versions_heartbeats_empty_values(void **state)
{
    struct pb_out o = {0};
    struct pb_out r = {0};

    pb_text(&r, 3, "a"); /* fields in another order, and such as nobody knows */
    pb_number(&r, 77, 5);
    pb_text(&r, 1, "7");
    put_any(&r, 2, CDS_URL, "x");
    pb_message(&o, 2, &r);
    pb_text(&r, 3, "b"); /* no resource: a heartbeat */
    pb_message(&o, 2, &r);
    pb_text(&r, 3, "c"); /* an empty one */
    put_any(&r, 2, CDS_URL, NULL);
    pb_message(&o, 2, &r);
    put_end(&o, CDS_URL);
    assert_string_equal(take_all(*state, XDS_DELTA, &o), "a:1@7 c:0 ");
}

static void test_config_intake__no_resources__an_empty_response(void **state)
{
    struct pb_out o = {0};

    put_end(&o, LDS_URL);
    assert_string_equal(take_all(*state, XDS_SOTW, &o), "");
}

static void test_config_intake__large_resource__whole(void **state)
{
    struct pb_out o = {0};
    struct pb_out value = {0};
    struct pb_out any = {0};
    static char big[100000];

    memset(big, 'x', sizeof(big) - 1);
    pb_text(&value, 1, "a");
    pb_text(&value, 9, big);
    pb_text(&any, 1, CDS_URL);
    pb_message(&any, 2, &value);
    pb_message(&o, 2, &any);
    put_end(&o, CDS_URL);
    assert_string_equal(take(*state, XDS_SOTW, &o, 7), "a:100006 ");
    assert_string_equal(take(*state, XDS_SOTW, &o, 16384), "a:100006 ");
    pb_free(&o);
}

static void test_config_intake__no_room__full_and_all_given_back(void **state)
{
    struct config_store *s = *state;
    struct pb_out o = {0};

    config_response(&o, XDS_SOTW, XDS_CDS, "v", "n", "a=1 b=2 c=3 d=4 e=5");
    for (uint64_t budget = 1; budget < 2500; budget += 50) {
        assert_int_equal(config_store_set_budget(s, budget), RC_OK);
        assert_string_equal(take(s, XDS_SOTW, &o, 10), "lost: full");
    }
    pb_free(&o);
}

/* ---- bad ones ---- */

static void test_config_intake__type_of_which_nothing_is_kept__not_ours(void **state)
{
    static const enum xds_type types[] = {XDS_SDS, XDS_PCDS, XDS_WDS, XDS_WADS};
    struct pb_out o = {0};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        config_response(&o, XDS_SOTW, types[i], "v", "n", "a=1");
        assert_string_equal(take_all(*state, XDS_SOTW, &o), "not ours");
    }
    put_any(&o, 2, "type.googleapis.com/example.Thing", "x");
    put_end(&o, "type.googleapis.com/example.Thing");
    assert_string_equal(take_all(*state, XDS_SOTW, &o), "not ours");
}

static void test_config_intake__what_has_no_one_reading__unreadable(void **state)
{
    char name[CONFIG_NAME_BYTES + 1];
    struct pb_out o = {0};
    struct pb_out any = {0};

    put_any(&o, 2, LDS_URL, "\n\1a"); /* of another type than the response */
    put_end(&o, CDS_URL);
    assert_string_equal(take_all(*state, XDS_SOTW, &o), "lost: unreadable");

    put_any(&o, 2, CDS_URL, "\n\1a"); /* two types */
    put_any(&o, 2, LDS_URL, "\n\1b");
    put_end(&o, CDS_URL);
    assert_string_equal(take_all(*state, XDS_SOTW, &o), "lost: unreadable");

    put_any(&o, 2, CDS_URL, "\n\1a\x18\1"); /* a name twice */
    put_any(&o, 2, CDS_URL, "\n\1a\x18\2");
    put_end(&o, CDS_URL);
    assert_string_equal(take_all(*state, XDS_SOTW, &o), "lost: unreadable");

    put_any(&o, 2, CDS_URL, "\n\5a"); /* a value that is cut */
    put_end(&o, CDS_URL);
    assert_string_equal(take_all(*state, XDS_SOTW, &o), "lost: unreadable");

    put_any(&o, 2, CDS_URL, "\n\2\xff\xfe"); /* a name that is no text */
    put_end(&o, CDS_URL);
    assert_string_equal(take_all(*state, XDS_SOTW, &o), "lost: unreadable");

    pb_text(&any, 2, "\n\1a"); /* no type */
    pb_message(&o, 2, &any);
    put_end(&o, CDS_URL);
    assert_string_equal(take_all(*state, XDS_SOTW, &o), "lost: unreadable");

    put_any(&o, 2, CDS_URL, "\n\1a"); /* no nonce */
    pb_text(&o, 4, CDS_URL);
    assert_string_equal(take_all(*state, XDS_SOTW, &o), "lost: unreadable");

    memset(name, 'x', CONFIG_NAME_BYTES); /* a name that is too long */
    name[CONFIG_NAME_BYTES] = '\0';
    pb_text(&o, 6, name);
    put_end(&o, CDS_URL);
    assert_string_equal(take_all(*state, XDS_DELTA, &o), "lost: unreadable");
}

/* Each cut and each flipped byte of a message: whatever comes of it, all is given back. */
static void test_config_intake__cut_or_changed__never_more_than_lost(void **state)
{
    struct pb_out o = {0};

    config_response(&o, XDS_DELTA, XDS_RDS, "v", "n", "b=1 a=1 -c");
    for (size_t n = 0; n <= o.n; n++) {
        struct pb_out cut = {0};
        pb_put(&cut, o.data, n);
        (void)take(*state, XDS_DELTA, &cut, cut.n + 5);
        (void)take(*state, XDS_SOTW, &cut, 3);
        for (unsigned bit = 0; n < o.n && bit < 8; bit++) {
            o.data[n] ^= (uint8_t)(1U << bit);
            (void)take(*state, XDS_DELTA, &o, 7);
            o.data[n] ^= (uint8_t)(1U << bit);
        }
        pb_free(&cut);
    }
    pb_free(&o);
}

/* ---- secrets ---- */

/* The value of a secret before or behind what says so, in a response of this type. */
static void put_secret(struct pb_out *o, bool value_first, const char *url)
{
    struct pb_out any = {0};

    if (value_first) {
        pb_text(&any, 2, SECRET);
    }
    pb_text(&any, 1, SECRET_URL);
    if (!value_first) {
        pb_text(&any, 2, SECRET);
    }
    pb_message(o, 2, &any);
    put_end(o, url);
}

static void test_config_intake__secrets__nothing_of_them_is_left_in_memory(void **state)
{
    static const char *const urls[] = {SECRET_URL, CDS_URL};

    for (size_t i = 0; i < 4; i++) {
        struct pb_out o = {0};
        struct pb_out frame = {0};
        struct config_intake *in;
        put_secret(&o, i % 2 == 0, urls[i / 2]);
        watching = true;
        n_leaks = 0;
        in = config_intake_new(*state, XDS_SOTW, (uint32_t)o.n);
        config_intake_feed(in, o.data, o.n);
        config_intake_free(&in);
        watching = false;
        assert_int_equal(n_leaks, 0);
        assert_string_equal(take(*state, XDS_SOTW, &o, 9),
                            i / 2 == 0 ? "not ours" : "lost: unreadable");
        pb_free(&o);
        pb_free(&frame);
    }
}

/* Cut in the middle of a value that grows: the smaller buffers are wiped, too. */
static void test_config_intake__value_that_grows__old_buffers_are_wiped(void **state)
{
    static char big[50000];
    struct pb_out o = {0};
    struct pb_out any = {0};

    for (size_t i = 0; i + sizeof(SECRET) < sizeof(big); i += sizeof(SECRET) - 1) {
        memcpy(big + i, SECRET, sizeof(SECRET));
    }
    pb_text(&any, 2, big); /* of what, it says afterwards */
    pb_text(&any, 1, SECRET_URL);
    pb_message(&o, 2, &any);
    put_end(&o, CDS_URL);
    for (size_t n = 1000; n < o.n; n += 9999) {
        watching = true;
        n_leaks = 0;
        struct config_intake *in = config_intake_new(*state, XDS_SOTW, (uint32_t)o.n);
        for (size_t at = 0; at + 100 <= n; at += 100) {
            config_intake_feed(in, o.data + at, 100);
        }
        config_intake_free(&in);
        watching = false;
        assert_int_equal(n_leaks, 0);
    }
    pb_free(&o);
}

/* istiod puts the password of a registry into an extension: it is kept without it. */
static void test_config_intake__pull_secret_in_an_extension__masked(void **state)
{
    struct pb_out o = {0};
    struct pb_out env = {0};
    struct pb_out value = {0};
    struct pb_out any = {0};
    struct config_push *push = NULL;
    enum config_loss why;
    size_t n;

    pb_text(&env, 1, "ISTIO_META_WASM_IMAGE_PULL_SECRET");
    pb_text(&env, 2, SECRET);
    pb_text(&value, 1, "wasm");
    pb_message(&value, 2, &env);
    pb_text(&any, 1, xds_type_url(XDS_ECDS));
    pb_message(&any, 2, &value);
    pb_message(&o, 2, &any);
    put_end(&o, xds_type_url(XDS_ECDS));
    assert_int_equal(config_take_in(*state, XDS_SOTW, &o, 11, &push, &why), CONFIG_TAKEN);
    assert_string_equal(config_blob_text(push->pairs[0].a), "wasm");
    const uint8_t *kept = config_blob_value(push->pairs[0].a, &n);
    assert_null(memmem(kept, n, "hunter", 6));
    assert_non_null(memmem(kept, n, "*********************", sizeof(SECRET) - 1));
    config_push_free(&push);
    pb_free(&o);
}

#define T(name) cmocka_unit_test_setup_teardown(test_config_intake__##name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(sotw__names_from_the_resources),
        T(delta__names_beside_them_and_removed_ones),
        T(delta_forms__versions_heartbeats_empty_values),
        T(no_resources__an_empty_response),
        T(large_resource__whole),
        T(no_room__full_and_all_given_back),
        T(type_of_which_nothing_is_kept__not_ours),
        T(what_has_no_one_reading__unreadable),
        T(cut_or_changed__never_more_than_lost),
        T(secrets__nothing_of_them_is_left_in_memory),
        T(value_that_grows__old_buffers_are_wiped),
        T(pull_secret_in_an_extension__masked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
