/* SPDX-License-Identifier: Apache-2.0 */
/* The client against an HTTPS server that answers well and badly. */
#include "kube/kube.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "kube/kube_internal.h"
#include "tests/kube/api_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* Several attempts, quickly. */
static const struct kube_retry_policy quick = {.attempts_max = 3, .first_s = 0.01, .max_s = 0.02};

/* Far beyond what anything here takes. */
#define LONG_MS 60000

/* ---- the server: what it does is in the path ---- */

static void send_text(struct fake_api_link *l, const char *text)
{
    fake_api_send(l, text, strlen(text));
}

static void answer_retry_after(const struct fake_api_request *r, struct fake_api_link *l,
                               const char *header)
{
    if (r->number == 1) {
        fake_api_answer(l, 429, header, STATUS(429, "TooManyRequests", "wait"));
    } else {
        fake_api_answer(l, 200, "", "{}");
    }
}

static void answer_huge(struct fake_api_link *l)
{
    static char piece[65537];

    memset(piece, ' ', sizeof(piece) - 1);
    fake_api_begin(l, 200);
    for (int i = 0; i < 80; i++) {
        fake_api_chunk(l, piece);
    }
    fake_api_close(l);
}

static void answer_deep(struct fake_api_link *l)
{
    char body[201] = "";

    memset(body, '[', 100);
    memset(body + 100, ']', 100);
    fake_api_answer(l, 200, "", body);
}

static void answer_status(const char *number, struct fake_api_link *l)
{
    int status = (int)strtol(number, NULL, 10);

    fake_api_answer(l, status, "", STATUS(0, "Reason", "the\\nmessage " JWT));
}

static void on_request(void *arg, const struct fake_api_request *r, struct fake_api_link *l)
{
    const char *p = r->path;

    (void)arg;
    if (strncmp(p, "/status/", 8) == 0) {
        answer_status(p + 8, l);
    } else if (strcmp(p, "/busy") == 0) {
        answer_retry_after(r, l, "Retry-After: 1\r\n");
    } else if (strcmp(p, "/busy/long") == 0) {
        answer_retry_after(r, l, "Retry-After: Fri, 01 Jan 2100 00:00:00 GMT\r\n");
    } else if (strcmp(p, "/503/then/200") == 0) {
        fake_api_answer(l, r->number < 3 ? 503 : 200, "", "{}");
    } else if (strcmp(p, "/hang") == 0) {
        fake_api_hang(l);
    } else if (strcmp(p, "/step") == 0) {
        fake_api_wait(l, 1);
        fake_api_answer(l, 200, "", "{}");
    } else if (strcmp(p, "/cut") == 0) {
        send_text(l, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\"");
        fake_api_close(l);
    } else if (strcmp(p, "/close") == 0) {
        fake_api_close(l);
    } else if (strcmp(p, "/garbage") == 0) {
        fake_api_answer(l, 200, "", "{\"a\": no}");
    } else if (strcmp(p, "/empty") == 0) {
        fake_api_answer(l, 200, "", "");
    } else if (strcmp(p, "/nohttp") == 0) {
        send_text(l, "SSH-2.0-OpenSSH_9.2\r\n");
        fake_api_close(l);
    } else if (strcmp(p, "/html") == 0) {
        fake_api_answer(l, 502, "", "<html>Bad Gateway</html>");
    } else if (strcmp(p, "/redirect") == 0) {
        fake_api_answer(l, 302, "Location: https://127.0.0.1:1/\r\n", "");
    } else if (strcmp(p, "/huge") == 0) {
        answer_huge(l);
    } else if (strcmp(p, "/deep") == 0) {
        answer_deep(l);
    } else {
        fake_api_answer(l, 200, "", "{\"kind\":\"Echo\"}");
    }
}

static int setup(void **state)
{
    *state = api_fixture_new(on_request);
    return 0;
}

static int teardown(void **state)
{
    api_fixture_free(*state);
    return 0;
}

static enum kube_outcome get(struct kube *k, const char *path, struct kube_reply *out)
{
    const struct kube_request r = {.path = path, .retry = quick};
    return kube_call_wait(k, &r, out);
}

