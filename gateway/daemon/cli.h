/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: `xdsgate COMMAND [OPTIONS]`. One table of commands; GNU long options; --help
 * everywhere. Says what was asked for and does nothing else.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

/** What the process ends with. A promise to scripts. */
enum cli_exit {
    CLI_EXIT_OK = 0,          /**< done */
    CLI_EXIT_NO = 1,          /**< the answer is no, or it could not be done */
    CLI_EXIT_USAGE = 2,       /**< wrong usage or configuration */
    CLI_EXIT_UNREACHABLE = 3, /**< the daemon or the cluster cannot be reached */
};

enum cli_command { CLI_RUN, CLI_CHECK, CLI_VERSION };

struct cli {
    enum cli_command command;
    const char *config_path; /**< borrowed from argv; of run and check */
    bool json;               /**< -o json */
};

/**
 * Read the arguments of main(). Changes the order of argv (getopt_long); one thread.
 *
 * out   where help goes that was asked for.
 * err   where complaints go.
 * cli   filled when there is something to do.
 * exit  the exit code when there is not: help was shown, or the usage is wrong.
 * Returns true: do what cli says; false: end with *exit.
 */
bool cli_parse(int argc, char **argv, FILE *out, FILE *err, struct cli *cli, enum cli_exit *exit);

/** Write the version, as a line of text or as JSON {"version": "..."} with a newline. */
void cli_write_version(FILE *out, bool json);
