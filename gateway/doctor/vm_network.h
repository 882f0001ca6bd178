/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a VM's bundle needs the network: do the control planes that it names answer as an agent
 * needs it? Blocks, for a bounded time.
 */
#pragma once

#include "bootstrap/verify.h"
#include "core/base/rc.h"

/**
 * Try all servers of a report that verify_files() has filled, and add what comes of it.
 *
 * installed  borrowed; what is looked at is installed on this machine, whose resolver counts then.
 *            NULL: a folder for another one.
 * timeout    seconds, for each attempt.
 * Returns    RC_OK, whatever came of it; RC_NO_MEMORY; RC_NO_FILES.
 */
enum rc vm_network_try(struct verify_report *r, const struct verify_opts *installed,
                       double timeout) MUST_USE;

/**
 * From now on connect as the agent does: what others connect to on a VM is redirected into Envoy,
 * and only what the agent's group connects to is not (Istio: tools/istio-iptables). Needs root;
 * otherwise nothing changes.
 *
 * installed  borrowed; NULL, or without a user: nothing changes.
 * Returns    what vm_network_leave() has to be given.
 */
gid_t vm_network_enter(const struct verify_opts *installed);

/** Does that work, or is it not needed, so that what is connected to is what it seems to be? */
bool vm_network_is_free(const struct verify_opts *installed);

/** The end of that. */
void vm_network_leave(gid_t before);
