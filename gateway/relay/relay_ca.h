/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who got which certificate: reads IstioCertificateResponse (api/security/v1alpha1/ca.proto) while
 * it passes. Nothing of the request is read, and of the response only the VM's own certificate.
 * Worker-local.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "certs/cert_facts.h"
#include "xds/grpc_frame.h"
#include "xds/pb_scan.h"

/** A certificate in PEM of more bytes is not read. */
#define RELAY_CA_PEM_BYTES 8192

struct relay_ca {
    struct pb_scan pb;
    uint32_t left; /**< bytes to come of the message */
    uint32_t n_pem;
    uint8_t header[GRPC_FRAME_HEADER_BYTES];
    uint8_t n_header;
    bool over;                    /**< nothing more is to be read */
    char pem[RELAY_CA_PEM_BYTES]; /**< the first element of cert_chain */
};

/** At the start of a response; zeroed memory will do, too. */
void relay_ca_init(struct relay_ca *ca);

/**
 * n bytes pass.
 *
 * out  filled when true.
 * Returns whether they ended a response with a certificate that can be read; once.
 */
bool relay_ca_feed(struct relay_ca *ca, const uint8_t *data, size_t n, struct cert_facts *out);
