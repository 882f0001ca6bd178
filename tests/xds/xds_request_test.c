/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/xds_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/xds/pb_out.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

#define CDS_URL "type.googleapis.com/envoy.config.cluster.v3.Cluster"
#define EDS_URL "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"

/** Field numbers of the two kinds of requests. */
struct numbers {
    enum xds_variant variant;
    uint32_t node, url, nonce, error, subscribe, unsubscribe, initial, unknown;
};
static const struct numbers sotw = {XDS_SOTW, 2, 4, 5, 6, 3, 0, 0, 7};
static const struct numbers delta = {XDS_DELTA, 1, 2, 6, 7, 3, 4, 5, 8};
static const struct numbers *const variants[] = {&sotw, &delta};

/* Read o in pieces of at most `piece` bytes, each an exact copy on the heap. */
static enum rc read_in_pieces(enum xds_variant variant, const struct pb_out *o, size_t piece,
                              struct xds_request *out)
{
    size_t n = (o->n + piece - 1) / piece;
    struct xds_piece *pieces = calloc(n + 1, sizeof(*pieces));

    for (size_t i = 0; i < n; i++) {
        size_t n_piece = o->n - i * piece < piece ? o->n - i * piece : piece;
        uint8_t *copy = malloc(n_piece);
        memcpy(copy, o->data + i * piece, n_piece);
        pieces[i] = (struct xds_piece){copy, n_piece};
    }
    enum rc rc = xds_request_read(variant, pieces, n, out);
    for (size_t i = 0; i < n; i++) {
        free((void *)(uintptr_t)pieces[i].data);
    }
    free(pieces);
    return rc;
}

/* Read o, and free it. */
static enum rc read_all(enum xds_variant variant, struct pb_out *o, struct xds_request *out)
{
    enum rc rc = read_in_pieces(variant, o, o->n + 1, out);

    pb_free(o);
    return rc;
}

static void put_error(struct pb_out *o, const struct numbers *v, uint64_t code, const char *text)
{
    struct pb_out status = {0};

    pb_number(&status, 1, code);
    pb_text(&status, 2, text);
    pb_text(&status, 3, "a detail");
    pb_message(o, v->error, &status);
}

static void put_node(struct pb_out *o, const struct numbers *v, const char *id)
{
    struct pb_out node = {0};

    pb_text(&node, 1, id);
    pb_message(o, v->node, &node);
}

/* A request with all that is read of one. */
static void make_full(struct pb_out *o, const struct numbers *v)
{
    put_node(o, v, "sidecar~10.0.0.1~vm1.vms~vms.svc.cluster.local");
    pb_text(o, v->subscribe, "outbound|80||a");
    pb_text(o, v->subscribe, "outbound|80||b");
    pb_text(o, v->url, EDS_URL);
    pb_text(o, v->nonce, "2026-11-22T01:02:03Z/7f2c1e");
    put_error(o, v, 13, "no such cluster");
    pb_text(o, v->unknown, "something of tomorrow");
    if (v->variant == XDS_DELTA) {
        pb_text(o, v->unsubscribe, "outbound|80||c");
        pb_text(o, v->initial, "\n\1a\22\1b");
        pb_text(o, v->initial, "");
        pb_text(o, v->initial, "");
    }
}

static void assert_full(const struct xds_request *r, enum xds_variant variant)
{
    assert_string_equal(r->url, EDS_URL);
    assert_int_equal(r->type, XDS_EDS);
    assert_string_equal(r->nonce, "2026-11-22T01:02:03Z/7f2c1e");
    assert_true(r->has_error);
    assert_int_equal(r->error_code, 13);
    assert_string_equal(r->error_text, "no such cluster");
    assert_int_equal(r->n_subscribe, 2);
    assert_int_equal(r->n_unsubscribe, variant == XDS_DELTA ? 1 : 0);
    assert_int_equal(r->n_initial, variant == XDS_DELTA ? 3 : 0);
    assert_non_null(r->node);
    assert_string_equal(r->node->text[XDS_NODE_ID],
                        "sidecar~10.0.0.1~vm1.vms~vms.svc.cluster.local");
    assert_false(r->odd);
    assert_false(r->node->odd);
    assert_false(r->node->cut);
}

