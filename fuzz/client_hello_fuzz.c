/* SPDX-License-Identifier: Apache-2.0 */
/* Target: client_hello_parse(). A prefix never says more than the whole: what is decided stays
 * decided. */
#include <stdlib.h>

#include "core/base/check.h"
#include "core/net/client_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct client_hello whole;
    struct client_hello part;

    enum rc all = client_hello_parse(data, size, &whole);
    enum rc half = client_hello_parse(data, size / 2, &part);
    if (half != RC_AGAIN) {
        CHECK(half == all);
    }
    CHECK(all != RC_AGAIN || size < CLIENT_HELLO_MAX_BYTES);
    return 0;
}