/* Whatever was said, it is one line without secrets. */
static void assert_clean(const char *text)
{
    assert_null(strstr(text, FIXTURE_TOKEN));
    assert_null(strstr(text, "eyJ"));
    assert_null(strpbrk(text, "\r\n\x1b"));
}

/* ---- answers ---- */

static void test_kube__get__token_and_body(void **state)
{
    struct api_fixture *f = *state;
    struct kube_reply r;

    assert_int_equal(get(f->k, "/api/v1/nodes?limit=1", &r), KUBE_OK);

    assert_int_equal(r.status, 200);
    assert_string_equal(doc_text(r.body, "kind", NULL), "Echo");
    assert_string_equal(r.error.text, "");
    kube_reply_fini(&r);
    struct fake_api_request q = fake_api_request(f->api, 1);
    assert_string_equal(q.method, "GET");
    assert_string_equal(q.path, "/api/v1/nodes?limit=1");
    assert_string_equal(q.token, FIXTURE_TOKEN);
    assert_string_equal(q.client, "");
    assert_int_equal(f->k->n_calls, 0);
}

static void test_kube__post__the_body_is_sent(void **state)
{
    struct api_fixture *f = *state;
    const struct kube_request request = {.path = "/x", .body = "{\"a\":1}"};
    struct kube_reply r;

    assert_int_equal(kube_call_wait(f->k, &request, &r), KUBE_OK);

    kube_reply_fini(&r);
    struct fake_api_request q = fake_api_request(f->api, 1);
    assert_string_equal(q.method, "POST");
    assert_string_equal(q.body, "{\"a\":1}");
}

static void test_kube__one_after_the_other__share_a_connection(void **state)
{
    struct api_fixture *f = *state;
    struct kube_reply r;

    for (int i = 0; i < 3; i++) {
        assert_int_equal(get(f->k, "/x", &r), KUBE_OK);
        kube_reply_fini(&r);
    }

    assert_int_equal(fake_api_request(f->api, 3).connection, 1);
}

static void test_kube__statuses_that_are_answers__asked_once(void **state)
{
    static const int statuses[] = {400, 401, 403, 404, 409, 410, 422, 501};
    struct api_fixture *f = *state;

    for (unsigned i = 0; i < COUNT(statuses); i++) {
        struct kube_reply r;
        char path[32];
        snprintf(path, sizeof(path), "/status/%d", statuses[i]);
        assert_int_equal(get(f->k, path, &r), KUBE_REFUSED);
        assert_int_equal(r.status, statuses[i]);
        assert_int_equal(fake_api_requests(f->api), i + 1);
        assert_non_null(strstr(r.error.text, "Reason: the?message [token]"));
        assert_non_null(strstr(r.error.text, path));
        assert_clean(r.error.text);
        kube_reply_fini(&r);
    }
}

static void test_kube__statuses_that_pass__asked_again_until_the_attempts_are_over(void **state)
{
    static const int statuses[] = {429, 500, 502, 503, 504};
    struct api_fixture *f = *state;

    for (unsigned i = 0; i < COUNT(statuses); i++) {
        struct kube_reply r;
        char path[32];
        snprintf(path, sizeof(path), "/status/%d", statuses[i]);
        assert_int_equal(get(f->k, path, &r), KUBE_REFUSED);
        assert_int_equal(r.status, statuses[i]);
        assert_int_equal(fake_api_requests(f->api), 3 * (i + 1));
        kube_reply_fini(&r);
    }
}

static void test_kube__better_at_the_third_attempt__ok(void **state)
{
    struct api_fixture *f = *state;
    struct kube_reply r;

    assert_int_equal(get(f->k, "/503/then/200", &r), KUBE_OK);

    kube_reply_fini(&r);
}

static void test_kube__post_that_creates__is_not_sent_twice(void **state)
{
    struct api_fixture *f = *state;
    struct kube_request request = {.path = "/status/503", .body = "{}", .retry = quick};
    struct kube_reply r;

    assert_int_equal(kube_call_wait(f->k, &request, &r), KUBE_REFUSED);
    kube_reply_fini(&r);
    assert_int_equal(fake_api_requests(f->api), 1);
    request.repeatable = true;
    assert_int_equal(kube_call_wait(f->k, &request, &r), KUBE_REFUSED);
    kube_reply_fini(&r);
    assert_int_equal(fake_api_requests(f->api), 4);
}

