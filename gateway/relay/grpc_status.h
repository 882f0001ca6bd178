/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC statuses in HTTP/2 headers (grpc PROTOCOL-HTTP2.md, "Responses"). Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/rc.h"
#include "core/h2/headers.h"

enum grpc_status {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16,
};

/** Append grpc-status and grpc-message (percent-encoded, bounded). RC_NO_MEMORY. */
enum rc grpc_status_add(struct h2_headers *h, enum grpc_status status,
                        const char *message) MUST_USE;

/** A whole trailers-only response with :status 200. RC_NO_MEMORY. */
enum rc grpc_status_response(struct h2_headers *h, enum grpc_status status,
                             const char *message) MUST_USE;

/** The grpc-status of a block: 0 .. 16, or -1 when there is none or it is no number. */
int grpc_status_of(const struct h2_headers *h);

/** Does grpc-message of the block contain text (compared as sent)? */
bool grpc_status_message_has(const struct h2_headers *h, const char *text);

/** What a reset with this HTTP/2 error means (PROTOCOL-HTTP2.md, "Errors"). */
enum grpc_status grpc_status_of_reset(uint32_t h2_error);

/** Is this content-type one of gRPC: application/grpc, alone or with "+..." or ";..."? */
bool grpc_is_content_type(const char *value, size_t n);
