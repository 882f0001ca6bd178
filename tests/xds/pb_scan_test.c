/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/pb_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "tests/xds/pb_out.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* What was told, as text. A number is "depth.number:value", a field of bytes "depth.number(", its
 * bytes if it is taken, and ")" with its depth. */
struct told {
    char text[4096];
    size_t n;
    size_t n_fields;
};

static void tell(struct told *t, const char *text, size_t n)
{
    assert_true(t->n + n < sizeof(t->text));
    memcpy(t->text + t->n, text, n);
    t->n += n;
    t->text[t->n] = '\0';
}

/* Numbers 1 to 9 are skipped, 10 to 19 taken, 20 and more entered. */
static enum pb_do on_field(void *arg, const struct pb_field *f)
{
    static const char *const wires[] = {
        [PB_VARINT] = ":", [PB_FIXED64] = ":l", [PB_BYTES] = "(", [PB_FIXED32] = ":i"};
    struct told *t = arg;
    char text[64];

    int n = snprintf(text, sizeof(text), " %u.%u%s%llu", f->depth, f->number, wires[f->wire],
                     (unsigned long long)f->value);
    tell(t, text, (size_t)n);
    t->n_fields++;
    return f->number < 10 ? PB_SKIP : f->number < 20 ? PB_TAKE : PB_ENTER;
}

static void on_bytes(void *arg, const uint8_t *data, size_t n)
{
    assert_true(n > 0);
    tell(arg, (const char *)data, n);
}

static void on_end(void *arg, uint32_t depth)
{
    char text[16];
    int n = snprintf(text, sizeof(text), ")%u", depth);

    tell(arg, text, (size_t)n);
}

static const struct pb_ops ops = {on_field, on_bytes, on_end};

/* Feed an exact copy on the heap: a read behind its end is seen by the sanitizer. */
static enum rc feed_copy(struct pb_scan *s, struct told *t, const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);

    if (n > 0) {
        memcpy(copy, data, n);
    }
    enum rc rc = pb_scan_feed(s, &ops, t, copy, n);
    free(copy);
    return rc;
}

/* The whole message in pieces of at most `piece` bytes. */
static enum rc feed_in_pieces(const void *data, size_t n, size_t piece, struct told *t, bool *over)
{
    const uint8_t *p = data;
    struct pb_scan s;
    enum rc rc = RC_OK;

    *t = (struct told){.n = 0};
    pb_scan_begin(&s, (uint32_t)n);
    for (size_t at = 0; at < n && rc == RC_OK; at += piece) {
        rc = feed_copy(&s, t, p + at, n - at < piece ? n - at : piece);
    }
    *over = pb_scan_is_over(&s);
    return rc;
}

static void assert_told(const char *bytes, size_t n, const char *expected)
{
    for (size_t piece = 1; piece <= n; piece++) {
        struct told t;
        bool over;
        assert_int_equal(feed_in_pieces(bytes, n, piece, &t, &over), RC_OK);
        assert_true(over);
        assert_string_equal(t.text, expected);
    }
}

#define ASSERT_TOLD(bytes, expected) assert_told(bytes, sizeof(bytes) - 1, expected)

/* Everything once; where its fields end. */
#define N_ENDS 7
static size_t make_sample(struct pb_out *o, size_t ends[N_ENDS])
{
    struct pb_out inner = {0};
    struct pb_out middle = {0};
    size_t i = 0;

    pb_number(o, 1, 300);
    ends[i++] = o->n;
    pb_text(o, 2, "skipped \x08\x96\x01");
    ends[i++] = o->n;
    pb_text(o, 536870911, ""); /* entered */
    ends[i++] = o->n;
    pb_tag(o, 11, PB_FIXED64);
    pb_put(o, "\1\2\3\4\5\6\7\10", 8);
    ends[i++] = o->n;
    pb_text(&inner, 12, "deep");
    pb_number(&inner, 3, 0);
    pb_message(&middle, 20, &inner);
    pb_text(&middle, 13, "after");
    pb_tag(&middle, 14, PB_FIXED32);
    pb_put(&middle, "\xff\0\0\0", 4);
    pb_message(o, 21, &middle);
    ends[i++] = o->n;
    pb_text(o, 15, "");
    ends[i++] = o->n;
    pb_text(o, 16, "last");
    ends[i++] = o->n;
    assert_int_equal(i, N_ENDS);
    return o->n;
}

