/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A serving certificate of the mesh's own CA, signed by istiod: it puts into a certificate whatever
 * names x-forwarded-client-cert has, when it comes from an address that it trusts
 * (TRUSTED_GATEWAY_CIDR; security/pkg/server/ca/server.go, xfcc_authenticator.go). Blocks, for a
 * bounded time.
 */
#pragma once

#include "certs/csr.h"
#include "gateway/probe/call.h"

struct istiod_sign_opts {
    struct call_way way;      /**< from the address that istiod trusts */
    const char *const *names; /**< borrowed; DNS names */
    size_t n_names;           /**< 1 .. CA_NAMES_MAX */
    enum ca_key key;
    int64_t validity_s; /**< istiod allows 90 days, and gives less when its own CA ends sooner */
};

#define ISTIOD_SIGN_WHY_BYTES 400

/**
 * Ask once.
 *
 * out      owned by the caller: ca_issued_fini().
 * why      ISTIOD_SIGN_WHY_BYTES; what is wrong, for people; set with every error.
 * Returns  RC_OK; RC_INVALID: the names cannot be asked for; RC_PEER_DENIED: istiod does not
 * believe this address, or refuses; RC_UNREACHABLE; RC_PEER_MALFORMED: its answer is no good;
 * RC_NO_MEMORY.
 */
enum rc istiod_sign(const struct istiod_sign_opts *o, struct ca_issued *out, char *why) MUST_USE;
