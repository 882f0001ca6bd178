/* SPDX-License-Identifier: Apache-2.0 */
/* `xdsgate cert issue --from-istiod`: istiod signs. */
#pragma once

#include "gateway/cli/cert_authority.h"

struct cert_istiod_request {
    const char *const *names; /**< borrowed */
    size_t n_names;
    enum ca_key key;
    int64_t validity_s; /**< istiod's own limit, 90 days, is respected */
};

/**
 * Ask the istiod that o names.
 *
 * out      owned by the caller: ca_issued_fini().
 * Returns  an enum exit_code; but for EXIT_CODE_OK, why is said on line->err.
 */
int cert_istiod_sign(const struct command_line *line, const struct cert_authority_opts *o,
                     const struct cert_istiod_request *request, struct ca_issued *out);