static const char sample_told[] =
    " 0.1:300 0.2(11 0.536870911(0)0 0.11:l578437695752307201 0.21(23 1.20(8 2.12(4deep)2 2.3:0)1"
    " 1.13(5after)1 1.14:i255)0 0.15(0)0 0.16(4last)0";

static void test_pb_scan__fields_of_every_wire_type__are_told_with_their_values(void **state)
{
    (void)state;

    ASSERT_TOLD("\x08\x96\x01", " 0.1:150"); /* protobuf.dev, "A Simple Message" */
    ASSERT_TOLD("\x0d\x01\x00\x00\x80", " 0.1:i2147483649");
    ASSERT_TOLD("\x09\xff\xff\xff\xff\xff\xff\xff\xff", " 0.1:l18446744073709551615");
    ASSERT_TOLD("\x52\x03"
                "abc",
                " 0.10(3abc)0");
    ASSERT_TOLD("\x0a\x03"
                "abc\x08\x01",
                " 0.1(3 0.1:1");
}

static void test_pb_scan__empty_message__is_over_at_once(void **state)
{
    struct pb_scan s;
    (void)state;

    pb_scan_begin(&s, 0);
    assert_true(pb_scan_is_over(&s));
    assert_int_equal(pb_scan_feed(&s, &ops, NULL, NULL, 0), RC_OK);
}

static void test_pb_scan__messages_that_end_together__end_from_the_innermost(void **state)
{
    (void)state;

    /* 20 { 20 { 20 { 10 "x" } } } 1: 1 */
    ASSERT_TOLD("\xa2\x01\x09\xa2\x01\x06\xa2\x01\x03\x52\x01x\x08\x01",
                " 0.20(9 1.20(6 2.20(3 3.10(1x)3)2)1)0 0.1:1");
    ASSERT_TOLD("\xa2\x01\x03\xa2\x01\x00\x08\x01", " 0.20(3 1.20(0)1)0 0.1:1");
}

static void test_pb_scan__varint_with_needless_bytes__is_read(void **state)
{
    (void)state;

    ASSERT_TOLD("\x08\x80\x00", " 0.1:0");
    ASSERT_TOLD("\x88\x80\x80\x80\x00\x05", " 0.1:5"); /* a tag */
    ASSERT_TOLD("\x52\x82\x80\x00xy", " 0.10(2xy)0");  /* a length */
    ASSERT_TOLD("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", " 0.1:18446744073709551615");
    ASSERT_TOLD("\x88\x80\x80\x80\x80\x80\x80\x80\x80\x00\x07", " 0.1:7");
}

static void test_pb_scan__split_at_every_byte__tells_the_same(void **state)
{
    struct pb_out o = {0};
    size_t ends[N_ENDS];
    (void)state;

    size_t n = make_sample(&o, ends);
    for (size_t cut = 0; cut <= n; cut++) {
        struct told t = {.n = 0};
        struct pb_scan s;
        pb_scan_begin(&s, (uint32_t)n);
        assert_int_equal(feed_copy(&s, &t, o.data, cut), RC_OK);
        assert_int_equal(pb_scan_is_over(&s), cut == n);
        assert_int_equal(feed_copy(&s, &t, o.data + cut, n - cut), RC_OK);
        assert_true(pb_scan_is_over(&s));
        assert_string_equal(t.text, sample_told);
    }
    assert_told((const char *)o.data, n, sample_told);
    pb_free(&o);
}

