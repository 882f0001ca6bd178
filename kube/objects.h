/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is read from, and written into, objects of Kubernetes: endpoint slices, services, nodes,
 * secrets, tokens and questions about one's own rights. Pure; what an API server says is not
 * trusted to be well-formed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"
#include "core/doc/doc.h"

/** The label by which a slice names its service. */
#define KUBE_SLICE_LABEL "kubernetes.io/service-name"

/** More are left out. */
#define KUBE_ENDPOINTS_MAX 1000

/** An IPv6 address and its zero. */
#define KUBE_IP_BYTES 46

struct kube_endpoint {
    char ip[KUBE_IP_BYTES]; /**< as inet_ntop() writes it */
    uint16_t port;
    bool ready;      /**< new connections may be made */
    const char *pod; /**< its name, borrowed from the object that it was read from; NULL: none */
};

struct kube_endpoints {
    size_t n;
    bool cut; /**< there were more than KUBE_ENDPOINTS_MAX */
    struct kube_endpoint list[KUBE_ENDPOINTS_MAX];
};

/** Lifetime of a token that the API server accepts, in seconds (10 minutes; 2^32). */
#define KUBE_TOKEN_MIN_S 600
#define KUBE_TOKEN_MAX_S INT64_C(4294967296)

struct kube_token {
    char *token;     /**< owned; a secret */
    int64_t expires; /**< seconds since 1970 */
};

/** A question: may I do this? Texts are borrowed; NULL and "" mean the same. */
struct kube_right {
    const char *verb;
    const char *group;
    const char *resource;
    const char *sub; /**< "token" of serviceaccounts */
    const char *ns;
    const char *name;
};

/**
 * Add the addresses of one endpoint slice to out, with the names of their pods (targetRef); those
 * that are there already are not added again.
 *
 * slice  borrowed.
 * port   the name of a port, or its number; borrowed.
 * Returns RC_OK, or RC_PEER_MALFORMED: no such object; a slice of host names, without that port or
 * without addresses adds nothing.
 * Source  k8s.io/api discovery/v1 types.go: no `ready` means ready.
 */
enum rc kube_slice_read(const json_t *slice, const char *port, struct kube_endpoints *out) MUST_USE;

/**
 * The names of the nodes on which endpoints of one slice are ready, each once.
 *
 * slice  borrowed.
 * names  room for max of them; borrowed from the slice.
 * Returns RC_OK, or RC_PEER_MALFORMED: no such object. Names that no node can have, and those
 * beyond max, are left out.
 */
enum rc kube_slice_nodes(const json_t *slice, const char **names, size_t max, size_t *n) MUST_USE;

/**
 * The node port behind a port of a service.
 *
 * port  the name of a port, or its number.
 * Returns RC_OK; RC_NOT_FOUND: no such port, or it has no node port; RC_PEER_MALFORMED.
 */
enum rc kube_service_node_port(const json_t *service, const char *port, uint16_t *out) MUST_USE;

/**
 * Add the addresses of one node to out, with a port; those that are there already are not added
 * again.
 *
 * type  "InternalIP" or "ExternalIP".
 * Returns RC_OK, or RC_PEER_MALFORMED: no such object.
 */
enum rc kube_node_read(const json_t *node, const char *type, uint16_t port,
                       struct kube_endpoints *out) MUST_USE;

/**
 * One value of a secret.
 *
 * out  owned; zero-terminated; wipe it before it is freed.
 * Returns RC_OK; RC_NOT_FOUND: no such key; RC_PEER_MALFORMED: not base64; RC_NO_MEMORY.
 */
enum rc kube_secret_value(const json_t *secret, const char *key, char **out, size_t *n) MUST_USE;

/**
 * The body of a TokenRequest.
 *
 * audiences    NULL-terminated; at least one.
 * expires_s    KUBE_TOKEN_MIN_S to KUBE_TOKEN_MAX_S; the API server may choose another lifetime.
 * out          owned; JSON.
 * Returns RC_OK, RC_INVALID: no audience, or no such lifetime; RC_NO_MEMORY.
 */
enum rc kube_token_ask(const char *const *audiences, int64_t expires_s, char **out) MUST_USE;

/**
 * The answer to a TokenRequest.
 *
 * out  free with kube_token_fini().
 * Returns RC_OK, RC_PEER_MALFORMED: no token that fits into a header, or no date; RC_NO_MEMORY.
 */
enum rc kube_token_read(const json_t *body, struct kube_token *out) MUST_USE;

/** Wipe and free. */
void kube_token_fini(struct kube_token *t);

/** The body of a SelfSubjectAccessReview. out is owned. RC_OK or RC_NO_MEMORY. */
enum rc kube_right_ask(const struct kube_right *right, char **out) MUST_USE;

/** The answer: may I? RC_OK or RC_PEER_MALFORMED. */
enum rc kube_right_read(const json_t *body, bool *allowed) MUST_USE;

/** A date such as "2026-09-01T10:00:00Z", a fraction allowed, to seconds since 1970. RC_OK or
 * RC_PEER_MALFORMED. */
enum rc kube_time_read(const char *text, int64_t *out) MUST_USE;
