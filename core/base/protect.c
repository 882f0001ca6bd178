/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/protect.h"

#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>

void protect_memory(void)
{
    struct rlimit none = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0);
}
