/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration that one VM has, as its answers to istiod say: a response is held until its
 * nonce is acknowledged, and then it is what the VM has. State of the world replaces, or adds to
 * what was asked for by name; delta adds and removes. What the VM has stays when its stream ends,
 * because it keeps it, too.
 *
 * What is not known as a whole is not kept: after a loss a type whose responses bring parts only
 * comes back with the VM's next stream. Not thread-safe: its owner has a lock. Only the stream that
 * speaks for the VM is told here.
 */
#pragma once

#include "gateway/vmconfig/config_push.h"
#include "gateway/vmconfig/vm_config_view.h"

struct vm_config;

/** What passes with a request. Borrowed. */
struct vm_config_request {
    enum xds_variant variant;
    const struct xds_request *request;
    const uint8_t *message; /**< what it was read from */
    size_t n;
};

/** NULL: no room, or no memory. fresh: a stream begins with it, of which nothing was missed. */
struct vm_config *vm_config_new(struct config_store *s, bool fresh);

/** Free and null the pointer; NULL is allowed. */
void vm_config_free(struct vm_config **c);

/** Another stream speaks for the VM, or none. What was not answered is dropped.
 *
 * fresh     it has said nothing yet.
 * stranger  it may be another's, who has no certificate: until istiod believes it, what the VM has
 *           stays as it was, for readers and in case that it is not believed. */
void vm_config_stream(struct vm_config **c, bool fresh, bool stranger);

/** istiod believes the stream that speaks for the VM. c: NULL is fine. */
void vm_config_believe(struct vm_config *c);

/** istiod sends something. Takes the push. */
void vm_config_push(struct vm_config *c, struct config_push **push);

/** istiod sends something of this type that could not be kept. */
void vm_config_lose(struct vm_config *c, enum xds_type type, enum config_loss why);

/** The VM asks, acknowledges or rejects. */
void vm_config_request(struct vm_config *c, const struct vm_config_request *q, int64_t now_ms);

/** Take references to all. c: NULL is fine, then it is as if nothing had been seen of a stream that
 * has begun already; without a stream (living is false), as if there had never been one. */
void vm_config_take(const struct vm_config *c, bool living, struct vm_config_view *out);
