/* SPDX-License-Identifier: Apache-2.0 */
/* Target: spiffe_parse(). What it accepts is written back the same, and can end no element of a
 * header. */
#include <string.h>

#include "certs/spiffe.h"
#include "core/base/check.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct spiffe_id id;
    char uri[SPIFFE_URI_BYTES];

    if (spiffe_parse((const char *)data, size, &id) == RC_OK) {
        size_t n = spiffe_format(&id, uri);
        CHECK(n == size && memcmp(uri, data, n) == 0);
        CHECK(memchr(uri, ',', n) == NULL && memchr(uri, ';', n) == NULL);
        CHECK(memchr(uri, '"', n) == NULL && memchr(uri, ' ', n) == NULL);
    }
    return 0;
}
