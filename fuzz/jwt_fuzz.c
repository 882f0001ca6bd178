/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: jwt_look(), jwt_read_expiry(), jwt_read_claims(): base64url and JSON readers. */
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

    /* The same without "Bearer ". */
    const char *token = size > 7 ? (const char *)data + 7 : "";
    size_t n = size > 7 ? size - 7 : 0;
    char claims[JWT_MAX_BYTES];
    int64_t until = 0;
    size_t n_claims = 0;
    CHECK(jwt_read_expiry(token, n, &until, &why) == RC_OK || rc != RC_OK);
    CHECK(jwt_read_claims(token, n, claims, &n_claims) == RC_OK || rc != RC_OK);
    CHECK(n_claims <= sizeof(claims));
    return 0;
}
