/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a VM, most likely, and what to type next. */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "core/doc/doc.h"

/** Write what stands out about a VM, as the API describes it: a sentence and a command each; or
 * that nothing does. now: milliseconds since 1970, of the daemon. */
void vm_advice_write(const json_t *vm, int64_t now, FILE *out);
