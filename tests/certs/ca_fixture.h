/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of ca share: a root, scratch files, authorities as PEM texts. Failures fail the
 * running cmocka test. */
#pragma once

#include <stddef.h>

#include "certs/ca.h"
#include "tests/support/pki.h"

#define PATH_BYTES 96
#define DAY_S (24L * 3600L)
#define NAME "istiod.istio-system.svc"

struct ca_fixture {
    char dir[64];
    char file[4][PATH_BYTES]; /* scratch */
    struct pki_cert root;
};

/** Make the folder and the root. */
int ca_fixture_setup(void **state);

/** Remove it all. */
int ca_fixture_teardown(void **state);

/** The PEM text of certificates. Owned. */
struct cert_bytes ca_fixture_pem(const struct ca_fixture *f, const struct pki_cert *const *certs,
                                 size_t n);

/** The PEM text of one certificate. Owned. */
struct cert_bytes ca_fixture_pem_of(const struct ca_fixture *f, const struct pki_cert *c);

/** The PEM text of a key; passphrase NULL: in the clear. Owned. */
struct cert_bytes ca_fixture_key_of(const struct ca_fixture *f, const struct pki_cert *c,
                                    const char *passphrase);

/** An authority that is its own root. The texts are owned. */
struct ca_opts ca_fixture_opts(const struct ca_fixture *f, const struct pki_cert *c);

/** Free the texts. */
void ca_fixture_free_opts(struct ca_opts *o);

/** A certificate of an authority; what is not in spec is as usual. */
struct pki_cert ca_fixture_make(const struct pki_cert *issuer, struct pki_spec spec);

/** It loads. Frees the texts. Owned. */
struct ca *ca_fixture_load(struct ca_opts opts);
