/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that make a VM a member of the mesh, in memory. bootstrap/render.h makes them;
 * docs/bundle.md says what each of them is.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/rc.h"

#define BUNDLE_FILES_MAX 8

/** The names, as istioctl's. */
#define BUNDLE_MESH "mesh.yaml"
#define BUNDLE_ENV "cluster.env"
#define BUNDLE_ROOT "root-cert.pem"
#define BUNDLE_TOKEN "istio-token"
#define BUNDLE_HOSTS "hosts"

/** One that istioctl has not: whom the agent believes at a gateway with a root of its own. Its path
 * on the VM is cluster.env's to say. */
#define BUNDLE_GATEWAY_ROOT "gateway-root.pem"
#define BUNDLE_GATEWAY_ROOT_PATH "/var/lib/istio/envoy/" BUNDLE_GATEWAY_ROOT

/** What the agent calls where no setting says it. */
#define BUNDLE_ISTIOD_ADDRESS "istiod.istio-system.svc:15012"

struct bundle_file {
    char *name; /**< owned; a plain name, no path */
    char *data; /**< owned; wiped when freed; a NUL follows that does not count */
    size_t n;
    mode_t mode; /**< 0600 of the token, 0644 of the others */
};

/** Embedded; one thread. */
struct bundle {
    uint32_t magic;
    struct bundle_file files[BUNDLE_FILES_MAX];
    size_t n;
};

/** An empty bundle. Never fails. */
void bundle_init(struct bundle *b);

/** Free all files, wiping their content. b is empty afterwards and may be used again. */
void bundle_fini(struct bundle *b);

/**
 * Add a file with a copy of n bytes of data.
 *
 * name  copied; not yet in the bundle.
 * Returns RC_OK; RC_NO_MEMORY; RC_FULL.
 */
enum rc bundle_add(struct bundle *b, const char *name, const void *data, size_t n,
                   mode_t mode) MUST_USE;

/** The file of that name, borrowed; NULL: there is none. */
const struct bundle_file *bundle_find(const struct bundle *b, const char *name);

/** The bytes of a token's file that count, of n: a last newline is forgiven, as the agent does. */
size_t bundle_token_length(const char *token, size_t n);
