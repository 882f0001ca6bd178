/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of bundle_render(). */
#pragma once

#include "bootstrap/group.h"
#include "bootstrap/render.h"
#include "bootstrap/why.h"

/** Room for "istiod-REVISION.NAMESPACE.svc:15012" with the longest names. */
#define ISTIOD_NAME_BYTES 160

/** Is there a revision that appears in names? "default" does not. */
bool render_has_revision(const struct bundle_opts *o);

/** istiod's name in the cluster into buf of ISTIOD_NAME_BYTES, with port 15012 if asked for.
 * Returns buf. */
const char *render_istiod(const struct bundle_opts *o, bool with_port, char *buf);

/**
 * What makes the agent call the gateway by its own name and believe it by its own root, where o has
 * them: into config and its proxyMetadata, over whatever they say.
 *
 * Returns RC_OK; RC_INVALID and *w says why; RC_NO_MEMORY.
 * Source  Istio: tools/packaging/common/istio-start.sh; pkg/istio-agent/agent.go,
 *         FindRootCAForXDS() and FindRootCAForCA().
 */
enum rc render_gateway(const struct bundle_opts *o, const struct why *w, json_t *config,
                       json_t *metadata) MUST_USE;

/**
 * The ProxyConfig of the VM, as mesh.yaml has it.
 *
 * out  owned by the caller.
 * Returns RC_OK; RC_INVALID and *w says why; RC_NO_MEMORY.
 */
enum rc render_proxy_config(const struct bundle_opts *o, const struct group *g, const struct why *w,
                            json_t **out) MUST_USE;

/**
 * The text of cluster.env.
 *
 * config  what render_proxy_config() made.
 * out     owned by the caller.
 * Returns as render_proxy_config().
 */
enum rc render_env(const struct bundle_opts *o, const struct group *g, const json_t *config,
                   const struct why *w, char **out) MUST_USE;

/** The text of hosts. Parameters and returns as render_env(). */
enum rc render_hosts(const struct bundle_opts *o, const json_t *config, const struct why *w,
                     char **out) MUST_USE;
