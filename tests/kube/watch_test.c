/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A watch against a server that follows a script: one row for each request. What is called back is
 * written down in one line: "[a b]" a list, "+a" "~a" "-a" changes, "ok" and "bad" states, "end".
 */
#include "kube/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kube/kube_internal.h"
#include "tests/kube/api_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define LIST(version, items) \
    "{\"metadata\":{\"resourceVersion\":\"" version "\"},\"items\":[" items "]}"
#define OBJECT(name, version) \
    "{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version "\"}}"
#define EVENT(type, name, version) "{\"type\":\"" type "\",\"object\":" OBJECT(name, version) "}\n"
#define ERROR(code, reason) \
    "{\"type\":\"ERROR\",\"object\":{\"code\":" #code ",\"reason\":\"" reason "\"}}\n"
#define LIST_PATH "/apis/x/v1/things?labelSelector=a%3Db"

enum action {
    ANSWER, /* status and text, whole */
    STEP,   /* the same, when the test says so */
    END,    /* text as a stream that ends well */
    BYTES,  /* the same, one byte a chunk */
    CUT,    /* text as a stream that is cut */
    HANG,   /* text as a stream that goes on in silence */
    LONG,   /* a line without end */
};

struct step {
    const char *expected; /* the whole path, or NULL: the list */
    enum action action;
    int status;
    const char *text;
};

struct fixture {
    struct api_fixture *api;
    struct kube_watch *w;
    char trace[1024];
    int status;           /* of the last state */
    const char *close_at; /* close the watch when this is called back */
};

/* The server's threads look at these, the test sets them before it asks. */
static const struct step *script;
static size_t n_steps;

static void set_script(const struct step *steps, size_t n)
{
    __atomic_store_n(&n_steps, n, __ATOMIC_RELAXED);
    __atomic_store_n(&script, steps, __ATOMIC_RELEASE);
}

static bool by_path; /* a step may be played again */

static int n_starts; /* that succeed; below 0: all */

enum rc __real_kube_call_start(struct kube *k, const struct kube_request *r,
                               struct kube_call **out);
enum rc __wrap_kube_call_start(struct kube *k, const struct kube_request *r,
                               struct kube_call **out);

enum rc __wrap_kube_call_start(struct kube *k, const struct kube_request *r, struct kube_call **out)
{
    if (n_starts == 0) {
        return RC_NO_MEMORY;
    }
    n_starts--;
    return __real_kube_call_start(k, r, out);
}

#define SET_SCRIPT(steps) set_script(steps, COUNT(steps))

/* ---- the server ---- */

/* Is it the list that is asked for, or the stream from this version on? */
static bool is_for(const struct step *s, const char *path)
{
    char expected[512];

    if (s->expected == NULL) {
        return strcmp(path, LIST_PATH) == 0;
    }
    snprintf(expected, sizeof(expected),
             "%s&watch=1&allowWatchBookmarks=true&resourceVersion=%s&timeoutSeconds=", LIST_PATH,
             s->expected);
    return strncmp(path, expected, strlen(expected)) == 0;
}

static void expect_path(const struct step *s, const char *path)
{
    if (!is_for(s, path)) {
        fprintf(stderr, "asked for %s instead of version %s\n", path,
                s->expected != NULL ? s->expected : "(the list)");
        abort();
    }
}

static void send_bytes(struct fake_api_link *l, const char *text)
{
    for (; *text != '\0'; text++) {
        const char one[2] = {*text, '\0'};
        fake_api_chunk(l, one);
    }
}

static void send_long(struct fake_api_link *l)
{
    static char piece[65537];

    memset(piece, 'x', sizeof(piece) - 1);
    for (int i = 0; i < 20; i++) {
        fake_api_chunk(l, piece);
    }
}

static void play(const struct step *s, struct fake_api_link *l)
{
    if (s->action == STEP) {
        fake_api_wait(l, 1);
    }
    if (s->action == ANSWER || s->action == STEP) {
        fake_api_answer(l, s->status, "", s->text);
        return;
    }
    fake_api_begin(l, 200);
    if (s->action == BYTES) {
        send_bytes(l, s->text);
    } else if (s->action == LONG) {
        send_long(l);
    } else if (s->text[0] != '\0') {
        fake_api_chunk(l, s->text);
    }
    if (s->action == END || s->action == BYTES) {
        fake_api_chunk(l, "");
    } else if (s->action == HANG || s->action == LONG) {
        fake_api_hang(l);
    } else {
        fake_api_close(l);
    }
}

