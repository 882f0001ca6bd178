/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/admin/routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "certs/digest.h"
#include "core/base/base64.h"
#include "gateway/admin/host_check.h"
#include "gateway/admin/page.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/** What the pages say. */
struct pages {
    bool ready;
    bool live;
    const char *reasons;
};

static bool say_ready(void *arg, FILE *reasons)
{
    const struct pages *p = arg;
    (void)fputs(p->reasons, reasons);
    return p->ready;
}

static bool say_live(void *arg, FILE *reasons)
{
    const struct pages *p = arg;
    (void)fputs(p->reasons, reasons);
    return p->live;
}

static void say_metrics(void *arg, FILE *out)
{
    (void)arg;
    (void)fputs("metrics\n", out);
}

static void say_version(void *arg, FILE *out)
{
    (void)arg;
    (void)fputs("{\"version\": \"x\"}\n", out);
}

/* Says what it was asked. */
static unsigned say_api(void *arg, const struct admin_call *call, FILE *out)
{
    const char *since = call->argument(call, "since");

    (void)arg;
    if (strcmp(call->path, "unknown") == 0) {
        (void)fputs("{\"error\": \"no\"}\n", out);
        return 404;
    }
    (void)fprintf(out, "%s %s uid=%u since=%s", call->change ? "do" : "tell", call->path,
                  (unsigned)call->uid, since != NULL ? since : "-");
    return 200;
}

static struct routes_request get(const char *path)
{
    return (struct routes_request){
        .method = "GET", .path = path, .host = "127.0.0.1:15094", .n_hosts = 1};
}

/* The status; the body goes into a buffer that the next call overwrites. */
static unsigned ask(const struct routes_request *q, struct pages *p, const char **body)
{
    static char text[256];
    const struct admin_source source = {p, say_ready, say_live, say_metrics, say_version, say_api};
    struct routes_answer a;

    assert_int_equal(routes_answer(q, &source, &a), RC_OK);
    assert_true(a.n_bytes < sizeof(text));
    memcpy(text, a.body, a.n_bytes);
    text[a.n_bytes] = '\0';
    free(a.body);
    *body = text;
    return a.status;
}

static void test_routes__known_paths__their_pages(void **state)
{
    static const struct {
        const char *path;
        unsigned status;
        const char *body;
        bool on_metrics;
    } cases[] = {
        {"/healthz", 503, "why\n", true},
        {"/healthz/ready", 503, "why\n", true},
        {"/healthz/live", 200, "ok\n", true},
        {"/metrics", 200, "metrics\n", true},
        {"/api/v1/version", 200, "{\"version\": \"x\"}\n", false},
        {"", 404, "no such page\n", true},
        {"/metrics/", 404, "no such page\n", true},
        {"/healthz/live/x", 404, "no such page\n", true},
        {"//metrics", 404, "no such page\n", true},
        {"/METRICS", 404, "no such page\n", true},
        {"/api/v1/vms", 200, "tell vms uid=0 since=-", false},
        {"/api/v1/vms/a.b/config", 200, "tell vms/a.b/config uid=0 since=-", false},
        {"/api/v1/unknown", 404, "{\"error\": \"no\"}\n", true},
        {"/api/v1", 404, "no such page\n", true},
        {"/api/v2/vms", 404, "no such page\n", true},
    };
    struct pages p = {.ready = false, .live = true, .reasons = "why\n"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct routes_request q = get(cases[i].path);
        const char *body = NULL;

        assert_int_equal(ask(&q, &p, &body), cases[i].status);
        assert_string_equal(body, cases[i].body);

        q.metrics_only = true;
        assert_int_equal(ask(&q, &p, &body), cases[i].on_metrics ? cases[i].status : 404);
    }
}

/* What routes_answer() says of a path; free its body. */
static struct routes_answer answer_to(const char *path, bool metrics_only)
{
    struct pages p = {.ready = true, .live = true, .reasons = ""};
    const struct admin_source source = {&p, say_ready, say_live, say_metrics, say_version, say_api};
    struct routes_request q = get(path);
    struct routes_answer a;

    q.metrics_only = metrics_only;
    assert_int_equal(routes_answer(&q, &source, &a), RC_OK);
    return a;
}

static void test_routes__root__the_status_page_but_not_on_the_metrics_address(void **state)
{
    (void)state;

    struct routes_answer a = answer_to("/", false);

    assert_int_equal(a.status, 200);
    assert_string_equal(a.type, "text/html; charset=utf-8");
    assert_int_equal(a.n_bytes, page_html_bytes);
    assert_memory_equal(a.body, page_html, a.n_bytes);
    free(a.body);
    a = answer_to("/", true);
    assert_int_equal(a.status, 404);
    free(a.body);
}

