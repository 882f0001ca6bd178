/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/xds_response.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "tests/xds/pb_out.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

#define CDS_URL "type.googleapis.com/envoy.config.cluster.v3.Cluster"
#define NDS_URL "type.googleapis.com/istio.networking.nds.v1.NameTable"

/* What was told, a line for each message. */
struct told {
    char text[4096];
    size_t n;
};

static void on_response(void *arg, const struct xds_response *r)
{
    struct told *t = arg;

    assert_int_equal(r->type, xds_type_of(r->url, strlen(r->url)));
    t->n += (size_t)snprintf(t->text + t->n, sizeof(t->text) - t->n,
                             "%s \"%s\" bytes %llu of resources %llu in %u removed %u\n",
                             xds_type_name(r->type), r->nonce, (unsigned long long)r->bytes,
                             (unsigned long long)r->resource_bytes, r->n_resources, r->n_removed);
}

static void on_unread(void *arg, bool compressed, uint64_t bytes)
{
    struct told *t = arg;

    t->n += (size_t)snprintf(t->text + t->n, sizeof(t->text) - t->n, "%s %llu\n",
                             compressed ? "compressed" : "malformed", (unsigned long long)bytes);
}

static const struct xds_response_ops ops = {.on_response = on_response, .on_unread = on_unread};

/* Feed an exact copy on the heap: a read behind its end is seen by the sanitizer. */
static void feed_copy(struct xds_response_scan *s, struct told *t, const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);

    if (n > 0) {
        memcpy(copy, data, n);
    }
    xds_response_feed(s, &ops, t, copy, n);
    free(copy);
}

static const char *feed_in_pieces(enum xds_variant variant, const struct pb_out *o, size_t piece,
                                  struct told *t)
{
    struct xds_response_scan s;

    *t = (struct told){.n = 0};
    xds_response_init(&s, variant);
    for (size_t at = 0; at < o->n; at += piece) {
        feed_copy(&s, t, o->data + at, o->n - at < piece ? o->n - at : piece);
    }
    return t->text;
}

/* The same, and whenever the scanner is idle it is thrown away, and another one begins. */
static const char *feed_with_fresh_ones(enum xds_variant variant, const struct pb_out *o,
                                        size_t piece, struct told *t, size_t *n_fresh)
{
    struct xds_response_scan s;

    *t = (struct told){.n = 0};
    *n_fresh = 0;
    xds_response_init(&s, variant);
    for (size_t at = 0; at < o->n; at += piece) {
        feed_copy(&s, t, o->data + at, o->n - at < piece ? o->n - at : piece);
        if (xds_response_is_idle(&s)) {
            memset(&s, 0xa5, sizeof(s));
            xds_response_init(&s, variant);
            ++*n_fresh;
        }
    }
    return t->text;
}

/* All at once; frees o. */
static const char *feed_all(enum xds_variant variant, struct pb_out *o, struct told *t)
{
    feed_in_pieces(variant, o, o->n + 1, t);
    pb_free(o);
    return t->text;
}

static void frame(struct pb_out *o, uint8_t flag, struct pb_out *message)
{
    pb_frame(o, flag, message->data, message->n);
    pb_free(message);
}

static void put_resources(struct pb_out *m, size_t n, size_t n_bytes)
{
    uint8_t *bytes = calloc(1, n_bytes + 1);

    memset(bytes, 0x0b, n_bytes); /* groups, if they were read */
    for (size_t i = 0; i < n; i++) {
        pb_bytes(m, 2, bytes, n_bytes);
    }
    free(bytes);
}

