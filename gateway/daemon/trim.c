/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon/trim.h"

/* 16 MiB went through the allocator; and an interval is quiet when at most 1 MiB did. */
#define PENDING_MIN 1024
#define QUIET_MAX 64

bool trim_due(struct trim *t, uint64_t work)
{
    uint64_t fresh = work - t->seen;

    t->seen = work;
    t->pending += fresh;
    if (fresh > QUIET_MAX || t->pending < PENDING_MIN) {
        return false;
    }
    t->pending = 0;
    return true;
}
