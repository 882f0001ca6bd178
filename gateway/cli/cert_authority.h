/* SPDX-License-Identifier: Apache-2.0 */
/* Where `xdsgate cert issue` has its authority from. */
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
    const char *self_signed_ca; /**< a folder; made when it has no authority */
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