/* A stream of seven messages; where each ends. */
#define N_MESSAGES 7
static void make_stream(struct pb_out *o, size_t ends[N_MESSAGES])
{
    struct pb_out m = {0};
    size_t i = 0;

    pb_text(&m, 1, "2026-11-22T01:02:03Z/7");
    put_resources(&m, 3, 20);
    pb_text(&m, 4, CDS_URL);
    pb_text(&m, 5, "n1");
    pb_text(&m, 6, "control plane, or a removed one");
    frame(o, 0, &m);
    ends[i++] = o->n;
    put_resources(&m, 1, 30);
    frame(o, 1, &m); /* compressed */
    ends[i++] = o->n;
    pb_text(&m, 5, "n2"); /* in another order */
    pb_text(&m, 4, NDS_URL);
    put_resources(&m, 1, 7);
    pb_number(&m, 3, 1);
    frame(o, 0, &m);
    ends[i++] = o->n;
    pb_text(&m, 4, CDS_URL);
    pb_put(&m, "\x0b after that it is not read", 27);
    frame(o, 0, &m); /* malformed */
    ends[i++] = o->n;
    frame(o, 0, &m); /* empty */
    ends[i++] = o->n;
    frame(o, 1, &m); /* so, compressed */
    ends[i++] = o->n;
    pb_text(&m, 5, "n3");
    frame(o, 0, &m);
    ends[i++] = o->n;
    assert_int_equal(i, N_MESSAGES);
}

static const char *const stream_told[N_MESSAGES] = {
    "CDS \"n1\" bytes 180 of resources 60 in 3 removed 0\n", "compressed 32\n",
    "NDS \"n2\" bytes 70 of resources 7 in 1 removed 0\n",   "malformed 80\n",
    "OTHER \"\" bytes 0 of resources 0 in 0 removed 0\n",    "compressed 0\n",
    "OTHER \"n3\" bytes 4 of resources 0 in 0 removed 0\n",
};

/* What n bytes of the stream tell. */
static const char *told_by(const size_t ends[N_MESSAGES], size_t n, char text[4096])
{
    size_t at = 0;

    text[0] = '\0';
    for (size_t i = 0; i < N_MESSAGES && ends[i] <= n; i++) {
        at += (size_t)snprintf(text + at, 4096 - at, "%s", stream_told[i]);
    }
    return text;
}

static void test_xds_response__several_in_one_feed__are_told_one_by_one(void **state)
{
    struct pb_out o = {0};
    size_t ends[N_MESSAGES];
    char expected[4096];
    struct told t;
    (void)state;

    make_stream(&o, ends);
    told_by(ends, o.n, expected);
    assert_string_equal(feed_all(XDS_SOTW, &o, &t), expected);
}

static void test_xds_response__pieces_of_any_size__tell_the_same(void **state)
{
    struct pb_out o = {0};
    size_t ends[N_MESSAGES];
    char expected[4096];
    struct told t;
    (void)state;

    make_stream(&o, ends);
    told_by(ends, o.n, expected);
    for (size_t piece = 1; piece <= o.n; piece++) {
        assert_string_equal(feed_in_pieces(XDS_SOTW, &o, piece, &t), expected);
    }
    pb_free(&o);
}

/* ---- who wants the bytes ---- */

struct payload {
    struct pb_out bytes; /* of all messages, each behind its length */
    uint32_t left;       /* of the open one */
};

static void on_begin(void *arg, uint32_t bytes)
{
    struct payload *p = arg;

    assert_int_equal(p->left, 0);
    pb_varint(&p->bytes, bytes);
    p->left = bytes;
}

static void on_payload(void *arg, const uint8_t *data, size_t n)
{
    struct payload *p = arg;

    assert_in_range(n, 1, p->left);
    pb_put(&p->bytes, data, n);
    p->left -= (uint32_t)n;
}

static void on_whole(void *arg, const struct xds_response *r)
{
    struct payload *p = arg;

    (void)r;
    assert_int_equal(p->left, 0);
}

static void on_none(void *arg, bool compressed, uint64_t bytes)
{
    (void)arg, (void)compressed, (void)bytes;
}

/* Those that are not compressed, malformed ones included. */
static void test_xds_response__payload__each_byte_of_each_message_before_it_is_told(void **state)
{
    static const struct xds_response_ops all = {on_whole, on_none, on_begin, on_payload};
    size_t ends[N_MESSAGES];
    struct pb_out want = {0};
    struct pb_out o = {0};
    (void)state;

    make_stream(&o, ends);
    for (size_t i = 0, at = 0; i < N_MESSAGES; at = ends[i++]) {
        if (o.data[at] == 0) {
            pb_varint(&want, ends[i] - at - 5);
            pb_put(&want, o.data + at + 5, ends[i] - at - 5);
        }
    }
    for (size_t piece = 1; piece < o.n; piece += 7) {
        struct payload p = {.left = 0};
        struct xds_response_scan s;
        xds_response_init(&s, XDS_SOTW);
        for (size_t at = 0; at < o.n; at += piece) {
            xds_response_feed(&s, &all, &p, o.data + at, o.n - at < piece ? o.n - at : piece);
        }
        assert_int_equal(p.bytes.n, want.n);
        assert_memory_equal(p.bytes.data, want.data, want.n);
        pb_free(&p.bytes);
    }
    pb_free(&want);
    pb_free(&o);
}