/* The message is said to be that long, so what is cut off is not to come. */
static void test_pb_scan__cut_at_every_byte__is_over_between_fields_only(void **state)
{
    struct pb_out o = {0};
    size_t ends[N_ENDS];
    (void)state;

    size_t n = make_sample(&o, ends);
    for (size_t cut = 0; cut <= n; cut++) {
        bool is_end = cut == 0;
        for (size_t i = 0; i < N_ENDS; i++) {
            is_end |= ends[i] == cut;
        }
        struct told t;
        bool over;
        enum rc rc = feed_in_pieces(o.data, cut, cut + 1, &t, &over);
        assert_int_equal(rc, is_end ? RC_OK : RC_PEER_MALFORMED);
        assert_int_equal(over, is_end);
    }
    pb_free(&o);
}

static void test_pb_scan__malformed__is_refused_however_it_comes(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } rows[] = {
#define ROW(bytes) {bytes, sizeof(bytes) - 1}
        ROW("\x00\x00"),                                         /* field 0 */
        ROW("\x02\x00"),                                         /* so, of bytes */
        ROW("\x80\x80\x80\x80\x10\x00"),                         /* field 2^29 */
        ROW("\x88\x80\x80\x80\x80\x01\x00"),                     /* field 1, and 2^32 more */
        ROW("\x0b\x0c"),                                         /* a group */
        ROW("\x0c"),                                             /* the end of one */
        ROW("\x0e\x00"),                                         /* wire type 6 */
        ROW("\x0f\x00"),                                         /* wire type 7 */
        ROW("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),     /* 65 bits */
        ROW("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), /* eleven bytes */
        ROW("\x88\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00\x00"), /* so, a tag */
        ROW("\x52\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), /* so, a length */
        ROW("\x52\x04xyz"),                                      /* longer than the message */
        ROW("\x52\xff\xff\xff\xff\x0fxyz"),                      /* 2^32-1 */
        ROW("\x52\x83\x80\x80\x80\x10xyz"),                      /* 2^32 + 3 */
        ROW("\x52\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01xyz"),  /* 2^64-1 */
        ROW("\xa2\x01\x02\x52\x01x"),                            /* beyond its message only */
        ROW("\xa2\x01\x02\x52\x83xyz"),                          /* a length across its end */
        ROW("\xa2\x01\x02\x08\x80\x01"),                         /* a varint across */
        ROW("\xa2\x01\x03\x0d\x00\x00\x00\x00"),                 /* a number across */
        ROW("\xa2\x01\x01\x52\x00"),                             /* a tag without its length */
        ROW("\x08"),                                             /* so, at the very end */
        ROW("\x08\x80"),                                         /* half a varint there */
        ROW("\x88"),                                             /* half a tag there */
        ROW("\x52"),                                             /* no length there */
        ROW("\x09\x00\x00\x00\x00\x00\x00\x00"),                 /* seven of eight bytes */
#undef ROW
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        for (size_t piece = 1; piece <= rows[i].n; piece++) {
            struct told t;
            bool over;
            enum rc rc = feed_in_pieces(rows[i].bytes, rows[i].n, piece, &t, &over);
            if (rc != RC_PEER_MALFORMED || over) {
                fail_msg("row %zu, pieces of %zu: %s", i, piece, t.text);
            }
        }
    }
}

static void test_pb_scan__after_an_error__it_says_the_same_and_tells_nothing(void **state)
{
    struct told t = {.n = 0};
    struct pb_scan s;
    (void)state;

    pb_scan_begin(&s, 100);
    assert_int_equal(feed_copy(&s, &t, (const uint8_t *)"\x08\x01\x0b", 3), RC_PEER_MALFORMED);
    assert_int_equal(feed_copy(&s, &t, (const uint8_t *)"\x08\x02", 2), RC_PEER_MALFORMED);
    assert_int_equal(feed_copy(&s, &t, NULL, 0), RC_PEER_MALFORMED);

    assert_string_equal(t.text, " 0.1:1");
    assert_false(pb_scan_is_over(&s));
}

static void test_pb_scan__more_than_the_message_has__is_refused(void **state)
{
    struct told t = {.n = 0};
    struct pb_scan s;
    (void)state;

    pb_scan_begin(&s, 2);
    assert_int_equal(feed_copy(&s, &t, (const uint8_t *)"\x08\x01\x08", 3), RC_PEER_MALFORMED);
    assert_false(pb_scan_is_over(&s));
}

static void test_pb_scan__deepest_message__is_entered_and_one_below_is_not(void **state)
{
    (void)state;

    for (unsigned depth = PB_SCAN_DEPTH - 1; depth <= PB_SCAN_DEPTH; depth++) {
        struct pb_out o = {0};
        pb_number(&o, 1, 1);
        for (unsigned i = 0; i < depth; i++) {
            struct pb_out outer = {0};
            pb_message(&outer, 20, &o);
            o = outer;
        }
        struct told t;
        bool over;
        enum rc rc = feed_in_pieces(o.data, o.n, o.n, &t, &over);
        assert_int_equal(rc, depth < PB_SCAN_DEPTH ? RC_OK : RC_PEER_MALFORMED);
        assert_int_equal(strstr(t.text, " 11.1:1") != NULL, depth < PB_SCAN_DEPTH);
        pb_free(&o);
    }
}

static void test_pb_scan__skipped_field__is_one_call_whatever_is_in_it(void **state)
{
    struct pb_out resource = {0};
    struct pb_out o = {0};
    struct told t;
    bool over;
    (void)state;

    for (int i = 0; i < 10000; i++) {
        pb_text(&resource, 20, "looks like fields");
    }
    pb_message(&o, 2, &resource);
    assert_int_equal(feed_in_pieces(o.data, o.n, 1000, &t, &over), RC_OK);

    assert_true(over);
    assert_int_equal(t.n_fields, 1);
    pb_free(&o);
}

/* Memory that nobody may read stands for the bytes: so they are not looked at. */
static void test_pb_scan__skipped_bytes__are_not_looked_at(void **state)
{
    const uint32_t n = 1U << 30;
    struct told t = {.n = 0};
    struct pb_out o = {0};
    struct pb_scan s;
    (void)state;

    uint8_t *nothing = mmap(NULL, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(nothing != MAP_FAILED);
    pb_tag(&o, 2, PB_BYTES);
    pb_varint(&o, n);
    pb_scan_begin(&s, (uint32_t)o.n + n + 2);
    assert_int_equal(feed_copy(&s, &t, o.data, o.n), RC_OK);
    assert_int_equal(pb_scan_feed(&s, &ops, &t, nothing, n), RC_OK);
    assert_int_equal(feed_copy(&s, &t, (const uint8_t *)"\x08\x01", 2), RC_OK);

    assert_true(pb_scan_is_over(&s));
    assert_string_equal(t.text, " 0.2(1073741824 0.1:1");
    assert_int_equal(munmap(nothing, n), 0);
    pb_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pb_scan__fields_of_every_wire_type__are_told_with_their_values),
        cmocka_unit_test(test_pb_scan__empty_message__is_over_at_once),
        cmocka_unit_test(test_pb_scan__messages_that_end_together__end_from_the_innermost),
        cmocka_unit_test(test_pb_scan__varint_with_needless_bytes__is_read),
        cmocka_unit_test(test_pb_scan__split_at_every_byte__tells_the_same),
        cmocka_unit_test(test_pb_scan__cut_at_every_byte__is_over_between_fields_only),
        cmocka_unit_test(test_pb_scan__malformed__is_refused_however_it_comes),
        cmocka_unit_test(test_pb_scan__after_an_error__it_says_the_same_and_tells_nothing),
        cmocka_unit_test(test_pb_scan__more_than_the_message_has__is_refused),
        cmocka_unit_test(test_pb_scan__deepest_message__is_entered_and_one_below_is_not),
        cmocka_unit_test(test_pb_scan__skipped_field__is_one_call_whatever_is_in_it),
        cmocka_unit_test(test_pb_scan__skipped_bytes__are_not_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
