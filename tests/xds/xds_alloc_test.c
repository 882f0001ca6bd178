/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of reading a request fails once: the result is RC_NO_MEMORY, and nothing is lost
 * (the address sanitizer counts). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/xds/pb_out.h"
#include "xds/xds_request.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);

/* Allocations until one fails; 0: none will. */
static size_t countdown;

static bool fails(void)
{
    return countdown > 0 && --countdown == 0;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

static void test_xds_request__no_memory__says_so_and_loses_nothing(void **state)
{
    struct xds_request r = {.node = NULL};
    struct pb_out node = {0};
    struct pb_out o = {0};
    (void)state;

    pb_text(&node, 1, "id");
    pb_message(&o, 2, &node);
    pb_text(&o, 2, ""); /* once more: it is tried again */
    const struct xds_piece piece = {o.data, o.n};
    for (size_t n = 1; n <= 2; n++) {
        countdown = n;
        assert_int_equal(xds_request_read(XDS_SOTW, &piece, 1, &r), RC_NO_MEMORY);
        assert_int_equal(countdown, 0);
        assert_null(r.node);
    }
    countdown = 3;
    assert_int_equal(xds_request_read(XDS_SOTW, &piece, 1, &r), RC_OK);
    assert_int_equal(countdown, 1); /* two are all there are */
    countdown = 0;
    free(r.node);
    pb_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xds_request__no_memory__says_so_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