static void test_xds_response__cut_and_split_at_every_byte__each_is_told_with_its_last(void **state)
{
    struct pb_out o = {0};
    size_t ends[N_MESSAGES];
    char expected[4096];
    (void)state;

    make_stream(&o, ends);
    for (size_t cut = 0; cut <= o.n; cut++) {
        struct told t = {.n = 0};
        struct xds_response_scan s;
        xds_response_init(&s, XDS_SOTW);
        feed_copy(&s, &t, o.data, cut);
        assert_string_equal(t.text, told_by(ends, cut, expected));
        feed_copy(&s, &t, o.data + cut, o.n - cut);
        assert_string_equal(t.text, told_by(ends, o.n, expected));
    }
    pb_free(&o);
}

static void test_xds_response__delta__counts_what_was_removed(void **state)
{
    struct pb_out m = {0};
    struct pb_out o = {0};
    struct told t;
    (void)state;

    put_resources(&m, 2, 5);
    pb_text(&m, 4, CDS_URL);
    pb_text(&m, 5, "n1");
    pb_text(&m, 6, "outbound|80||a");
    pb_text(&m, 6, "outbound|80||b");
    frame(&o, 0, &m);
    frame(&o, 0, &m); /* empty: nothing of the one before is left */
    assert_string_equal(feed_all(XDS_DELTA, &o, &t),
                        "CDS \"n1\" bytes 103 of resources 10 in 2 removed 2\n"
                        "OTHER \"\" bytes 0 of resources 0 in 0 removed 0\n");
}

static void test_xds_response__text_twice__the_last_one_counts(void **state)
{
    struct pb_out m = {0};
    struct pb_out o = {0};
    struct told t;
    (void)state;

    pb_text(&m, 4, NDS_URL);
    pb_text(&m, 4, CDS_URL);
    pb_text(&m, 5, "the longer one");
    pb_text(&m, 5, "n");
    frame(&o, 0, &m);
    pb_text(&m, 4, CDS_URL);
    pb_text(&m, 4, "");
    pb_text(&m, 5, "n");
    pb_text(&m, 5, "");
    frame(&o, 0, &m);
    assert_string_equal(feed_all(XDS_SOTW, &o, &t),
                        "CDS \"n\" bytes 127 of resources 0 in 0 removed 0\n"
                        "OTHER \"\" bytes 60 of resources 0 in 0 removed 0\n");
}

static void test_xds_response__known_number_of_other_wire_type__is_passed_over(void **state)
{
    struct pb_out m = {0};
    struct pb_out o = {0};
    struct told t;
    (void)state;

    for (uint32_t number = 1; number <= 6; number++) {
        pb_number(&m, number, 1000);
    }
    frame(&o, 0, &m);
    assert_string_equal(feed_all(XDS_DELTA, &o, &t),
                        "OTHER \"\" bytes 18 of resources 0 in 0 removed 0\n");
}

static void test_xds_response__nonce_longer_than_its_room__is_none(void **state)
{
    char text[XDS_NONCE_BYTES + 1];
    char expected[200];
    struct pb_out m = {0};
    struct pb_out o = {0};
    struct told t;
    (void)state;

    memset(text, 'n', sizeof(text));
    pb_bytes(&m, 5, text, XDS_NONCE_BYTES - 1);
    frame(&o, 0, &m);
    (void)snprintf(expected, sizeof(expected),
                   "OTHER \"%.95s\" bytes 97 of resources 0 in 0 removed 0\n", text);
    assert_string_equal(feed_all(XDS_SOTW, &o, &t), expected);

    pb_bytes(&m, 5, text, XDS_NONCE_BYTES);
    frame(&o, 0, &m);
    assert_string_equal(feed_all(XDS_SOTW, &o, &t),
                        "OTHER \"\" bytes 98 of resources 0 in 0 removed 0\n");
}

