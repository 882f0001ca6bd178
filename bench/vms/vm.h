/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM as istiod sees it: one connection with a client certificate, one stream that is never
 * ended, a request for each type on it, and an ack for every response.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bench/load/identity.h"
#include "bench/load/inbox.h"
#include "bench/load/link.h"
#include "bench/load/message.h"

#define VM_MAGIC 0x5e9a70b1u

struct vm;

/** Whom all VMs report to. */
struct vm_ops {
    /** The first response came. */
    void (*on_up)(struct vm *v);

    /** A response came in full, which is not the first. */
    void (*on_message)(struct vm *v, const struct message *m);

    /** The connection is over, asked for or not. It may be opened again or freed. */
    void (*on_over)(struct vm *v, const char *why);
};

/** What all VMs have in common. */
struct vm_home {
    struct link_home link;
    const struct vm_ops *ops; /**< borrowed */
    void *owner;              /**< borrowed; for ops */
    SSL_CTX *tls;             /**< borrowed */
    struct issuer *issuer;    /**< borrowed; NULL: all have the certificate of tls */
    struct addr peer;
    const char *sni; /**< borrowed; also the :authority */
    struct message_home messages;
};

enum vm_state {
    VM_DOWN,
    VM_OPENING, /**< until the first message */
    VM_UP,
};

struct vm {
    uint32_t magic;           /**< VM_MAGIC */
    uint32_t number;          /**< says its address */
    struct vm_home *home;     /**< borrowed */
    struct identity identity; /**< owned */
    struct link link;
    enum vm_state state;
    bool is_leaving; /**< its end was asked for */
    bool is_stalled;
    int32_t stream;
    int grpc_status; /**< of the trailers; -1 without */
    char grpc_message[64];
    uint32_t nonces[MESSAGE_TYPES]; /**< of the last response of each type; 0: none */
    struct inbox in;
    struct outbox out;

    /* The rest is its owner's. */
    double opened_at;     /**< when its connect began; monotonic seconds */
    double asked_at;      /**< when the echo that is waited for was sent; 0: none is */
    uint32_t armed_bytes; /**< the push that is waited for; 0: none is */
    bool is_pinging;      /**< sends the next echo when one came back */
};

/** A closed VM with this number, which says its address (node_address()). Owned; NULL without
 * memory. home is borrowed for its life. */
struct vm *vm_new(struct vm_home *home, uint32_t number);

/** Free it; it must be down. Sets *v to NULL. */
void vm_free(struct vm **v);

/** Connect. An error: it is still down, and nothing is reported. */
enum rc vm_open(struct vm *v) MUST_USE;

/** Cut it in this way. Reports on_over() at once, except inside of its own events. */
void vm_close(struct vm *v, enum link_farewell farewell, const char *why);

/** Ask for more endpoints, in a message of `bytes` (MESSAGE_MIN_BYTES ..), which is answered in the
 * same size. false: it is not up, or too much waits. */
bool vm_ask(struct vm *v, uint32_t bytes);

/** Stop reading its socket, or go on. */
void vm_stall(struct vm *v, bool stalled);
