/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the formats share. */
#pragma once

#include "bootstrap/formats.h"
#include "bootstrap/why.h"

/** Words into t, in characters that mean nothing to any of the formats; others become '?'. */
void format_plain(struct text *t, const char *words);

/** From when and until when one of the roots is valid: seconds since 1970. */
struct format_dates {
    int64_t from;
    int64_t until;
};

/** Read a file of roots: certificates, one or more, and no key. Errors as format_render(). */
enum rc format_roots(const struct bundle_file *pem, struct format_dates *out,
                     const struct why *w) MUST_USE;

/**
 * Is a renewal for the bundle that is in a folder? Asks of its cluster.env, and of its mesh.yaml,
 * what the script asks of a VM; a folder without a cluster.env takes every renewal.
 *
 * b        borrowed; the renewal's files.
 * Returns  RC_OK; RC_INVALID and *w says why; RC_NO_MEMORY.
 */
enum rc format_check_older(const char *folder, const struct bundle *b,
                           const struct format_renewal *r, const struct why *w) MUST_USE;

/** The archive. */
void format_tar(const struct bundle *b, const struct format_opts *o, struct text *t);

/** The script. Errors as format_render(). */
enum rc format_script(const struct bundle *b, const struct format_opts *o, struct text *t,
                      const struct why *w) MUST_USE;

/** User data for cloud-init, and a playbook for Ansible, that carry this script. */
void format_cloud_init(const struct text *script, const struct format_opts *o, struct text *t);
void format_ansible(const struct text *script, const struct format_opts *o, struct text *t);

/** bootstrap/install.sh; made by embed.cmake. */
extern const char install_sh[];
extern const size_t install_sh_bytes;