static void on_request(void *arg, const struct fake_api_request *r, struct fake_api_link *l)
{
    const struct step *steps = __atomic_load_n(&script, __ATOMIC_ACQUIRE);
    size_t n = __atomic_load_n(&n_steps, __ATOMIC_RELAXED);
    size_t i = r->number - 1;

    (void)arg;
    if (__atomic_load_n(&by_path, __ATOMIC_RELAXED)) {
        for (i = 0; i < n && !is_for(&steps[i], r->path); i++) {
        }
    }
    if (i >= n) {
        fake_api_hang(l);
        return;
    }
    expect_path(&steps[i], r->path);
    play(&steps[i], l);
}

/* ---- the watch ---- */

static void note(struct fixture *f, const char *what, const char *name)
{
    size_t n = strlen(f->trace);

    snprintf(f->trace + n, sizeof(f->trace) - n, "%s%s ", what, name);
    if (f->close_at != NULL && strstr(f->trace, f->close_at) != NULL) {
        kube_watch_close(&f->w);
    }
}

static void on_list(void *arg, const json_t *items)
{
    char names[200] = "[";
    size_t i;
    json_t *item;

    json_array_foreach(items, i, item)
    {
        size_t n = strlen(names);
        snprintf(names + n, sizeof(names) - n, "%s%s", i > 0 ? " " : "",
                 doc_text(item, "metadata", "name", NULL));
    }
    note(arg, names, "]");
}

static void on_change(void *arg, enum kube_change change, const json_t *object)
{
    static const char *const marks[] = {
        [KUBE_ADDED] = "+", [KUBE_MODIFIED] = "~", [KUBE_DELETED] = "-"};

    assert_true(change <= KUBE_DELETED);
    note(arg, marks[change], doc_text(object, "metadata", "name", NULL));
}

static void on_state(void *arg, bool ok, int status, const char *why)
{
    assert_true(ok == (why[0] == '\0'));
    assert_true(!ok || status == 200);
    ((struct fixture *)arg)->status = status;
    note(arg, ok ? "ok" : "bad", "");
}

static void on_end(void *arg)
{
    note(arg, "end", "");
}

static const struct kube_watch_ops ops = {on_list, on_change, on_state, on_end};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    n_starts = -1;
    __atomic_store_n(&by_path, false, __ATOMIC_RELAXED);
    f->api = api_fixture_new(on_request);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    kube_watch_close(&f->w);
    api_fixture_free(f->api);
    free(f);
    return 0;
}

static void open_watch(struct fixture *f)
{
    const struct kube_watch_opts opts = {
        .path = LIST_PATH,
        .ops = &ops,
        .arg = f,
        .timeout_s = 60,
        .pause = {.first_s = 0.01, .max_s = 0.02},
    };
    assert_int_equal(kube_watch_open(f->api->k, &opts, &f->w), RC_OK);
    assert_string_equal(f->trace, "");
}

/* Turn until the trace is as expected and that many requests have come. */
static void expect(struct fixture *f, const char *trace, unsigned n_requests)
{
    for (int i = 0; i < 3000; i++) {
        if (strcmp(f->trace, trace) == 0 && fake_api_requests(f->api->api) >= n_requests) {
            return;
        }
        kube_turn(f->api->k, 10);
    }
    fail_msg("\"%s\" instead of \"%s\"", f->trace, trace);
}

/* A watch that brings this when the server does all that. */
static void play_all(struct fixture *f, const struct step *steps, size_t n, const char *trace)
{
    set_script(steps, n);
    open_watch(f);
    expect(f, trace, (unsigned)n);
}

#define PLAY(f, steps, trace) play_all(f, steps, COUNT(steps), trace)

/* ---- what goes well ---- */

