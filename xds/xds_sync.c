/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What istiod does with a request: ShouldRespond() of pkg/xds/server.go, shouldRespondDelta() of
 * pilot/pkg/xds/delta.go; what it makes of that: debugSyncStatus() of pilot/pkg/xds/statusgen.go.
 *
 * A request and a response that pass each other on the way are seen by us and by istiod in another
 * order. Both come to the same state with what follows.
 */
#include "xds/xds_sync.h"

#include <string.h>

static void update_state(struct xds_sync *s)
{
    s->state = s->has_error          ? XDS_ERROR
               : s->nonce[0] == '\0' ? XDS_NOT_SENT
               : s->is_acked         ? XDS_SYNCED
                                     : XDS_STALE;
}

/* As if nothing had been sent. What was counted stays. */
static void start_again(struct xds_sync *s)
{
    s->nonce[0] = '\0';
    s->sent_ms = 0;
    s->is_answered = false;
    s->is_acked = false;
    s->has_error = false;
    update_state(s);
}

static bool is_last_nonce(const struct xds_sync *s, const struct xds_request *r)
{
    return s->nonce[0] != '\0' && strcmp(s->nonce, r->nonce) == 0;
}

static void answer(struct xds_sync *s, int64_t now_ms)
{
    int64_t waited_ms = now_ms > s->sent_ms ? now_ms - s->sent_ms : 0; /* clocks are set back */

    s->waited_ms = waited_ms < UINT32_MAX ? (uint32_t)waited_ms : UINT32_MAX;
    s->is_answered = true;
}

/* Istiod does not look at the nonce, and takes an error without a text for none. */
static enum xds_sync_event reject(struct xds_sync *s, const struct xds_request *r, int64_t now_ms)
{
    if (s->state == XDS_IGNORED) {
        return XDS_UNASKED;
    }
    s->n_nacks++;
    s->has_error = r->error_text[0] != '\0';
    if (is_last_nonce(s, r)) {
        answer(s, now_ms);
    }
    update_state(s);
    return XDS_NACKED;
}

bool xds_sync_leaves(enum xds_variant variant, const struct xds_request *r)
{
    return variant == XDS_SOTW && !r->has_error && r->n_subscribe == 0 &&
           (xds_type_flags(r->type) & XDS_BY_NAME) != 0;
}

enum xds_sync_event xds_sync_request(struct xds_sync *s, enum xds_variant variant,
                                     const struct xds_request *r, int64_t now_ms)
{
    if (r->has_error) {
        return reject(s, r, now_ms);
    }
    if (xds_sync_leaves(variant, r)) {
        start_again(s);
        s->state = XDS_IGNORED;
        return XDS_LEFT;
    }
    if (s->state == XDS_IGNORED || (variant == XDS_SOTW && r->nonce[0] == '\0')) {
        start_again(s);
        return XDS_SUBSCRIBED;
    }
    if (r->nonce[0] == '\0') {
        return XDS_SUBSCRIBED;
    }
    if (!is_last_nonce(s, r)) {
        return XDS_LATE;
    }
    bool again = s->is_acked; /* only its names are others now */
    s->has_error = false;
    s->is_acked = true;
    if (!again) {
        answer(s, now_ms);
    }
    update_state(s);
    return again ? XDS_SUBSCRIBED : XDS_ACKED;
}

void xds_sync_response(struct xds_sync *s, const struct xds_response *r, int64_t now_ms)
{
    s->n_responses++;
    s->all_bytes += r->bytes;
    s->bytes = (uint32_t)r->bytes; /* a frame has no more */
    s->n_resources = r->n_resources;
    s->n_removed = r->n_removed;
    if (s->state == XDS_IGNORED || r->nonce[0] == '\0') {
        return;
    }
    size_t n = strnlen(r->nonce, sizeof(s->nonce) - 1);
    memcpy(s->nonce, r->nonce, n);
    s->nonce[n] = '\0';
    s->sent_ms = now_ms;
    s->is_answered = false;
    s->is_acked = false;
    update_state(s);
}

int64_t xds_sync_acked_ms(const struct xds_sync *s)
{
    return s->is_answered ? s->sent_ms + s->waited_ms : 0;
}

const char *xds_sync_state_name(enum xds_sync_state state)
{
    static const char *const names[XDS_SYNC_STATES] = {
        [XDS_IGNORED] = "IGNORED", [XDS_NOT_SENT] = "NOT SENT", [XDS_STALE] = "STALE",
        [XDS_SYNCED] = "SYNCED",   [XDS_ERROR] = "ERROR",
    };

    return names[state];
}
