/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTPS server on loopback in the place of an API server: a thread for each connection, and a
 * handler that says what comes back, good or bad. Every failure of its own ends the test program.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/support/pki.h"

#define FAKE_API_TEXT_BYTES 2048

struct fake_api;
struct fake_api_link;

/** What came; "" for what did not. */
struct fake_api_request {
    char method[16];
    char path[FAKE_API_TEXT_BYTES];
    char token[FAKE_API_TEXT_BYTES]; /**< behind "Authorization: Bearer " */
    char client[64];                 /**< common name of the client's certificate */
    char host[256];                  /**< the Host header */
    char body[FAKE_API_TEXT_BYTES];
    unsigned number;     /**< of this request, from 1 */
    unsigned connection; /**< that it came on, from 1 */
};

/** Called on the connection's thread, for each request. */
typedef void fake_api_handler(void *arg, const struct fake_api_request *r, struct fake_api_link *l);

/** Start on a free port. server (borrowed) is replaced by fake_api_set_cert(). */
struct fake_api *fake_api_new(const struct pki_cert *server, fake_api_handler *handler, void *arg);

/** Cut all connections, stop and free. */
void fake_api_free(struct fake_api **api);

/** The port on 127.0.0.1. */
uint16_t fake_api_port(const struct fake_api *api);

/** Another certificate for connections from now on; borrowed. */
void fake_api_set_cert(struct fake_api *api, const struct pki_cert *server);

/** How many requests have come. */
unsigned fake_api_requests(struct fake_api *api);

/** A copy of the number-th request, from 1; it must have come. */
struct fake_api_request fake_api_request(struct fake_api *api, unsigned number);

/** Let handlers that wait in fake_api_wait() for this or an earlier step go on. */
void fake_api_step(struct fake_api *api, unsigned step);

/** For handlers: wait until the test has said so, or the server is stopped. */
void fake_api_wait(struct fake_api_link *l, unsigned step);

/** For handlers: a whole answer. headers: "Name: value\r\n" for each, or "". */
void fake_api_answer(struct fake_api_link *l, int status, const char *headers, const char *body);

/** For handlers: the head of an answer that comes in chunks. */
void fake_api_begin(struct fake_api_link *l, int status);

/** For handlers: one chunk; "" ends the answer. */
void fake_api_chunk(struct fake_api_link *l, const char *text);

/** For handlers: bytes as they are. */
void fake_api_send(struct fake_api_link *l, const char *bytes, size_t n);

/** For handlers: nothing more until the client leaves or the server is stopped. */
void fake_api_hang(struct fake_api_link *l);

/** For handlers: close the connection when the handler returns. */
void fake_api_close(struct fake_api_link *l);
