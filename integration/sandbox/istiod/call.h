/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <grpc/grpc.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "integration/sandbox/common/loop.h"

struct call;

/** What a method does with its call. All called on the loop's thread, lock held. */
struct call_ops {
    /** A message came (buffer owned by the callee), or NULL: the client has half-closed. */
    void (*on_message)(struct call *c, grpc_byte_buffer *buffer);
    /** The message given to call_send() is with the transport; the next may follow. */
    void (*on_sent)(struct call *c);
    /** The call is over; `user` may be freed, the call is freed after this returns. */
    void (*on_end)(struct call *c);
};

/**
 * One call at the server. Freed by itself when it is over and gRPC core has given every batch
 * back; the user holds it until on_end. Response headers go out with the first message, or with
 * the status when there is none, as grpc-go does it.
 */
struct call {
    grpc_call *call;             /* owned */
    grpc_metadata_array headers; /* owned; the client's */
    char *method;                /* owned */
    char *peer;                  /* owned; "1.2.3.4:5" or "[::1]:5" */
    char *peer_address;          /* owned; without port */
    const struct call_ops *ops;  /* borrowed; NULL until call_begin() */
    void *user;                  /* borrowed until on_end */
    struct tag recv_tag;
    struct tag send_tag;
    struct tag status_tag;
    struct tag close_tag;
    grpc_byte_buffer *incoming; /* filled by a receive batch */
    unsigned batches;           /* outstanding */
    int cancelled;              /* written by gRPC core */
    int status;                 /* to be sent when status_due */
    char *status_text;          /* owned; NULL for none */
    bool headers_sent;
    bool sending;
    bool status_due; /* send it once nothing is being sent */
    bool status_sent;
    bool ended; /* on_end was called */
};

/**
 * Take over a call that has just arrived.
 *
 * call, headers  ownership moves to the result.
 * method         copied.
 */
struct call *call_new(grpc_call *call, grpc_metadata_array headers, grpc_slice method);

/** Say who handles the call; from now on ops are called. */
void call_begin(struct call *c, const struct call_ops *ops, void *user);

/** Ask for one message. Not while another is being waited for. */
void call_recv(struct call *c);

/** Send one message. Not while another is being sent; look at c->sending. */
void call_send(struct call *c, const ProtobufCMessage *message);

/** End the call with a status, after what is being sent. Later calls of it do nothing. */
void call_finish(struct call *c, int status, const char *text);