static void test_xds_request__everything_in_it__is_read_from_pieces_of_any_size(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(variants); i++) {
        struct pb_out o = {0};
        make_full(&o, variants[i]);
        for (size_t piece = 1; piece <= o.n; piece++) {
            struct xds_request r;
            assert_int_equal(read_in_pieces(variants[i]->variant, &o, piece, &r), RC_OK);
            assert_full(&r, variants[i]->variant);
            free(r.node);
        }
        pb_free(&o);
    }
}

static void test_xds_request__cut_anywhere__is_read_or_malformed_and_loses_nothing(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(variants); i++) {
        struct pb_out o = {0};
        size_t n_good = 0;
        make_full(&o, variants[i]);
        for (size_t n = 0; n < o.n; n++) {
            struct pb_out cut = {.data = o.data, .n = n};
            struct xds_request r = {.node = NULL};
            enum rc rc = read_in_pieces(variants[i]->variant, &cut, n + 1, &r);
            assert_true(rc == RC_OK || rc == RC_PEER_MALFORMED);
            assert_true(rc == RC_OK || r.node == NULL);
            n_good += rc == RC_OK;
            free(r.node);
        }
        /* between the fields only */
        assert_int_equal(n_good, variants[i]->variant == XDS_SOTW ? 7 : 11);
        pb_free(&o);
    }
}

static void test_xds_request__nothing_in_it__is_all_empty(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(variants); i++) {
        struct xds_request r;
        memset(&r, 0xff, sizeof(r));
        assert_int_equal(xds_request_read(variants[i]->variant, NULL, 0, &r), RC_OK);
        assert_string_equal(r.url, "");
        assert_string_equal(r.nonce, "");
        assert_string_equal(r.error_text, "");
        assert_int_equal(r.type, XDS_OTHER);
        assert_false(r.has_error);
        assert_int_equal(r.n_subscribe, 0);
        assert_null(r.node);
        assert_false(r.odd);
    }
}

static void test_xds_request__last_of_two_texts__counts_and_is_odd(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(variants); i++) {
        const struct numbers *v = variants[i];
        struct xds_request r;
        struct pb_out o = {0};
        pb_text(&o, v->url, EDS_URL);
        pb_text(&o, v->url, CDS_URL);
        assert_int_equal(read_all(v->variant, &o, &r), RC_OK);
        assert_string_equal(r.url, CDS_URL);
        assert_int_equal(r.type, XDS_CDS);
        assert_true(r.odd);

        pb_text(&o, v->nonce, "a longer one");
        pb_text(&o, v->nonce, "");
        assert_int_equal(read_all(v->variant, &o, &r), RC_OK);
        assert_string_equal(r.nonce, "");
        assert_true(r.odd);
    }
}

static void test_xds_request__error_comes_twice__is_merged_and_odd(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(variants); i++) {
        const struct numbers *v = variants[i];
        struct pb_out status = {0};
        struct pb_out o = {0};
        struct xds_request r;
        put_error(&o, v, 3, "the text stays");
        pb_number(&status, 1, UINT64_MAX);
        pb_message(&o, v->error, &status);
        assert_int_equal(read_all(v->variant, &o, &r), RC_OK);
        assert_int_equal(r.error_code, -1);
        assert_string_equal(r.error_text, "the text stays");
        assert_true(r.odd);

        pb_text(&status, 2, "one");
        pb_text(&status, 2, "two");
        pb_message(&o, v->error, &status);
        assert_int_equal(read_all(v->variant, &o, &r), RC_OK);
        assert_string_equal(r.error_text, "two");
        assert_true(r.odd);
    }
}

static void test_xds_request__node_comes_twice__is_merged_and_odd(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(variants); i++) {
        const struct numbers *v = variants[i];
        struct pb_out second = {0};
        struct pb_out o = {0};
        struct xds_request r;
        put_node(&o, v, "first");
        pb_text(&second, 2, "cluster of the second");
        pb_message(&o, v->node, &second);
        assert_int_equal(read_all(v->variant, &o, &r), RC_OK);
        assert_string_equal(r.node->text[XDS_NODE_ID], "first");
        assert_string_equal(r.node->text[XDS_NODE_CLUSTER], "cluster of the second");
        assert_true(r.odd);
        free(r.node);
    }
}

