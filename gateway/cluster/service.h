/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Kubernetes has said about a service that is followed, and the addresses that follow from it.
 * Pure: no client, no clock, no log; one thread.
 *
 * A list replaces what was known, a change replaces one object. What cannot be read, or kept for
 * want of memory, leaves what was there. Everything is bounded.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/base/rc.h"
#include "core/doc/doc.h"
#include "core/net/addr.h"
#include "gateway/upstream/upstream_opts.h"
#include "kube/event.h"
#include "kube/objects.h"

/** More addresses than these are left out. */
#define SERVICE_ADDRESSES_MAX 256

/** More slices of a service than these are left out. Kubernetes puts 100 endpoints into one. */
#define SERVICE_SLICES_MAX 64

/** More nodes than these are left out. */
#define SERVICE_NODES_MAX 32

/** A name of a node and its zero (RFC 1123 subdomain). */
#define SERVICE_NODE_NAME_BYTES 254

/** Why there are no addresses, for people. */
#define SERVICE_WHY_BYTES 320

struct service;

/** discovery: borrowed until service_free(). out: owned. RC_NO_MEMORY. */
enum rc service_new(const struct upstream_discovery *discovery, struct service **out) MUST_USE;

/** Free and null the pointer; NULL is allowed. */
void service_free(struct service **s);

/** All endpoint slices there are: an array. RC_OK; RC_NO_MEMORY: nothing has changed. */
enum rc service_list_slices(struct service *s, const json_t *items) MUST_USE;

/** One endpoint slice has changed. RC_OK; RC_NO_MEMORY, RC_PEER_MALFORMED, RC_FULL (a slice too
 * many): nothing has. */
enum rc service_change_slice(struct service *s, enum kube_change change,
                             const json_t *slice) MUST_USE;

/** The service itself; NULL: there is none. RC_OK; RC_PEER_MALFORMED: nothing has changed. */
enum rc service_set_object(struct service *s, const json_t *object) MUST_USE;

/** A node of service_nodes(); NULL: there is none. RC_OK; RC_PEER_MALFORMED: nothing has changed.
 */
enum rc service_set_node(struct service *s, const char *name, const json_t *node) MUST_USE;

/** Nothing has been said: another cluster will. */
void service_forget(struct service *s);

/**
 * The nodes whose addresses are needed; the same ones from call to call, as long as they are.
 *
 * names  room for SERVICE_NODES_MAX; borrowed until the next call that changes s.
 */
void service_nodes(const struct service *s, const char **names, size_t *n);

/** The addresses that follow. */
struct service_found {
    struct addr addrs[SERVICE_ADDRESSES_MAX]; /**< each once */
    const char *pods[SERVICE_ADDRESSES_MAX];  /**< whose each is, NULL: not known; borrowed until
                                                 the next call that changes s */
    size_t n;
    bool cut;                    /**< there are more than may be */
    char why[SERVICE_WHY_BYTES]; /**< with RC_OK and n 0: a sentence that says what is missing */
};

/** Returns RC_OK, also when it is certain that there are none; RC_AGAIN: not everything has been
 * said yet, these are what is known. */
enum rc service_addresses(const struct service *s, struct service_found *out) MUST_USE;
