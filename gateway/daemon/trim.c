/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon/trim.h"

/* 16 MiB went through the allocator; and a second is quiet when at most 208 KiB did. */
#define PENDING_MIN 1024
#define QUIET_MAX 13
/* Seconds from one trim to the next: pushes that follow each other do not cost one each. */
#define GAP 5

bool trim_due(struct trim *t, uint64_t work)
{
    uint64_t fresh = work - t->seen;

    t->seen = work;
    t->pending += fresh;
    t->pause -= t->pause > 0;
    if (fresh > QUIET_MAX || t->pending < PENDING_MIN || t->pause > 0) {
        return false;
    }
    t->pending = 0;
    t->pause = GAP;
    return true;
}
