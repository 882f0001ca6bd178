/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the configuration that a VM has. Any thread but a worker's: VMs are walked through to
 * find the one that is meant. */
#pragma once

#include "gateway/registry/registry.h"
#include "gateway/registry/vm_view.h"
#include "gateway/vmconfig/vm_config_view.h"

/** The configuration of a VM. */
struct registry_config {
    bool is_on; /**< false: `registry.keep_config` is 0, and nothing is kept of any VM */
    uint64_t id;
    char name[VM_NAME_BYTES];
    enum vm_state state; /**< of the VM: what it has when it has no stream is what it had last */
    struct vm_config_view config;
};

/**
 * Take the configuration of the VM that is meant by name (vm_name_means()); of several addresses
 * of one VM the one that is connected, or was last.
 *
 * out  filled with RC_OK: registry_config_fini().
 * why  of REGISTRY_WHY_BYTES, for people, with RC_NOT_FOUND and RC_BUSY.
 * Returns RC_OK; RC_NOT_FOUND; RC_BUSY: several are meant, why lists them; RC_NO_MEMORY.
 */
enum rc registry_config(struct registry *r, const char *name, struct registry_config *out,
                        char *why) MUST_USE;

/** Give back what it holds. */
void registry_config_fini(struct registry_config *c);
