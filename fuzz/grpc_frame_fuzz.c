/* SPDX-License-Identifier: Apache-2.0 */
/* Target: grpc_frame_step(). Fed in two pieces or at once, it finds the same messages. */
#include "core/base/check.h"
#include "xds/grpc_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MESSAGE_MAX 4096

static enum rc feed(struct grpc_frame_scan *s, const uint8_t *data, size_t n)
{
    for (size_t at = 0; at < n;) {
        size_t used = 0;
        bool complete = false;
        TRY(grpc_frame_step(s, data + at, n - at, &used, &complete));
        CHECK(used > 0 && used <= n - at && (complete || used == n - at));
        CHECK(!complete || grpc_frame_at_boundary(s));
        at += used;
    }
    return RC_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct grpc_frame_scan once;
    struct grpc_frame_scan twice;
    size_t first = size > 0 ? data[0] % (size + 1) : 0;

    grpc_frame_init(&once, MESSAGE_MAX);
    grpc_frame_init(&twice, MESSAGE_MAX);
    enum rc a = feed(&once, data, size);
    enum rc b = feed(&twice, data, first);
    if (b == RC_OK) {
        b = feed(&twice, data + first, size - first);
    }
    CHECK(a == b);
    if (a == RC_OK) {
        CHECK(once.messages == twice.messages);
        CHECK(grpc_frame_at_boundary(&once) == grpc_frame_at_boundary(&twice));
    }
    return 0;
}