/* The policy has the hash of what stands between two texts of the page. */
static void assert_allowed(const char *policy, const char *directive, const char *begin,
                           const char *end)
{
    uint8_t expected[DIGEST_BYTES];
    char hash[BASE64_DECODED_BYTES(64)];
    size_t n = 0;

    const char *from = strstr(page_html, begin);
    assert_non_null(from);
    from += strlen(begin);
    const char *to = strstr(from, end);
    assert_non_null(to);
    const struct digest_piece piece = {from, (size_t)(to - from)};
    assert_true(piece.n > 1000);
    assert_int_equal(digest_sha256(&piece, 1, expected), RC_OK);

    const char *said = strstr(policy, directive);
    assert_non_null(said);
    said += strlen(directive);
    assert_int_equal(strncmp(said, " 'sha256-", 9), 0);
    assert_int_equal(strcspn(said + 9, "'"), 44);
    assert_int_equal(base64_decode(said + 9, 44, hash, &n), RC_OK);
    assert_int_equal(n, sizeof(expected));
    assert_memory_equal(hash, expected, sizeof(expected));
}

static void test_routes__status_page__its_policy_allows_its_own_style_and_script_only(void **state)
{
    (void)state;

    struct routes_answer a = answer_to("/", false);

    assert_string_equal(a.policy, page_policy);
    assert_int_equal(strncmp(a.policy, "default-src 'none'; ", 20), 0);
    assert_allowed(a.policy, "style-src", "<style>", "</style>");
    assert_allowed(a.policy, "script-src", "<script type=\"module\">", "</script>");
    assert_non_null(strstr(a.policy, "; connect-src 'self';"));
    assert_non_null(strstr(a.policy, "; frame-ancestors 'none';"));
    assert_null(strstr(a.policy, "unsafe"));
    free(a.body);
}

static void test_routes__anything_else__a_policy_that_allows_nothing(void **state)
{
    static const char *const paths[] = {"/metrics", "/healthz", "/api/v1/vms", "/api/v1/version",
                                        "/nothing"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct routes_answer a = answer_to(paths[i], false);

        assert_string_equal(a.policy, "default-src 'none'; frame-ancestors 'none'");
        free(a.body);
    }
}

static void test_routes__health__reasons_and_notes(void **state)
{
    static const struct {
        bool ready;
        bool verbose;
        const char *reasons;
        unsigned status;
        const char *body;
    } cases[] = {
        {true, false, "one\ntwo\n", 200, "ok\n"},
        {true, true, "one\ntwo\n", 200, "one\ntwo\nok\n"},
        {false, false, "one\ntwo\n", 503, "one\ntwo\n"},
        {false, true, "one\ntwo\n", 503, "one\ntwo\n"},
        {false, false, "", 503, "no reason is known\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct pages p = {
            .ready = cases[i].ready, .live = cases[i].ready, .reasons = cases[i].reasons};
        struct routes_request q = get("/healthz/ready");
        const char *body = NULL;
        q.verbose = cases[i].verbose;

        assert_int_equal(ask(&q, &p, &body), cases[i].status);
        assert_string_equal(body, cases[i].body);
        q.path = "/healthz/live";
        assert_int_equal(ask(&q, &p, &body), cases[i].status);
        assert_string_equal(body, cases[i].body);
    }
}

static void test_routes__methods__only_get_and_head(void **state)
{
    static const char *const refused[] = {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", ""};
    struct pages p = {.ready = true, .live = true, .reasons = ""};
    struct routes_request q = get("/metrics");
    const char *body = NULL;

    (void)state;
    q.method = "HEAD";
    assert_int_equal(ask(&q, &p, &body), 200);
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        q.method = refused[i];
        assert_int_equal(ask(&q, &p, &body), 405);
    }
}

static const char *seven(const struct admin_call *call, const char *name)
{
    return strcmp(name, "since") == 0 ? call->place : NULL;
}

static void test_routes__post__for_callers_who_may_change_and_on_the_api_only(void **state)
{
    struct pages p = {.ready = true, .live = true, .reasons = ""};
    struct routes_request q = get("/api/v1/vms/a.b/revoke");
    const char *body = NULL;

    (void)state;
    q.method = "POST";
    q.uid = 42;
    q.argument = seven;
    q.place = "7";
    assert_int_equal(ask(&q, &p, &body), 405);
    q.may_change = true;
    assert_int_equal(ask(&q, &p, &body), 200);
    assert_string_equal(body, "do vms/a.b/revoke uid=42 since=7");
    q.has_body = true;
    assert_int_equal(ask(&q, &p, &body), 413);
    q.has_body = false;
    q.metrics_only = true;
    assert_int_equal(ask(&q, &p, &body), 404);
    q = get("/metrics");
    q.method = "POST";
    q.may_change = true;
    assert_int_equal(ask(&q, &p, &body), 404);
    q.method = "DELETE";
    assert_int_equal(ask(&q, &p, &body), 405);
}

static void test_routes__request_with_a_body__413(void **state)
{
    struct pages p = {.ready = true, .live = true, .reasons = ""};
    struct routes_request q = get("/metrics");
    const char *body = NULL;
    q.has_body = true;

    (void)state;
    assert_int_equal(ask(&q, &p, &body), 413);
}

