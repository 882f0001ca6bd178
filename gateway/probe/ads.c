/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/probe/ads.h"

#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "gateway/probe/call.h"

#define ADS "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"

/** Of a trust domain that nobody has (RFC 6761), so that it is nobody even where nothing else is
 * compared. */
#define NOBODY "URI=spiffe://xdsgate.invalid/ns/xdsgate-probe/sa/nobody"

/** Statuses of gRPC: google.golang.org/grpc/codes. */
enum { EXHAUSTED = 8, UNIMPLEMENTED = 12, UNAVAILABLE = 14, UNAUTHENTICATED = 16 };

/* Protobuf: a field of bytes, its number and length; all are shorter than 128 bytes, but for the
 * first. A DiscoveryRequest with a Node of a namespace that is not NOBODY's, and the type of
 * clusters (envoy service/discovery/v3/discovery.proto, config/core/v3/base.proto). */
#define NODE_ID "sidecar~192.0.2.1~nobody.xdsgate-probe-other~xdsgate-probe-other.svc.cluster.local"
#define NS "xdsgate-probe-other"
#define TYPE "type.googleapis.com/envoy.config.cluster.v3.Cluster"

/* ---- the message ---- */

struct bytes {
    uint8_t data[512];
    size_t n;
};

static void put_field(struct bytes *out, unsigned number, const void *data, size_t n)
{
    CHECK(out->n + n + 3 <= sizeof(out->data) && n < 1U << 14);
    out->data[out->n++] = (uint8_t)(number << 3 | 2);
    if (n >= 128) {
        out->data[out->n++] = (uint8_t)(0x80 | (n & 0x7f));
        out->data[out->n++] = (uint8_t)(n >> 7);
    } else {
        out->data[out->n++] = (uint8_t)n;
    }
    memcpy(out->data + out->n, data, n);
    out->n += n;
}

static void put_text(struct bytes *out, unsigned number, const char *text)
{
    put_field(out, number, text, strlen(text));
}

static void make_request(struct bytes *out)
{
    struct bytes value = {.n = 0};
    struct bytes entry = {.n = 0};
    struct bytes metadata = {.n = 0};
    struct bytes node = {.n = 0};

    out->n = 0;

    put_text(&value, 3, NS);
    put_text(&entry, 1, "NAMESPACE");
    put_field(&entry, 2, value.data, value.n);
    put_field(&metadata, 1, entry.data, entry.n);
    put_text(&node, 1, NODE_ID);
    put_field(&node, 3, metadata.data, metadata.n);
    put_field(out, 2, node.data, node.n);
    put_text(out, 4, TYPE);
}

/* ---- the answer ---- */

static enum probe_ads_end end_of_status(int status)
{
    switch (status) {
    case UNAUTHENTICATED:
        return PROBE_ADS_REFUSED;
    case EXHAUSTED:
    case UNAVAILABLE:
        return PROBE_ADS_BUSY;
    case UNIMPLEMENTED:
        return PROBE_ADS_NOT_ISTIO;
    default:
        return PROBE_ADS_TAKEN;
    }
}

static enum probe_ads_end end_of(const struct call_answer *a)
{
    switch (a->end) {
    case CALL_STATUS:
        return end_of_status(a->status);
    case CALL_MESSAGE: /* whoever we said we are, we are served */
        return PROBE_ADS_TAKEN;
    case CALL_NOT_GRPC:
        return PROBE_ADS_NOT_ISTIO;
    case CALL_NO_TLS:
        return PROBE_ADS_NO_TLS;
    case CALL_NO_ANSWER:
        break;
    }
    return PROBE_ADS_NO_ANSWER;
}

enum rc probe_ads(const struct probe_ads_opts *o, struct probe_ads_result *out)
{
    const struct call_way way = {.peer = o->peer,
                                 .source = o->source,
                                 .server_name = o->server_name,
                                 .roots = o->roots,
                                 .timeout_s = o->timeout_s,
                                 .stop = o->stop};
    struct call_answer a;
    struct bytes message;

    make_request(&message);
    const struct call_request request = {.path = ADS,
                                         .xfcc = o->nameless ? NULL : NOBODY,
                                         .data = message.data,
                                         .n = message.n,
                                         .first_message = true};
    TRY(call_run(&way, &request, &a));
    *out = (struct probe_ads_result){.end = end_of(&a), .status = a.status};
    (void)snprintf(out->why, sizeof(out->why), "%s", a.why);
    call_answer_fini(&a);
    return RC_OK;
}
