/* SPDX-License-Identifier: Apache-2.0 */
/* Target: grpc_frame_feed(). Fed in two pieces or at once, it finds the same messages. */
#include "core/base/check.h"
#include "xds/grpc_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MESSAGE_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct grpc_frame_scan once;
    struct grpc_frame_scan twice;
    size_t complete = 0;
    size_t first = size > 0 ? data[0] % (size + 1) : 0;

    grpc_frame_init(&once, MESSAGE_MAX);
    grpc_frame_init(&twice, MESSAGE_MAX);
    enum rc a = grpc_frame_feed(&once, data, size, &complete);
    CHECK(a != RC_OK || complete <= size);
    enum rc b = grpc_frame_feed(&twice, data, first, &complete);
    if (b == RC_OK) {
        b = grpc_frame_feed(&twice, data + first, size - first, &complete);
    }
    CHECK(a == b);
    if (a == RC_OK) {
        CHECK(once.messages == twice.messages);
        CHECK(grpc_frame_at_boundary(&once) == grpc_frame_at_boundary(&twice));
    }
    return 0;
}
