/* SPDX-License-Identifier: Apache-2.0 */
/* Target: pb_types_new(), and pb_json_write() with types that are anything. The first two bytes say
 * how many of the rest are the set; the others are a message of its type M. */
#include <stdio.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "xds/pb_json.h"

#define MAX_BYTES (1U << 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pb_types *types = NULL;
    char *json = NULL;
    size_t n = 0;

    if (size < 2) {
        return 0;
    }
    size_t n_set = (size_t)data[0] << 8 | data[1];
    if (n_set > size - 2) {
        n_set = size - 2;
    }
    if (pb_types_new(data + 2, n_set, &types) != RC_OK) {
        CHECK(types == NULL);
        return 0;
    }
    FILE *out = open_memstream(&json, &n);
    CHECK(out != NULL);
    (void)pb_json_write(types, "M", data + 2 + n_set, size - 2 - n_set, MAX_BYTES, out);
    CHECK(fclose(out) == 0 && n <= MAX_BYTES);
    free(json);
    pb_types_free(&types);
    return 0;
}
