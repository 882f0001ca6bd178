/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/admin/routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/admin/host_check.h"

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

static struct routes_request get(const char *path)
{
    return (struct routes_request){
        .method = "GET", .path = path, .host = "127.0.0.1:15094", .n_hosts = 1};
}

/* The status; the body goes into a buffer that the next call overwrites. */
static unsigned ask(const struct routes_request *q, struct pages *p, const char **body)
{
    static char text[256];
    const struct admin_source source = {p, say_ready, say_live, say_metrics, say_version};
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
        {"/", 404, "no such page\n", true},
        {"", 404, "no such page\n", true},
        {"/metrics/", 404, "no such page\n", true},
        {"/healthz/live/x", 404, "no such page\n", true},
        {"//metrics", 404, "no such page\n", true},
        {"/METRICS", 404, "no such page\n", true},
        {"/api/v1/vms", 404, "no such page\n", true},
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
        cmocka_unit_test(test_routes__health__reasons_and_notes),
        cmocka_unit_test(test_routes__methods__only_get_and_head),
        cmocka_unit_test(test_routes__request_with_a_body__413),
        cmocka_unit_test(test_routes__foreign_host__421_on_every_page),
        cmocka_unit_test(test_routes__two_host_headers__421),
        cmocka_unit_test(test_routes__no_host_header__answered),
        cmocka_unit_test(test_host_check__ip_literals_and_localhost__local),
        cmocka_unit_test(test_host_check__anything_else__foreign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