static void test_xds_request__error_without_anything__is_one_all_the_same(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(variants); i++) {
        struct pb_out o = {0};
        struct xds_request r;
        pb_text(&o, variants[i]->error, "");
        assert_int_equal(read_all(variants[i]->variant, &o, &r), RC_OK);
        assert_true(r.has_error);
        assert_int_equal(r.error_code, 0);
        assert_string_equal(r.error_text, "");
        assert_false(r.odd);
    }
}

/* A field of another wire type is one that nobody knows: Go passes over it, too. */
static void test_xds_request__known_number_of_other_wire_type__is_passed_over(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(variants); i++) {
        const struct numbers *v = variants[i];
        struct pb_out status = {0};
        struct pb_out o = {0};
        struct xds_request r;
        for (uint32_t number = 1; number < 10; number++) {
            pb_number(&o, number, 7);
            pb_tag(&o, number, PB_FIXED32);
            pb_put(&o, "abcd", 4);
        }
        pb_text(&status, 1, "a code");
        pb_number(&status, 2, 5);
        pb_text(&status, 2, "a text");
        pb_number(&status, 2, 6);
        pb_message(&o, v->error, &status);
        assert_int_equal(read_all(v->variant, &o, &r), RC_OK);
        assert_true(r.has_error);
        assert_string_equal(r.error_text, "a text");
        assert_int_equal(r.error_code, 0);
        assert_int_equal(r.n_subscribe, 0);
        assert_null(r.node);
        assert_string_equal(r.url, "");
        assert_false(r.odd);
    }
}

static void test_xds_request__text_longer_than_its_room__is_cut_and_told(void **state)
{
    char text[2 * XDS_ERROR_BYTES];
    (void)state;

    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < COUNT(variants); i++) {
        const struct numbers *v = variants[i];
        struct xds_request r;
        struct pb_out o = {0};
        for (int by = -1; by <= 0; by++) {
            pb_bytes(&o, v->url, text, (size_t)(XDS_URL_BYTES + by));
            assert_int_equal(read_all(v->variant, &o, &r), RC_OK);
            assert_int_equal(strlen(r.url), XDS_URL_BYTES - 1);
            assert_int_equal(r.odd, by == 0);

            pb_bytes(&o, v->nonce, text, (size_t)(XDS_NONCE_BYTES + by));
            assert_int_equal(read_all(v->variant, &o, &r), RC_OK);
            assert_int_equal(strlen(r.nonce), XDS_NONCE_BYTES - 1);
            assert_int_equal(r.odd, by == 0);
        }
        struct pb_out status = {0};
        pb_bytes(&status, 2, text, sizeof(text));
        pb_message(&o, v->error, &status);
        assert_int_equal(read_all(v->variant, &o, &r), RC_OK);
        assert_int_equal(strlen(r.error_text), XDS_ERROR_BYTES - 1);
        assert_false(r.odd);
    }
}

static void test_xds_request__error_text_is_cut__ends_with_a_whole_character(void **state)
{
    char text[XDS_ERROR_BYTES + 10];
    struct pb_out status = {0};
    struct pb_out o = {0};
    struct xds_request r;
    (void)state;

    memset(text, 'x', sizeof(text));
    memcpy(text + XDS_ERROR_BYTES - 3, "\xe2\x82\xac", 3); /* its last byte has no room */
    pb_bytes(&status, 2, text, sizeof(text));
    pb_message(&o, sotw.error, &status);
    for (size_t piece = 1; piece < 40; piece++) {
        assert_int_equal(read_in_pieces(XDS_SOTW, &o, piece, &r), RC_OK);
        assert_int_equal(strlen(r.error_text), XDS_ERROR_BYTES - 3);
    }
    pb_free(&o);
}