static void test_xds_response__url_longer_than_its_room__is_another_type(void **state)
{
    char text[XDS_URL_BYTES + 100];
    struct pb_out m = {0};
    struct pb_out o = {0};
    struct told t;
    (void)state;

    memset(text, 'u', sizeof(text));
    memcpy(text, CDS_URL, sizeof(CDS_URL) - 1);
    pb_bytes(&m, 4, text, sizeof(text));
    frame(&o, 0, &m);
    assert_string_equal(feed_all(XDS_SOTW, &o, &t),
                        "OTHER \"\" bytes 199 of resources 0 in 0 removed 0\n");
}

static void test_xds_response__malformed__goes_on_at_the_next_frame(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } rows[] = {
#define ROW(bytes) {bytes, sizeof(bytes) - 1}
        ROW("\x0b\x0c"),                                         /* a group */
        ROW("\x12\x05gone"),                                     /* a resource beyond the end */
        ROW("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01gone"), /* far beyond */
        ROW("\x22\x01\xff"),                                     /* a URL that is no UTF-8 */
        ROW("\x2a\x01\xc3"),                                     /* so, a nonce */
        ROW("\x12"),                                             /* it breaks off */
        ROW("\x2a\x03nn"),                                       /* inside of a text */
        ROW("\x00"),                                             /* field 0 */
#undef ROW
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct pb_out o = {0};
        char expected[200];
        pb_frame(&o, 0, rows[i].bytes, rows[i].n);
        pb_frame(&o, 0, "\x2a\x01n", 3);
        (void)snprintf(expected, sizeof(expected),
                       "malformed %zu\nOTHER \"n\" bytes 3 of resources 0 in 0 removed 0\n",
                       rows[i].n);
        for (size_t piece = 1; piece <= o.n; piece++) {
            struct told t;
            assert_string_equal(feed_in_pieces(XDS_DELTA, &o, piece, &t), expected);
        }
        pb_free(&o);
    }
}

static void test_xds_response__no_frame__is_told_once_and_nothing_is_read_any_more(void **state)
{
    struct pb_out o = {0};
    (void)state;

    pb_frame(&o, 0, "\x2a\x01n", 3);
    pb_frame(&o, 2, "\x2a\x01n", 3); /* gRPC knows 0 and 1 */
    pb_frame(&o, 0, "\x2a\x01n", 3);
    pb_frame(&o, 7, "", 0);
    for (size_t piece = 1; piece <= o.n; piece++) {
        struct told t;
        assert_string_equal(feed_in_pieces(XDS_SOTW, &o, piece, &t),
                            "OTHER \"n\" bytes 3 of resources 0 in 0 removed 0\nmalformed 0\n");
    }
    pb_free(&o);
}

/* Memory that nobody may read stands for a resource of nearly 4 GiB, fed in pieces as a connection
 * gives them: nothing is done for each of its bytes, and no number overflows. */
