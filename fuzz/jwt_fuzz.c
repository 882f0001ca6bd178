/* SPDX-License-Identifier: Apache-2.0 */
/* Target: jwt_look(), its base64url and JSON readers. */
#include <stdlib.h>
#include <string.h>

#include "certs/jwt.h"
#include "core/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const audiences[] = {"istio-ca", NULL};
    const char *why = NULL;

    enum rc rc = jwt_look((const char *)data, size, audiences, 1700000000, &why);
    CHECK(rc == RC_OK || (rc == RC_PEER_DENIED && why != NULL && why[0] != '\0'));
    return 0;
}
