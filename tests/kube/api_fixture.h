/* SPDX-License-Identifier: Apache-2.0 */
/* A fake API server with an authority of its own, and a client of it, whose token and authority are
 * files that a test may change. */
#pragma once

#include "kube/kube.h"
#include "tests/support/fake_api.h"

#define FIXTURE_TOKEN "first-token"

/* What Kubernetes says of a failure, and a token that nothing may repeat. */
#define STATUS(code, reason, message)                                                              \
    "{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"" reason "\",\"message\":\"" message \
    "\",\"code\":" #code "}"
#define JWT "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"

struct api_fixture {
    char folder[64];
    struct pki_cert ca;
    struct pki_cert server;
    struct fake_api *api;
    struct kube *k;
};

/** Start both; a cmocka setup calls it with the handler of its tests, which gets the fixture. */
struct api_fixture *api_fixture_new(fake_api_handler *handler);

/** Stop both. The client may be gone already. */
void api_fixture_free(struct api_fixture *f);

/** A client by a kubeconfig with these lines in the cluster and in the user (YAML flow, without
 * braces); "%s" in cluster is the address of the server. NULL: not even an access. */
struct kube *api_fixture_connect(struct api_fixture *f, const char *cluster, const char *user,
                                 const struct kube_opts *opts);

/** Put a new file in place of an old one, as Kubernetes does. */
void api_fixture_replace(const struct api_fixture *f, const char *name, const char *text);

/** The same with a certificate. */
void api_fixture_replace_cert(const struct api_fixture *f, const char *name,
                              const struct pki_cert *c);
