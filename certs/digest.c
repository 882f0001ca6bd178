/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/digest.h"

#include <stdbool.h>

#include <openssl/err.h>
#include <openssl/evp.h>

enum rc digest_sha256(const struct digest_piece *pieces, size_t n, uint8_t out[DIGEST_BYTES])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;

    for (size_t i = 0; ok && i < n; i++) {
        ok = EVP_DigestUpdate(ctx, pieces[i].data, pieces[i].n) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    if (!ok) {
        ERR_clear_error();
        return RC_NO_MEMORY;
    }
    return RC_OK;
}