static void test_xds_request__nul_in_a_text__is_odd_and_hides_nothing(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(variants); i++) {
        const struct numbers *v = variants[i];
        struct pb_out status = {0};
        struct pb_out o = {0};
        struct xds_request r;
        pb_bytes(&o, v->url, CDS_URL "\0x", sizeof(CDS_URL "\0x") - 1);
        assert_int_equal(read_all(v->variant, &o, &r), RC_OK);
        assert_string_equal(r.url, CDS_URL " x");
        assert_int_equal(r.type, XDS_OTHER);
        assert_true(r.odd);

        pb_bytes(&o, v->nonce, "\0", 1);
        assert_int_equal(read_all(v->variant, &o, &r), RC_OK);
        assert_string_equal(r.nonce, " ");
        assert_true(r.odd);

        pb_bytes(&status, 2, "\0no", 3);
        pb_message(&o, v->error, &status);
        assert_int_equal(read_all(v->variant, &o, &r), RC_OK);
        assert_string_equal(r.error_text, " no");
        assert_false(r.odd);
    }
}

static void put_bad_error(struct pb_out *o, const struct numbers *v)
{
    struct pb_out status = {0};

    pb_text(&status, 2, "\xc3");
    pb_message(o, v->error, &status);
}

static void test_xds_request__text_that_is_not_utf8__is_malformed_also_where_it_is_cut(void **state)
{
    char text[XDS_URL_BYTES + 10];
    (void)state;

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 2] = '\xff';
    for (size_t i = 0; i < COUNT(variants); i++) {
        const struct numbers *v = variants[i];
        struct pb_out o[4] = {{0}};
        pb_text(&o[0], v->url, "\xff");
        pb_bytes(&o[1], v->nonce, text, sizeof(text));
        put_bad_error(&o[2], v);
        put_node(&o[3], v, "\xed\xa0\x80");
        for (size_t k = 0; k < COUNT(o); k++) {
            struct xds_request r = {.node = NULL};
            pb_text(&o[k], v->subscribe, "and it goes on");
            assert_int_equal(read_all(v->variant, &o[k], &r), RC_PEER_MALFORMED);
            assert_null(r.node);
        }
    }
}

static void test_xds_request__broken_inside_a_node__is_malformed_and_loses_nothing(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(variants); i++) {
        const struct numbers *v = variants[i];
        struct pb_out node = {0};
        struct pb_out o = {0};
        struct xds_request r;
        pb_text(&node, 1, "id");
        pb_put(&node, "\x0b", 1); /* a group */
        put_node(&o, v, "first");
        pb_message(&o, v->node, &node);
        assert_int_equal(read_all(v->variant, &o, &r), RC_PEER_MALFORMED);
    }
}

static void test_xds_request__result__is_untouched_by_an_error(void **state)
{
    const struct xds_piece piece = {(const uint8_t *)"\x0b", 1};
    struct xds_request before;
    struct xds_request r;
    (void)state;

    memset(&before, 0x5a, sizeof(before));
    memset(&r, 0x5a, sizeof(r));
    assert_int_equal(xds_request_read(XDS_SOTW, &piece, 1, &r), RC_PEER_MALFORMED);
    assert_memory_equal(&r, &before, sizeof(r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xds_request__everything_in_it__is_read_from_pieces_of_any_size),
        cmocka_unit_test(test_xds_request__cut_anywhere__is_read_or_malformed_and_loses_nothing),
        cmocka_unit_test(test_xds_request__nothing_in_it__is_all_empty),
        cmocka_unit_test(test_xds_request__last_of_two_texts__counts_and_is_odd),
        cmocka_unit_test(test_xds_request__error_comes_twice__is_merged_and_odd),
        cmocka_unit_test(test_xds_request__node_comes_twice__is_merged_and_odd),
        cmocka_unit_test(test_xds_request__error_without_anything__is_one_all_the_same),
        cmocka_unit_test(test_xds_request__known_number_of_other_wire_type__is_passed_over),
        cmocka_unit_test(test_xds_request__text_longer_than_its_room__is_cut_and_told),
        cmocka_unit_test(test_xds_request__error_text_is_cut__ends_with_a_whole_character),
        cmocka_unit_test(test_xds_request__nul_in_a_text__is_odd_and_hides_nothing),
        cmocka_unit_test(
            test_xds_request__text_that_is_not_utf8__is_malformed_also_where_it_is_cut),
        cmocka_unit_test(test_xds_request__broken_inside_a_node__is_malformed_and_loses_nothing),
        cmocka_unit_test(test_xds_request__result__is_untouched_by_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
