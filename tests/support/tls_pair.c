/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/tls_pair.h"

#include <stdlib.h>

#include <openssl/err.h>

/** A handshake takes 3 to 5; more only shows that nothing moves. */
#define ROUNDS 20

static void on_info(const SSL *ssl, int where, int ret)
{
    struct tls_pair *p = SSL_get_app_data(ssl);

    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT) {
        *(ssl == p->client ? &p->client_alert : &p->server_alert) = ret & 0xff;
    }
}

void tls_pair_init(struct tls_pair *p, SSL *client, SSL *server)
{
    BIO *client_bio;
    BIO *server_bio;

    if (client == NULL || server == NULL || BIO_new_bio_pair(&client_bio, 0, &server_bio, 0) != 1) {
        abort();
    }
    *p = (struct tls_pair){client, server, -1, -1};
    SSL_set_bio(client, client_bio, client_bio);
    SSL_set_bio(server, server_bio, server_bio);
    SSL_set_app_data(client, p);
    SSL_set_app_data(server, p);
    SSL_set_info_callback(client, on_info);
    SSL_set_info_callback(server, on_info);
}

/* Let one end do what it can. False when it has failed. */
static bool step(SSL *ssl)
{
    char byte;

    ERR_clear_error();
    /* Reading also completes the handshake, and afterwards meets the other end's late alert
     * (TLS 1.3). */
    int n = SSL_is_init_finished(ssl) ? SSL_peek(ssl, &byte, 1) : SSL_do_handshake(ssl);
    int error = SSL_get_error(ssl, n);
    ERR_clear_error();
    return error == SSL_ERROR_NONE || error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

bool tls_pair_handshake(struct tls_pair *p)
{
    bool client_ok = true;
    bool server_ok = true;

    for (int i = 0; i < ROUNDS; i++) {
        client_ok = client_ok && step(p->client);
        server_ok = server_ok && step(p->server);
    }
    return client_ok && server_ok && SSL_is_init_finished(p->client) &&
           SSL_is_init_finished(p->server);
}

void tls_pair_fini(struct tls_pair *p)
{
    SSL_free(p->client);
    SSL_free(p->server);
    *p = (struct tls_pair){NULL, NULL, -1, -1};
}
