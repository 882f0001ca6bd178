/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `xdsgate cert show` has to say about some files, as a document: the same for people and for
 * scripts. docs/certificates.md describes it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "certs/cert_file.h"
#include "core/base/rc.h"
#include "core/doc/doc.h"
#include "gateway/config/cert_paths.h"

/** One file to be shown. */
struct cert_view_file {
    const char *path;             /**< borrowed */
    const struct cert_path *role; /**< borrowed; NULL: named on the command line */
    struct cert_file *file;       /**< owned; NULL: it cannot be read, as `error` says */
    struct cert_error error;
};

/**
 * Read the files and describe each certificate in them.
 *
 * files    in: paths and roles; the rest is filled. cert_view_fini() in any case.
 * good     gets false when a certificate has expired or will not be accepted, or a file cannot be
 *          read.
 * out      owned by the caller: json_decref().
 * Returns  RC_OK or RC_NO_MEMORY.
 */
enum rc cert_view_make(struct cert_view_file *files, size_t n, bool *good, json_t **out) MUST_USE;

/** Free what was read. */
void cert_view_fini(struct cert_view_file *files, size_t n);
