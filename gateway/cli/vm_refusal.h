/* SPDX-License-Identifier: Apache-2.0 */
/* Which refusal of a VM still means something. The status page says the same (page/fleet.js). */
#pragma once

#include "core/doc/doc.h"

enum vm_refusal {
    VM_REFUSAL_NONE,     /**< there was none, or it is over */
    VM_REFUSAL_OWN,      /**< it keeps the VM out */
    VM_REFUSAL_REPORTED, /**< the VM would be kept out, if its rule did not only report */
    VM_REFUSAL_OTHER,    /**< while the VM is connected, something else in its name was refused */
};

/** What `refused` means of a VM as the API describes it: one that is older than the VM's stream is
 * over. */
enum vm_refusal vm_refusal_of(const json_t *vm);