static void test_watch__list_then_changes__in_order(void **state)
{
    static const struct step steps[] = {
        {NULL, ANSWER, 200, LIST("5", OBJECT("a", "1") "," OBJECT("b", "2"))},
        {"5", HANG, 0,
         EVENT("ADDED", "c", "6") EVENT("MODIFIED", "a", "7") EVENT("DELETED", "b", "8")},
    };
    PLAY(*state, steps, "[a b] ok +c ~a -b ");
}

static void test_watch__ends__goes_on_from_the_last_version(void **state)
{
    static const struct step steps[] = {
        {NULL, ANSWER, 200, LIST("5", "")},
        {"5", END, 0, EVENT("ADDED", "c", "6")},
        {"6", END, 0, EVENT("BOOKMARK", "", "9%/")},
        {"9%25%2F", HANG, 0, EVENT("ADDED", "d", "10")},
    };
    PLAY(*state, steps, "[] ok +c +d ");
}

static void test_watch__byte_by_byte__the_same(void **state)
{
    static const struct step steps[] = {
        {NULL, ANSWER, 200, LIST("5", "")},
        {"5", BYTES, 0, EVENT("ADDED", "c", "6") "\r\n\n" EVENT("ADDED", "d", "7")},
        {"7", HANG, 0, ""},
    };
    PLAY(*state, steps, "[] ok +c +d ");
}

static void test_watch__no_items_at_all__an_empty_list(void **state)
{
    static const struct step steps[] = {
        {NULL, ANSWER, 200, "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":null}"},
        {"5", HANG, 0, ""},
    };
    PLAY(*state, steps, "[] ok ");
}

/* ---- too old ---- */

static void test_watch__410_by_status_and_by_event__a_new_list(void **state)
{
    static const struct step steps[] = {
        {NULL, ANSWER, 200, LIST("5", "")},
        {"5", ANSWER, 410, "{\"reason\":\"Gone\"}"},
        {NULL, ANSWER, 200, LIST("7", OBJECT("a", "6"))},
        {"7", END, 0, EVENT("DELETED", "a", "8") ERROR(410, "Expired") EVENT("ADDED", "x", "9")},
        {NULL, ANSWER, 200, LIST("9", OBJECT("b", "9"))},
        {"9", HANG, 0, ""},
    };
    PLAY(*state, steps, "[] ok [a] -a [b] ");
}

/* ---- what goes wrong ---- */

static void test_watch__cut_and_taken_again__is_no_change_of_state(void **state)
{
    static const struct step steps[] = {
        {NULL, ANSWER, 200, LIST("5", "")},
        {"5", CUT, 0, EVENT("ADDED", "a", "6") "{\"type\":\"ADD"},
        {"6", CUT, 0, ""},
        {"6", HANG, 0, EVENT("ADDED", "b", "7")},
    };
    PLAY(*state, steps, "[] ok +a +b ");
}

static void test_watch__fails_once_only__is_no_change_of_state(void **state)
{
    static const struct step steps[] = {
        {NULL, ANSWER, 503, "{}"}, {NULL, ANSWER, 200, LIST("5", "")},
        {"5", END, 0, ""},         {"5", ANSWER, 503, "{}"},
        {"5", CUT, 0, ""},         {"5", HANG, 0, EVENT("ADDED", "a", "6")},
    };
    PLAY(*state, steps, "[] ok +a ");
}

static void test_watch__server_away_for_a_while__said_once_each(void **state)
{
    static const struct step steps[] = {
        {NULL, ANSWER, 200, LIST("5", "")},
        {"5", CUT, 0, ""},
        {"5", ANSWER, 503, "{}"},
        {"5", ANSWER, 500, "<html>"},
        {"5", ANSWER, 429, "{}"},
        {"5", ANSWER, 403, "{}"},
        {"5", HANG, 0, EVENT("ADDED", "b", "7")},
    };
    PLAY(*state, steps, "[] ok bad ok +b ");
}

static void test_watch__first_lists_fail__said_once_and_when_it_works(void **state)
{
    static const struct step steps[] = {
        {NULL, ANSWER, 403, "{}"},
        {NULL, ANSWER, 200, "{\"items\":[]}"},
        {NULL, ANSWER, 200, "[]"},
        {NULL, ANSWER, 200, "garbage"},
        {NULL, ANSWER, 503, "{}"},
        {NULL, ANSWER, 200, "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":7}"},
        {NULL, ANSWER, 200, LIST("5", "")},
        {"5", HANG, 0, ""},
    };
    SET_SCRIPT(steps);

    open_watch(*state);

    expect(*state, "bad ", 1);
    assert_int_equal(((struct fixture *)*state)->status, 403);
    expect(*state, "bad [] ok ", 8);
}

