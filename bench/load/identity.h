/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key and a certificate for each VM, as each VM of a mesh has its own: a relay that remembers VMs
 * by their keys would take copies of one for one.
 */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

/** Who issues them. */
struct issuer;

/**
 * Certificates like that of cert_file, signed with the key of the first certificate in ca_file.
 * Owned; NULL after a line on stderr.
 */
struct issuer *issuer_new(const char *ca_file, const char *ca_key_file, const char *cert_file);

/** Free it; NULL is allowed. Sets *i to NULL. */
void issuer_free(struct issuer **i);

/** Begins as {0}: the certificate of the SSL_CTX. */
struct identity {
    EVP_PKEY *key;     /**< owned */
    X509 *certificate; /**< owned */
};

/** Issue one with this number. false: out of memory. */
bool identity_issue(struct identity *id, const struct issuer *i, uint32_t number);

/** A connection shows it. false: out of memory. */
bool identity_use(const struct identity *id, SSL *ssl);

/** Free what is in it. */
void identity_free(struct identity *id);
