/* SPDX-License-Identifier: Apache-2.0 */
/* How a VM is named: by a stable number, and by the name that people use. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/rc.h"

/** Room for vm_id_text(): 16 hexadecimal digits. */
#define VM_ID_BYTES 17

/** The number of an identity and a node id: the first eight bytes of SHA-256, so it is the same
 * after a restart and on another gateway. RC_OK; RC_NO_MEMORY. */
enum rc vm_id_of(const char *identity, const char *node_id, uint64_t *id) MUST_USE;

/** As it is written; returns buf. */
const char *vm_id_text(uint64_t id, char buf[VM_ID_BYTES]);

/** Is text an id as vm_id_text() writes it? */
bool vm_id_parse(const char *text, uint64_t *id);

/** Does somebody who asks for this mean the VM: by its id, or else by "vm1.vms", or by "vm1" in any
 * namespace? What is written like an id is one: a VM cannot take another's by calling itself so. */
bool vm_name_means(const char *asked, const char *name, uint64_t id);
