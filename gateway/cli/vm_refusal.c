/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/vm_refusal.h"

#include <stdbool.h>

#include "gateway/cli/fleet.h"

enum vm_refusal vm_refusal_of(const json_t *vm)
{
    int64_t since = fleet_time(doc_at(vm, "connected_since", NULL));

    if (doc_text(vm, "refused", "rule", NULL) == NULL) {
        return VM_REFUSAL_NONE;
    }
    if (doc_is_text(vm, "state", "refused") || doc_is_text(vm, "state", "revoked")) {
        return VM_REFUSAL_OWN;
    }
    if (since == 0 || fleet_time(doc_at(vm, "refused", "at", NULL)) < since) {
        return VM_REFUSAL_NONE;
    }
    return json_is_true(doc_at(vm, "refused", "passed", NULL)) ? VM_REFUSAL_REPORTED
                                                               : VM_REFUSAL_OTHER;
}