static void test_watch__senseless_events__said_once_until_one_makes_sense(void **state)
{
    static const struct step steps[] = {
        {NULL, ANSWER, 200, LIST("5", "")}, {"5", END, 0, "{]\n"},
        {NULL, ANSWER, 200, LIST("5", "")}, {"5", END, 0, EVENT("INVENTED", "a", "6")},
        {NULL, ANSWER, 200, LIST("5", "")}, {"5", END, 0, "{\"type\":\"ADDED\",\"object\":{}}\n"},
        {NULL, ANSWER, 200, LIST("5", "")}, {"5", END, 0, "{\"type\":\"ADDED\",\"object\":7}\n"},
        {NULL, ANSWER, 200, LIST("5", "")}, {"5", END, 0, ERROR(500, "InternalError")},
        {NULL, ANSWER, 200, LIST("5", "")}, {"5", LONG, 0, ""},
        {NULL, ANSWER, 200, LIST("5", "")}, {"5", HANG, 0, EVENT("BOOKMARK", "", "6")},
    };
    PLAY(*state, steps, "[] ok bad [] [] [] [] [] [] ok ");
}

static void test_watch__silence__begun_again_when_the_server_should_have_ended_it(void **state)
{
    static const struct step steps[] = {
        {NULL, ANSWER, 200, LIST("5", "")},
        {"5", HANG, 0, EVENT("ADDED", "a", "6")},
        {"6", HANG, 0, EVENT("ADDED", "b", "7")},
    };
    struct fixture *f = *state;
    const struct kube_watch_opts opts = {
        .path = LIST_PATH, .ops = &ops, .arg = f, .timeout_s = 1, .slack_ms = 1};
    SET_SCRIPT(steps);
    __atomic_store_n(&by_path, true, __ATOMIC_RELAXED); /* a second may be too short for an event */

    assert_int_equal(kube_watch_open(f->api->k, &opts, &f->w), RC_OK);

    expect(f, "[] ok +a +b ", 3);
}

static void test_watch__401_and_the_token_has_changed__nothing_is_said(void **state)
{
    static const struct step steps[] = {
        {NULL, ANSWER, 200, LIST("5", "")},
        {"5", STEP, 401, "{}"},
        {"5", HANG, 0, EVENT("ADDED", "a", "6")},
    };
    struct fixture *f = *state;
    struct kube_watch_opts opts = {.path = LIST_PATH, .ops = &ops, .arg = f, .timeout_s = 60};
    SET_SCRIPT(steps);
    assert_int_equal(kube_watch_open(f->api->k, &opts, &f->w), RC_OK);

    expect(f, "[] ok ", 2);
    api_fixture_replace(f->api, "token", "second-token");
    fake_api_step(f->api->api, 1);

    expect(f, "[] ok +a ", 3);
    assert_string_equal(fake_api_request(f->api->api, 3).token, "second-token");
}

/* ---- its end ---- */

static void test_watch__closed_from_each_callback__nothing_more(void **state)
{
    static const struct step steps[] = {
        {NULL, ANSWER, 200, LIST("5", "")},
        {"5", END, 0, EVENT("ADDED", "a", "6") EVENT("ADDED", "b", "7")},
        {"7", ANSWER, 503, "{}"},
        {"7", ANSWER, 503, "{}"},
    };
    static const char *const rows[] = {"[] ", "[] ok ", "[] ok +a ", "[] ok +a +b ",
                                       "[] ok +a +b bad "};
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        void *own = NULL;
        setup(&own);
        struct fixture *f = own;
        SET_SCRIPT(steps);
        f->close_at = rows[i];
        open_watch(f);
        expect(f, rows[i], 0);
        for (int turns = 0; turns < 3000 && f->api->k->n_calls > 0; turns++) {
            kube_turn(f->api->k, 10);
        }
        assert_int_equal(f->api->k->n_calls, 0);
        assert_string_equal(f->trace, rows[i]);
        assert_null(f->w);
        teardown(&own);
    }
}

