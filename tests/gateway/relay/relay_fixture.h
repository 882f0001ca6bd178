/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the relay share. Included by tests of this folder only, once each. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/h2/limits.h"
#include "tests/support/rig.h"

static const char *const ok_trailers[] = {"grpc-status", "0", "grpc-message", "", NULL};

static inline void assert_text(const char *have, const char *want)
{
    assert_non_null(have);
    assert_string_equal(have, want);
}

static inline void assert_message(const struct peer_stream *st, size_t n, unsigned seed)
{
    size_t len;
    uint8_t *m = peer_message(n, seed, &len);

    assert_int_equal(st->len, len);
    assert_memory_equal(st->data, m, len);
    free(m);
}

static inline void send_message(struct rig *r, struct peer_stream *st, size_t n, unsigned seed)
{
    size_t len;
    uint8_t *m = peer_message(n, seed, &len);

    peer_send(st, m, len);
    free(m);
    rig_run(r);
}

/* A trailers-only answer. */
static inline void answer_status(struct rig *r, struct peer_stream *up, const char *status,
                                 const char *message)
{
    const char *const nv[] = {":status",          "200",         "content-type",
                              "application/grpc", "grpc-status", status,
                              "grpc-message",     message,       NULL};
    peer_respond(up, nv, true);
    rig_run(r);
}

static inline void assert_status(struct peer_stream *down, const char *status, const char *part)
{
    assert_true(down->ended);
    assert_text(peer_header(down, "grpc-status"), status);
    const char *message = peer_header(down, "grpc-message");
    if (message == NULL || strstr(message, part) == NULL) {
        fail_msg("grpc-message is \"%s\"", message == NULL ? "" : message);
    }
}

static const char *const chat_request[] = {":method",
                                           "POST",
                                           ":scheme",
                                           "https",
                                           ":path",
                                           "/demo.Echo/Chat",
                                           ":authority",
                                           "a",
                                           "content-type",
                                           "application/grpc",
                                           "te",
                                           "trailers",
                                           NULL};

/* One for each endpoint, so that a cooled one leaves another. */
static const char *const two_endpoints[] = {"10.1.0.1", "10.1.0.2", NULL};