static void test_routes__foreign_host__421_on_every_page(void **state)
{
    static const char *const paths[] = {"/metrics", "/healthz/live", "/api/v1/version", "/nothing"};
    struct pages p = {.ready = true, .live = true, .reasons = ""};
    const char *body = NULL;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct routes_request q = get(paths[i]);
        q.host = "rebound.example";
        assert_int_equal(ask(&q, &p, &body), 421);
        q.any_host = true;
        assert_int_not_equal(ask(&q, &p, &body), 421);
    }
}

/* As everything of the API; what is no API on the metrics address stays text. */
static void test_routes__refused_before_the_api_is_asked__error_as_json(void **state)
{
    static const struct {
        const char *method;
        const char *host;
        bool has_body;
        unsigned status;
        const char *body;
    } cases[] = {
        {"GET", "rebound.example", false, 421,
         "{\"error\": \"the Host header must be an IP address or localhost\"}\n"},
        {"POST", "localhost", false, 405,
         "{\"error\": \"only GET and HEAD are known here; what changes anything goes over the unix "
         "socket\"}\n"},
        {"GET", "localhost", true, 413, "{\"error\": \"no page takes a body\"}\n"},
    };
    static const char *const paths[] = {"/api/v1/vms", "/api/v1/version", "/api/v1/nothing"};
    struct pages p = {.ready = true, .live = true, .reasons = ""};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases) * COUNT_OF(paths); i++) {
        size_t k = i / COUNT_OF(paths);
        struct routes_request q = get(paths[i % COUNT_OF(paths)]);
        const char *body = NULL;
        q.method = cases[k].method;
        q.host = cases[k].host;
        q.has_body = cases[k].has_body;
        assert_int_equal(ask(&q, &p, &body), cases[k].status);
        assert_string_equal(body, cases[k].body);
        q.metrics_only = true;
        assert_int_equal(ask(&q, &p, &body), cases[k].status);
        assert_int_not_equal(body[0], '{');
    }
}

static void test_routes__two_host_headers__421(void **state)
{
    struct pages p = {.ready = true, .live = true, .reasons = ""};
    struct routes_request q = get("/metrics");
    const char *body = NULL;
    q.n_hosts = 2;

    (void)state;
    assert_int_equal(ask(&q, &p, &body), 421);
}

static void test_routes__no_host_header__answered(void **state)
{
    struct pages p = {.ready = true, .live = true, .reasons = ""};
    struct routes_request q = get("/metrics");
    const char *body = NULL;
    q.host = NULL;
    q.n_hosts = 0;

    (void)state;
    assert_int_equal(ask(&q, &p, &body), 200);
}

static void test_host_check__ip_literals_and_localhost__local(void **state)
{
    static const char *const hosts[] = {"127.0.0.1",     "127.0.0.1:15094", "10.1.2.3:1",
                                        "[::1]",         "[::1]:15094",     "[fd00::1]:65535",
                                        "localhost",     "LocalHost",       "localhost:15094",
                                        "0.0.0.0:15095", "255.255.255.255"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        if (!host_check_is_local(hosts[i])) {
            fail_msg("refused: %s", hosts[i]);
        }
    }
}

static void test_host_check__anything_else__foreign(void **state)
{
    static const char *const hosts[] = {
        "",
        "example.org",
        "example.org:15094",
        "127.0.0.1.example.org",
        "127.0.0.1.nip.io",
        "localhost.example.org",
        "localhost:",
        "localhost:x",
        "localhost:99999",
        "localhost:123456",
        "localhost :80",
        "localhost,127.0.0.1",
        "localhost5:80",
        "notlocalhost",
        "127.0.0.1:",
        "127.0.0.1:99999",
        "127.0.0.1:80:80",
        "127.1",
        "2130706433",
        "0x7f000001",
        "127.0.0.1/",
        "user@127.0.0.1",
        "::1",
        "[::1",
        "::1]",
        "[]",
        "[127.0.0.1]",
        "[::1]x",
        "[localhost]",
        "[::1].example.org",
        "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001]",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        if (host_check_is_local(hosts[i])) {
            fail_msg("let in: %s", hosts[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes__known_paths__their_pages),
        cmocka_unit_test(test_routes__root__the_status_page_but_not_on_the_metrics_address),
        cmocka_unit_test(test_routes__status_page__its_policy_allows_its_own_style_and_script_only),
        cmocka_unit_test(test_routes__anything_else__a_policy_that_allows_nothing),
        cmocka_unit_test(test_routes__health__reasons_and_notes),
        cmocka_unit_test(test_routes__methods__only_get_and_head),
        cmocka_unit_test(test_routes__post__for_callers_who_may_change_and_on_the_api_only),
        cmocka_unit_test(test_routes__request_with_a_body__413),
        cmocka_unit_test(test_routes__foreign_host__421_on_every_page),
        cmocka_unit_test(test_routes__refused_before_the_api_is_asked__error_as_json),
        cmocka_unit_test(test_routes__two_host_headers__421),
        cmocka_unit_test(test_routes__no_host_header__answered),
        cmocka_unit_test(test_host_check__ip_literals_and_localhost__local),
        cmocka_unit_test(test_host_check__anything_else__foreign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
