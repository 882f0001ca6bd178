/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/xds/pb_types_fixture.h"

#include "core/base/check.h"

extern const char kinds_types[];
extern const size_t kinds_types_bytes;

const uint8_t *pb_kinds_set(size_t *n)
{
    *n = kinds_types_bytes;
    return (const uint8_t *)kinds_types;
}

struct pb_types *pb_types_of_kinds(void)
{
    struct pb_types *types = NULL;
    size_t n;
    const uint8_t *set = pb_kinds_set(&n);

    CHECK(pb_types_new(set, n, &types) == RC_OK);
    return types;
}