static void test_kube__retry_after__asked_again(void **state)
{
    struct api_fixture *f = *state;
    struct kube_reply r;

    assert_int_equal(get(f->k, "/busy", &r), KUBE_OK);

    assert_int_equal(fake_api_requests(f->api), 2);
    kube_reply_fini(&r);
}

static void test_kube__retry_after_a_date_behind_the_deadline__is_the_answer(void **state)
{
    struct api_fixture *f = *state;
    struct kube_reply r;

    assert_int_equal(get(f->k, "/busy/long", &r), KUBE_REFUSED);

    assert_int_equal(r.status, 429);
    assert_int_equal(fake_api_requests(f->api), 1);
    kube_reply_fini(&r);
}

static void test_kube__redirect__is_not_followed(void **state)
{
    struct api_fixture *f = *state;
    struct kube_reply r;

    assert_int_equal(get(f->k, "/redirect", &r), KUBE_REFUSED);

    assert_int_equal(r.status, 302);
    kube_reply_fini(&r);
}

static void test_kube__refusal_of_a_proxy__no_body_but_a_text(void **state)
{
    struct api_fixture *f = *state;
    struct kube_reply r;

    assert_int_equal(get(f->k, "/html", &r), KUBE_REFUSED);

    assert_null(r.body);
    assert_non_null(strstr(r.error.text, ": 502"));
    kube_reply_fini(&r);
}

/* ---- bad answers ---- */

static void test_kube__bad_answers__say_what_and_are_not_asked_again(void **state)
{
    static const char *const rows[][2] = {
        {"/garbage", "bad answer: 1:"}, {"/empty", "bad answer: 1:"},
        {"/deep", "bad answer: 1:"},    {"/huge", "bad answer: it is larger than 4194304 bytes"},
        {"/nohttp", "bad answer: "},
    };
    struct api_fixture *f = *state;

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct kube_reply r;
        enum kube_outcome outcome = get(f->k, rows[i][0], &r);
        if (outcome != KUBE_BAD_ANSWER || strstr(r.error.text, rows[i][1]) == NULL) {
            fail_msg("%s: %d \"%s\"", rows[i][0], (int)outcome, r.error.text);
        }
        assert_null(r.body);
        assert_int_equal(fake_api_requests(f->api), i + 1);
        kube_reply_fini(&r);
    }
}

static void test_kube__connection_closed_early__asked_again_then_not_reachable(void **state)
{
    static const char *const rows[] = {"/close", "/cut"};
    struct api_fixture *f = *state;

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct kube_reply r;
        assert_int_equal(get(f->k, rows[i], &r), KUBE_UNREACHABLE);
        assert_int_equal(fake_api_requests(f->api), 3 * (i + 1));
        assert_non_null(strstr(r.error.text, "not reachable: "));
        kube_reply_fini(&r);
    }
}

static void test_kube__nobody_listens__not_reachable(void **state)
{
    struct api_fixture *f = *state;
    struct kube *k = api_fixture_connect(f, "server: 'https://127.0.0.1:1'", "token: t", NULL);
    struct kube_reply r;

    assert_int_equal(get(k, "/x", &r), KUBE_UNREACHABLE);

    assert_non_null(strstr(r.error.text, "GET https://127.0.0.1:1/x: not reachable: "));
    kube_reply_fini(&r);
    kube_free(&k);
}

