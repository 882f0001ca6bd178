/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/siphash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Appendix A of the paper, and vectors.h of the reference implementation: key 00 01 .. 0f, input
 * 00 01 .. n-1. */
static const struct siphash_key key = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};

static uint64_t hash_first(size_t n)
{
    uint8_t *data = calloc(n > 0 ? n : 1, 1); /* exactly: a read behind it is seen */

    for (size_t i = 0; i < n; i++) {
        data[i] = (uint8_t)i;
    }
    uint64_t h = siphash(&key, data, n);
    free(data);
    return h;
}

static void test_siphash__vectors_of_the_authors__agree(void **state)
{
    (void)state;

    assert_true(hash_first(0) == UINT64_C(0x726fdb47dd0e0e31));
    assert_true(hash_first(1) == UINT64_C(0x74f839c593dc67fd));
    assert_true(hash_first(7) == UINT64_C(0xab0200f58b01d137));
    assert_true(hash_first(8) == UINT64_C(0x93f5f5799a932462));
    assert_true(hash_first(15) == UINT64_C(0xa129ca6149be45e5));
}

static void test_siphash__another_key__another_hash(void **state)
{
    const struct siphash_key other = {key.k0, key.k1 ^ 1};
    (void)state;

    assert_true(siphash(&key, "vm1", 3) != siphash(&other, "vm1", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_siphash__vectors_of_the_authors__agree),
        cmocka_unit_test(test_siphash__another_key__another_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
