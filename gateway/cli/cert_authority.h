/* SPDX-License-Identifier: Apache-2.0 */
/* Where `xdsgate cert issue` has its authority from: files, a folder of its own, or a secret of
 * Istio, as a document or in the cluster. */
#pragma once

#include "certs/ca.h"
#include "gateway/cli/options.h"

/** Borrowed texts of the command line; NULL: not given. */
struct cert_authority_opts {
    const char *ca_cert;
    const char *ca_key;
    const char *cert_chain;
    const char *root_cert;
    const char *passphrase_file;
    const char *self_signed_ca;  /**< a folder; made when it has no authority */
    bool makes_none;             /**< but not now: one has to be there */
    const char *ca_secret;       /**< a file, or "-": a Secret of Kubernetes */
    const char *from_istiod;     /**< "HOST:PORT": it signs, and no authority is at hand */
    const char *source;          /**< the address that it trusts */
    bool from_cluster;           /**< cacerts or istio-ca-secret of istio_namespace */
    const char *istio_namespace; /**< never NULL */
    const char *kubeconfig;
    const char *context;
};

/** What its parts are called in messages. */
struct cert_authority_names {
    const char *certificate;
    const char *key;
    const char *chain;  /**< NULL: there is none */
    const char *roots;  /**< NULL: there are none */
    bool may_be_locked; /**< --passphrase-file could be given */
};

/** Exactly one source, and all that it needs? What is wrong is said on line->err. */
bool cert_authority_check(const struct command_line *line, const struct cert_authority_opts *o);

/**
 * Read the authority, or make it.
 *
 * out      owned by the caller: ca_free().
 * Returns  an enum exit_code; but for EXIT_CODE_OK, why is said on line->err.
 */
int cert_authority_open(const struct command_line *line, const struct cert_authority_opts *o,
                        struct ca **out);

/** ca_load(), with what is wrong said on line->err. Returns as cert_authority_open(). */
int cert_authority_load(const struct command_line *line, const struct cert_authority_names *names,
                        const struct ca_opts *opts, struct ca **out);

/** From a secret: o->ca_secret or o->from_cluster. Returns as cert_authority_open(). In
 * cert_secret.c. */
int cert_secret_open(const struct command_line *line, const struct cert_authority_opts *o,
                     struct ca **out);
