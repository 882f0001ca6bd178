/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: xds_response_feed(), xds_sync_response(). In any pieces a stream tells the same. */
#include <string.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "xds/xds_sync.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct told {
    uint32_t hash;
    uint64_t bytes; /* of messages and their frames */
    struct xds_sync sync;
};

static void on_response(void *arg, const struct xds_response *r)
{
    struct told *t = arg;
    const uint64_t told[] = {(uint64_t)r->type, r->bytes, r->resource_bytes, r->n_resources,
                             r->n_removed};

    CHECK(strlen(r->url) < XDS_URL_BYTES && strlen(r->nonce) < XDS_NONCE_BYTES);
    CHECK(r->resource_bytes <= r->bytes);
    CHECK((uint64_t)r->n_resources * 2 + (uint64_t)r->n_removed * 2 <= r->bytes);
    t->hash = hash_bytes(t->hash, told, sizeof(told));
    t->hash = hash_bytes(t->hash, r->url, strlen(r->url) + 1);
    t->hash = hash_bytes(t->hash, r->nonce, strlen(r->nonce) + 1);
    t->bytes += r->bytes + GRPC_FRAME_HEADER_BYTES;
    xds_sync_response(&t->sync, r, 1);
    CHECK(t->sync.state == (t->sync.nonce[0] != '\0' ? XDS_STALE : XDS_NOT_SENT));
}

static void on_unread(void *arg, bool compressed, uint64_t bytes)
{
    struct told *t = arg;
    const uint64_t told[] = {compressed, bytes};

    t->hash = hash_bytes(t->hash, told, sizeof(told));
    t->bytes += bytes;
}

static struct told feed(enum xds_variant variant, const uint8_t *data, size_t size, size_t piece)
{
    static const struct xds_response_ops ops = {.on_response = on_response, .on_unread = on_unread};
    struct told t = {.hash = HASH_START, .sync = {.state = XDS_NOT_SENT}};
    struct xds_response_scan s;

    xds_response_init(&s, variant);
    for (size_t at = 0; at < size; at += piece) {
        xds_response_feed(&s, &ops, &t, data + at, size - at < piece ? size - at : piece);
    }
    CHECK(t.bytes <= size);
    return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t piece = size > 0 ? data[size - 1] % 32 + 1 : 1;

    for (int variant = XDS_SOTW; variant <= XDS_DELTA; variant++) {
        struct told once = feed((enum xds_variant)variant, data, size, size + 1);
        struct told often = feed((enum xds_variant)variant, data, size, piece);
        CHECK(once.hash == often.hash && once.bytes == often.bytes);
    }
    return 0;
}
