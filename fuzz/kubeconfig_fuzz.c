/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: kube_access_from_text(), kube_url_parse(), base64_decode(). What gives no access gives
 * one line for people. */
#include <stdlib.h>
#include <string.h>

#include "core/base/base64.h"
#include "core/base/check.h"
#include "kube/access.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kube_error err = {""};
    struct kube_access *a = NULL;
    const char *text = (const char *)data;
    char *out = malloc(BASE64_DECODED_BYTES(size));
    size_t n = 0;

    CHECK(out != NULL);
    CHECK(base64_decode(text, size, out, &n) != RC_OK || n < BASE64_DECODED_BYTES(size));
    free(out);
    enum rc rc = kube_access_from_text("/nonexistent/config", text, size, NULL, &err, &a);
    CHECK((rc == RC_OK) == (a != NULL) && (rc == RC_OK || err.text[0] != '\0'));
    CHECK(a == NULL || strncmp(kube_access_server(a), "https://", 8) == 0);
    kube_access_free(&a);
    return 0;
}
