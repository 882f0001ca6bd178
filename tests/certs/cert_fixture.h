/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of cert_set share: a root, three serving certificates and a VM in files, and
 * handshakes with a client of choice. Failures fail the running cmocka test.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "certs/cert_set.h"
#include "tests/support/pki.h"
#include "tests/support/tls_pair.h"

#define PATH_BYTES 96

struct cert_fixture {
    char dir[64];
    char root_file[PATH_BYTES];
    char chain_file[3][PATH_BYTES];
    char key_file[3][PATH_BYTES];
    struct pki_cert root;
    struct pki_cert foreign_root;
    struct pki_cert server[3];
    struct pki_cert vm;
    struct cert_set *set;
    const struct root_list *more_roots; /* for cert_fixture_load(); borrowed, NULL unless set */
};

/* What the client does; zeros: TLS as it comes, no certificate, no SNI, ALPN h2. */
struct client_opts {
    const struct pki_cert *cert;
    const struct pki_cert *intermediate; /* sent along with cert */
    const char *sni;
    const unsigned char *alpn;
    size_t n_alpn; /* 0: h2 */
    bool no_alpn;
    int min_version;
    int max_version;
    const char *ciphers; /* of TLS 1.2 */
};

/** Make the files and load the set. Serving: istiod.istio-system.svc, *.example.test,
 * canary.example.test. */
int cert_fixture_setup(void **state);

/** on_secret of the sets; NULL unless a test sets it. */
extern void (*cert_fixture_on_secret)(const SSL *ssl, const char *line);

/** Remove it all. */
int cert_fixture_teardown(void **state);

/** Load the serving files again, with these root files (NULL-terminated). Owned. */
struct cert_set *cert_fixture_load(const struct cert_fixture *f, const char *const *roots);

/** An authority below the root; constraints as pki_spec.constraints. */
struct pki_cert cert_fixture_intermediate(const struct cert_fixture *f, const char *constraints);

/** A client end; owned. */
SSL *cert_fixture_client(const struct client_opts *o);

/** The server end knows the client by this identity; NULL: by none. */
void cert_fixture_known(const struct tls_pair *pair, const char *uri);

/** Shake hands. True when both ends are content; the pair is to be freed in any case. */
bool cert_fixture_connect(struct cert_set *set, const struct client_opts *o, struct tls_pair *pair);

/** In TLS 1.2 and 1.3: accepted with ALPN h2, and known by this identity (NULL: by none). */
void cert_fixture_accepted(struct cert_set *set, struct client_opts o, const char *uri);

/** In TLS 1.2 and 1.3: refused with an alert, for exactly this reason. */
void cert_fixture_refused(struct cert_set *set, struct client_opts o, const char *reason);
