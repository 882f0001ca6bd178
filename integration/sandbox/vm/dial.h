/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <grpc/grpc.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "integration/sandbox/common/loop.h"
#include "integration/sandbox/common/text.h"

/** How to reach the control plane. All borrowed. */
struct dial {
    const char *target;      /* HOST:PORT */
    const char *server_name; /* SNI, name in the certificate and :authority */
    const char *roots;       /* PEM */
    const char *cert;        /* chain PEM; NULL to show none */
    const char *key;         /* PEM; NULL to show none */
};

/**
 * Make a channel with a TCP and TLS connection of its own, with the keepalive and windows of
 * an Istio agent. It connects with the first call.
 *
 * Returns  owned by the caller (grpc_channel_destroy); NULL when the credentials are refused.
 */
grpc_channel *dial_channel(const struct dial *d);

struct dialled_call;

/** What the owner of a call does with it. All called on the loop's thread, lock held. */
struct dialled_ops {
    /** A message came; buffer owned by the callee. The next one is asked for by itself. */
    void (*on_message)(void *user, grpc_byte_buffer *buffer);
    /** The call is over. The call is freed by itself; text borrowed during the call. */
    void (*on_end)(void *user, int status, const char *text);
};

/** One header to send. Borrowed during dialled_open(). */
struct dialled_header {
    const char *key;
    const char *value;
};

/**
 * Open a call.
 *
 * channel  borrowed until on_end.
 * user     borrowed until on_end.
 * Returns  borrowed until on_end or dialled_drop(); never NULL.
 */
struct dialled_call *dialled_open(struct loop *l, grpc_channel *channel, const char *method,
                                  const struct dialled_header *headers, size_t n_headers,
                                  const struct dialled_ops *ops, void *user);

/** Queue a message behind what is being sent. */
void dialled_send(struct dialled_call *c, const ProtobufCMessage *message);

/** Had the call a connection? Asked in on_end(): without one, the dial failed. */
bool dialled_connected(const struct dialled_call *c);

/** Say that nothing more will be sent, after what is queued. */
void dialled_half_close(struct dialled_call *c);

/**
 * Stop reading messages, or go on: what is not read fills the windows up to the server.
 */
void dialled_pause(struct dialled_call *c, bool pause);

/**
 * End the call without a word to its owner: on_end is not called any more.
 * The channel may be destroyed right after.
 */
void dialled_drop(struct dialled_call *c);
