/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A serving certificate that somebody else signs: a key and the request for it, and what comes
 * back. istiod's CA looks at the request's key and signature only; the names come from who asks
 * (security/pkg/server/ca/server.go).
 */
#pragma once

#include "certs/ca.h"

/** Elements of an answer. */
#define CSR_ANSWER_MAX 16

/**
 * Make a key and a request for it, both PEM.
 *
 * request, key  owned by the caller: cert_bytes_fini(), which wipes.
 * Returns       RC_OK; RC_NO_MEMORY.
 */
enum rc csr_make(enum ca_key kind, struct cert_bytes *request, struct cert_bytes *key) MUST_USE;

/** An answer of Istio's CA (istio.v1.auth.IstioCertificateResponse). Borrowed. */
struct csr_answer {
    const struct cert_bytes *elements; /**< PEM: the certificate, what lies between it and the
                                            root, last the roots; each may hold several */
    size_t n;                          /**< 1 .. CSR_ANSWER_MAX */
    const struct cert_bytes *key;      /**< that the request was made with */
    const char *const *names;          /**< that the certificate has to have */
    size_t n_names;                    /**< 1 .. CA_NAMES_MAX */
};

/**
 * Take an answer: the certificate is for this key and these names, and good for a VM that believes
 * the roots that came with it.
 *
 * out      owned by the caller: ca_issued_fini(). Its key is a copy.
 * Returns  RC_OK; RC_INVALID with *err filled; RC_NO_MEMORY.
 */
enum rc csr_take_answer(const struct csr_answer *answer, struct ca_issued *out,
                        struct cert_error *err) MUST_USE;
