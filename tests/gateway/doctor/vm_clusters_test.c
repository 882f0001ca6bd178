/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/doctor/vm_clusters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LINE_1 "outbound|80||a.b.svc::10.0.0.7:8080::cx_active::0\n"
#define LINE_2 "outbound|80||a.b.svc::[fd00::7]:8080::health_flags::healthy\n"
#define NOISE                                       \
    "outbound|80||a.b.svc::observability_name::x\n" \
    "outbound|80||a.b.svc::added_via_api::true\n"   \
    "inbound|80||::10.0.0.9:80::cx_active::0\n"     \
    "outbound|80||a.b.svc::10.0.0.7:8080::rq_total::0\n"

static struct vm_clusters clusters;

static const char *address(size_t i)
{
    static char buf[ADDR_TEXT_BYTES];
    return addr_format(&clusters.list[i], buf);
}

/* The whole answer, cut into pieces of n bytes. */
static void feed(const char *text, size_t n)
{
    clusters = (struct vm_clusters){.n = 0};
    for (size_t at = 0, all = strlen(text); at < all; at += n) {
        vm_clusters_feed(&clusters, text + at, n < all - at ? n : all - at);
    }
}

static void test_clusters__plain_body__each_outbound_address_once(void **state)
{
    (void)state;
    feed("HTTP/1.1 200 OK\r\nserver: envoy\r\n\r\n" LINE_1 NOISE LINE_2, 4096);

    assert_true(vm_clusters_answered(&clusters));
    assert_int_equal(clusters.n, 2);
    assert_string_equal(address(0), "10.0.0.7:8080");
    assert_string_equal(address(1), "[fd00::7]:8080");
}

static void test_clusters__chunks__lines_go_on_over_them(void **state)
{
    static const char head[] = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    static const char page[] = LINE_1 LINE_2;
    char text[4096];

    (void)state;
    for (size_t chunk = 1; chunk < 70; chunk++) {
        size_t n = (size_t)snprintf(text, sizeof(text), "%s", head);
        for (size_t at = 0; at < strlen(page); at += chunk) {
            size_t len = chunk < strlen(page) - at ? chunk : strlen(page) - at;
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%zx\r\n%.*s\r\n", len, (int)len,
                                  page + at);
        }
        snprintf(text + n, sizeof(text) - n, "0\r\n\r\n");
        for (size_t piece = 1; piece < 20; piece++) {
            feed(text, piece);
            assert_int_equal(clusters.n, 2);
            assert_string_equal(address(1), "[fd00::7]:8080");
        }
    }
}

static void test_clusters__cut_anywhere__no_address_that_is_not_there(void **state)
{
    static const char whole[] = "HTTP/1.1 200 OK\r\n\r\n" LINE_1;
    char text[sizeof(whole)];

    (void)state;
    for (size_t n = 0; n < sizeof(whole) - 1; n++) {
        memcpy(text, whole, n);
        text[n] = '\0';
        feed(text, 4096);
        assert_int_equal(clusters.n, 0);
    }
}

static void test_clusters__other_status__not_answered(void **state)
{
    (void)state;
    feed("HTTP/1.1 426 Upgrade Required\r\n\r\n", 1);
    assert_false(vm_clusters_answered(&clusters));
    feed("SSH-2.0-x\r\n", 1);
    assert_false(vm_clusters_answered(&clusters));
}

static void test_clusters__oversized__bounded(void **state)
{
    char text[20000];
    size_t n = (size_t)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n\r\n");

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "outbound|1||x::10.0.0.%u:80::a::0\n", i);
    }
    memset(text + n, 'x', 5000);
    snprintf(text + n + 5000, sizeof(text) - n - 5000, "\n" LINE_1);
    feed(text, 100);

    assert_int_equal(clusters.n, VM_CLUSTERS_MAX);
}

static void test_clusters__chunk_lengths_of_nonsense__over(void **state)
{
    (void)state;
    feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" LINE_1, 4096);
    assert_int_equal(clusters.n, 0);
    feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
         "fffffffffffffffffffffffffffffff\r\n" LINE_1,
         4096);
    assert_int_equal(clusters.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clusters__plain_body__each_outbound_address_once),
        cmocka_unit_test(test_clusters__chunks__lines_go_on_over_them),
        cmocka_unit_test(test_clusters__cut_anywhere__no_address_that_is_not_there),
        cmocka_unit_test(test_clusters__other_status__not_answered),
        cmocka_unit_test(test_clusters__oversized__bounded),
        cmocka_unit_test(test_clusters__chunk_lengths_of_nonsense__over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
