/* SPDX-License-Identifier: Apache-2.0 */
/* Two ends of a TLS connection in memory. */
#pragma once

#include <stdbool.h>

#include <openssl/ssl.h>

/** Both ends; owned. */
struct tls_pair {
    SSL *client;
    SSL *server;
    int client_alert; /**< the alert the client got, -1: none */
    int server_alert; /**< the alert the server got, -1: none */
};

/** Tie both together; takes them over. The roles must be set. */
void tls_pair_init(struct tls_pair *p, SSL *client, SSL *server);

/** Run both until nothing moves any more. True when both handshakes are complete and neither end
 * failed. */
bool tls_pair_handshake(struct tls_pair *p);

/** Free both ends. */
void tls_pair_fini(struct tls_pair *p);
