/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which certificate files a configuration names, and for what. Reads leniently, also a file that is
 * refused otherwise, because an expired certificate is a reason to refuse it.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

#include "core/base/rc.h"

enum cert_path_kind { CERT_PATH_SERVING, CERT_PATH_CLIENT_ROOTS, CERT_PATH_UPSTREAM_ROOTS };

struct cert_path {
    enum cert_path_kind kind;
    char *owner;       /**< owned; the name of the listener or upstream; "" when it has none */
    char *file;        /**< owned */
    char *private_key; /**< owned; of a serving certificate, else NULL */
};

/**
 * Find them, in the order of the file. What is not as it should be is left out.
 *
 * path    borrowed.
 * errors  where it is said that the file is no YAML, or cannot be read; borrowed.
 * out     owned by the caller: cert_paths_free().
 * Returns RC_OK; RC_INVALID when a line was written; RC_NO_MEMORY.
 */
enum rc cert_paths_load(const char *path, FILE *errors, struct cert_path **out, size_t *n) MUST_USE;

/** Free n of them and null the pointer; NULL is allowed. */
void cert_paths_free(struct cert_path **paths, size_t n);
