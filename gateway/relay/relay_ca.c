/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/relay/relay_ca.h"

#include <string.h>

/* IstioCertificateResponse.cert_chain */
#define FIELD_CERT_CHAIN 1

void relay_ca_init(struct relay_ca *ca)
{
    memset(ca, 0, offsetof(struct relay_ca, pem));
}

static enum pb_do on_field(void *arg, const struct pb_field *f)
{
    const struct relay_ca *ca = arg;

    return f->number == FIELD_CERT_CHAIN && f->wire == PB_BYTES && ca->n_pem == 0 &&
                   f->value <= RELAY_CA_PEM_BYTES
               ? PB_TAKE
               : PB_SKIP;
}

static void on_bytes(void *arg, const uint8_t *data, size_t n)
{
    struct relay_ca *ca = arg;

    memcpy(ca->pem + ca->n_pem, data, n); /* as many as the field said, at most */
    ca->n_pem += (uint32_t)n;
}

static void on_end(void *arg, uint32_t depth)
{
    (void)arg, (void)depth;
}

/* Up to the end of the frame's header; returns how many bytes that took. */
static size_t take_header(struct relay_ca *ca, const uint8_t *data, size_t n)
{
    size_t i = 0;

    while (i < n && ca->n_header < GRPC_FRAME_HEADER_BYTES) {
        ca->header[ca->n_header++] = data[i++];
    }
    if (i > 0 && ca->n_header == GRPC_FRAME_HEADER_BYTES) {
        ca->left = (uint32_t)ca->header[1] << 24 | (uint32_t)ca->header[2] << 16 |
                   (uint32_t)ca->header[3] << 8 | ca->header[4];
        ca->over = ca->header[0] != 0; /* compressed, or no gRPC */
        pb_scan_begin(&ca->pb, ca->left);
    }
    return i;
}

bool relay_ca_feed(struct relay_ca *ca, const uint8_t *data, size_t n, struct cert_facts *out)
{
    static const struct pb_ops ops = {on_field, on_bytes, on_end};

    if (ca->over) {
        return false;
    }
    size_t used = take_header(ca, data, n);
    if (ca->over || ca->n_header < GRPC_FRAME_HEADER_BYTES) {
        return false;
    }
    data += used;
    n -= used;
    size_t take = n < ca->left ? n : ca->left;
    ca->left -= (uint32_t)take;
    if (pb_scan_feed(&ca->pb, &ops, ca, data, take) != RC_OK) {
        ca->over = true;
        return false;
    }
    ca->over = ca->left == 0;
    return ca->over && pb_scan_is_over(&ca->pb) && ca->n_pem > 0 &&
           cert_facts_parse(ca->pem, ca->n_pem, out) == RC_OK;
}
