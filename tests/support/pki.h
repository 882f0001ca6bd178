/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates made on the spot for tests: authorities, serving certificates, workload certificates
 * and the broken ones. Every failure ends the test program.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

/** A certificate with its key. */
struct pki_cert {
    X509 *x;       /**< owned */
    EVP_PKEY *key; /**< owned */
};

/** What to put into a certificate; NULL texts are left out. */
struct pki_spec {
    const char *name;        /**< common name; NULL: an empty subject */
    const char *san;         /**< as in openssl.cnf: "URI:spiffe://...,DNS:example" */
    const char *usage;       /**< keyUsage: "critical,digitalSignature,keyEncipherment" */
    const char *ext_usage;   /**< extendedKeyUsage: "serverAuth,clientAuth" */
    const char *constraints; /**< nameConstraints */
    bool ca;                 /**< basicConstraints CA:TRUE, else CA:FALSE */
    long from_s;             /**< start, seconds from now */
    long to_s;               /**< end, seconds from now; 0: in a day */
    bool rsa;                /**< RSA 2048 instead of P-256 */
};

/** A certificate signed by issuer (NULL: by itself). Free with pki_free(). */
struct pki_cert pki_make(const struct pki_cert *issuer, const struct pki_spec *spec);

/** A root that signs for a year. */
struct pki_cert pki_make_root(const char *name);

/** A certificate as Istio gives it to a workload; uri may hold several SANs in the notation of
 * pki_spec.san. */
struct pki_cert pki_make_workload(const struct pki_cert *issuer, const char *san);

/** A serving certificate for names such as "DNS:istiod.istio-system.svc". */
struct pki_cert pki_make_server(const struct pki_cert *issuer, const char *san);

/** Free what pki_make() gave. */
void pki_free(struct pki_cert *c);

/** Write n certificates as PEM into a new file. */
void pki_write_certs(const char *path, const struct pki_cert *const *certs, size_t n);

/** Write one certificate. */
void pki_write_cert(const char *path, const struct pki_cert *c);

/** Write the key; passphrase NULL: in the clear. */
void pki_write_key(const char *path, const struct pki_cert *c, const char *passphrase);

/** Write a text file. */
void pki_write_text(const char *path, const char *text);
