/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of certs/cert_set.h and cert_peer.h that make and ask SSLs, without TLS: fake_certs.c
 * replaces cert_set.c, cert_peer.c and root_set.c. An SSL is a piece of memory that its connection
 * owns.
 */
#pragma once

#include <stdint.h>

#include <openssl/ssl.h>

#include "certs/cert_facts.h"
#include "core/base/rc.h"

/** SPIFFE ID that connections accepted from now on show; NULL: no certificate. */
extern const char *fake_identity;

/** When certificates that were shown expire, seconds since 1970. */
extern int64_t fake_expiry;

/** What cert_peer_facts() says of everybody. */
extern struct cert_facts fake_facts;

/** What cert_set_check_again() says. */
extern enum rc fake_recheck;

/** Why handshakes were refused by us, "" mostly. */
extern const char *fake_peer_error;

/** Free one; NULL is allowed. */
void fake_ssl_free(SSL *ssl);
