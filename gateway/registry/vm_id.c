/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/registry/vm_id.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "certs/digest.h"

enum rc vm_id_of(const char *identity, const char *node_id, uint64_t *id)
{
    /* With the zero of the identity, so that no other pair has the same bytes. */
    const struct digest_piece pieces[] = {{identity, strlen(identity) + 1},
                                          {node_id, strlen(node_id)}};
    uint8_t digest[DIGEST_BYTES];

    TRY(digest_sha256(pieces, 2, digest));
    *id = 0;
    for (size_t i = 0; i < 8; i++) {
        *id = *id << 8 | digest[i];
    }
    return RC_OK;
}

const char *vm_id_text(uint64_t id, char buf[VM_ID_BYTES])
{
    (void)snprintf(buf, VM_ID_BYTES, "%016" PRIx64, id);
    return buf;
}

bool vm_id_parse(const char *text, uint64_t *id)
{
    uint64_t value = 0;

    if (strlen(text) != VM_ID_BYTES - 1 || strspn(text, "0123456789abcdef") != VM_ID_BYTES - 1) {
        return false;
    }
    for (const char *c = text; *c != '\0'; c++) {
        value = value << 4 | (uint64_t)(*c <= '9' ? *c - '0' : *c - 'a' + 10);
    }
    *id = value;
    return true;
}

bool vm_name_means(const char *asked, const char *name, uint64_t id)
{
    const char *dot = strrchr(name, '.'); /* namespaces have none */
    size_t n = strlen(asked);
    uint64_t asked_id = 0;

    if (vm_id_parse(asked, &asked_id)) {
        return asked_id == id;
    }
    return strcmp(asked, name) == 0 ||
           (dot != NULL && n == (size_t)(dot - name) && n > 0 && memcmp(asked, name, n) == 0);
}