static void test_kube__no_answer__timeout_on_every_attempt(void **state)
{
    struct api_fixture *f = *state;
    struct kube_request request = {
        .path = "/hang", .timeout_ms = 500, .retry = {.attempts_max = 2, .first_s = 0.01}};
    unsigned before;
    unsigned after;
    unsigned calls = 0;

    do { /* the time is that of the connection, too: a busy machine gets twice as much */
        struct kube_reply r;
        before = fake_api_requests(f->api);
        assert_int_equal(kube_call_wait(f->k, &request, &r), KUBE_TIMEOUT);
        assert_non_null(strstr(r.error.text, "no answer in time"));
        kube_reply_fini(&r);
        after = fake_api_requests(f->api);
        request.timeout_ms *= 2;
        calls++;
    } while (after - before < 2 && request.timeout_ms < LONG_MS);

    assert_true(after - before >= 2 && after <= 2 * calls);
    assert_int_not_equal(fake_api_request(f->api, before + 1).connection,
                         fake_api_request(f->api, before + 2).connection);
}

/* The socket of this process that is connected to the server. */
static int find_connection(uint16_t port)
{
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in to = {.sin_port = 0};
        socklen_t n = sizeof(to);
        if (getpeername(fd, (struct sockaddr *)&to, &n) == 0 && to.sin_family == AF_INET &&
            ntohs(to.sin_port) == port) {
            return fd;
        }
    }
    return -1;
}

static int tcp_option(int fd, int name)
{
    int value = 0;
    socklen_t n = sizeof(value);

    assert_int_equal(getsockopt(fd, IPPROTO_TCP, name, &value, &n), 0);
    return value;
}

static void test_kube__peer_is_gone_without_a_word__noticed_within_a_minute(void **state)
{
    struct api_fixture *f = *state;
    struct kube_reply r;
    assert_int_equal(get(f->k, "/x", &r), KUBE_OK);
    kube_reply_fini(&r);

    int fd = find_connection(fake_api_port(f->api));

    assert_true(fd >= 0);
    assert_true(tcp_option(fd, TCP_KEEPIDLE) +
                    tcp_option(fd, TCP_KEEPINTVL) * tcp_option(fd, TCP_KEEPCNT) <
                60);
}

static void test_kube__deadline__ends_a_call_also_in_its_first_attempt(void **state)
{
    struct api_fixture *f = *state;
    const struct kube_request request = {
        .path = "/hang", .timeout_ms = 3600 * 1000, .retry = {.deadline_s = 0.1}};
    struct kube_reply r;

    assert_int_equal(kube_call_wait(f->k, &request, &r), KUBE_TIMEOUT);

    kube_reply_fini(&r);
}

/* ---- libcurl ---- */

static CURLcode (*set_option)(CURL *easy, CURLoption option, ...);

/* As one that was built long ago. */
static CURLcode set_known_option(CURL *easy, CURLoption option, ...)
{
    va_list args;

    va_start(args, option);
    void *value = va_arg(args, void *); /* of all that are set here, as wide as a long */
    va_end(args);
    return option == CURLOPT_QUICK_EXIT ? CURLE_UNKNOWN_OPTION : set_option(easy, option, value);
}

static void test_kube__libcurl_does_not_know_an_option__says_so(void **state)
{
    struct api_fixture *f = *state;
    const struct curl_table *table = NULL;
    struct kube_error err;
    struct kube_reply r;
    assert_int_equal(curl_table_load(&err, &table), RC_OK);
    struct curl_table *writable = (struct curl_table *)(uintptr_t)table;
    set_option = table->easy_setopt;

    writable->easy_setopt = set_known_option;
    enum kube_outcome outcome = get(f->k, "/x", &r);
    writable->easy_setopt = set_option;

    assert_int_equal(outcome, KUBE_UNREACHABLE);
    assert_non_null(strstr(r.error.text, "unknown option"));
    assert_int_equal(fake_api_requests(f->api), 0);
    kube_reply_fini(&r);
}

/* ---- calls ---- */

struct seen {
    struct kube *k;
    struct kube_call *victim;
    unsigned n;
    enum kube_outcome last;
};

static void on_done(void *arg, const struct kube_answer *a)
{
    struct seen *s = arg;

    s->n++;
    s->last = a->outcome;
    kube_call_cancel(&s->victim);
}

/* Far more turns than it takes; each waits 10 ms at most. */
#define TURNS_MAX 3000

static void turn_until(struct kube *k, const struct seen *s, unsigned n)
{
    for (int i = 0; i < TURNS_MAX && s->n < n; i++) {
        kube_turn(k, 10);
    }
    assert_int_equal(s->n, n);
}

