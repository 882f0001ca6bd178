/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* FIPS 180-2, appendix B.1: SHA-256 of "abc". */
static const uint8_t of_abc[DIGEST_BYTES] = {
    0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
    0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};

static void test_digest_sha256__abc_in_every_split__is_that_of_the_standard(void **state)
{
    (void)state;

    for (size_t cut = 0; cut <= 3; cut++) {
        const struct digest_piece pieces[] = {{"abc", cut}, {"", 0}, {&"abc"[cut], 3 - cut}};
        uint8_t out[DIGEST_BYTES] = {0};

        assert_int_equal(digest_sha256(pieces, 3, out), RC_OK);

        assert_memory_equal(out, of_abc, DIGEST_BYTES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest_sha256__abc_in_every_split__is_that_of_the_standard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
