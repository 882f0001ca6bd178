/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/xds_response.h"

#include <string.h>

/* DiscoveryResponse and DeltaDiscoveryResponse have these in common (discovery.proto). */
enum { FIELD_RESOURCES = 2, FIELD_TYPE_URL = 4, FIELD_NONCE = 5 };
/* Of DeltaDiscoveryResponse; in the other one 6 is control_plane. */
enum { FIELD_REMOVED = 6 };

void xds_response_init(struct xds_response_scan *s, enum xds_variant variant)
{
    *s = (struct xds_response_scan){.variant = (uint8_t)variant};
    grpc_frame_init(&s->frame, UINT32_MAX);
}

bool xds_response_is_idle(const struct xds_response_scan *s)
{
    return !s->dead && grpc_frame_at_boundary(&s->frame);
}

static enum pb_do on_field(void *arg, const struct pb_field *f)
{
    struct xds_response_scan *s = arg;

    if (f->wire != PB_BYTES) {
        return PB_SKIP;
    }
    switch (f->number) {
    case FIELD_RESOURCES:
        s->n_resources++;
        s->resource_bytes += f->value;
        return PB_SKIP;
    case FIELD_TYPE_URL:
    case FIELD_NONCE:
        s->taking = (uint8_t)f->number;
        s->text = (struct xds_text){0}; /* of several the last one counts */
        return PB_TAKE;
    case FIELD_REMOVED:
        s->n_removed += s->variant == XDS_DELTA;
        return PB_SKIP;
    default:
        return PB_SKIP;
    }
}

static void on_bytes(void *arg, const uint8_t *data, size_t n)
{
    struct xds_response_scan *s = arg;

    if (s->taking == FIELD_TYPE_URL) {
        xds_text_add(&s->text, s->url, sizeof(s->url), data, n);
    } else {
        xds_text_add(&s->text, s->nonce, sizeof(s->nonce), data, n);
    }
}

static void on_end(void *arg, uint32_t depth)
{
    struct xds_response_scan *s = arg;

    (void)depth; /* nothing is entered */
    s->malformed |= !xds_text_end(&s->text, s->taking == FIELD_TYPE_URL ? s->url : s->nonce);
    if (s->taking == FIELD_NONCE && s->text.cut) {
        s->nonce[0] = '\0'; /* a part of it would be taken for another one */
    }
}

static const struct pb_ops scan_ops = {on_field, on_bytes, on_end};

static bool is_compressed(const struct xds_response_scan *s)
{
    return s->frame.header[0] != 0;
}

static void begin_message(struct xds_response_scan *s, const struct xds_response_ops *ops,
                          void *arg)
{
    s->bytes = s->frame.left;
    pb_scan_begin(&s->pb, s->bytes);
    s->malformed = false;
    s->resource_bytes = 0;
    s->n_resources = 0;
    s->n_removed = 0;
    s->url[0] = '\0';
    s->nonce[0] = '\0';
    if (ops->on_begin != NULL && !is_compressed(s)) {
        ops->on_begin(arg, s->bytes);
    }
}

/* n bytes of a message. */
static void take_payload(struct xds_response_scan *s, const struct xds_response_ops *ops, void *arg,
                         const uint8_t *data, size_t n)
{
    if (is_compressed(s)) {
        return;
    }
    if (ops->on_payload != NULL) {
        ops->on_payload(arg, data, n);
    }
    if (!s->malformed) {
        s->malformed = pb_scan_feed(&s->pb, &scan_ops, s, data, n) != RC_OK || s->malformed;
    }
}

static void end_message(struct xds_response_scan *s, const struct xds_response_ops *ops, void *arg)
{
    if (is_compressed(s) || s->malformed) {
        ops->on_unread(arg, is_compressed(s), s->bytes);
        return;
    }
    const struct xds_response r = {
        .type = xds_type_of(s->url, strlen(s->url)),
        .url = s->url,
        .nonce = s->nonce,
        .bytes = s->bytes,
        .resource_bytes = s->resource_bytes,
        .n_resources = s->n_resources,
        .n_removed = s->n_removed,
    };
    ops->on_response(arg, &r);
}

/* What the header that comes next still wants: all of it behind a message. */
static size_t header_left(const struct grpc_frame_scan *f)
{
    return GRPC_FRAME_HEADER_BYTES - f->n_header % GRPC_FRAME_HEADER_BYTES;
}

/* Bytes of a header, or of a message, as many as there are. Returns how many. */
static size_t feed_frame(struct xds_response_scan *s, const struct xds_response_ops *ops, void *arg,
                         const uint8_t *data, size_t n)
{
    bool in_message = s->frame.n_header == GRPC_FRAME_HEADER_BYTES && s->frame.left > 0;
    size_t left = in_message ? s->frame.left : header_left(&s->frame);
    size_t take = n < left ? n : left;
    bool complete = false;
    size_t used = 0;

    if (grpc_frame_step(&s->frame, data, take, &used, &complete) != RC_OK) {
        s->dead = true;
        ops->on_unread(arg, false, 0);
        return n;
    }
    if (!in_message && s->frame.n_header == GRPC_FRAME_HEADER_BYTES) {
        begin_message(s, ops, arg);
    } else if (in_message) {
        take_payload(s, ops, arg, data, take);
    }
    if (complete) {
        end_message(s, ops, arg);
    }
    return take;
}

void xds_response_feed(struct xds_response_scan *s, const struct xds_response_ops *ops, void *arg,
                       const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n && !s->dead;) {
        i += feed_frame(s, ops, arg, data + i, n - i);
    }
}
