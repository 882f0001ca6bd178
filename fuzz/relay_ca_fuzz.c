/* SPDX-License-Identifier: Apache-2.0 */
/* Target: relay_ca_feed(). Fed in two pieces or at once, it finds the same certificate, once. */
#include <stdbool.h>
#include <string.h>

#include "core/base/check.h"
#include "gateway/relay/relay_ca.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct relay_ca once;
    static struct relay_ca twice;
    struct cert_facts a = {.expiry = 0};
    struct cert_facts b = {.expiry = 0};
    size_t first = size > 0 ? data[size - 1] % (size + 1) : 0;

    relay_ca_init(&once);
    relay_ca_init(&twice);
    bool found = relay_ca_feed(&once, data, size, &a);
    bool early = relay_ca_feed(&twice, data, first, &b);
    bool late = relay_ca_feed(&twice, data + first, size - first, &b);
    CHECK(!(early && late) && found == (early || late));
    CHECK(!found || (a.expiry == b.expiry && strcmp(a.serial, b.serial) == 0));
    CHECK(strlen(a.serial) < sizeof(a.serial));
    return 0;
}
