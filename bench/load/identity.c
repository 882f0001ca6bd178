/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/identity.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/load/tls.h"

struct issuer {
    X509 *like;    /* owned */
    EVP_PKEY *key; /* owned */
};

static X509 *read_certificate(const char *file)
{
    FILE *in = fopen(file, "re");
    X509 *out = in != NULL ? PEM_read_X509(in, NULL, NULL, NULL) : NULL;

    if (in != NULL) {
        (void)fclose(in);
    }
    return out;
}

static EVP_PKEY *read_key(const char *file)
{
    FILE *in = fopen(file, "re");
    EVP_PKEY *out = in != NULL ? PEM_read_PrivateKey(in, NULL, NULL, NULL) : NULL;

    if (in != NULL) {
        (void)fclose(in);
    }
    return out;
}

struct issuer *issuer_new(const char *ca_file, const char *ca_key_file, const char *cert_file)
{
    struct issuer *i = calloc(1, sizeof(*i));
    X509 *ca = read_certificate(ca_file);

    if (i != NULL) {
        i->like = read_certificate(cert_file);
        i->key = read_key(ca_key_file);
    }
    if (i == NULL || ca == NULL || i->like == NULL || i->key == NULL ||
        X509_check_private_key(ca, i->key) != 1) {
        (void)fprintf(stderr, "%s: %s\n", ca_key_file, tls_error("cannot be read"));
        issuer_free(&i);
    }
    X509_free(ca);
    return i;
}

void issuer_free(struct issuer **i)
{
    if (*i != NULL) {
        X509_free((*i)->like);
        EVP_PKEY_free((*i)->key);
        free(*i);
        *i = NULL;
    }
}

bool identity_issue(struct identity *id, const struct issuer *i, uint32_t number)
{
    id->key = EVP_EC_gen("P-256");
    id->certificate = X509_dup(i->like);
    if (id->key != NULL && id->certificate != NULL &&
        ASN1_INTEGER_set_uint64(X509_get_serialNumber(id->certificate), number + 1u) == 1 &&
        X509_set_pubkey(id->certificate, id->key) == 1 &&
        X509_sign(id->certificate, i->key, EVP_sha256()) > 0) {
        return true;
    }
    identity_free(id);
    return false;
}

bool identity_use(const struct identity *id, SSL *ssl)
{
    return id->key == NULL || (SSL_use_certificate(ssl, id->certificate) == 1 &&
                               SSL_use_PrivateKey(ssl, id->key) == 1);
}

void identity_free(struct identity *id)
{
    X509_free(id->certificate);
    EVP_PKEY_free(id->key);
    *id = (struct identity){NULL, NULL};
}