static void test_watch__no_memory_to_go_on__says_that_it_has_ended(void **state)
{
    static const struct step bad[] = {{NULL, ANSWER, 503, "{}"},
                                      {NULL, ANSWER, 503, "{}"},
                                      {NULL, ANSWER, 503, "{}"},
                                      {NULL, ANSWER, 503, "{}"}};
    static const struct step good[] = {{NULL, ANSWER, 200, LIST("5", "")}, {"5", END, 0, ""}};
    static const struct {
        const struct step *script;
        size_t n_steps;
        int n_starts;
        const char *trace;
    } rows[] = {{bad, 2, 1, "bad end "},
                {bad, 4, 2, "bad end "},
                {good, 1, 1, "[] ok end "},
                {good, 2, 2, "[] ok end "}};
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        for (int closes = 0; closes < 2; closes++) {
            void *own = NULL;
            setup(&own);
            struct fixture *f = own;
            set_script(rows[i].script, rows[i].n_steps);
            n_starts = rows[i].n_starts;
            f->close_at = closes ? "end " : NULL;
            open_watch(f);
            expect(f, rows[i].trace, 0);
            assert_int_equal(f->api->k->n_calls, 0);
            teardown(&own);
        }
    }
}

static void test_watch__closed_while_it_waits_or_runs__nothing_more(void **state)
{
    static const struct step steps[] = {
        {NULL, ANSWER, 200, LIST("5", "")},
        {"5", HANG, 0, ""},
    };
    struct fixture *f = *state;
    SET_SCRIPT(steps);

    open_watch(f);
    kube_watch_close(&f->w);
    kube_turn(f->api->k, 10);
    assert_int_equal(f->api->k->n_calls, 0);
    open_watch(f);
    expect(f, "[] ok ", 2);
    kube_watch_close(&f->w);
    kube_turn(f->api->k, 10);

    assert_int_equal(f->api->k->n_calls, 0);
    assert_string_equal(f->trace, "[] ok ");
}

static void test_watch__client_is_freed_first__close_is_fine(void **state)
{
    static const struct step steps[] = {
        {NULL, ANSWER, 200, LIST("5", "")},
        {"5", HANG, 0, ""},
    };
    struct fixture *f = *state;
    SET_SCRIPT(steps);
    open_watch(f);
    expect(f, "[] ok ", 2);

    kube_free(&f->api->k);
    kube_watch_close(&f->w);

    assert_string_equal(f->trace, "[] ok ");
}

static void test_watch__bad_paths__are_invalid(void **state)
{
    static char long_path[1200] = "/";
    static const char *const rows[] = {NULL, "", "x", long_path};
    struct fixture *f = *state;
    memset(long_path + 1, 'x', sizeof(long_path) - 2);

    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct kube_watch_opts opts = {.path = rows[i], .ops = &ops, .arg = f};
        assert_int_equal(kube_watch_open(f->api->k, &opts, &f->w), RC_INVALID);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_watch__list_then_changes__in_order),
        TEST(test_watch__ends__goes_on_from_the_last_version),
        TEST(test_watch__byte_by_byte__the_same),
        TEST(test_watch__no_items_at_all__an_empty_list),
        TEST(test_watch__410_by_status_and_by_event__a_new_list),
        TEST(test_watch__cut_and_taken_again__is_no_change_of_state),
        TEST(test_watch__fails_once_only__is_no_change_of_state),
        TEST(test_watch__server_away_for_a_while__said_once_each),
        TEST(test_watch__first_lists_fail__said_once_and_when_it_works),
        TEST(test_watch__senseless_events__said_once_until_one_makes_sense),
        TEST(test_watch__silence__begun_again_when_the_server_should_have_ended_it),
        TEST(test_watch__401_and_the_token_has_changed__nothing_is_said),
        cmocka_unit_test(test_watch__closed_from_each_callback__nothing_more),
        cmocka_unit_test(test_watch__no_memory_to_go_on__says_that_it_has_ended),
        TEST(test_watch__closed_while_it_waits_or_runs__nothing_more),
        TEST(test_watch__client_is_freed_first__close_is_fine),
        TEST(test_watch__bad_paths__are_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
