/* SPDX-License-Identifier: Apache-2.0 */
/* Between options.c and command.c. */
#pragma once

#include "gateway/cli/options.h"

enum options_outcome { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_WRONG };

/**
 * Read the options and arguments of a command into line->opts, line->args and line->n_args; what is
 * wrong is said on line->err. argv[0] is the command's last word.
 */
enum options_outcome options_read(int argc, char **argv, struct command_line *line);

/** Write a command's --help. */
void options_write_help(FILE *out, const struct command *c);
