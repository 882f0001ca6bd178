/* SPDX-License-Identifier: Apache-2.0 */
/* Is a certificate believed, by these roots? Outside of a handshake; see cert_verify.c for those.
 */
#include <stdio.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "certs/cert_internal.h"

/** As of every SSL_CTX here: 112 bits, no SHA-1. */
#define SECURITY_LEVEL 2

static enum rc fill_store(X509_STORE *store, STACK_OF(X509) * roots)
{
    for (int i = 0; i < sk_X509_num(roots); i++) {
        if (X509_STORE_add_cert(store, sk_X509_value(roots, i)) != 1) {
            return RC_NO_MEMORY;
        }
    }
    return RC_OK;
}

static void explain(X509_STORE_CTX *sctx, char *why, size_t size)
{
    const char *text = X509_verify_cert_error_string(X509_STORE_CTX_get_error(sctx));
    int depth = X509_STORE_CTX_get_error_depth(sctx);

    if (depth > 0) {
        snprintf(why, size, "%s (%d above it in the chain)", text, depth);
    } else {
        snprintf(why, size, "%s", text);
    }
}

static enum rc ask(X509_STORE_CTX *sctx, X509_STORE *store, const struct cert_question *q,
                   STACK_OF(X509) * *out, char *why, size_t size)
{
    if (X509_STORE_CTX_init(sctx, store, q->leaf, q->between) != 1) {
        return RC_NO_MEMORY;
    }
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(sctx);
    X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
    if (q->any_time && X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME) != 1) {
        return RC_NO_MEMORY;
    }
    if (q->server && X509_STORE_CTX_set_purpose(sctx, X509_PURPOSE_SSL_SERVER) != 1) {
        return RC_NO_MEMORY;
    }
    if (X509_verify_cert(sctx) != 1) {
        explain(sctx, why, size);
        return X509_STORE_CTX_get_error(sctx) == X509_V_ERR_OUT_OF_MEM ? RC_NO_MEMORY
                                                                       : RC_PEER_DENIED;
    }
    if (out != NULL) {
        STACK_OF(X509) *chain = X509_STORE_CTX_get1_chain(sctx);
        if (chain == NULL) {
            return RC_NO_MEMORY;
        }
        *out = chain;
    }
    return RC_OK;
}

enum rc cert_chain_verify(const struct cert_question *q, STACK_OF(X509) * *out, char *why,
                          size_t size)
{
    ERR_clear_error();
    X509_STORE *store = cert_store_new();
    X509_STORE_CTX *sctx = X509_STORE_CTX_new();
    enum rc rc = store == NULL || sctx == NULL ? RC_NO_MEMORY : fill_store(store, q->roots);

    if (rc == RC_OK) {
        rc = ask(sctx, store, q, out, why, size);
    }
    X509_STORE_CTX_free(sctx);
    X509_STORE_free(store);
    ERR_clear_error();
    return rc;
}
