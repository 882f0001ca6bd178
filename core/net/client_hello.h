/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read the server name out of a TLS ClientHello without answering it. Pure: bytes in, answer out.
 *
 * The hello may come in any number of reads and TLS records (a post-quantum key share makes it
 * larger than one TCP segment), and a record may end inside any field (RFC 8446 5.1). GREASE and
 * unknown extensions are skipped. The caller keeps the bytes: they are given to OpenSSL or to the
 * upstream unchanged.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"

/** No ClientHello of a real client comes near this; more is refused. */
#define CLIENT_HELLO_MAX_BYTES 16384

/** Longest host name (RFC 1035) with a final zero. */
#define CLIENT_HELLO_SNI_BYTES 256

struct client_hello {
    char sni[CLIENT_HELLO_SNI_BYTES]; /**< lower case, without a final dot; "" when the hello has
                                         none */
};

/**
 * Look at all n bytes received so far.
 *
 * Returns RC_OK with *out filled; RC_AGAIN when more bytes are needed (*out untouched);
 * RC_PEER_MALFORMED when this is no ClientHello (also an SNI that is neither a host name nor an IP
 * address, holds a zero byte or comes twice); said as soon as the first wrong byte is there.
 * RC_PEER_LIMIT when it would be longer than CLIENT_HELLO_MAX_BYTES, with record headers; so
 * RC_AGAIN never comes for that many bytes.
 */
enum rc client_hello_parse(const uint8_t *data, size_t n, struct client_hello *out) MUST_USE;
