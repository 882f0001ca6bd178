/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX 8

struct got {
    char text[200]; /* lines, each with "|" behind it */
    unsigned stop_after;
    unsigned n;
};

static bool on_line(void *arg, const char *line, size_t n)
{
    struct got *g = arg;
    size_t len = strlen(g->text);

    snprintf(g->text + len, sizeof(g->text) - len, "%.*s|", (int)n, line);
    return ++g->n != g->stop_after;
}

/* Each piece is an exact copy on the heap: a read behind its end is seen by the sanitizer. */
static enum rc feed(struct kube_lines *l, const char *bytes, size_t n, struct got *g)
{
    char *copy = malloc(n > 0 ? n : 1);
    memcpy(copy, bytes, n);
    enum rc rc = kube_lines_feed(l, copy, n, on_line, g);
    free(copy);
    return rc;
}

static void test_lines__every_split__the_same_lines(void **state)
{
    static const char text[] = "one\n\ntwo\r\n\r\n12345678\n12345678\r\nx";
    const size_t n = sizeof(text) - 1;
    (void)state;

    for (size_t a = 0; a <= n; a++) {
        for (size_t b = a; b <= n; b++) {
            struct kube_lines l;
            struct got g = {0};
            kube_lines_init(&l, MAX);
            assert_int_equal(feed(&l, text, a, &g), RC_OK);
            assert_int_equal(feed(&l, text + a, b - a, &g), RC_OK);
            assert_int_equal(feed(&l, text + b, n - b, &g), RC_OK);
            assert_string_equal(g.text, "one|two|12345678|12345678|");
            kube_lines_fini(&l);
        }
    }
}

static void test_lines__cut_short__no_line(void **state)
{
    struct kube_lines l;
    struct got g = {0};
    (void)state;
    kube_lines_init(&l, MAX);

    assert_int_equal(feed(&l, "one", 3, &g), RC_OK);

    assert_int_equal(g.n, 0);
    kube_lines_fini(&l);
}

static void test_lines__too_long__every_split_is_refused(void **state)
{
    static const char *const rows[] = {"123456789\n", "12345678xy", "12345678x\r\n"};
    (void)state;

    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(rows[i]);
        for (size_t a = 0; a <= n; a++) {
            struct kube_lines l;
            struct got g = {0};
            kube_lines_init(&l, MAX);
            enum rc rc = feed(&l, rows[i], a, &g);
            rc = rc == RC_OK ? feed(&l, rows[i] + a, n - a, &g) : rc;
            assert_int_equal(rc, RC_PEER_LIMIT);
            assert_int_equal(g.n, 0);
            kube_lines_fini(&l);
        }
    }
}

static void test_lines__no_more__the_rest_is_dropped(void **state)
{
    struct kube_lines l;
    struct got g = {.stop_after = 2};
    (void)state;
    kube_lines_init(&l, MAX);

    assert_int_equal(feed(&l, "a\nb\nc\n", 6, &g), RC_EOF);

    assert_string_equal(g.text, "a|b|");
    kube_lines_fini(&l);
}

static void test_lines__long_ones__room_grows(void **state)
{
    struct kube_lines l;
    struct got g = {0};
    char part[1000];
    (void)state;
    memset(part, 'x', sizeof(part));
    kube_lines_init(&l, 20 * sizeof(part));

    for (int i = 0; i < 20; i++) {
        assert_int_equal(feed(&l, part, sizeof(part), &g), RC_OK);
    }
    assert_int_equal(feed(&l, "\n", 1, &g), RC_OK);

    assert_int_equal(g.n, 1);
    kube_lines_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines__every_split__the_same_lines),
        cmocka_unit_test(test_lines__cut_short__no_line),
        cmocka_unit_test(test_lines__too_long__every_split_is_refused),
        cmocka_unit_test(test_lines__no_more__the_rest_is_dropped),
        cmocka_unit_test(test_lines__long_ones__room_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
