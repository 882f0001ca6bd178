/* SPDX-License-Identifier: Apache-2.0 */
/* Where a bundle goes, and in which form. */
#pragma once

#include <stddef.h>

#include "bootstrap/formats.h"
#include "gateway/cli/bundle_inputs.h"
#include "gateway/cli/options.h"

/** Filled by BUNDLE_OUTPUT_ROWS. */
struct bundle_output {
    const char *path; /**< borrowed from argv; "-" is standard output */
    int format;       /**< enum bundle_format */
};

/** The words of --format. */
extern const struct option_word bundle_output_formats[];

/** The rows of a command whose options `type` have a struct bundle_output `field`. */
#define BUNDLE_OUTPUT_ROWS(type, field)                                \
    {.name = "output",                                                 \
     .letter = 'o',                                                    \
     .value = "PATH",                                                  \
     .kind = OPTION_TEXT,                                              \
     .offset = offsetof(type, field.path),                             \
     .help = "the folder or file to write; - for standard output",     \
     .required = true},                                                \
    {                                                                  \
        .name = "format", .value = "KIND", .kind = OPTION_WORD,        \
        .offset = offsetof(type, field.format),                        \
        .help = "dir (the default), tar, script, cloud-init, ansible", \
        .words = bundle_output_formats                                 \
    }

/**
 * Write a bundle and say so.
 *
 * b, in    borrowed; the bundle, and what it was made from.
 * renewal  as in struct format_opts; NULL: a whole bundle.
 * Returns EXIT_CODE_OK; EXIT_CODE_NO after a complaint.
 */
int bundle_output_write(const struct command_line *line, const struct bundle_output *o,
                        const struct bundle *b, const struct bundle_inputs *in,
                        const struct format_renewal *renewal);
