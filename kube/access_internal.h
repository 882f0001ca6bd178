/* SPDX-License-Identifier: Apache-2.0 */
/* What an access holds; made by access.c and kubeconfig.c, used by the client. */
#pragma once

#include "kube/access.h"
#include "kube/source.h"
#include "kube/url.h"

#define KUBE_ACCESS_MAGIC 0xacce5501u

struct kube_access {
    uint32_t magic;
    struct kube_url url;
    char *server;   /**< owned; "https://HOST:PORT/PREFIX" */
    char *origin;   /**< owned */
    char *ns;       /**< owned */
    char *tls_name; /**< owned; the name in the server's certificate; NULL: the host */
    char *proxy;    /**< owned; may hold a password; NULL: what the environment says */
    uint64_t generation;
    struct kube_source authority; /**< without data: those of the system */
    struct kube_source certificate;
    struct kube_source key;
    struct kube_source token;
};

/** An empty one, or NULL. */
struct kube_access *kube_access_new(void);

/**
 * Check what was put together and complete it: certificate with key, some credential, url, the
 * texts for people.
 *
 * server, origin  borrowed. ns may be NULL or "".
 * Returns RC_OK, RC_INVALID with a text in err, RC_NO_MEMORY.
 */
enum rc kube_access_complete(struct kube_access *a, const char *server, const char *origin,
                             const char *ns, struct kube_error *err) MUST_USE;
