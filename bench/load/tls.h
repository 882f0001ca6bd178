/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS of the bench, the same for every peer that is measured: TLS 1.3, AES-128-GCM, X25519, no
 * tickets, no resumption.
 */
#pragma once

#include <openssl/ssl.h>

/** A server that shows this certificate and asks for none. Owned; NULL after a line on stderr. */
SSL_CTX *tls_server_new(const char *cert_file, const char *key_file);

/**
 * A client that shows this certificate, verifies the server's by the roots in ca_file and offers
 * alpn. A certificate that was found to be good is not verified again, so that the load generator
 * costs little: every VM connects to the same name. Owned; NULL after a line on stderr.
 */
SSL_CTX *tls_client_new(const char *ca_file, const char *cert_file, const char *key_file,
                        const char *alpn);

/** What OpenSSL last complained about, or fallback; clears its list. Static storage. */
const char *tls_error(const char *fallback);
