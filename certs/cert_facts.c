/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/cert_facts.h"

#include <limits.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "certs/cert_internal.h"
#include "core/base/hex.h"

static void write_serial(const ASN1_INTEGER *number, char out[CERT_SERIAL_BYTES])
{
    const ASN1_STRING *s = number;
    const unsigned char *bytes = ASN1_STRING_get0_data(s);
    size_t n = (size_t)ASN1_STRING_length(s);

    (void)hex_write(out, bytes, n < HEX_FITS(CERT_SERIAL_BYTES) ? n : HEX_FITS(CERT_SERIAL_BYTES));
}

static enum rc digest_key(X509 *x, uint8_t out[CERT_KEY_BYTES])
{
    unsigned char *der = NULL;
    int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
    bool done = n > 0 && EVP_Digest(der, (size_t)n, out, NULL, EVP_sha256(), NULL) == 1;

    OPENSSL_free(der);
    return done ? RC_OK : RC_NO_MEMORY;
}

enum rc cert_facts_take(X509 *x, struct cert_facts *out)
{
    TRY(cert_read_time(X509_get0_notBefore(x), &out->start));
    TRY(cert_read_time(X509_get0_notAfter(x), &out->expiry));
    write_serial(X509_get0_serialNumber(x), out->serial);
    return digest_key(x, out->key);
}

enum rc cert_facts_parse(const char *pem, size_t n, struct cert_facts *out)
{
    struct cert_facts facts;
    BIO *bio = n <= INT_MAX ? BIO_new_mem_buf(pem, (int)n) : NULL;

    if (bio == NULL) {
        return n <= INT_MAX ? RC_NO_MEMORY : RC_PEER_MALFORMED;
    }
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    enum rc rc = x == NULL ? RC_PEER_MALFORMED : cert_facts_take(x, &facts);
    X509_free(x);
    BIO_free(bio);
    ERR_clear_error();
    if (rc == RC_OK) {
        *out = facts;
    }
    return rc == RC_OK || rc == RC_NO_MEMORY ? rc : RC_PEER_MALFORMED;
}