static void test_xds_response__resource_larger_than_any_buffer__is_not_looked_at(void **state)
{
    const size_t piece = 1U << 30;
    const uint32_t n = UINT32_MAX - 100;
    struct told t = {.n = 0};
    struct xds_response_scan s;
    struct pb_out head = {0};
    struct pb_out m = {0};
    (void)state;

    uint8_t *nothing =
        mmap(NULL, piece, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(nothing != MAP_FAILED);
    pb_tag(&m, 2, PB_BYTES);
    pb_varint(&m, n);
    pb_frame(&head, 0, m.data, m.n);
    uint32_t n_message = (uint32_t)m.n + n + 3;
    for (size_t i = 0; i < 4; i++) {
        head.data[1 + i] = (uint8_t)(n_message >> (24 - 8 * i));
    }
    xds_response_init(&s, XDS_DELTA);
    feed_copy(&s, &t, head.data, head.n);
    for (size_t left = n; left > 0;) {
        size_t take = left < piece ? left : piece;
        xds_response_feed(&s, &ops, &t, nothing, take);
        left -= take;
    }
    assert_string_equal(t.text, "");
    feed_copy(&s, &t, (const uint8_t *)"\x2a\x01n", 3);

    assert_string_equal(t.text,
                        "OTHER \"n\" bytes 4294967204 of resources 4294967195 in 1 removed 0\n");
    assert_int_equal(munmap(nothing, piece), 0);
    pb_free(&head);
    pb_free(&m);
}

/* A compressed or malformed message is not looked at either. */
static void test_xds_response__unread_message__is_not_looked_at(void **state)
{
    static const char *const heads[] = {"\1\0\20\0\0", "\0\0\20\0\0\x0b"};
    const size_t n = 1U << 20;
    (void)state;

    uint8_t *nothing = mmap(NULL, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(nothing != MAP_FAILED);
    for (size_t i = 0; i < COUNT(heads); i++) {
        struct told t = {.n = 0};
        struct xds_response_scan s;
        xds_response_init(&s, XDS_SOTW);
        feed_copy(&s, &t, (const uint8_t *)heads[i], 5 + i);
        xds_response_feed(&s, &ops, &t, nothing, n - i);
        assert_string_equal(t.text, i == 0 ? "compressed 1048576\n" : "malformed 1048576\n");
    }
    assert_int_equal(munmap(nothing, n), 0);
}

static void test_xds_response__idle_between_messages__a_new_one_tells_the_same(void **state)
{
    size_t ends[N_MESSAGES];
    struct pb_out o = {0};
    struct told whole;
    struct told t;
    size_t n_fresh = 0;
    (void)state;

    make_stream(&o, ends);
    feed_in_pieces(XDS_SOTW, &o, o.n, &whole);
    for (size_t piece = 1; piece <= o.n; piece++) {
        assert_string_equal(feed_with_fresh_ones(XDS_SOTW, &o, piece, &t, &n_fresh), whole.text);
        assert_in_range(n_fresh, 1, N_MESSAGES);
        assert_true(piece > 1 || n_fresh == N_MESSAGES);
    }
    pb_free(&o);
}

static void test_xds_response__no_frames_any_more__is_never_idle(void **state)
{
    struct xds_response_scan s;
    struct told t = {.n = 0};
    (void)state;

    xds_response_init(&s, XDS_SOTW);
    assert_true(xds_response_is_idle(&s));
    feed_copy(&s, &t, (const uint8_t *)"\7", 1);
    assert_false(xds_response_is_idle(&s));
}

/* Many may be open at once. */
static void test_xds_response__its_size__is_bounded(void **state)
{
    (void)state;
    assert_true(sizeof(struct xds_response_scan) <= 350);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xds_response__several_in_one_feed__are_told_one_by_one),
        cmocka_unit_test(test_xds_response__pieces_of_any_size__tell_the_same),
        cmocka_unit_test(test_xds_response__payload__each_byte_of_each_message_before_it_is_told),
        cmocka_unit_test(
            test_xds_response__cut_and_split_at_every_byte__each_is_told_with_its_last),
        cmocka_unit_test(test_xds_response__delta__counts_what_was_removed),
        cmocka_unit_test(test_xds_response__text_twice__the_last_one_counts),
        cmocka_unit_test(test_xds_response__known_number_of_other_wire_type__is_passed_over),
        cmocka_unit_test(test_xds_response__nonce_longer_than_its_room__is_none),
        cmocka_unit_test(test_xds_response__url_longer_than_its_room__is_another_type),
        cmocka_unit_test(test_xds_response__malformed__goes_on_at_the_next_frame),
        cmocka_unit_test(test_xds_response__no_frame__is_told_once_and_nothing_is_read_any_more),
        cmocka_unit_test(test_xds_response__resource_larger_than_any_buffer__is_not_looked_at),
        cmocka_unit_test(test_xds_response__unread_message__is_not_looked_at),
        cmocka_unit_test(test_xds_response__idle_between_messages__a_new_one_tells_the_same),
        cmocka_unit_test(test_xds_response__no_frames_any_more__is_never_idle),
        cmocka_unit_test(test_xds_response__its_size__is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
