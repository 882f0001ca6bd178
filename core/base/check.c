/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "xdsgate: internal error at %s:%d: %s; please report this\n", file, line, what);
    abort();
}