static void turn_until_asked(struct fake_api *api, struct kube *k, unsigned n)
{
    for (int i = 0; i < TURNS_MAX && fake_api_requests(api) < n; i++) {
        kube_turn(k, 10);
    }
    assert_int_equal(fake_api_requests(api), n);
}

static void test_call__cancelled__done_once(void **state)
{
    struct api_fixture *f = *state;
    struct seen s = {0};
    struct kube_call *call = NULL;
    const struct kube_request r = {.path = "/hang", .on_done = on_done, .arg = &s};
    assert_int_equal(kube_call_start(f->k, &r, &call), RC_OK);
    turn_until_asked(f->api, f->k, 1);

    kube_call_cancel(&call);
    assert_null(call);
    assert_int_equal(s.n, 0);
    turn_until(f->k, &s, 1);

    assert_int_equal(s.last, KUBE_CANCELLED);
    assert_int_equal(f->k->n_calls, 0);
}

static void test_call__cancelled_by_the_answer_of_another__done_once_each(void **state)
{
    struct api_fixture *f = *state;
    struct seen s = {0};
    struct kube_request r = {.path = "/hang", .on_done = on_done, .arg = &s};
    assert_int_equal(kube_call_start(f->k, &r, &s.victim), RC_OK);
    r.path = "/x";
    assert_int_equal(kube_call_start(f->k, &r, NULL), RC_OK);

    turn_until(f->k, &s, 2);

    assert_int_equal(s.last, KUBE_CANCELLED);
    assert_int_equal(f->k->n_calls, 0);
}

static void on_done_again(void *arg, const struct kube_answer *a)
{
    struct seen *s = arg;
    struct kube_request r = {.path = "/x", .on_done = on_done, .arg = s};

    (void)a;
    s->n++;
    assert_int_equal(kube_call_start(s->k, &r, NULL), RC_OK);
}

static void test_call__started_by_the_answer_of_another__is_answered(void **state)
{
    struct api_fixture *f = *state;
    struct seen s = {.k = f->k};
    const struct kube_request r = {.path = "/status/404", .on_done = on_done_again, .arg = &s};
    assert_int_equal(kube_call_start(f->k, &r, NULL), RC_OK);

    turn_until(f->k, &s, 2);

    assert_int_equal(s.last, KUBE_OK);
}

static void on_done_full(void *arg, const struct kube_answer *a)
{
    struct seen *s = arg;
    struct kube_request r = {.path = "/x", .on_done = on_done, .arg = s};

    assert_int_equal(a->outcome, KUBE_CANCELLED);
    assert_int_equal(kube_call_start(s->k, &r, NULL), RC_FULL);
    s->n++;
}

static void test_free__calls_wait_run_and_were_cancelled__each_done_once(void **state)
{
    struct api_fixture *f = *state;
    struct seen s = {.k = f->k};
    struct kube_call *call = NULL;
    struct kube_request r = {.path = "/hang", .on_done = on_done_full, .arg = &s};
    assert_int_equal(kube_call_start(f->k, &r, NULL), RC_OK);
    assert_int_equal(kube_call_start(f->k, &r, &call), RC_OK);
    turn_until_asked(f->api, f->k, 2);
    r.after_s = 1000;
    assert_int_equal(kube_call_start(f->k, &r, NULL), RC_OK);
    kube_call_cancel(&call);

    kube_free(&f->k);

    assert_int_equal(s.n, 3);
    assert_null(f->k);
}

static void test_call__more_than_may_run__wait_for_each_other(void **state)
{
    struct api_fixture *f = *state;
    struct seen s = {0};
    const struct kube_opts opts = {.parallel_max = 2, .calls_max = 5};
    const struct kube_request r = {.path = "/step", .on_done = on_done, .arg = &s};
    struct kube *k =
        api_fixture_connect(f, "server: '%s', certificate-authority: ca.crt", "token: t", &opts);

    for (int i = 0; i < 5; i++) {
        assert_int_equal(kube_call_start(k, &r, NULL), RC_OK);
    }
    assert_int_equal(kube_call_start(k, &r, NULL), RC_FULL);
    turn_until_asked(f->api, k, 2);
    for (int i = 0; i < 5; i++) {
        kube_turn(k, 10);
    }
    assert_int_equal(fake_api_requests(f->api), 2);
    fake_api_step(f->api, 1);
    turn_until(k, &s, 5);

    assert_int_equal(s.last, KUBE_OK);
    kube_free(&k);
}

