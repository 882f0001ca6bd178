/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of gRPC on a connection of its own: one message there, and the status or the first
 * message back. Blocks, for a bounded time; for the command line, and for threads that have nothing
 * else to do.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "certs/cert_set.h"
#include "core/base/rc.h"
#include "core/net/addr.h"

/** An answer may be so long. */
#define CALL_ANSWER_MAX_BYTES (256 * 1024)

/** Where a call goes, and from where. */
struct call_way {
    const struct addr *peer; /**< borrowed; with its port */
    struct addr source;      /**< to leave from; ADDR_NONE: the kernel chooses */
    const char *server_name; /**< borrowed; what its certificate has to be for */
    struct root_set *roots;  /**< borrowed */
    double timeout_s;        /**< for the whole call */
    const uint32_t *stop;    /**< borrowed; atomic: give up when it is not 0. NULL: never */
};

struct call_request {
    const char *path;    /**< borrowed: "/pkg.Service/Method" */
    const char *xfcc;    /**< borrowed; x-forwarded-client-cert, or NULL */
    const uint8_t *data; /**< borrowed; the message */
    size_t n;            /**< bytes */
    bool first_message;  /**< the first message is the answer: a stream goes on after it */
};

enum call_end {
    CALL_STATUS,    /**< there is a status of gRPC */
    CALL_MESSAGE,   /**< with first_message: there is a message */
    CALL_NOT_GRPC,  /**< it answers, but not as gRPC does */
    CALL_NO_TLS,    /**< connected, but it is nobody who is believed */
    CALL_NO_ANSWER, /**< no connection, or no answer in time */
};

struct call_answer {
    enum call_end end;
    int status;    /**< 0 to 16; -1: none came */
    char why[256]; /**< for people: printable, one line; "" when there is nothing to say */
    uint8_t *data; /**< owned; the first message, as far as it came; call_answer_fini() */
    size_t n;      /**< bytes of it */
};

/**
 * Call once.
 *
 * out      filled whatever came of it; call_answer_fini().
 * Effects  none on other threads; the caller's has no worker.
 * Returns  RC_OK; RC_NO_MEMORY.
 */
enum rc call_run(const struct call_way *way, const struct call_request *request,
                 struct call_answer *out) MUST_USE;

/** Free what it holds. */
void call_answer_fini(struct call_answer *a);
