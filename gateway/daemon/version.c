/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon/version.h"

#ifndef XDSGATE_VERSION
#error "XDSGATE_VERSION comes from the build"
#endif

void version_write(FILE *out, bool json)
{
    if (json) {
        (void)fputs("{\"version\": \"" XDSGATE_VERSION "\"}\n", out);
    } else {
        (void)fputs("xdsgate " XDSGATE_VERSION "\n", out);
    }
}