static void test_call__no_path__is_invalid(void **state)
{
    static const char *const rows[] = {NULL, "", "x", "/a b", "/a\r\nX: y", "/\x80"};
    struct api_fixture *f = *state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct kube_request r = {.path = rows[i], .on_done = on_done};
        assert_int_equal(kube_call_start(f->k, &r, NULL), RC_INVALID);
    }
}

static void *wake_soon(void *arg)
{
    kube_wake(arg);
    return NULL;
}

static void test_wake__from_another_thread__ends_a_turn(void **state)
{
    struct api_fixture *f = *state;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, wake_soon, f->k), 0);
    kube_turn(f->k, 1000 * 1000);

    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_heard__only_by_a_server_that_looks_at_what_is_asked(void **state)
{
    static const int heard[] = {200, 201, 302, 400, 403, 404, 409, 410, 422};
    static const int not_heard[] = {0, 101, 401, 429, 500, 502, 503, 504};
    (void)state;

    for (size_t i = 0; i < COUNT(heard); i++) {
        assert_true(kube_is_heard(heard[i]));
    }
    for (size_t i = 0; i < COUNT(not_heard); i++) {
        assert_false(kube_is_heard(not_heard[i]));
    }
}

static void test_unknown_api__only_without_the_name_of_an_object(void **state)
{
    json_t *object = json_pack("{s:{s:s}}", "details", "name", "web");
    json_t *api = json_pack("{s:{}}", "details");
    (void)state;

    assert_false(kube_is_unknown_api(404, object));
    assert_true(kube_is_unknown_api(404, api));
    assert_true(kube_is_unknown_api(404, NULL));
    assert_false(kube_is_unknown_api(403, NULL));
    json_decref(object);
    json_decref(api);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_kube__get__token_and_body),
        TEST(test_kube__post__the_body_is_sent),
        TEST(test_kube__one_after_the_other__share_a_connection),
        TEST(test_kube__statuses_that_are_answers__asked_once),
        TEST(test_kube__statuses_that_pass__asked_again_until_the_attempts_are_over),
        TEST(test_kube__better_at_the_third_attempt__ok),
        TEST(test_kube__post_that_creates__is_not_sent_twice),
        TEST(test_kube__retry_after__asked_again),
        TEST(test_kube__retry_after_a_date_behind_the_deadline__is_the_answer),
        TEST(test_kube__redirect__is_not_followed),
        TEST(test_kube__refusal_of_a_proxy__no_body_but_a_text),
        TEST(test_kube__bad_answers__say_what_and_are_not_asked_again),
        TEST(test_kube__connection_closed_early__asked_again_then_not_reachable),
        TEST(test_kube__nobody_listens__not_reachable),
        TEST(test_kube__no_answer__timeout_on_every_attempt),
        TEST(test_kube__peer_is_gone_without_a_word__noticed_within_a_minute),
        TEST(test_kube__deadline__ends_a_call_also_in_its_first_attempt),
        TEST(test_kube__libcurl_does_not_know_an_option__says_so),
        TEST(test_call__cancelled__done_once),
        TEST(test_call__cancelled_by_the_answer_of_another__done_once_each),
        TEST(test_call__started_by_the_answer_of_another__is_answered),
        TEST(test_free__calls_wait_run_and_were_cancelled__each_done_once),
        TEST(test_call__more_than_may_run__wait_for_each_other),
        TEST(test_call__no_path__is_invalid),
        TEST(test_wake__from_another_thread__ends_a_turn),
        TEST(test_heard__only_by_a_server_that_looks_at_what_is_asked),
        TEST(test_unknown_api__only_without_the_name_of_an_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
