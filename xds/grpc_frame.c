/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The boundary scanner of gRPC messages. Three states: inside a header (n_header 0 .. 4, left 0),
 * inside a payload (n_header 5, left > 0), or behind a message, whose header is still to be asked
 * for (n_header 5, left 0).
 */
#include "xds/grpc_frame.h"

#include "core/base/check.h"

void grpc_frame_init(struct grpc_frame_scan *s, uint32_t max)
{
    *s = (struct grpc_frame_scan){.max = max};
}

/* One more byte of the header; after the fifth the payload is open (or the message complete). */
static enum rc take_header_byte(struct grpc_frame_scan *s, uint8_t byte)
{
    if (s->n_header == 0 && byte > 1) {
        return RC_PEER_MALFORMED;
    }
    s->header[s->n_header++] = byte;
    if (s->n_header < GRPC_FRAME_HEADER_BYTES) {
        return RC_OK;
    }
    s->left = (uint32_t)s->header[1] << 24 | (uint32_t)s->header[2] << 16 |
              (uint32_t)s->header[3] << 8 | s->header[4];
    return s->left > s->max ? RC_PEER_LIMIT : RC_OK;
}

static bool message_is_over(const struct grpc_frame_scan *s)
{
    return s->n_header == GRPC_FRAME_HEADER_BYTES && s->left == 0;
}

enum rc grpc_frame_step(struct grpc_frame_scan *s, const uint8_t *data, size_t n, size_t *n_used,
                        bool *complete)
{
    size_t i = 0;

    if (message_is_over(s)) {
        s->n_header = 0;
    }
    while (i < n && !message_is_over(s)) {
        CHECK(s->n_header <= GRPC_FRAME_HEADER_BYTES && s->left <= s->max);
        if (s->n_header < GRPC_FRAME_HEADER_BYTES) {
            TRY(take_header_byte(s, data[i++]));
        } else {
            uint32_t take = n - i < s->left ? (uint32_t)(n - i) : s->left;
            i += take;
            s->left -= take;
        }
    }
    *n_used = i;
    *complete = i > 0 && message_is_over(s);
    s->messages += *complete;
    return RC_OK;
}

bool grpc_frame_is_compressed(const struct grpc_frame_scan *s)
{
    return s->n_header > 0 && s->header[0] == 1;
}

bool grpc_frame_at_boundary(const struct grpc_frame_scan *s)
{
    return s->n_header == 0 || message_is_over(s);
}
